//! The wait for a database that the migrator may create only after the service starts.

use std::time::Duration;

use process::ExitError;
use tokio::time::{Instant, sleep};

/// The pause between two checks of a database that is not ready.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The reason that a database is not ready.
#[derive(Debug)]
pub enum NotReady {
    /// The migrator has not run yet. The text tells an operator what is missing.
    Retry(String),
    /// Waiting does not help.
    Fatal(ExitError),
}

/// Checks the database until it is ready, for `timeout` at most. Logs only the first reason that it
/// is not ready.
///
/// # Errors
///
/// [`ExitError::TempFail`] if it is not ready in time, and a fatal error of a check immediately.
pub async fn wait_until_ready<T, F>(
    timeout: Duration,
    mut check: impl FnMut() -> F,
) -> Result<T, ExitError>
where
    F: Future<Output = Result<T, NotReady>>,
{
    let deadline = Instant::now() + timeout;
    let mut logged = false;
    loop {
        match check().await {
            Ok(ready) => return Ok(ready),
            Err(NotReady::Fatal(error)) => return Err(error),
            Err(NotReady::Retry(reason)) if Instant::now() >= deadline => {
                return Err(ExitError::TempFail(reason));
            }
            Err(NotReady::Retry(reason)) => {
                if !logged {
                    tracing::info!(reason, ?timeout, "waiting for the database");
                }
                logged = true;
                sleep(POLL_INTERVAL).await;
            }
        }
    }
}
