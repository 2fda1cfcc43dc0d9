//! What can be done besides a run: one file for each command.

mod baseline;
pub(crate) mod check;
pub(crate) mod generate;
mod inspect;
pub(crate) mod lock_time;
