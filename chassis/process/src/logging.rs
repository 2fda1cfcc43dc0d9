//! The log of a process: its output stream and its format.

use std::io::{self, IsTerminal, Write};

use chrono::{SecondsFormat, Utc};
use serde_json::json;
use tracing_subscriber::{fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::{
    redaction::redact,
    settings::{LogFormat, LogSettings},
};

/// Starts logging for the whole process. A second call has no effect, so that a test may start
/// several systems.
pub fn init(settings: &LogSettings) {
    let filter = settings.directives.filter();
    let started = match settings.log_format {
        LogFormat::Text => {
            let lines = fmt::layer()
                .with_writer(|| Redacting(io::stderr()))
                // Escape sequences would clutter a file.
                .with_ansi(io::stderr().is_terminal())
                .with_target(false);
            registry().with(filter).with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(|| Redacting(io::stdout()));
            registry().with(filter).with(lines).try_init()
        }
    };
    // The only error is that a subscriber is installed already.
    drop(started);
}

/// Redacts each line, which a layer writes as a whole.
struct Redacting<W>(W);

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(redact(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes the last line of a JSON log: the reason that the process ends. The line ignores the log
/// directives, and needs no call of [`init`] before.
pub(crate) fn log_exit(message: &str, exit_code: u8) {
    let line = json!({
        "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        "level": "ERROR",
        "message": message,
        "exit_code": exit_code,
        "target": module_path!(),
    });
    // If standard output is closed, the exit code still reports the failure.
    let _ = writeln!(io::stdout(), "{line}");
}
