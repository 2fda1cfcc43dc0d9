//! Kills services in the middle of writes. Acknowledged writes must survive.

use std::net::SocketAddr;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    assert_sound, assert_stored, create_post, create_user, post_service, posts_at,
    process::{Process, TestDir, within_timeout},
    user_service, users_at,
};

/// Number of concurrent callers.
const CALLERS: usize = 8;
/// Number of acknowledged writes before the kill.
const WRITES: usize = 100;

/// Receives the id and the text of each acknowledged write.
type Acked = UnboundedSender<(i64, String)>;

/// Creates users until a call fails.
async fn write_users(address: SocketAddr, caller: usize, acked: Acked) {
    let mut users = users_at(address);
    for n in 0.. {
        let Ok(user) = create_user(&mut users, &format!("user{caller}-{n}")).await else {
            break;
        };
        let _ = acked.send((user.id, user.nickname));
    }
}

/// Creates posts until a call fails.
async fn write_posts(address: SocketAddr, caller: usize, author: i64, acked: Acked) {
    let mut posts = posts_at(address);
    for n in 0.. {
        let body = format!("post{caller}-{n}");
        let Ok(post) = create_post(&mut posts, author, &body).await else {
            break;
        };
        let _ = acked.send((post.id, post.body));
    }
}

/// Kills `service` after `WRITES` acknowledged writes, and returns all acknowledged writes.
async fn kill_in_mid_write(
    service: Process,
    mut acked: UnboundedReceiver<(i64, String)>,
) -> Vec<(i64, String)> {
    let mut acknowledged = Vec::new();
    within_timeout(acked.recv_many(&mut acknowledged, 1)).await;
    while acknowledged.len() < WRITES {
        within_timeout(acked.recv_many(&mut acknowledged, WRITES)).await;
    }

    service.signal("KILL");
    let run = service.end().await;
    while within_timeout(acked.recv_many(&mut acknowledged, WRITES)).await > 0 {}

    assert_eq!(run.code, None, "{run:?}");
    acknowledged
}

#[tokio::test]
async fn killed_user_service_keeps_all_acknowledged_writes() {
    let dir = TestDir::migrated().await;
    let mut service = user_service(&dir);
    let address = service.serving().await;
    let (sender, acked) = unbounded_channel();
    for caller in 0..CALLERS {
        tokio::spawn(write_users(address, caller, sender.clone()));
    }
    drop(sender);

    let acknowledged = kill_in_mid_write(service, acked).await;
    let again = user_service(&dir).serving().await;

    assert_ne!(again.port(), 0);
    assert_stored(&dir, "users", "nickname", &acknowledged).await;
    assert_sound(&dir).await;
}

#[tokio::test]
async fn killed_post_service_keeps_acknowledged_writes_and_spares_user_service() {
    let dir = TestDir::migrated().await;
    let mut users = user_service(&dir);
    let users_address = users.serving().await;
    let author = create_user(&mut users_at(users_address), "author").await;
    let mut service = post_service(&dir, users_address, &[]);
    let address = service.serving().await;
    let (sender, acked) = unbounded_channel();
    for caller in 0..CALLERS {
        let acked = sender.clone();
        let author = author.as_ref().unwrap().id;
        tokio::spawn(write_posts(address, caller, author, acked));
    }
    drop(sender);

    let acknowledged = kill_in_mid_write(service, acked).await;
    let written = create_user(&mut users_at(users_address), "susan").await;
    let mut again = post_service(&dir, users_address, &[]);
    let again = posts_at(again.serving().await);

    assert!(written.is_ok(), "{written:?}");
    let (author, mut again) = (author.unwrap().id, again);
    assert!(create_post(&mut again, author, "after").await.is_ok());
    assert_stored(&dir, "posts", "body", &acknowledged).await;
    assert_sound(&dir).await;
}
