//! SIGINT and SIGTERM.

use std::{future::Future, pin::pin, process::ExitCode, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::ExitError;

/// How long what was begun in threads of its own may go on once the rest has ended. Nobody
/// waits for it any more.
pub(crate) const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// A token that is cancelled by the first SIGINT or SIGTERM. The second one ends the
/// process at once, with the exit code that shells give to such an end.
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
                tracing::warn!("a second signal: ending at once");
                std::process::exit(code.into());
            }
            first = false;
            tracing::info!("draining; a second signal ends at once");
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
            signal(kind).map_err(|e| ExitError::Failed(format!("signals cannot be handled: {e}")))
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

/// Does `work` until it is done or the first SIGINT or SIGTERM comes, which drops it: what
/// it was then, or the exit code that shells give to such an end. Work that is `endless` is
/// ended well by a signal: with 0.
///
/// Also where the signals would be ignored otherwise: they are to a process that is the
/// first of a container.
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
        tracing::debug!("a signal: ending at once");
        // What was begun is dropped; it may be in the middle of what cannot be left.
        let _ = send.send(code);
        tokio::time::sleep(2 * RUNTIME_SHUTDOWN_TIMEOUT).await;
        std::process::exit(code.into());
    });
    let work = pin!(work);
    Ok(tokio::select! {
        done = work => Ok(done),
        Ok(code) = ended => Err(ExitCode::from(code)),
    })
}
