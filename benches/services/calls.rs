//! The measured calls: their requests, the checks of their responses, and their targets.

use std::rc::Rc;

use prost::Message;
use proto::{
    post::v1::{
        CommitPostsRequest, CommitPostsResponse, CreatePostRequest, CreatePostResponse,
        GetPostRequest, GetPostResponse, ListPostsRequest, ListPostsResponse, Post, PostMutation,
        author::State, post_mutation::Mutation,
    },
    user::v1::{
        BatchGetUsersRequest, BatchGetUsersResponse, CreateUserRequest, CreateUserResponse,
        GetUserRequest, GetUserResponse, User,
    },
};

use crate::{
    load::{Check, Requests},
    seed::AUTHORS,
    targets::Bound,
    wire::prefixed,
};

/// Number of items in a page and in a batch of reads.
const PAGE: usize = 50;

/// Number of posts that one `CommitPosts` creates.
pub const COMMIT: usize = 100;

/// The service of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Users,
    Posts,
}

/// A measured call.
#[derive(Clone)]
pub struct Call {
    /// Name on the command line and in the table.
    pub name: &'static str,
    /// Title in tables.
    pub title: &'static str,
    pub service: Service,
    /// The method as `/package.Service/Method`.
    pub path: &'static str,
    /// Builds the requests.
    pub requests: Requests,
    /// Checks a response.
    pub check: Check,
    /// The targets of its ratios.
    pub targets: Vec<Bound>,
}

impl Call {
    fn new<M: Message>(
        name: &'static str,
        title: &'static str,
        path: &'static str,
        message: impl Fn(u64) -> M + 'static,
        check: Check,
    ) -> Self {
        let service = if path.starts_with("/microblog.user.") {
            Service::Users
        } else {
            Service::Posts
        };
        Self {
            name,
            title,
            service,
            path,
            requests: Rc::new(move |number| prefixed(&message(number))),
            check,
            targets: Vec::new(),
        }
    }

    fn with_targets(self, bounds: &[Bound]) -> Self {
        let targets = bounds.to_vec();
        Self { targets, ..self }
    }
}

/// Returns all calls for a database with this number of posts.
pub fn all(posts: u64) -> Vec<Call> {
    let mut calls = users().to_vec();
    calls.extend(posts_read(posts));
    calls.extend(posts_written());
    calls
}

fn users() -> [Call; 3] {
    [
        Call::new(
            "get_user",
            "GetUser",
            "/microblog.user.v1.UserService/GetUser",
            |n| GetUserRequest { id: author(n) },
            |response| {
                let user = decoded::<GetUserResponse>(response)?.user;
                stored_user(&user.unwrap_or_default())
            },
        )
        .with_targets(&[
            Bound::OfEcho(0.7),
            Bound::OfBaseline(3.3),
            Bound::P99OfEcho(2.0),
        ]),
        Call::new(
            "batch_get_users",
            "BatchGetUsers of 50",
            "/microblog.user.v1.UserService/BatchGetUsers",
            |n| BatchGetUsersRequest {
                ids: several(n, PAGE),
                allow_missing: false,
            },
            |response| {
                let users = decoded::<BatchGetUsersResponse>(response)?.users;
                expect(users.len() == PAGE, || format!("{} users", users.len()))?;
                users.iter().try_for_each(stored_user)
            },
        )
        .with_targets(&[Bound::OfEcho(0.3), Bound::P99OfEcho(2.0)]),
        Call::new(
            "create_user",
            "CreateUser",
            "/microblog.user.v1.UserService/CreateUser",
            |n| CreateUserRequest {
                user: Some(User {
                    nickname: format!("newcomer{n}"),
                    email: format!("newcomer{n}@example.org"),
                    ..User::default()
                }),
                ..CreateUserRequest::default()
            },
            |response| {
                let user = decoded::<CreateUserResponse>(response)?.user;
                stored_user(&user.unwrap_or_default())
            },
        )
        .with_targets(&[Bound::OfBaseline(9.0), Bound::P99OfEcho(8.0)]),
    ]
}

fn posts_read(posts: u64) -> [Call; 3] {
    [
        Call::new(
            "get_post",
            "GetPost with author",
            "/microblog.post.v1.PostService/GetPost",
            move |n| GetPostRequest {
                id: below(n, posts),
                view: 0,
            },
            |response| {
                let post = decoded::<GetPostResponse>(response)?.post;
                shown_post(&post.unwrap_or_default())
            },
        )
        .with_targets(&[
            Bound::OfEcho(0.6),
            Bound::OfBaseline(6.0),
            Bound::P99OfEcho(2.0),
        ]),
        Call::new(
            "list_posts",
            "ListPosts, the newest 50 with authors",
            "/microblog.post.v1.PostService/ListPosts",
            |_| ListPostsRequest::default(),
            page,
        )
        .with_targets(&[Bound::OfBaseline(40.0), Bound::P99OfEcho(2.0)]),
        Call::new(
            "list_posts_of_author",
            "ListPosts, 50 of one author",
            "/microblog.post.v1.PostService/ListPosts",
            |n| ListPostsRequest {
                author_id: Some(author(n)),
                ..ListPostsRequest::default()
            },
            page,
        ),
    ]
}

fn posts_written() -> [Call; 2] {
    [
        Call::new(
            "create_post",
            "CreatePost",
            "/microblog.post.v1.PostService/CreatePost",
            |n| CreatePostRequest {
                post: Some(new_post(n)),
                ..CreatePostRequest::default()
            },
            |response| {
                let post = decoded::<CreatePostResponse>(response)?.post;
                shown_post(&post.unwrap_or_default())
            },
        )
        .with_targets(&[Bound::OfBaseline(9.0), Bound::P99OfEcho(8.0)]),
        Call::new(
            "commit_posts",
            "CommitPosts of 100",
            "/microblog.post.v1.PostService/CommitPosts",
            |n| {
                let posts = (0..COMMIT as u64).map(|i| new_post(n * COMMIT as u64 + i));
                let create = |post| PostMutation {
                    mutation: Some(Mutation::Create(post)),
                };
                CommitPostsRequest {
                    mutations: posts.map(create).collect(),
                    ..CommitPostsRequest::default()
                }
            },
            |response| {
                let results = decoded::<CommitPostsResponse>(response)?.results;
                let stored = results.iter().filter_map(|result| result.post.as_ref());
                let stored = stored.filter(|post| post.id > 0).count();
                expect(stored == COMMIT, || format!("{stored} posts"))
            },
        )
        .with_targets(&[Bound::P99OfEcho(8.0)]),
    ]
}

/// Returns a new post for a request number.
pub fn new_post(number: u64) -> Post {
    Post {
        body: format!(
            "the new post number {number} says as much as the others do, no more, no less"
        ),
        author_id: author(number),
        ..Post::default()
    }
}

fn author(number: u64) -> i64 {
    below(number, AUTHORS)
}

/// Returns a pseudo-random id from 1 to `most`.
pub fn below(number: u64, most: u64) -> i64 {
    // SplitMix64.
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    i64::try_from((z ^ (z >> 31)) % most).unwrap() + 1
}

/// Returns ids of different authors.
fn several(number: u64, count: usize) -> Vec<i64> {
    let authors = i64::try_from(AUTHORS).unwrap();
    let first = author(number);
    let ids = (0..).map(|i: i64| (first + i * 37) % authors + 1);
    ids.take(count).collect()
}

fn decoded<M: Message + Default>(response: &[u8]) -> Result<M, String> {
    M::decode(response).map_err(|error| error.to_string())
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn stored_user(user: &User) -> Result<(), String> {
    let whole = user.id > 0 && !user.nickname.is_empty() && user.create_time.is_some();
    expect(whole, || format!("{user:?}"))
}

fn shown_post(post: &Post) -> Result<(), String> {
    let author = post.author.as_ref();
    let resolved = author.is_some_and(|a| a.state() == State::Resolved && !a.nickname.is_empty());
    expect(post.id > 0 && !post.body.is_empty() && resolved, || {
        format!("{post:?}")
    })
}

fn page(response: &[u8]) -> Result<(), String> {
    let page = decoded::<ListPostsResponse>(response)?;
    let ok = page.posts.len() == PAGE && !page.next_page_token.is_empty();
    expect(ok, || format!("{} posts", page.posts.len()))?;
    page.posts.iter().try_for_each(shown_post)
}
