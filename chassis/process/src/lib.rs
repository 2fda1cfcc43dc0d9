//! A process from its arguments to its exit code: what a thin `main.rs` calls.
//!
//! A process that cannot start says in one line what is wrong and what to do, and exits
//! with a code that tells a supervisor whether to try again. The line is text on standard
//! error; where the log is JSON, it is one more object on standard output, so that who reads
//! the log misses nothing and finds nothing else.

mod background;
pub mod burst;
pub mod clock;
mod exit;
mod exit_error;
mod file_settings;
mod logging;
mod run;
pub mod settings;
mod signals;

pub use self::{
    background::Background,
    exit::{usage_error, usage_message},
    exit_error::ExitError,
    file_settings::parse,
    run::{main, start},
    signals::{shutdown_on_signals, until_signal},
};
