//! What a command says: text for people, or one JSON object for programs.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use migrator::{Error, Exit};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// How a command says what it says.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Which command it is.
    pub command: &'static str,
    /// Whether programs read it.
    pub json: bool,
}

impl Output {
    /// What the command did, and the exit code that goes with it.
    pub fn say(self, result: &(impl Serialize + Display), exit: Exit) -> ExitCode {
        let said = if self.json {
            let result = serde_json::to_value(result).unwrap_or_default();
            self.object(exit.code(), "result", result)
        } else {
            let text = result.to_string();
            format!("{}\n", text.strip_suffix('\n').unwrap_or(&text))
        };
        // What was done is done, even if nobody reads of it.
        let _ = io::stdout().write_all(said.as_bytes());
        exit.into()
    }

    /// Why it did not do what it was asked for.
    pub fn fail(self, error: &Error) -> ExitCode {
        let exit_code = error.exit_code();
        let mut details = Map::new();
        details.insert("reason".into(), error.reason().into());
        details.insert("message".into(), error.line().into());
        if let Some(location) = error.location() {
            details.insert("file".into(), location.file.clone().into());
            details.insert("line".into(), location.line.into());
            details.insert("column".into(), location.column.into());
        }
        self.refuse(exit_code, &error.line(), details)
    }

    /// A command line that cannot be understood.
    pub fn misunderstood(self, exit: Exit, line: &str) -> ExitCode {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        let mut details = Map::new();
        details.insert("reason".into(), "USAGE".into());
        details.insert("message".into(), line.into());
        self.refuse(exit.code(), line, details)
    }

    fn refuse(self, exit_code: u8, line: &str, details: Map<String, Value>) -> ExitCode {
        if self.json {
            let said = self.object(exit_code, "error", details.into());
            let _ = io::stdout().write_all(said.as_bytes());
        } else {
            eprintln!("error: {line}");
        }
        ExitCode::from(exit_code)
    }

    fn object(self, exit_code: u8, key: &str, value: Value) -> String {
        let mut object = json!({ "command": self.command, "exit_code": exit_code });
        object[key] = value;
        format!("{object}\n")
    }
}
