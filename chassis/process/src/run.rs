//! A process from its command line to its exit code.

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

/// Parses the command line, starts the logs and a runtime, and runs the process to its
/// end: all that a `main` does.
///
/// What it was done with is `()`, or an [`ExitCode`] of its own.
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
    // What else serves starts threads of its own.
    start(&logs, NonZeroUsize::MIN, run(settings))
}

/// Starts the logs and a runtime of so many threads, and runs a process whose command line
/// is parsed to its end.
pub fn start<T: Termination>(
    logs: &LogSettings,
    threads: NonZeroUsize,
    run: impl Future<Output = Result<T, ExitError>>,
) -> ExitCode {
    logging::init(logs);

    // A thread that serves alone has nobody to share its work with.
    let mut builder = if threads == NonZeroUsize::MIN {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    let result = builder
        .worker_threads(threads.get())
        .enable_all()
        .build()
        .map_err(|error| ExitError::Failed(format!("the runtime does not start: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(run);
            runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
            result
        });
    match result {
        Ok(done) => done.report(),
        Err(failure) => exit_with(logs.log_format, &failure.to_string(), failure.exit_code()),
    }
}
