//! Graceful shutdown and cancellation by SIGHUP, SIGINT, SIGQUIT and SIGTERM.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    process::ExitCode,
    task::Poll,
    time::Duration,
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{ExitError, logging};

/// The time that blocking tasks of the runtime get to end when the process ends. Their results are
/// no longer needed.
pub(crate) const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// The signals that end a process, each with the exit code that shells give to a process that the
/// signal ends. An operator sends SIGQUIT, and a terminal that closes sends SIGHUP.
const SIGNALS: [(SignalKind, u8); 4] = [
    (SignalKind::hangup(), HANGUP),
    (SignalKind::interrupt(), 130),
    (SignalKind::quit(), 131),
    (SignalKind::terminate(), 143),
];

/// The exit code for SIGHUP.
const HANGUP: u8 = 129;

/// Returns a token that the first SIGHUP, SIGINT, SIGQUIT or SIGTERM cancels. The second signal ends
/// the process immediately, with the exit code that shells give to a process that the signal ends.
///
/// # Errors
///
/// [`ExitError::Failed`] if the handlers cannot be installed.
pub fn shutdown_on_signals() -> Result<CancellationToken, ExitError> {
    let mut signals = Signals::install()?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("signal received; draining until a second signal");
        token.cancel();
        loop {
            let code = signals.next().await;
            // The kernel and the shell both send SIGHUP when one terminal closes.
            if code != HANGUP {
                tracing::warn!("second signal received; exiting immediately");
                logging::flush();
                std::process::exit(code.into());
            }
        }
    });
    Ok(shutdown)
}

/// The handlers of [`SIGNALS`].
struct Signals(Vec<(Signal, u8)>);

impl Signals {
    /// Installs the handlers. They replace the default action, which ends the process. An ignored
    /// SIGHUP stays ignored: `nohup` starts a process that survives its terminal.
    fn install() -> Result<Self, ExitError> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let nohup = ignores(&status, SignalKind::hangup());
        let handled = SIGNALS
            .into_iter()
            .filter(|(_, code)| !(nohup && *code == HANGUP));
        let handlers = handled.map(|(kind, code)| Ok((signal(kind)?, code)));
        let handlers: std::io::Result<Vec<_>> = handlers.collect();
        handlers.map(Self).map_err(|error| {
            ExitError::Failed(format!("the signal handlers cannot be installed: {error}"))
        })
    }

    /// Waits for a signal. Returns the exit code that shells give to a process that it ends.
    async fn next(&mut self) -> u8 {
        poll_fn(|cx| {
            for (signal, code) in &mut self.0 {
                if signal.poll_recv(cx).is_ready() {
                    return Poll::Ready(*code);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Returns `true` if a process ignores a signal, by its `/proc/PID/status`.
fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// Runs `work` until it completes or the first SIGHUP, SIGINT, SIGQUIT or SIGTERM cancels it. Returns
/// its output, or the exit code that shells give to a process that the signal ends. For `endless`
/// work, which only a signal ends, that exit code is 0.
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
        logging::flush();
        std::process::exit(code.into());
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
    fn ignored_signals_are_read_from_the_mask() {
        let status =
            "SigBlk:\t0000000000000004\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002";

        assert!(ignores(status, SignalKind::hangup()));
        assert!(!ignores(status, SignalKind::interrupt()));
        assert!(!ignores(status, SignalKind::quit()));
        assert!(!ignores("", SignalKind::hangup()));
    }
}
