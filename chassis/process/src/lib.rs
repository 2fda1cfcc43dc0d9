//! The run of a process, from its arguments to its exit code. A `main.rs` only calls this crate.
//!
//! A process that cannot start writes one line with the problem and the remedy. Its exit code tells
//! a supervisor whether to restart it. The line is text on standard error, or, if the log is JSON,
//! one more object on standard output: a log collector then reads every line, and nothing else.

mod background;
pub mod burst;
pub mod clock;
mod exit;
mod exit_error;
mod file_settings;
mod logging;
pub mod memory;
mod redaction;
mod run;
pub mod settings;
mod signals;

pub use self::{
    background::Background,
    exit::{usage_error, usage_message},
    exit_error::ExitError,
    file_settings::parse,
    logging::flush as flush_log,
    redaction::redact,
    run::{main, start},
    signals::{shutdown_on_signals, until_signal},
};
