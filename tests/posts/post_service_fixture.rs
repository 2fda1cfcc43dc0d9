//! A post service without the rest of the system, in front of a fake user service.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use chassis::{
    database::settings::{DatabaseSettings, DatabaseUrl},
    process::{ExitError, clock::Clock},
};
use migrator::{Migrator, Run};
use post_service::Settings;
use proto::post::v1::post_service_client::PostServiceClient;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    fake_user_service::{FakeUserService, Served, listen_again},
    system_fixture::Posts,
};
use crate::support::{TestDatabase, connect, listen, serving};

/// Longer than any test.
pub const FOREVER: Duration = Duration::from_hours(1);

/// A post service that runs in the process of the test.
#[derive(Debug)]
pub struct Instance {
    pub posts: Posts,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ExitError>>,
}

/// A post service and a fake user service. The user n has the nickname `user n` and wrote the
/// post n.
#[derive(Debug)]
pub struct PostServiceFixture {
    pub users: FakeUserService,
    pub posts: Posts,
    served: Option<Served>,
    address: SocketAddr,
    database: TestDatabase,
    _instance: Instance,
}

impl Instance {
    /// Starts a post service on the database at `url`, and waits until it serves.
    pub async fn start(url: &DatabaseUrl, settings: Settings) -> Self {
        let listener = listen().await;
        let channel = connect(listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let database = DatabaseSettings {
            database_url: url.clone(),
            ..DatabaseSettings::default()
        };
        let running = tokio::spawn(async move {
            post_service::run(&settings, listener, &database, Clock::system(), token).await
        });
        serving(channel.clone(), post_service::NAME).await;
        Self {
            posts: Posts(PostServiceClient::new(channel)),
            shutdown,
            running,
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.running.abort();
    }
}

impl PostServiceFixture {
    /// Starts a service with this number of users, which are not cached yet. Cached nicknames
    /// never expire.
    pub async fn start(users: i64) -> Self {
        Self::with(users, |_| {}).await
    }

    /// Starts a service like [`Self::start`], with some settings changed.
    pub async fn with(users: i64, change: impl FnOnce(&mut Settings)) -> Self {
        let database = TestDatabase::new();
        Migrator::new(database.url(), FOREVER)
            .unwrap()
            .run(Run::upgrade())
            .await
            .unwrap();

        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let fake = FakeUserService::new();
        let mut settings = Settings {
            user_service_url: format!("http://{address}").parse().unwrap(),
            ..Settings::default()
        };
        settings.server.drain_delay = Duration::ZERO;
        settings.authors.author_ttl = FOREVER;
        change(&mut settings);
        let instance = Instance::start(database.url(), settings).await;

        let fixture = Self {
            served: Some(fake.serve(listener)),
            users: fake,
            posts: instance.posts.clone(),
            address,
            database,
            _instance: instance,
        };
        fixture.add(1..=users).await;
        fixture
    }

    /// Adds users, and a post of each user.
    pub async fn add(&self, ids: RangeInclusive<i64>) {
        for id in ids.clone() {
            self.users.add_user(id, &format!("user {id}"));
        }
        let (first, last) = (ids.start(), ids.end());
        self.database
            .execute(&format!(
                "begin;
            with recursive ids(id) as (
                select {first} where {first} <= {last}
                union all select id + 1 from ids where id < {last}
            )
            insert into users (id, nickname, nickname_key, email, email_key, role,
                create_time, update_time, revision)
            select id, 'user ' || id, 'user ' || id, id || '@x', id || '@x', 0, id, id, 1
            from ids;
            insert into posts (id, body, create_time, update_time, revision, user_id)
            select id, 'post ' || id, id, id, 1, id from users
            where id between {first} and {last};
            commit;"
            ))
            .await;
    }

    /// Deletes a user and its posts.
    pub async fn remove(&self, id: i64) {
        self.users.remove_user(id);
        self.database
            .execute(&format!(
                "delete from posts where user_id = {id}; delete from users where id = {id};"
            ))
            .await;
    }

    /// Stops the user service.
    pub async fn stop_users(&mut self) {
        self.served.take().unwrap().stop().await;
    }

    /// Restarts the user service at the same address.
    pub async fn restart_users(&mut self) {
        let listener = listen_again(self.address).await;
        self.served = Some(self.users.serve(listener));
    }

    /// Returns the number of stored posts.
    pub async fn count(&self) -> i64 {
        self.database.count("posts").await
    }
}
