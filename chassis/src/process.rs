//! A process from its arguments to its exit code: what a thin `main.rs` calls.
//!
//! A process that cannot start says in one line what is wrong and what to do, and exits
//! with a code that tells a supervisor whether to try again. The line is text on standard
//! error; where the log is JSON, it is one more object on standard output, so that who reads
//! the log misses nothing and finds nothing else.

mod files;

use std::{
    future::Future,
    num::NonZeroUsize,
    pin::pin,
    process::{ExitCode, Termination},
    time::Duration,
};

use clap::{Parser, error::ErrorKind};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

pub use self::files::parse;
use crate::{
    settings::{LogFormat, LogSettings},
    telemetry,
};

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

/// How long what was begun in threads of its own may go on once the rest has ended. Nobody
/// waits for it any more.
const LEFT_BEHIND: Duration = Duration::from_millis(100);

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
    // What else serves starts threads of its own.
    start(&logs, NonZeroUsize::MIN, run(settings))
}

/// Starts the logs and a runtime of so many threads, and runs a process whose command line
/// is parsed to its end.
pub fn start<T: Termination>(
    logs: &LogSettings,
    threads: NonZeroUsize,
    run: impl Future<Output = Result<T, Failure>>,
) -> ExitCode {
    telemetry::start(logs);

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
        .map_err(|error| Failure::Failed(format!("the runtime does not start: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(run);
            runtime.shutdown_timeout(LEFT_BEHIND);
            result
        });
    match result {
        Ok(done) => done.report(),
        Err(failure) => refuse(logs.log_format, &failure.to_string(), failure.exit_code()),
    }
}

/// Says in one line why the process ends, and with which code.
fn refuse(format: LogFormat, line: &str, exit_code: u8) -> ExitCode {
    match format {
        LogFormat::Text => eprintln!("error: {line}"),
        LogFormat::Json => telemetry::say_last(line, exit_code),
    }
    ExitCode::from(exit_code)
}

/// How the log would look, had the command line been understood: what is asked for in so
/// many words.
fn format_asked_for() -> LogFormat {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != "--log-format");
    let flag = arguments.nth(1).filter(|format| format == "json");
    let flag = flag.is_some() || std::env::args_os().any(|flag| flag == "--log-format=json");
    if flag || std::env::var_os("LOG_FORMAT").is_some_and(|format| format == "json") {
        LogFormat::Json
    } else {
        LogFormat::Text
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
            let exit_code = match kind {
                // The command line was understood; a value in it cannot work.
                ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8 => 64,
                _ => USAGE,
            };
            let line = usage(error);
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            refuse(format_asked_for(), line, exit_code)
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
    let (mut interrupt, mut terminate) = signals()?;
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

/// SIGINT and SIGTERM, which do nothing by themselves from now on.
fn signals() -> Result<(Signal, Signal), Failure> {
    let install =
        |kind| signal(kind).map_err(|e| Failure::Failed(format!("signals cannot be handled: {e}")));
    Ok((
        install(SignalKind::interrupt())?,
        install(SignalKind::terminate())?,
    ))
}

/// Does `work` until it is done or the first SIGINT or SIGTERM comes, which drops it: what
/// it was then, or the exit code that shells give to such an end. Work that is `endless` is
/// ended well by a signal: with 0.
///
/// Also where the signals would be ignored otherwise: they are to a process that is the
/// first of a container.
///
/// # Errors
///
/// [`Failure::Failed`] if the handlers cannot be installed.
pub async fn until_signal<T>(
    work: impl Future<Output = T>,
    endless: bool,
) -> Result<Result<T, ExitCode>, Failure> {
    let (mut interrupt, mut terminate) = signals()?;
    let (send, ended) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let code = tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        };
        let code = if endless { 0 } else { code };
        tracing::debug!("a signal: ending at once");
        // What was begun is dropped; it may be in the middle of what cannot be left.
        let _ = send.send(code);
        tokio::time::sleep(2 * LEFT_BEHIND).await;
        std::process::exit(i32::from(code));
    });
    let work = pin!(work);
    Ok(tokio::select! {
        done = work => Ok(done),
        Ok(code) = ended => Err(ExitCode::from(code)),
    })
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
