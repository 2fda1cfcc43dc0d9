//! The errors that end a process. The exit code of each tells a supervisor whether to restart it.

use crate::exit::CONFIG;

/// The reason that a process ends unsuccessfully. Its text is one line: the problem, and the
/// remedy.
#[derive(Debug, thiserror::Error)]
pub enum ExitError {
    /// The process failed while it ran. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The configuration is invalid, which a restart does not cure. Exit code 78, `EX_CONFIG` of
    /// sysexits(3).
    #[error("{0}")]
    Config(String),
    /// A dependency is not ready yet, so that a restart may succeed. Exit code 75, `EX_TEMPFAIL`
    /// of sysexits(3).
    #[error("{0}")]
    TempFail(String),
}

impl ExitError {
    /// Returns the exit code of the process.
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
    fn exit_codes_follow_sysexits() {
        assert_eq!(ExitError::Failed(String::new()).exit_code(), 1);
        assert_eq!(ExitError::Config(String::new()).exit_code(), 78);
        assert_eq!(ExitError::TempFail(String::new()).exit_code(), 75);
    }
}
