//! The log of a process: its output stream and its format.
//!
//! A thread writes the lines, since a write blocks while nobody reads the stream. A line is lost
//! rather than a call or a signal.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    borrow::Cow,
    io::{self, IsTerminal, Write},
    panic::{self, PanicHookInfo},
    sync::OnceLock,
    time::Duration,
};

use chrono::{SecondsFormat, Utc};
use serde_json::json;
use tracing_subscriber::{Layer, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use self::queue::Queue;
use crate::{
    redaction::redact,
    settings::{LogFormat, LogSettings},
};

mod line;
mod queue;
mod rejected_requests;

/// The maximum number of queued lines. A line of a call has about 300 bytes, thus they need about
/// 1 MB. They absorb a burst in which every running call fails several times.
const QUEUE_CAPACITY: usize = 4096;

/// The time that queued lines get to be written when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Starts logging for the whole process. A second call has no effect, so that a test may start
/// several systems.
pub fn init(settings: &LogSettings) {
    let filter = settings.directives.filter();
    let format = settings.log_format;
    QUEUE.get_or_init(|| {
        let report = move |dropped| dropped_line(format, dropped);
        match format {
            LogFormat::Text => Queue::start(io::stderr(), QUEUE_CAPACITY, report),
            LogFormat::Json => Queue::start(io::stdout(), QUEUE_CAPACITY, report),
        }
    });
    let started = match format {
        LogFormat::Text => {
            let lines = fmt::layer()
                .fmt_fields(line::text_fields())
                .with_writer(|| Lines(|line| line.into()))
                // Escape sequences would clutter a file.
                .with_ansi(io::stderr().is_terminal())
                .with_target(false)
                .with_filter(filter);
            registry()
                .with(lines)
                .with(rejected_requests::layer())
                .try_init()
        }
        LogFormat::Json => {
            let lines = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(|| Lines(line::cut_json))
                .with_filter(filter);
            registry()
                .with(lines)
                .with(rejected_requests::layer())
                .try_init()
        }
    };
    // The only error is that a subscriber is installed already.
    drop(started);
    panic::set_hook(Box::new(log_panic));
}

/// Logs a panic. The default hook writes to standard error, which blocks while nobody reads it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    tracing::error!(
        panic = panic.payload_as_str().unwrap_or("of an unknown kind"),
        location = panic.location().map(ToString::to_string),
        backtrace =
            (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
        "thread panicked"
    );
}

/// Writes the queued lines when the stack of the main thread unwinds, since the process ends then.
pub(crate) struct FlushOnPanic;

impl Drop for FlushOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            flush();
        }
    }
}

/// Queues each line, redacted and bounded by a function. A layer writes a line as a whole.
struct Lines(fn(&str) -> Cow<'_, str>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if let Some(queue) = QUEUE.get() {
            // Redacted first: a cut value could end within a hidden text.
            queue.push(&self.0(&redact(&text)));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until the queued lines are written, for up to 1 s. Returns whether they are.
pub fn flush() -> bool {
    QUEUE.get().is_none_or(|queue| queue.drain(FLUSH_TIMEOUT))
}

/// Writes the reason that the process ends, as the last line of the log. The line ignores the log
/// directives, and needs no call of [`init`] before. It is left out if the earlier lines cannot be
/// written in time.
pub(crate) fn log_exit(format: LogFormat, message: &str, exit_code: u8) {
    let line = match format {
        LogFormat::Text => format!("error: {message}\n"),
        LogFormat::Json => json_line("ERROR", message, "exit_code", exit_code.into()),
    };
    if let Some(queue) = QUEUE.get() {
        if flush() {
            queue.push(&line);
            flush();
        }
        return;
    }
    // If the stream is closed, the exit code still reports the failure.
    let _ = match format {
        LogFormat::Text => io::stderr().write_all(line.as_bytes()),
        LogFormat::Json => io::stdout().write_all(line.as_bytes()),
    };
}

/// Returns the line that reports dropped lines.
fn dropped_line(format: LogFormat, dropped: usize) -> String {
    const MESSAGE: &str = "log lines dropped, since the log was not read";
    match format {
        LogFormat::Text => format!("{}  WARN {MESSAGE} lines={dropped}\n", now()),
        LogFormat::Json => json_line("WARN", MESSAGE, "lines", dropped),
    }
}

/// Returns a line of a JSON log.
fn json_line(level: &str, message: &str, field: &str, value: usize) -> String {
    let line = json!({
        "timestamp": now(),
        "level": level,
        "message": message,
        field: value,
        "target": module_path!(),
    });
    format!("{line}\n")
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}
