//! The whole system in one process: runs the migrator, then both services.
//!
//! It only combines the public functions of the crates, as the tests in `tests/` do. The services
//! communicate over TCP, as in separate processes.

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

/// The time that the migrator waits for the write lock of the database.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of the whole system. The server settings apply to each service.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The database, which is created if it is missing.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// The settings of each server.
    #[command(flatten)]
    pub server: ServerSettings,
    /// The list cache of the post service.
    #[command(flatten)]
    pub pages: PageSettings,
    /// The resolution of authors.
    #[command(flatten)]
    pub authors: AuthorSettings,
    /// The feed of new posts.
    #[command(flatten)]
    pub watch: WatchSettings,
}

impl Default for Settings {
    fn default() -> Self {
        chassis::process::settings::defaults()
    }
}

/// The whole system, with a migrated database and open listeners.
#[derive(Debug)]
pub struct System {
    database: DatabaseSettings,
    users: user_service::Settings,
    posts: post_service::Settings,
    users_listener: TcpListener,
    posts_listener: TcpListener,
}

impl System {
    /// Creates the database if it is missing, and upgrades it. Then [`run`](Self::run) serves the
    /// user service on `users_listener` and the post service on `posts_listener`.
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

    /// Serves until `shutdown`, then drains. The post service drains first, since its running calls
    /// need the user service. If one service fails, the other one drains, too.
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

/// Returns the URL at which this process reaches its own listener.
fn url_of(listener: &TcpListener) -> Result<Uri, ExitError> {
    let failed = |error: &dyn std::error::Error| {
        ExitError::Failed(format!(
            "the listener of the user service has no address: {error}"
        ))
    };
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    format!("http://{}", loopback_for_unspecified(address))
        .parse()
        .map_err(|error: http::uri::InvalidUri| failed(&error))
}
