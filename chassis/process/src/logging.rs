//! The log: where lines go and how they look.

use std::io::{self, IsTerminal, Write};

use chrono::{SecondsFormat, Utc};
use serde_json::json;
use tracing_subscriber::{fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::settings::{LogFormat, LogSettings};

/// Starts logging for the whole process. A second call changes nothing, so that tests
/// may start several systems.
pub fn init(settings: &LogSettings) {
    let filter = settings.directives.filter();
    let started = match settings.log_format {
        LogFormat::Text => {
            let lines = fmt::layer()
                .with_writer(io::stderr)
                // Colours are for eyes, not for files.
                .with_ansi(io::stderr().is_terminal())
                .with_target(false);
            registry().with(filter).with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(io::stdout);
            registry().with(filter).with(lines).try_init()
        }
    };
    // The only failure is that there is a subscriber already.
    drop(started);
}

/// The last line of a log in JSON: why the process ends. It is an error of every log,
/// whatever its directives leave out, and there even if logging has not begun.
pub(crate) fn log_exit(message: &str, exit_code: u8) {
    let line = json!({
        "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        "level": "ERROR",
        "message": message,
        "exit_code": exit_code,
        "target": module_path!(),
    });
    // Whoever does not read it learns of the exit code.
    let _ = writeln!(io::stdout(), "{line}");
}
