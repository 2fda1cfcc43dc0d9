//! The results of the commands: values that serialise to JSON and print as text. Knows no SQL.

pub(crate) mod format;
mod migration_ref;
pub(crate) mod progress;
mod run;
mod schema;
mod status;

pub use self::{
    migration_ref::MigrationRef,
    run::{RunReport, StatementReport, StepReport},
    schema::{DriftReport, Dump},
    status::{MigrationState, MigrationStatus, Status, WaitReport},
};
