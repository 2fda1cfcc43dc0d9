//! The failures that end a process, each with the exit code that tells a supervisor whether to
//! try again.

use crate::exit::CONFIG;

/// Why a process ends without having done what it was started for. The text says what
/// is wrong and what to do about it, in one line.
#[derive(Debug, thiserror::Error)]
pub enum ExitError {
    /// It was begun and did not succeed. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// A setting cannot work, now or later. Exit code 78, `EX_CONFIG` of sysexits(3).
    #[error("{0}")]
    Config(String),
    /// Something that it needs is not there yet. Exit code 75, `EX_TEMPFAIL` of sysexits(3).
    #[error("{0}")]
    TempFail(String),
}

impl ExitError {
    /// What a supervisor sees.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Config(_) => CONFIG,
            Self::TempFail(_) => 75,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_the_exit_code_that_supervisors_know() {
        assert_eq!(ExitError::Failed(String::new()).exit_code(), 1);
        assert_eq!(ExitError::Config(String::new()).exit_code(), 78);
        assert_eq!(ExitError::TempFail(String::new()).exit_code(), 75);
    }
}
