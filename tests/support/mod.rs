//! Runs the whole system in the test process, as `cargo run` does, on a temporary database and free
//! ports. Tests call it over TCP.
//!
//! Each test starts its own [`System`], which ends on drop.

#![allow(dead_code, reason = "no test target uses all helpers")]

mod database;
mod refusal;

use std::{
    future::Future,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use chassis::{
    process::{ExitError, clock::Clock},
    serving::{
        self,
        health::v1::{
            HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
        },
    },
};
use microblog::Settings;
use proto::{
    post::v1::post_service_client::PostServiceClient,
    user::v1::{CreateUserRequest, User, user_service_client::UserServiceClient},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

pub use self::{
    database::TestDatabase,
    refusal::{assert_refused, assert_violations, metadata},
};

/// Upper bound of each wait. No successful wait comes near it.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the output of `future`. Panics if that takes longer than `TEST_TIMEOUT`.
pub async fn within_timeout<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TEST_TIMEOUT, future)
        .await
        .expect("not done within TEST_TIMEOUT")
}

/// Both services, running in this process on a migrated database.
#[derive(Debug)]
pub struct System {
    /// The clock of both services.
    pub clock: Clock,
    /// Address of the user service.
    pub users_address: SocketAddr,
    /// Address of the post service.
    pub posts_address: SocketAddr,
    settings: Settings,
    users: Channel,
    posts: Channel,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ExitError>>,
    created: AtomicUsize,
    // `None` only during a restart.
    database: Option<TestDatabase>,
}

impl System {
    /// Starts a system with the settings of tests and the system clock.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a system with changed settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::launch(TestDatabase::new(), Clock::system(), change).await
    }

    /// Starts a system that uses `clock`.
    pub async fn at(clock: Clock) -> Self {
        Self::launch(TestDatabase::new(), clock, |_| {}).await
    }

    /// Stops the system and starts another one with the same settings and database that uses
    /// `clock`.
    pub async fn restart(mut self, clock: Clock) -> Self {
        let database = self.database.take().unwrap();
        let settings = self.settings.clone();
        self.stop().await;
        Self::launch(database, clock, |changed| *changed = settings).await
    }

    async fn launch(
        database: TestDatabase,
        clock: Clock,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings::default();
        settings.database.database_url = database.url().clone();
        settings.server.drain_delay = Duration::ZERO;
        settings.server.drain_timeout = Duration::from_secs(5);
        change(&mut settings);

        let (users_listener, posts_listener) = (listen().await, listen().await);
        let users_address = users_listener.local_addr().unwrap();
        let posts_address = posts_listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let prepared =
            microblog::System::prepare(settings.clone(), users_listener, posts_listener).await;
        let running = tokio::spawn(prepared.unwrap().run(clock.clone(), shutdown.clone()));

        let mut system = Self {
            clock,
            users_address,
            posts_address,
            settings,
            users: connect(users_address),
            posts: connect(posts_address),
            shutdown,
            running,
            created: AtomicUsize::new(0),
            database: Some(database),
        };
        tokio::select! {
            () = serving(system.users.clone(), user_service::NAME) => system,
            ended = &mut system.running => panic!("the system ended: {ended:?}"),
        }
    }

    /// Returns a client of the user service.
    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.users.clone())
    }

    /// Waits until the post service serves, and returns a client of it.
    pub async fn posts(&self) -> PostServiceClient<Channel> {
        use proto::post::v1::post_service_server::SERVICE_NAME;

        serving(self.posts.clone(), SERVICE_NAME).await;
        PostServiceClient::new(self.posts.clone())
    }

    /// Returns the channel to the user service, for calls that its client cannot make.
    pub fn users_channel(&self) -> Channel {
        self.users.clone()
    }

    /// Creates a user with this nickname and a unique email address.
    pub async fn create_user(&self, nickname: &str) -> Result<User, Status> {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        let request = CreateUserRequest {
            user: Some(User {
                nickname: nickname.into(),
                email: format!("{number}@created.example"),
                ..User::default()
            }),
            ..CreateUserRequest::default()
        };
        let response = self.users().create_user(request).await?;
        Ok(response.into_inner().user.unwrap())
    }

    /// Returns the database of both services.
    pub fn database(&self) -> &TestDatabase {
        self.database.as_ref().unwrap()
    }

    /// Runs a script in the database.
    pub async fn execute(&self, script: &str) {
        self.database().execute(script).await;
    }

    /// Returns the first column of the rows of a query. The column must be text.
    pub async fn query(&self, query: &str) -> Vec<String> {
        self.database().query(query).await
    }

    /// Drains the system, as SIGTERM does, and waits for its end. Panics if it fails.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        within_timeout(&mut self.running).await.unwrap().unwrap();
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.running.abort();
    }
}

/// Returns a listener on a free port.
pub async fn listen() -> tokio::net::TcpListener {
    serving::listen(([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// Returns a channel to `address`. It connects on the first call.
pub fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// Waits until the health service reports `service` as SERVING.
pub async fn serving(channel: Channel, service: &str) {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    let serving = async {
        let mut watch = HealthClient::new(channel)
            .watch(request)
            .await?
            .into_inner();
        while let Some(health) = watch.message().await? {
            if health.status() == ServingStatus::Serving {
                return Ok(());
            }
        }
        Err(Status::unavailable("the health stream ended"))
    };
    within_timeout(serving).await.unwrap();
}
