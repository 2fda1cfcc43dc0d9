//! Several processes write to one database concurrently.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use proto::post::v1::WatchPostsRequest;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::{
    assert_sound, assert_stored, create_post, create_user, post_service, posts_at,
    process::{TestDir, run, within_timeout},
    program, user_service, users_at,
};

/// Number of concurrent callers of a service.
const CALLERS: usize = 8;
/// Number of writes of each caller.
const WRITES: usize = 40;

/// The ids and texts of the acknowledged writes of one caller.
type Acked = Result<Vec<(i64, String)>, Status>;

/// Creates users one after the other. Their nicknames start with `prefix`.
async fn write_users(address: SocketAddr, prefix: String) -> Acked {
    let mut users = users_at(address);
    let mut acknowledged = Vec::new();
    for n in 0..WRITES {
        let user = create_user(&mut users, &format!("{prefix}-{n}")).await?;
        acknowledged.push((user.id, user.nickname));
    }
    Ok(acknowledged)
}

/// Creates posts one after the other. Their bodies start with `prefix`.
async fn write_posts(address: SocketAddr, author: i64, prefix: String) -> Acked {
    let mut posts = posts_at(address);
    let mut acknowledged = Vec::new();
    for n in 0..WRITES {
        let post = create_post(&mut posts, author, &format!("{prefix}-{n}")).await?;
        acknowledged.push((post.id, post.body));
    }
    Ok(acknowledged)
}

/// Returns the acknowledged writes of all callers. Panics if a call failed.
async fn all(callers: JoinSet<Acked>) -> Vec<(i64, String)> {
    let acked = within_timeout(callers.join_all()).await;
    acked.into_iter().flat_map(Result::unwrap).collect()
}

#[tokio::test]
async fn services_and_migrator_write_concurrently_without_failures() {
    let dir = TestDir::migrated().await;
    let mut users = user_service(&dir);
    let users_address = users.serving().await;
    let mut posts = post_service(&dir, users_address, &[]);
    let posts_address = posts.serving().await;
    let author = create_user(&mut users_at(users_address), "author").await;
    let author = author.unwrap().id;
    let written = Arc::new(AtomicBool::new(false));
    let (mut users_callers, mut posts_callers) = (JoinSet::new(), JoinSet::new());
    for caller in 0..CALLERS {
        users_callers.spawn(write_users(users_address, format!("user{caller}")));
        posts_callers.spawn(write_posts(posts_address, author, format!("post{caller}")));
    }

    let migrators = async {
        let mut codes = Vec::new();
        while !written.load(Ordering::Relaxed) || codes.len() < 6 {
            for command in ["status", "upgrade"] {
                codes.push(run(dir.command(program("migrator"), &[command])).await.code);
            }
        }
        codes
    };
    let writers = async {
        let stored = tokio::join!(all(users_callers), all(posts_callers));
        written.store(true, Ordering::Relaxed);
        stored
    };
    let (codes, (stored_users, stored_posts)) = tokio::join!(migrators, writers);

    assert!(codes.iter().all(|code| *code == Some(0)), "{codes:?}");
    assert_eq!(stored_users.len(), CALLERS * WRITES);
    assert_eq!(stored_posts.len(), CALLERS * WRITES);
    assert_stored(&dir, "users", "nickname", &stored_users).await;
    assert_stored(&dir, "posts", "body", &stored_posts).await;
    assert_sound(&dir).await;
}

#[tokio::test]
async fn two_user_services_write_concurrently_without_failures() {
    let dir = TestDir::migrated().await;
    let mut one = user_service(&dir);
    let mut other = user_service(&dir);
    let mut callers = JoinSet::new();
    for (name, service) in [("one", &mut one), ("other", &mut other)] {
        let address = service.serving().await;
        for caller in 0..CALLERS {
            callers.spawn(write_users(address, format!("{name}{caller}")));
        }
    }

    let stored = all(callers).await;

    assert_eq!(stored.len(), 2 * CALLERS * WRITES);
    assert_stored(&dir, "users", "nickname", &stored).await;
    assert_sound(&dir).await;
}

#[tokio::test]
async fn nickname_is_given_to_only_one_of_two_processes() {
    let dir = TestDir::migrated().await;
    let mut one = user_service(&dir);
    let mut other = user_service(&dir);
    let mut one = users_at(one.serving().await);
    let mut other = users_at(other.serving().await);

    for n in 0..20 {
        let name = format!("susan{n}");
        let (first, second) = within_timeout(async {
            tokio::join!(create_user(&mut one, &name), create_user(&mut other, &name))
        })
        .await;

        let refused = match (first, second) {
            (Ok(_), Err(status)) | (Err(status), Ok(_)) => status,
            both => panic!("{both:?}"),
        };
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
    }
}

#[tokio::test]
async fn watcher_receives_posts_written_by_another_process() {
    let dir = TestDir::migrated().await;
    let mut users = user_service(&dir);
    let users = users.serving().await;
    let author = create_user(&mut users_at(users), "susan").await.unwrap().id;
    let mut one = post_service(&dir, users, &[]);
    let mut other = post_service(&dir, users, &[]);
    let mut watched = posts_at(one.serving().await);
    let mut written = posts_at(other.serving().await);
    let watch = watched.watch_posts(WatchPostsRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();

    for body in ["first", "second", "third"] {
        let created = within_timeout(create_post(&mut written, author, body))
            .await
            .unwrap();

        let sent = within_timeout(watch.message())
            .await
            .unwrap()
            .unwrap()
            .post
            .unwrap();

        assert_eq!((sent.id, sent.body.as_str()), (created.id, body));
        assert_eq!(sent.author.unwrap().nickname, "susan");
    }
}
