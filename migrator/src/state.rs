//! What a database is like at one moment, in types that every engine can give.

pub(crate) mod catalog;
pub(crate) mod database_name;
pub(crate) mod error;
pub(crate) mod history;
pub(crate) mod owners;
pub(crate) mod rename_tracker;
