//! Graceful shutdown and cancellation by SIGINT and SIGTERM.

use std::{future::Future, pin::pin, process::ExitCode, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::ExitError;

/// The time that blocking tasks of the runtime get to end when the process ends. Their results are
/// no longer needed.
pub(crate) const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// Returns a token that the first SIGINT or SIGTERM cancels. The second signal ends the process
/// immediately, with the exit code that shells give to a process that the signal ends.
///
/// # Errors
///
/// [`ExitError::Failed`] if the handlers cannot be installed.
pub fn shutdown_on_signals() -> Result<CancellationToken, ExitError> {
    let mut signals = Signals::install()?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let mut first = true;
        loop {
            let code = signals.next().await;
            if !first {
                tracing::warn!("second signal received; exiting immediately");
                std::process::exit(code.into());
            }
            first = false;
            tracing::info!("signal received; draining until a second signal");
            token.cancel();
        }
    });
    Ok(shutdown)
}

/// The handlers of SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers. They replace the default action, which ends the process.
    fn install() -> Result<Self, ExitError> {
        let install = |kind| {
            signal(kind).map_err(|e| {
                ExitError::Failed(format!("the signal handlers cannot be installed: {e}"))
            })
        };
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
        })
    }

    /// Waits for a signal. Returns the exit code that shells give to a process that it ends.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

/// Runs `work` until it completes or the first SIGINT or SIGTERM cancels it. Returns its output, or
/// the exit code that shells give to a process that the signal ends. For `endless` work, which
/// only a signal ends, that exit code is 0.
///
/// The handlers are also needed as the first process of a container, which ignores a signal
/// without a handler.
///
/// # Errors
///
/// [`ExitError::Failed`] if the handlers cannot be installed.
pub async fn until_signal<T>(
    work: impl Future<Output = T>,
    endless: bool,
) -> Result<Result<T, ExitCode>, ExitError> {
    let mut signals = Signals::install()?;
    let (send, ended) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let code = signals.next().await;
        let code = if endless { 0 } else { code };
        tracing::debug!("signal received; cancelling");
        let _ = send.send(code);
        // The work cannot be dropped while it blocks in a system call: exit without it.
        tokio::time::sleep(2 * RUNTIME_SHUTDOWN_TIMEOUT).await;
        std::process::exit(code.into());
    });
    let work = pin!(work);
    Ok(tokio::select! {
        done = work => Ok(done),
        Ok(code) = ended => Err(ExitCode::from(code)),
    })
}
