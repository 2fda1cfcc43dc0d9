//! The whole system under test: put together as `cargo run` puts it together, on a
//! database and on ports of its own, and spoken to over TCP.
//!
//! Every test starts a [`System`] of its own, which ends when it is dropped.

#![allow(dead_code, reason = "each test target uses another part of it")]

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

/// Longer than anything takes that goes well.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What `future` gives, which must not take long.
pub async fn within_timeout<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TEST_TIMEOUT, future)
        .await
        .expect("it takes too long")
}

/// Both services, migrated and running in this process.
#[derive(Debug)]
pub struct System {
    /// What the services go by.
    pub clock: Clock,
    /// Where the user service listens.
    pub users_address: SocketAddr,
    /// Where the post service listens.
    pub posts_address: SocketAddr,
    settings: Settings,
    users: Channel,
    posts: Channel,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ExitError>>,
    created: AtomicUsize,
    // Gone only when a system is stopped to be started again.
    database: Option<TestDatabase>,
}

impl System {
    /// A system with the settings of tests and the machine's clock.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A system with some settings changed.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::launch(TestDatabase::new(), Clock::system(), change).await
    }

    /// A system that goes by `clock`.
    pub async fn at(clock: Clock) -> Self {
        Self::launch(TestDatabase::new(), clock, |_| {}).await
    }

    /// Stops the system and starts another one on the same database, which goes by
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

    /// A client of the user service.
    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.users.clone())
    }

    /// A client of the post service, as soon as that serves.
    pub async fn posts(&self) -> PostServiceClient<Channel> {
        use proto::post::v1::post_service_server::SERVICE_NAME;

        serving(self.posts.clone(), SERVICE_NAME).await;
        PostServiceClient::new(self.posts.clone())
    }

    /// The connection to the user service, for what its client does not do.
    pub fn users_channel(&self) -> Channel {
        self.users.clone()
    }

    /// Creates a user with this nickname and an address that no other has.
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

    /// The database of both services.
    pub fn database(&self) -> &TestDatabase {
        self.database.as_ref().unwrap()
    }

    /// Runs a script in the database.
    pub async fn execute(&self, script: &str) {
        self.database().execute(script).await;
    }

    /// Returns the first column of what a query yields, which is to be text.
    pub async fn query(&self, query: &str) -> Vec<String> {
        self.database().query(query).await
    }

    /// Drains, as a signal would make it, and waits for the end, which has to be a good one.
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

/// A listener on a port of its own.
pub async fn listen() -> tokio::net::TcpListener {
    serving::listen(([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// A connection to `address`, as soon as it is needed.
pub fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// Waits until a service says that it serves.
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
        Err(Status::unavailable("it ended"))
    };
    within_timeout(serving).await.unwrap();
}
