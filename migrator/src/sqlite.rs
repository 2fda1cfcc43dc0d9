//! The SQLite engine of the migrator: sessions, history, script execution, schemas, planning and
//! backups.

pub mod backup;
pub(crate) mod execute;
pub(crate) mod guard;
pub(crate) mod history;
pub(crate) mod internal;
pub(crate) mod lock_backoff;
pub(crate) mod orphans;
pub(crate) mod planner;
pub(crate) mod result_code;
pub(crate) mod sample_rows;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod usability;
