//! The codes with which the process exits.

use std::process::ExitCode;

/// The code with which the program `migrator` exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is done.
    Done = 0,
    /// It failed for a reason that has no code of its own.
    Failed = 1,
    /// The command line asks for what there is not.
    Usage = 2,
    /// Something is pending.
    Pending = 3,
    /// The live schema is not that of its version.
    Drift = 4,
    /// A rule of the lint is broken.
    Rule = 5,
    /// The history and the migrations do not fit.
    History = 6,
    /// What was asked for is refused.
    Refused = 7,
    /// A backup or a restore failed.
    Backup = 9,
    /// A setting cannot work.
    Config = 78,
    /// It may succeed later.
    TryAgain = 75,
}

impl Exit {
    /// Every code with its meaning, in ascending order: a line of the help each.
    pub const MEANINGS: [(Self, &'static str); 11] = [
        (Self::Done, "done, or nothing to do"),
        (Self::Failed, "failed, and the database is as it was"),
        (
            Self::Usage,
            "the command line cannot be understood, or asks for what there is not",
        ),
        (
            Self::Pending,
            "something is pending, or there is a difference",
        ),
        (Self::Drift, "the live schema is not that of its version"),
        (Self::Rule, "a rule of the lint is broken"),
        (
            Self::History,
            "the history and the migrations do not fit: changed, missing, out of order, newer",
        ),
        (
            Self::Refused,
            "refused: loses data, irreversible, another owner's table, a foreign database",
        ),
        (Self::Backup, "a backup or a restore failed"),
        (Self::Config, "a setting cannot work"),
        (
            Self::TryAgain,
            "try again: the database is locked, or not there yet",
        ),
    ];

    /// Returns its number.
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
