//! Callers of both services who write and read without a pause, and to whom nothing may go
//! wrong.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use proto::{
    post::v1::{GetPostRequest, ListPostsRequest},
    user::v1::{GetUserRequest, ListUsersRequest},
};
use tokio::task::JoinSet;
use tonic::Status;

use crate::{create_post, create_user, posts_at, process::within_timeout, users_at};

/// How many callers write to each service, and how many make each kind of read.
const WRITERS: usize = 4;
const READERS: usize = 2;

/// A write that was acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// When it was begun, and when it was acknowledged.
    pub begun: Instant,
    pub ended: Instant,
    pub id: i64,
    pub text: String,
}

/// All that the callers were told.
#[derive(Debug, Default)]
pub struct Told {
    pub users: Vec<Acknowledged>,
    pub posts: Vec<Acknowledged>,
    /// The longest that a call of each kind took, and how many there were.
    pub calls: BTreeMap<&'static str, (Duration, u64)>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// The callers.
pub struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<()>,
}

struct Shared {
    told: Mutex<Told>,
    stop: AtomicBool,
    /// How many calls each caller has made.
    made: Vec<AtomicU64>,
    /// How many users and posts there have been from the beginning.
    rows: i64,
}

impl Shared {
    /// Makes calls of one kind until the end.
    async fn call<F, T>(
        &self,
        caller: usize,
        kind: &'static str,
        make: impl Fn(i64) -> F,
        expected: impl Fn(&mut Told, i64, T, Instant) -> Option<String>,
    ) where
        F: Future<Output = Result<T, Status>>,
    {
        for n in 0.. {
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            let begun = Instant::now();
            let result = make(n).await;
            let took = begun.elapsed();
            let mut told = self.told.lock().unwrap();
            let (longest, count) = told.calls.entry(kind).or_default();
            *longest = took.max(*longest);
            *count += 1;
            let failure = match result {
                Ok(answer) => expected(&mut told, n, answer, begun),
                Err(status) => Some(format!("after {took:?}: {status:?}")),
            };
            told.failures
                .extend(failure.map(|failure| format!("{kind} {failure}")));
            self.made[caller].fetch_add(1, Ordering::AcqRel);
        }
    }

    /// One of the rows that have been there from the beginning.
    fn row(&self, caller: usize, n: i64) -> i64 {
        let step = i64::try_from(caller).unwrap() * 997 + n * 31;
        1 + step % self.rows
    }
}

impl Load {
    /// Starts it on services whose database has so many users `user1`, …, each with one post.
    pub fn start(users: SocketAddr, posts: SocketAddr, rows: i64) -> Self {
        let callers = 2 * WRITERS + 4 * READERS;
        let shared = Arc::new(Shared {
            told: Mutex::default(),
            stop: AtomicBool::new(false),
            made: (0..callers).map(|_| AtomicU64::new(0)).collect(),
            rows,
        });
        let mut load = Self {
            shared: shared.clone(),
            callers: JoinSet::new(),
        };
        let mut next = 0..callers;
        let mut caller = || (shared.clone(), next.next().unwrap());
        for _ in 0..WRITERS {
            let (shared, number) = caller();
            load.callers.spawn(write_users(shared, number, users));
            let (shared, number) = caller();
            load.callers.spawn(write_posts(shared, number, posts));
        }
        for _ in 0..READERS {
            let (shared, number) = caller();
            load.callers.spawn(get_users(shared, number, users));
            let (shared, number) = caller();
            load.callers.spawn(list_users(shared, number, users));
            let (shared, number) = caller();
            load.callers.spawn(get_posts(shared, number, posts));
            let (shared, number) = caller();
            load.callers.spawn(list_posts(shared, number, posts));
        }
        load
    }

    /// Waits until every caller has made some more calls.
    pub async fn goes_on(&self) {
        let made = || self.shared.made.iter().map(|n| n.load(Ordering::Acquire));
        let before: Vec<_> = made().collect();
        within_timeout(async {
            while made().zip(&before).any(|(now, before)| now < before + 5) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// What the users and the posts are that were acknowledged until now.
    pub fn acknowledged(&self) -> [Vec<Acknowledged>; 2] {
        let told = self.shared.told.lock().unwrap();
        [told.users.clone(), told.posts.clone()]
    }

    /// Has the callers come to their end.
    pub async fn end(self) -> Told {
        self.shared.stop.store(true, Ordering::Release);
        within_timeout(self.callers.join_all()).await;
        let mut told = self.shared.told.lock().unwrap();
        std::mem::take(&mut *told)
    }
}

fn acknowledged(begun: Instant, id: i64, text: String) -> Acknowledged {
    Acknowledged {
        begun,
        ended: Instant::now(),
        id,
        text,
    }
}

fn unlike(found: &str, expected: &str) -> Option<String> {
    (found != expected).then(|| format!("gave {found:?} instead of {expected:?}"))
}

async fn write_users(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let users = users_at(address);
    let nickname = |n: i64| format!("writer{caller}-{n}");
    let make = |n| {
        let mut users = users.clone();
        async move { create_user(&mut users, &nickname(n)).await }
    };
    let expected = |told: &mut Told, n, user: proto::user::v1::User, begun| {
        let failure = unlike(&user.nickname, &nickname(n));
        told.users.push(acknowledged(begun, user.id, user.nickname));
        failure
    };
    shared.call(caller, "CreateUser", make, expected).await;
}

async fn write_posts(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let posts = posts_at(address);
    let body = |n: i64| format!("post {n} of writer {caller}");
    let make = |n| {
        let (mut posts, author) = (posts.clone(), shared.row(caller, n));
        async move { create_post(&mut posts, author, &body(n)).await }
    };
    let expected = |told: &mut Told, n, post: proto::post::v1::Post, begun| {
        let failure = unlike(&post.body, &body(n));
        told.posts.push(acknowledged(begun, post.id, post.body));
        failure
    };
    shared.call(caller, "CreatePost", make, expected).await;
}

async fn get_users(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let users = users_at(address);
    let make = |n| {
        let (mut users, id) = (users.clone(), shared.row(caller, n));
        let request = GetUserRequest { id };
        async move { Ok(users.get_user(request).await?.into_inner().user.unwrap()) }
    };
    let expected = |_: &mut Told, n, user: proto::user::v1::User, _| {
        unlike(&user.nickname, &format!("user{}", shared.row(caller, n)))
    };
    shared.call(caller, "GetUser", make, expected).await;
}

async fn list_users(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let users = users_at(address);
    let make = |_| {
        let mut users = users.clone();
        async move {
            Ok(users
                .list_users(ListUsersRequest::default())
                .await?
                .into_inner()
                .users)
        }
    };
    let expected = |_: &mut Told, _, page: Vec<proto::user::v1::User>, _| {
        let first = page.first().map_or("nothing", |user| &user.nickname);
        unlike(first, "user1")
    };
    shared.call(caller, "ListUsers", make, expected).await;
}

async fn get_posts(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let posts = posts_at(address);
    let make = |n| {
        let (mut posts, id) = (posts.clone(), shared.row(caller, n));
        let request = GetPostRequest {
            id,
            ..GetPostRequest::default()
        };
        async move { Ok(posts.get_post(request).await?.into_inner().post.unwrap()) }
    };
    let expected = |_: &mut Told, n, post: proto::post::v1::Post, _| {
        unlike(
            &post.body,
            &format!("post of user{}", shared.row(caller, n)),
        )
    };
    shared.call(caller, "GetPost", make, expected).await;
}

async fn list_posts(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let posts = posts_at(address);
    let make = |n| {
        let mut posts = posts.clone();
        let request = ListPostsRequest {
            author_id: Some(shared.row(caller, n)),
            order_by: "id".into(),
            ..ListPostsRequest::default()
        };
        async move { Ok(posts.list_posts(request).await?.into_inner().posts) }
    };
    let expected = |_: &mut Told, n, page: Vec<proto::post::v1::Post>, _| {
        let first = page.first().map_or("nothing", |post| &post.body);
        unlike(first, &format!("post of user{}", shared.row(caller, n)))
    };
    shared.call(caller, "ListPosts", make, expected).await;
}
