//! What can be asked of a migrator: one file for each command. `upgrade` and `downgrade` are
//! in the module `run`, since their order is all that there is to them.

mod backup;
mod backups;
mod baseline;
pub(crate) mod check;
mod create;
mod diff;
mod dump;
pub(crate) mod generate;
mod inspect;
pub(crate) mod lock_time;
mod restore;
mod status;
pub(crate) mod wait;
