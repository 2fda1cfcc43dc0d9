//! The log: where lines go and how they look.

use std::io::{self, IsTerminal};

use tracing_subscriber::fmt;

use crate::settings::{LogFormat, LogSettings};

/// Starts logging for the whole process. A second call changes nothing, so that tests
/// may start several systems.
pub fn start(settings: &LogSettings) {
    let filter = settings.directives.filter();
    let started = match settings.log_format {
        LogFormat::Text => fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            // Colours are for eyes, not for files.
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
        LogFormat::Json => fmt()
            .json()
            .flatten_event(true)
            .with_env_filter(filter)
            .with_writer(io::stdout)
            .try_init(),
    };
    // The only failure is that there is a subscriber already.
    drop(started);
}
