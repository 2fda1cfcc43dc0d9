//! The exit codes of the program.

use std::process::ExitCode;

/// An exit code of the program `migrator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// A failure without a code below.
    Failed = 1,
    /// The command line is invalid, or names an unknown version.
    Usage = 2,
    /// A migration is pending or missing, or the schema differs from the declared one.
    Pending = 3,
    /// The live schema differs from that of its version.
    Drift = 4,
    /// A lint rule is broken.
    Rule = 5,
    /// The history contradicts the migrations.
    History = 6,
    /// The migrator refused the command.
    Refused = 7,
    /// A backup or a restore failed.
    Backup = 9,
    /// A setting cannot work.
    Config = 78,
    /// The command may succeed later.
    TryAgain = 75,
}

impl Exit {
    /// Every code with its meaning in the help, in ascending order.
    pub const MEANINGS: [(Self, &'static str); 11] = [
        (Self::Done, "done, or nothing to do"),
        (Self::Failed, "failed, and the database was not changed"),
        (
            Self::Usage,
            "the command line is invalid, or names a version that does not exist",
        ),
        (
            Self::Pending,
            "a migration is pending or missing, or the schema differs from the declared one",
        ),
        (
            Self::Drift,
            "the live schema differs from that of its version",
        ),
        (Self::Rule, "a lint rule is broken"),
        (
            Self::History,
            "the history contradicts the migrations: changed, missing, out of order, newer",
        ),
        (
            Self::Refused,
            "refused: data loss, irreversible, another owner's table, a foreign database",
        ),
        (Self::Backup, "a backup or a restore failed"),
        (
            Self::TryAgain,
            "try again: the database is locked, or does not exist yet",
        ),
        (Self::Config, "invalid configuration"),
    ];

    /// Returns the number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
