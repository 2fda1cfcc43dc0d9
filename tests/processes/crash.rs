//! Processes that end without having been asked.

use std::net::SocketAddr;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    assert_sound, assert_stored, create_post, create_user, post_service, posts_at,
    process::{Process, TestDir, within_timeout},
    user_service, users_at,
};

/// How many callers write, and how many writes are acknowledged before the end comes.
const CALLERS: usize = 8;
const WRITES: usize = 100;

/// An id with its text, for each write that is acknowledged.
type Told = UnboundedSender<(i64, String)>;

/// Creates users until that fails.
async fn write_users(address: SocketAddr, caller: usize, told: Told) {
    let mut users = users_at(address);
    for n in 0.. {
        let Ok(user) = create_user(&mut users, &format!("user{caller}-{n}")).await else {
            break;
        };
        let _ = told.send((user.id, user.nickname));
    }
}

/// Creates posts until that fails.
async fn write_posts(address: SocketAddr, caller: usize, author: i64, told: Told) {
    let mut posts = posts_at(address);
    for n in 0.. {
        let body = format!("post{caller}-{n}");
        let Ok(post) = create_post(&mut posts, author, &body).await else {
            break;
        };
        let _ = told.send((post.id, post.body));
    }
}

/// Kills `service` in the midst of the writes that are told, and returns all of them.
async fn kill_in_mid_write(
    service: Process,
    mut told: UnboundedReceiver<(i64, String)>,
) -> Vec<(i64, String)> {
    let mut acknowledged = Vec::new();
    within_timeout(told.recv_many(&mut acknowledged, 1)).await;
    while acknowledged.len() < WRITES {
        within_timeout(told.recv_many(&mut acknowledged, WRITES)).await;
    }

    service.signal("KILL");
    let run = service.end().await;
    while within_timeout(told.recv_many(&mut acknowledged, WRITES)).await > 0 {}

    assert_eq!(run.code, None, "{run:?}");
    acknowledged
}

#[tokio::test]
async fn a_killed_user_service_has_lost_nothing_that_it_acknowledged() {
    let dir = TestDir::migrated().await;
    let mut service = user_service(&dir);
    let address = service.serving().await;
    let (sender, told) = unbounded_channel();
    for caller in 0..CALLERS {
        tokio::spawn(write_users(address, caller, sender.clone()));
    }
    drop(sender);

    let acknowledged = kill_in_mid_write(service, told).await;
    let again = user_service(&dir).serving().await;

    assert_ne!(again.port(), 0);
    assert_stored(&dir, "users", "nickname", &acknowledged).await;
    assert_sound(&dir).await;
}

#[tokio::test]
async fn a_killed_post_service_has_lost_nothing_and_the_user_service_goes_on() {
    let dir = TestDir::migrated().await;
    let mut users = user_service(&dir);
    let users_address = users.serving().await;
    let author = create_user(&mut users_at(users_address), "author").await;
    let mut service = post_service(&dir, users_address, &[]);
    let address = service.serving().await;
    let (sender, told) = unbounded_channel();
    for caller in 0..CALLERS {
        let told = sender.clone();
        let author = author.as_ref().unwrap().id;
        tokio::spawn(write_posts(address, caller, author, told));
    }
    drop(sender);

    let acknowledged = kill_in_mid_write(service, told).await;
    let written = create_user(&mut users_at(users_address), "susan").await;
    let mut again = post_service(&dir, users_address, &[]);
    let again = posts_at(again.serving().await);

    assert!(written.is_ok(), "{written:?}");
    let (author, mut again) = (author.unwrap().id, again);
    assert!(create_post(&mut again, author, "after").await.is_ok());
    assert_stored(&dir, "posts", "body", &acknowledged).await;
    assert_sound(&dir).await;
}
