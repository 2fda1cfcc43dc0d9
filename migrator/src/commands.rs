//! The commands, one file each. `upgrade` and `downgrade` are in the module `run`, which holds
//! their order.

mod backup;
mod backups;
mod baseline;
pub(crate) mod check;
mod create;
mod diff;
mod dump;
pub(crate) mod generate;
#[cfg(test)]
mod growth;
mod inspect;
pub(crate) mod lock_time;
#[cfg(test)]
mod property;
mod restore;
mod status;
pub(crate) mod wait;
