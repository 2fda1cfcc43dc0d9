//! A process from its arguments to its exit code: what a thin `main.rs` calls.
//!
//! A process that cannot start says in one line what is wrong and what to do, and exits
//! with a code that tells a supervisor whether to try again.

mod files;

use std::{
    future::Future,
    process::{ExitCode, Termination},
};

use clap::{Parser, error::ErrorKind};
use tokio_util::sync::CancellationToken;

pub use self::files::parse;
use crate::{settings::LogSettings, telemetry};

/// Why a process ends without having done what it was started for. The text says what
/// is wrong and what to do about it, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was begun and did not succeed. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// A setting cannot work, now or later. Exit code 64, `EX_USAGE` of sysexits.
    #[error("{0}")]
    Setting(String),
    /// Something that it needs is not there yet. Exit code 75, `EX_TEMPFAIL` of sysexits.
    #[error("{0}")]
    TryAgain(String),
}

impl Failure {
    /// What a supervisor sees.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Setting(_) => 64,
            Self::TryAgain(_) => 75,
        }
    }
}

/// Exit code of a command line that cannot be understood.
const USAGE: u8 = 2;

/// Parses the command line, starts the logs and a runtime, and runs the process to its
/// end: all that a `main` does.
///
/// What it was done with is `()`, or an [`ExitCode`] of its own.
pub fn main<C, F, T>(logs: impl FnOnce(&C) -> &LogSettings, run: impl FnOnce(C) -> F) -> ExitCode
where
    C: Parser,
    F: Future<Output = Result<T, Failure>>,
    T: Termination,
{
    let settings = match parse::<C>() {
        Ok(settings) => settings,
        Err(error) => return misunderstood(&error),
    };
    let logs = logs(&settings).clone();
    start(&logs, run(settings))
}

/// Starts the logs and a runtime, and runs a process whose command line is parsed to its
/// end.
pub fn start<T: Termination>(
    logs: &LogSettings,
    run: impl Future<Output = Result<T, Failure>>,
) -> ExitCode {
    telemetry::start(logs);

    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("the runtime does not start: {error}")))
        .and_then(|runtime| runtime.block_on(run));
    match result {
        Ok(done) => done.report(),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Says what is wrong with the command line, in one line, or prints the help that was
/// asked for.
#[must_use]
pub fn misunderstood(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help that cannot be written, to a closed pipe, is nobody's failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(USAGE)
        }
        kind => {
            eprintln!("{}", usage(error));
            ExitCode::from(match kind {
                // The command line was understood; a value in it cannot work.
                ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8 => 64,
                _ => USAGE,
            })
        }
    }
}

/// What is wrong with a command line, in one line.
#[must_use]
pub fn usage(error: &clap::Error) -> String {
    let text = error.to_string();
    let said: Vec<_> = text
        .split("\n\n")
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .flat_map(str::lines)
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    format!("{}; --help lists all settings", said.join(" "))
}

/// The work that a process does beside the calls that it serves.
#[derive(Clone, Debug)]
pub struct Background {
    what: &'static str,
    // Cancelled if any of it ended by a panic.
    failed: CancellationToken,
}

impl Background {
    /// Work that the log names `what`.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            failed: CancellationToken::new(),
        }
    }

    /// Does `work`, which has no end of its own, in a task until `end`.
    pub fn spawn(&self, end: CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.watched(async move {
            end.run_until_cancelled(work).await;
        }));
    }

    /// The same `work`, which is noticed if it ends by a panic.
    pub fn watched(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let failed = self.failed.clone().drop_guard();
        async move {
            work.await;
            // After a panic the guard is dropped as it is.
            failed.disarm();
        }
    }

    /// Waits for the end of any of it, which comes before its time only by a fault of ours:
    /// a process that goes on would serve less than it promises.
    pub async fn failed(&self) -> Failure {
        self.failed.cancelled().await;
        Failure::Failed(format!("{} ended by itself; the log tells why", self.what))
    }
}

/// A token that is cancelled by the first SIGINT or SIGTERM. The second one ends the
/// process at once, with the exit code that shells give to such an end.
///
/// # Errors
///
/// [`Failure::Failed`] if the handlers cannot be installed.
pub fn shutdown_on_signals() -> Result<CancellationToken, Failure> {
    use tokio::signal::unix::{SignalKind, signal};

    let install =
        |kind| signal(kind).map_err(|e| Failure::Failed(format!("signals cannot be handled: {e}")));
    let mut interrupt = install(SignalKind::interrupt())?;
    let mut terminate = install(SignalKind::terminate())?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let mut first = true;
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            if !first {
                tracing::warn!("a second signal: ending at once");
                std::process::exit(code);
            }
            first = false;
            tracing::info!("draining; a second signal ends at once");
            token.cancel();
        }
    });
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_the_exit_code_that_supervisors_know() {
        assert_eq!(Failure::Failed(String::new()).exit_code(), 1);
        assert_eq!(Failure::Setting(String::new()).exit_code(), 64);
        assert_eq!(Failure::TryAgain(String::new()).exit_code(), 75);
    }

    #[tokio::test]
    async fn work_that_panics_is_noticed_and_work_that_is_ended_is_not() {
        let (fine, faulty) = (Background::new("fine"), Background::new("faulty"));
        let end = CancellationToken::new();

        fine.spawn(end.clone(), std::future::pending());
        faulty.spawn(end.clone(), async { panic!("on purpose") });
        let failure = faulty.failed().await;
        end.cancel();
        tokio::task::yield_now().await;

        assert!(matches!(failure, Failure::Failed(_)));
        assert!(!fine.failed.is_cancelled());
    }
}
