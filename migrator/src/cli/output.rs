//! Prints the result of a command: text, or one JSON object.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use migrator::{Error, Exit};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The output format of a command.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The name of the command.
    pub command: &'static str,
    /// Prints JSON instead of text.
    pub json: bool,
}

impl Output {
    /// Prints the result, and returns the exit code.
    pub fn print(self, result: &(impl Serialize + Display), exit: Exit) -> ExitCode {
        let output = if self.json {
            let result = serde_json::to_value(result).unwrap_or_default();
            self.object(exit.code(), "result", result)
        } else {
            let text = result.to_string();
            format!("{}\n", text.strip_suffix('\n').unwrap_or(&text))
        };
        process::flush_log();
        // The command succeeded, even if stdout is closed.
        let _ = io::stdout().write_all(process::redact(&output).as_bytes());
        exit.into()
    }

    /// Prints an error, and returns its exit code.
    pub fn print_error(self, error: &Error) -> ExitCode {
        let exit_code = error.exit_code();
        let mut details = Map::new();
        details.insert("reason".into(), error.reason().into());
        details.insert("message".into(), error.line().into());
        if let Some(location) = error.location() {
            details.insert("file".into(), location.file.clone().into());
            details.insert("line".into(), location.line.into());
            details.insert("column".into(), location.column.into());
        }
        self.print_failure(exit_code, &error.line(), details)
    }

    /// Prints an error of the command line, and returns `exit`.
    pub fn print_usage_error(self, exit: Exit, line: &str) -> ExitCode {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        let mut details = Map::new();
        details.insert("reason".into(), "USAGE".into());
        details.insert("message".into(), line.into());
        self.print_failure(exit.code(), line, details)
    }

    fn print_failure(self, exit_code: u8, line: &str, details: Map<String, Value>) -> ExitCode {
        process::flush_log();
        if self.json {
            let object = self.object(exit_code, "error", details.into());
            let _ = io::stdout().write_all(process::redact(&object).as_bytes());
        } else {
            let _ = writeln!(io::stderr(), "error: {}", process::redact(line));
        }
        ExitCode::from(exit_code)
    }

    fn object(self, exit_code: u8, key: &str, value: Value) -> String {
        let mut object = json!({ "command": self.command, "exit_code": exit_code });
        object[key] = value;
        format!("{object}\n")
    }
}
