//! The state of a database, in types that do not depend on the engine.

pub(crate) mod application;
pub(crate) mod catalog;
pub(crate) mod database_name;
pub(crate) mod error;
pub(crate) mod history;
pub(crate) mod owners;
pub(crate) mod rename_tracker;
