//! A post service by itself: on a database of its own or on one of a system, in front of
//! a user service that does what a test tells it.

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

/// Longer than any test takes.
pub const FOREVER: Duration = Duration::from_secs(3600);

/// A post service that runs in this process.
#[derive(Debug)]
pub struct Instance {
    pub posts: Posts,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ExitError>>,
}

/// A post service and the user service that it asks. The user n has the nickname
/// `user n` and wrote the post n.
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
    /// A post service on the database at `url`, as soon as it serves.
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
    /// With so many users, of whom nothing is known yet, and settings under which what is
    /// known stays fresh.
    pub async fn start(users: i64) -> Self {
        Self::with(users, |_| {}).await
    }

    /// The same with some settings changed.
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

    /// Adds users, and a post of each.
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

    /// Deletes a user and the posts of it, as the services would.
    pub async fn remove(&self, id: i64) {
        self.users.remove_user(id);
        self.database
            .execute(&format!(
                "delete from posts where user_id = {id}; delete from users where id = {id};"
            ))
            .await;
    }

    /// The user service can no longer be reached.
    pub async fn stop_users(&mut self) {
        self.served.take().unwrap().stop().await;
    }

    /// It can be reached again, where it was.
    pub async fn restart_users(&mut self) {
        let listener = listen_again(self.address).await;
        self.served = Some(self.users.serve(listener));
    }

    /// How many posts there are.
    pub async fn count(&self) -> i64 {
        self.database.count("posts").await
    }
}
