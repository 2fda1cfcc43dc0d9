//! The whole system in one process: the migrator first, then both services.
//!
//! It only puts together what the services offer, and so do the tests of `tests/`: the
//! two services talk to each other over TCP here as they do when they are apart.

use std::time::Duration;

use chassis::{
    database::settings::DatabaseSettings,
    process::{ExitError, clock::Clock},
    serving::{loopback_for_unspecified, settings::ServerSettings},
};
use clap::Args;
use http::Uri;
use migrator::{Migrator, Run};
use post_service::{AuthorSettings, PageSettings, WatchSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long the migrator waits for other processes that write.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of the whole system. Those of the server hold for each service.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The database, which is created if it is missing.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// The limits of each server.
    #[command(flatten)]
    pub server: ServerSettings,
    /// Which pages the post service keeps in memory.
    #[command(flatten)]
    pub pages: PageSettings,
    /// How authors are resolved.
    #[command(flatten)]
    pub authors: AuthorSettings,
    /// How new posts are sent.
    #[command(flatten)]
    pub watch: WatchSettings,
}

impl Default for Settings {
    fn default() -> Self {
        chassis::process::settings::defaults()
    }
}

/// The whole system on given listeners.
#[derive(Debug)]
pub struct System {
    database: DatabaseSettings,
    users: user_service::Settings,
    posts: post_service::Settings,
    users_listener: TcpListener,
    posts_listener: TcpListener,
}

impl System {
    /// Creates the database, if it is missing, and upgrades it; then the services can
    /// [run](Self::run). The user service will be on `users_listener`, the post service on `posts_listener`.
    ///
    /// # Errors
    ///
    /// [`ExitError`] if the database cannot be migrated.
    pub async fn prepare(
        settings: Settings,
        users_listener: TcpListener,
        posts_listener: TcpListener,
    ) -> Result<Self, ExitError> {
        Migrator::new(&settings.database.database_url, LOCK_TIMEOUT)?
            .run(Run::upgrade())
            .await?;
        let posts = post_service::Settings {
            user_service_url: url_of(&users_listener)?,
            pages: settings.pages,
            authors: settings.authors,
            watch: settings.watch,
            server: settings.server.clone(),
        };
        Ok(Self {
            database: settings.database,
            users: user_service::Settings {
                server: settings.server,
            },
            posts,
            users_listener,
            posts_listener,
        })
    }

    /// Serves until `shutdown`, then drains: the post service first, which needs the user
    /// service for the calls that still run. If one service fails, the other ends too.
    ///
    /// # Errors
    ///
    /// The [`ExitError`] of the service that failed.
    pub async fn run(self, clock: Clock, shutdown: CancellationToken) -> Result<(), ExitError> {
        let users_end = CancellationToken::new();
        let posts_end = shutdown.child_token();

        let users = async {
            let served = user_service::run(
                &self.users,
                self.users_listener,
                &self.database,
                clock.clone(),
                users_end.clone(),
            )
            .await;
            posts_end.cancel();
            served
        };
        let posts = async {
            let served = post_service::run(
                &self.posts,
                self.posts_listener,
                &self.database,
                clock.clone(),
                posts_end.clone(),
            )
            .await;
            users_end.cancel();
            served
        };
        let (users, posts) = tokio::join!(users, posts);
        users.and(posts)
    }
}

/// Where a listener of this process is reached from this process.
fn url_of(listener: &TcpListener) -> Result<Uri, ExitError> {
    let failed = |error: &dyn std::error::Error| {
        ExitError::Failed(format!("the user service has no address: {error}"))
    };
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    format!("http://{}", loopback_for_unspecified(address))
        .parse()
        .map_err(|error: http::uri::InvalidUri| failed(&error))
}
