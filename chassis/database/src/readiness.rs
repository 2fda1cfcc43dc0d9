//! The wait for a database that the migrator creates, perhaps only after the service starts.

use std::time::Duration;

use process::ExitError;
use tokio::time::{Instant, sleep};

/// The wait between two checks of a database that is not ready.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The reason that a database is not ready.
#[derive(Debug)]
pub enum NotReady {
    /// The migrator has yet to run. The text says what is missing, for people.
    Retry(String),
    /// No wait helps.
    Fatal(ExitError),
}

/// Checks the database until it is ready, for `limit` at most. The first reason to wait is
/// logged.
///
/// # Errors
///
/// [`ExitError::TempFail`] if it is not ready in time, and the failure of a check immediately if
/// that is fatal.
pub async fn wait_until_ready<T, F>(
    limit: Duration,
    mut check: impl FnMut() -> F,
) -> Result<T, ExitError>
where
    F: Future<Output = Result<T, NotReady>>,
{
    let deadline = Instant::now() + limit;
    let mut logged = false;
    loop {
        match check().await {
            Ok(ready) => return Ok(ready),
            Err(NotReady::Fatal(failure)) => return Err(failure),
            Err(NotReady::Retry(what)) if Instant::now() >= deadline => {
                return Err(ExitError::TempFail(what));
            }
            Err(NotReady::Retry(what)) => {
                if !logged {
                    tracing::info!(?limit, "waiting for the database: {what}");
                }
                logged = true;
                sleep(POLL_INTERVAL).await;
            }
        }
    }
}
