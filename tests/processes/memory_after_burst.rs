//! The memory of the services after a burst of calls.

use std::{fs, net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::client::Builder;
use http::Request;
use proto::post::v1::{
    CommitPostsRequest, ListPostsRequest, Post, PostMutation, post_mutation::Mutation,
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    create_user, post_service, posts_at,
    process::{Process, TestDir, within_timeout},
    user_service, users_at,
};

/// The memory that a service may keep after a burst, beyond what it had before. It kept 11 MiB to
/// 17 MiB with this burst, and 26 MiB if it returned nothing.
const KEPT_BYTES: u64 = 20 << 20;

/// The time after which the memory of a burst must be returned. It takes 2 s to 4 s.
const RETURN_TIMEOUT: Duration = Duration::from_secs(25);

/// Returns the resident memory of a process, in bytes.
fn resident_bytes(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}

/// Returns a commit of 100 posts with the largest bodies.
fn large_commit(author_id: i64) -> CommitPostsRequest {
    let post = Post {
        author_id,
        body: "😀".repeat(140),
        ..Post::default()
    };
    let mutation = PostMutation {
        mutation: Some(Mutation::Create(post)),
    };
    CommitPostsRequest {
        mutations: vec![mutation; 100],
        ..CommitPostsRequest::default()
    }
}

/// Commits and lists posts on one connection.
async fn calls(address: SocketAddr, author: i64, rounds: usize) {
    let mut posts = posts_at(address);
    let page = ListPostsRequest {
        page_size: 1000,
        ..ListPostsRequest::default()
    };
    for _ in 0..rounds {
        // Some calls exceed a limit of the server.
        let _ = posts.commit_posts(large_commit(author)).await;
        let _ = posts.list_posts(page.clone()).await;
    }
}

/// Sends requests for large pages on a connection, and reads no response.
async fn unread(address: SocketAddr) -> Option<Vec<h2::client::ResponseFuture>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let mut builder = Builder::new();
    builder.initial_window_size(0);
    let (mut sender, connection) = builder.handshake(stream).await.ok()?;
    tokio::spawn(connection);
    let mut responses = Vec::new();
    for _ in 0..16 {
        sender = sender.ready().await.ok()?;
        let path = "microblog.post.v1.PostService/ListPosts";
        let request = Request::post(format!("http://{address}/{path}"))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (response, mut body) = sender.send_request(request, false).ok()?;
        body.send_data(Bytes::from_static(&[0, 0, 0, 0, 3, 8, 0xe8, 7]), true)
            .ok()?;
        responses.push(response);
    }
    Some(responses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_of_a_burst_is_returned_within_seconds() {
    let dir = TestDir::migrated().await;
    let mut users = user_service(&dir);
    let users_address = users.serving().await;
    let mut posts = post_service(&dir, users_address, &[("WORKER_THREADS", "2")]);
    let address = posts.serving().await;
    let author = create_user(&mut users_at(users_address), "author").await;
    let author = author.unwrap().id;
    calls(address, author, 2).await;
    let before = resident_bytes(&posts);

    let mut burst = JoinSet::new();
    for _ in 0..100 {
        burst.spawn(calls(address, author, 3));
    }
    let mut unread_responses = Vec::new();
    for _ in 0..16 {
        unread_responses.push(unread(address).await);
    }
    within_timeout(burst.join_all()).await;
    let during = resident_bytes(&posts);
    drop(unread_responses);

    let returned = async {
        while resident_bytes(&posts) > before + KEPT_BYTES {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let start = Instant::now();
    let returned = timeout(RETURN_TIMEOUT, returned).await;
    let after = resident_bytes(&posts);
    println!(
        "{before} bytes before, {during} during the burst, {after} {:?} after it",
        start.elapsed()
    );
    assert!(
        during > before + KEPT_BYTES,
        "the burst took {during} instead of {before} bytes"
    );
    assert!(
        returned.is_ok(),
        "{before} bytes before the burst, and {after} after it"
    );
}
