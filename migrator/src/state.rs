//! What a database is like at one moment, in types that every engine can give.

pub(crate) mod catalog;
pub(crate) mod rename_tracker;
