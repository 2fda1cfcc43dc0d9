//! Reads by id return the last committed state of a user, even after earlier reads.

use futures::future::join_all;
use proto::user::v1::{
    BatchGetUsersRequest, PurgeUsersRequest, User, purge_users_request::Selection,
    user_mutation::Mutation,
};
use tonic::Code;

use super::{assert_refused, commit, delete, named, update};
use crate::support::System;

/// Creates users and reads each twice: separately and concurrently.
async fn read_twice(system: &System, count: usize) -> Vec<User> {
    let created = join_all((0..count).map(|n| system.create(named(&format!("user{n}"))))).await;
    let users: Vec<_> = created.into_iter().map(Result::unwrap).collect();
    for user in users.iter().chain(&users) {
        assert_eq!(system.get(user.id).await.unwrap(), *user);
    }
    for _ in 0..2 {
        assert_eq!(read_concurrently(system, &users).await, users);
    }
    users
}

async fn read_concurrently(system: &System, users: &[User]) -> Vec<User> {
    let request = BatchGetUsersRequest {
        ids: users.iter().map(|user| user.id).collect(),
        allow_missing: true,
    };
    let response = system.users().batch_get_users(request).await.unwrap();
    response.into_inner().users
}

fn renamed(user: &User, nickname: &str) -> User {
    User {
        nickname: nickname.into(),
        etag: String::new(),
        ..user.clone()
    }
}

#[tokio::test]
async fn updates_and_deletions_are_read_immediately() {
    let system = System::start().await;
    let users = read_twice(&system, 3).await;

    let request = update(renamed(&users[0], "sue"), &["nickname"]);
    let sue = system.update(request).await.unwrap();
    system.delete(delete(users[1].id)).await.unwrap();

    for _ in 0..2 {
        assert_eq!(system.get(users[0].id).await.unwrap(), sue);
        let gone = system.get(users[1].id).await.unwrap_err();
        assert_refused(&gone, Code::NotFound, "USER_NOT_FOUND");
        let left = [sue.clone(), users[2].clone()];
        assert_eq!(read_concurrently(&system, &users).await, left);
    }
}

#[tokio::test]
async fn rejected_calls_and_dry_runs_change_no_read() {
    let system = System::start().await;
    let users = read_twice(&system, 2).await;

    let mut tried = update(renamed(&users[0], "sue"), &["nickname"]);
    tried.validate_only = true;
    system.update(tried).await.unwrap();
    let taken = update(renamed(&users[0], &users[1].nickname), &["nickname"]);
    let rejected = system.update(taken).await.unwrap_err();

    assert_refused(&rejected, Code::AlreadyExists, "NICKNAME_TAKEN");
    for _ in 0..2 {
        assert_eq!(read_concurrently(&system, &users).await, users);
        assert_eq!(system.get(users[0].id).await.unwrap(), users[0]);
    }
}

#[tokio::test]
async fn a_commit_is_read_immediately() {
    let system = System::start().await;
    let users = read_twice(&system, 3).await;
    let mutations = [
        Mutation::Update(update(renamed(&users[0], "sue"), &["nickname"])),
        Mutation::Delete(delete(users[1].id)),
    ];

    let results = system.commit(commit(mutations)).await.unwrap();

    let sue = results[0].clone().unwrap();
    assert_eq!(system.get(users[0].id).await.unwrap(), sue);
    assert_eq!(
        read_concurrently(&system, &users).await,
        [sue, users[2].clone()]
    );
}

#[tokio::test]
async fn a_purge_is_read_immediately() {
    let system = System::start().await;
    let users = read_twice(&system, 3).await;

    let request = PurgeUsersRequest {
        selection: Some(Selection::All(true)),
        force: true,
    };
    let purged = system.users().purge_users(request).await.unwrap();

    assert_eq!(purged.into_inner().purge_count, 3);
    assert_eq!(read_concurrently(&system, &users).await, []);
}

#[tokio::test]
async fn no_read_is_older_than_an_acknowledged_write() {
    let system = System::start().await;
    let users = read_twice(&system, 4).await;

    let write = |user: User| {
        let system = &system;
        async move {
            for n in 0..50 {
                let request = update(renamed(&user, &format!("u{}x{n}", user.id)), &["nickname"]);
                let changed = system.update(request).await.unwrap();
                let read = system.get(user.id).await.unwrap();
                assert_eq!(read, changed);
            }
        }
    };
    let read = async {
        let mut seen = users.clone();
        for _ in 0..200 {
            let now = read_concurrently(&system, &users).await;
            for (before, now) in seen.iter().zip(&now) {
                let (before, now) = (revision(before), revision(now));
                assert!(before <= now, "{before}, then {now}");
            }
            seen = now;
        }
    };
    futures::join!(join_all(users.iter().cloned().map(write)), read);
}

/// Returns the revision in the etag of a user.
fn revision(user: &User) -> i64 {
    let (revision, _hash) = user.etag.split_once('-').unwrap();
    revision.parse().unwrap()
}

#[tokio::test]
async fn writes_of_another_process_are_read_immediately() {
    let system = System::start().await;
    let users = read_twice(&system, 2).await;

    system.execute("update users set revision = 9").await;

    for _ in 0..2 {
        assert_eq!(revision(&system.get(users[0].id).await.unwrap()), 9);
        let now = read_concurrently(&system, &users).await;
        assert!(now.iter().all(|user| revision(user) == 9), "{now:?}");
    }
}
