//! Runs a service from its start to the end of its drain.
//!
//! It connects the database and the server, which do not know each other: the server serves only
//! once the database is ready, and the database closes only after the drain.

use std::fmt;

use database::Lifecycle;
use futures::future::BoxFuture;
use process::{Background, ExitError};
use serving::{Handlers, Service, settings::ServerSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The components of a service.
pub struct Parts<'a, S, D> {
    /// The limits of the server.
    pub settings: &'a ServerSettings,
    /// The socket to serve on.
    pub listener: TcpListener,
    /// The contract and its handlers.
    pub service: Service<S>,
    /// The database. It may not be ready yet.
    pub database: D,
    /// Background tasks. They start once the database is ready and end when the server drains.
    pub background: Vec<BoxFuture<'static, ()>>,
    /// Starts the drain when it is cancelled.
    pub shutdown: CancellationToken,
}

impl<S, D> fmt::Debug for Parts<'_, S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// Serves until `shutdown`, then drains and closes the database.
///
/// # Errors
///
/// [`ExitError`] if the database is unusable or not ready in time, if the service cannot be served, or
/// if a background task or the database panicked.
pub async fn run<S: Handlers, D: Lifecycle>(parts: Parts<'_, S, D>) -> Result<(), ExitError> {
    let Parts {
        settings,
        listener,
        service,
        database,
        background: tasks,
        shutdown,
    } = parts;
    let draining = CancellationToken::new();
    let background = Background::new("a background task");
    let ready = async {
        database.ready().await?;
        for task in tasks {
            background.spawn(draining.clone(), task);
        }
        Ok(())
    };

    let serving = serving::run(
        settings,
        listener,
        service,
        ready,
        database.available(),
        shutdown,
        draining.clone(),
    );
    let served = tokio::select! {
        served = serving => served,
        failure = database.writer_failed() => Err(failure),
        failure = background.failed() => Err(failure),
    };

    draining.cancel();
    database.close().await;
    served
}
