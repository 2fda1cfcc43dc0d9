//! The completion script of a shell, generated from the command line's definition.

use std::fmt;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;

use super::Settings;

/// A script that makes a shell complete the arguments of `migrator`.
#[derive(Serialize)]
pub struct CompletionScript {
    script: String,
}

impl CompletionScript {
    /// Generates the script for `shell`.
    pub fn new(shell: Shell) -> Self {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Settings::command(), "migrator", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        Self { script }
    }
}

impl fmt::Display for CompletionScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script)
    }
}
