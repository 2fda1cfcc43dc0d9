//! Callers that write to and read from both services without a pause, and record each failed or
//! wrong response.

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

/// Number of writing callers of each service.
const WRITERS: usize = 4;
/// Number of callers of each read method.
const READERS: usize = 2;

/// An acknowledged write.
#[derive(Clone, Debug)]
pub struct AckedWrite {
    /// Start of the call.
    pub start: Instant,
    /// Arrival of the response.
    pub end: Instant,
    pub id: i64,
    pub text: String,
}

/// The responses that the callers received.
#[derive(Debug, Default)]
pub struct Acked {
    pub users: Vec<AckedWrite>,
    pub posts: Vec<AckedWrite>,
    /// The longest duration and the number of calls of each method.
    pub calls: BTreeMap<&'static str, (Duration, u64)>,
    /// Failed calls and wrong responses.
    pub failures: Vec<String>,
}

/// The running callers.
pub struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<()>,
}

struct Shared {
    acked: Mutex<Acked>,
    stop: AtomicBool,
    /// Number of finished calls of each caller.
    made: Vec<AtomicU64>,
    /// Number of users, and of posts, before the load started.
    rows: i64,
}

impl Shared {
    /// Calls one method repeatedly until the load stops.
    async fn call<F, T>(
        &self,
        caller: usize,
        kind: &'static str,
        make: impl Fn(i64) -> F,
        check: impl Fn(&mut Acked, i64, T, Instant) -> Option<String>,
    ) where
        F: Future<Output = Result<T, Status>>,
    {
        for n in 0.. {
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            let start = Instant::now();
            let result = make(n).await;
            let took = start.elapsed();
            let mut acked = self.acked.lock().unwrap();
            let (longest, count) = acked.calls.entry(kind).or_default();
            *longest = took.max(*longest);
            *count += 1;
            let failure = match result {
                Ok(response) => check(&mut acked, n, response, start),
                Err(status) => Some(format!("after {took:?}: {status:?}")),
            };
            acked
                .failures
                .extend(failure.map(|failure| format!("{kind} {failure}")));
            self.made[caller].fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Picks the id of a row that existed before the load started.
    fn row(&self, caller: usize, n: i64) -> i64 {
        let step = i64::try_from(caller).unwrap() * 997 + n * 31;
        1 + step % self.rows
    }
}

impl Load {
    /// Starts callers of services whose database holds `rows` users `user1`, …, each with one post.
    pub fn start(users: SocketAddr, posts: SocketAddr, rows: i64) -> Self {
        let callers = 2 * WRITERS + 4 * READERS;
        let shared = Arc::new(Shared {
            acked: Mutex::default(),
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

    /// Waits until each caller has finished 5 more calls.
    pub async fn wait_for_progress(&self) {
        let made = || self.shared.made.iter().map(|n| n.load(Ordering::Acquire));
        let before: Vec<_> = made().collect();
        within_timeout(async {
            while made().zip(&before).any(|(now, before)| now < before + 5) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Returns the users and the posts acknowledged so far.
    pub fn acknowledged(&self) -> [Vec<AckedWrite>; 2] {
        let acked = self.shared.acked.lock().unwrap();
        [acked.users.clone(), acked.posts.clone()]
    }

    /// Stops the callers and returns all responses.
    pub async fn stop(self) -> Acked {
        self.shared.stop.store(true, Ordering::Release);
        within_timeout(self.callers.join_all()).await;
        let mut acked = self.shared.acked.lock().unwrap();
        std::mem::take(&mut *acked)
    }
}

fn acked_write(start: Instant, id: i64, text: String) -> AckedWrite {
    AckedWrite {
        start,
        end: Instant::now(),
        id,
        text,
    }
}

fn difference(found: &str, expected: &str) -> Option<String> {
    (found != expected).then(|| format!("returned {found:?} instead of {expected:?}"))
}

async fn write_users(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let users = users_at(address);
    let nickname = |n: i64| format!("writer{caller}-{n}");
    let make = |n| {
        let mut users = users.clone();
        async move { create_user(&mut users, &nickname(n)).await }
    };
    let check = |acked: &mut Acked, n, user: proto::user::v1::User, start| {
        let failure = difference(&user.nickname, &nickname(n));
        acked.users.push(acked_write(start, user.id, user.nickname));
        failure
    };
    shared.call(caller, "CreateUser", make, check).await;
}

async fn write_posts(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let posts = posts_at(address);
    let body = |n: i64| format!("post {n} of writer {caller}");
    let make = |n| {
        let (mut posts, author) = (posts.clone(), shared.row(caller, n));
        async move { create_post(&mut posts, author, &body(n)).await }
    };
    let check = |acked: &mut Acked, n, post: proto::post::v1::Post, start| {
        let failure = difference(&post.body, &body(n));
        acked.posts.push(acked_write(start, post.id, post.body));
        failure
    };
    shared.call(caller, "CreatePost", make, check).await;
}

async fn get_users(shared: Arc<Shared>, caller: usize, address: SocketAddr) {
    let users = users_at(address);
    let make = |n| {
        let (mut users, id) = (users.clone(), shared.row(caller, n));
        let request = GetUserRequest { id };
        async move { Ok(users.get_user(request).await?.into_inner().user.unwrap()) }
    };
    let check = |_: &mut Acked, n, user: proto::user::v1::User, _| {
        difference(&user.nickname, &format!("user{}", shared.row(caller, n)))
    };
    shared.call(caller, "GetUser", make, check).await;
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
    let check = |_: &mut Acked, _, page: Vec<proto::user::v1::User>, _| {
        let first = page.first().map_or("nothing", |user| &user.nickname);
        difference(first, "user1")
    };
    shared.call(caller, "ListUsers", make, check).await;
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
    let check = |_: &mut Acked, n, post: proto::post::v1::Post, _| {
        difference(
            &post.body,
            &format!("post of user{}", shared.row(caller, n)),
        )
    };
    shared.call(caller, "GetPost", make, check).await;
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
    let check = |_: &mut Acked, n, page: Vec<proto::post::v1::Post>, _| {
        let first = page.first().map_or("nothing", |post| &post.body);
        difference(first, &format!("post of user{}", shared.row(caller, n)))
    };
    shared.call(caller, "ListPosts", make, check).await;
}
