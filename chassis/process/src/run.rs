//! The run of a process, from its command line to its exit code.

use std::{
    future::Future,
    num::NonZeroUsize,
    process::{ExitCode, Termination},
};

use clap::Parser;
use tokio::runtime::Builder;

use crate::{
    ExitError,
    exit::{exit_with, usage_error},
    file_settings::parse,
    logging,
    settings::LogSettings,
    signals::RUNTIME_SHUTDOWN_TIMEOUT,
};

/// Parses the command line, starts logging and a runtime, and runs the process to its end. This is
/// the whole of a `main` function.
///
/// The process succeeds with `()`, or with an [`ExitCode`].
pub fn main<C, F, T>(logs: impl FnOnce(&C) -> &LogSettings, run: impl FnOnce(C) -> F) -> ExitCode
where
    C: Parser,
    F: Future<Output = Result<T, ExitError>>,
    T: Termination,
{
    let settings = match parse::<C>() {
        Ok(settings) => settings,
        Err(error) => return usage_error(&error),
    };
    let logs = logs(&settings).clone();
    // One thread is enough: a server starts worker threads itself.
    start(&logs, NonZeroUsize::MIN, run(settings))
}

/// Starts logging and a runtime with this number of threads, and runs a process to its end. The
/// caller has parsed the command line.
pub fn start<T: Termination>(
    logs: &LogSettings,
    threads: NonZeroUsize,
    run: impl Future<Output = Result<T, ExitError>>,
) -> ExitCode {
    logging::init(logs);
    let _flush = logging::FlushOnPanic;

    // With one thread, the work stealing of the multi-threaded runtime has a cost and no use.
    let mut builder = if threads == NonZeroUsize::MIN {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    let result = builder
        .worker_threads(threads.get())
        .enable_all()
        .build()
        .map_err(|error| ExitError::Failed(format!("the runtime cannot be started: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(run);
            runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
            result
        });
    match result {
        Ok(done) => {
            logging::flush();
            done.report()
        }
        Err(error) => exit_with(logs.log_format, &error.to_string(), error.exit_code()),
    }
}
