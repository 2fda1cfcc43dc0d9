//! `CommitUsers`.

use proto::user::v1::{CommitUsersRequest, Role, UpdateUserRequest, User, user_mutation::Mutation};
use tonic::Code;

use super::{assert_refused, commit, delete, metadata, named, update, user};
use crate::support::System;

fn rename(user: &User, nickname: &str) -> Mutation {
    let renamed = User {
        nickname: nickname.into(),
        ..user.clone()
    };
    Mutation::Update(update(
        User {
            etag: String::new(),
            ..renamed
        },
        &["nickname"],
    ))
}

#[tokio::test]
async fn mixed_mutations_are_executed_and_returned_in_order() {
    let system = System::start().await;
    let users = system.create_all(["susan", "john"]).await;

    let results = system
        .commit(commit([
            Mutation::Delete(delete(users[0].id)),
            Mutation::Create(named("carol")),
            rename(&users[1], "jack"),
        ]))
        .await
        .unwrap();

    let [None, Some(carol), Some(jack)] = results.as_slice() else {
        panic!("{results:?}");
    };
    assert_eq!(&system.get(carol.id).await.unwrap(), carol);
    assert_eq!(&system.get(jack.id).await.unwrap(), jack);
    assert_eq!(
        (carol.nickname.as_str(), jack.nickname.as_str()),
        ("carol", "jack")
    );
    assert!(system.get(users[0].id).await.is_err());
}

#[tokio::test]
async fn each_mutation_sees_the_mutations_before_it() {
    let system = System::start().await;
    let users = system.create_all(["susan", "john"]).await;

    // In any other order, two users would have the same nickname.
    let results = system
        .commit(commit([
            rename(&users[0], "missing"),
            rename(&users[1], "susan"),
            rename(&users[0], "john"),
            Mutation::Delete(delete(users[1].id)),
            Mutation::Create(user("susan", "john@example.com")),
        ]))
        .await
        .unwrap();

    assert_eq!(results.len(), 5);
    let stored = system.query("select nickname from users order by id").await;
    assert_eq!(stored, ["john", "susan"]);
}

#[tokio::test]
async fn an_etag_is_compared_after_the_mutations_before_it() {
    let system = System::start().await;
    let susan = system.create(named("susan")).await.unwrap();
    let before = system.stored().await;
    let guarded = update(
        User {
            nickname: "suzan".into(),
            ..susan.clone()
        },
        &["nickname"],
    );

    let status = system
        .commit(commit([rename(&susan, "sue"), Mutation::Update(guarded)]))
        .await
        .unwrap_err();

    assert_refused(&status, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(metadata(&status, "mutation_index"), Some("1".into()));
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn a_failed_mutation_rolls_back_all_and_is_named_by_index() {
    let system = System::start().await;
    let users = system.create_all(["susan", "john", "author"]).await;
    system.post_by(&users[2]).await;
    let before = system.stored().await;
    let missing = User {
        id: i64::MAX,
        ..named("missing")
    };

    for (failing, code, reason) in [
        (
            Mutation::Create(user("JOHN", "other@example.com")),
            Code::AlreadyExists,
            "NICKNAME_TAKEN",
        ),
        (
            Mutation::Create(user("other", "JOHN@example.com")),
            Code::AlreadyExists,
            "EMAIL_TAKEN",
        ),
        // It conflicts with another mutation of the commit.
        (
            Mutation::Create(user("CAROL", "other@example.com")),
            Code::AlreadyExists,
            "NICKNAME_TAKEN",
        ),
        (
            rename(&users[1], "carol"),
            Code::AlreadyExists,
            "NICKNAME_TAKEN",
        ),
        (rename(&missing, "other"), Code::NotFound, "USER_NOT_FOUND"),
        (
            Mutation::Delete(delete(users[0].id)),
            Code::NotFound,
            "USER_NOT_FOUND",
        ),
        (
            Mutation::Delete(delete(users[2].id)),
            Code::FailedPrecondition,
            "USER_HAS_POSTS",
        ),
    ] {
        let request = commit([
            Mutation::Delete(delete(users[0].id)),
            Mutation::Create(named("carol")),
            failing,
            Mutation::Create(named("dave")),
        ]);
        let only_validated = CommitUsersRequest {
            validate_only: true,
            ..request.clone()
        };
        for request in [request, only_validated] {
            let status = system.commit(request).await.unwrap_err();

            assert_refused(&status, code, reason);
            assert_eq!(metadata(&status, "mutation_index"), Some("2".into()));
            assert_eq!(system.stored().await, before);
        }
    }
}

#[tokio::test]
async fn a_missing_user_does_not_fail_a_commit_if_allowed() {
    let system = System::start().await;
    let mut deletion = delete(7);
    deletion.allow_missing = true;

    let results = system
        .commit(commit([
            Mutation::Delete(deletion),
            Mutation::Create(named("susan")),
        ]))
        .await
        .unwrap();

    assert_eq!(
        results.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, true]
    );
}

#[tokio::test]
async fn a_dry_run_returns_results_and_stores_nothing() {
    let system = System::start().await;
    let users = system.create_all(["susan", "john"]).await;
    let before = system.stored().await;
    let changes = commit([
        Mutation::Delete(delete(users[0].id)),
        Mutation::Create(user("Susan", "susan@example.com")),
        Mutation::Update(UpdateUserRequest {
            user: Some(User {
                id: users[1].id,
                role: Role::Admin.into(),
                ..User::default()
            }),
            ..UpdateUserRequest::default()
        }),
    ]);

    let results = system
        .commit(CommitUsersRequest {
            validate_only: true,
            ..changes
        })
        .await
        .unwrap();

    let [None, Some(susan), Some(john)] = results.as_slice() else {
        panic!("{results:?}");
    };
    assert_eq!((susan.id, susan.nickname.as_str()), (0, "Susan"));
    assert_eq!((john.id, john.role()), (users[1].id, Role::Admin));
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn a_thousand_mutations_are_committed_together() {
    let system = System::start().await;

    let users = system
        .create_all((0..1000).map(|n| format!("user{n}")))
        .await;

    assert!(users.is_sorted_by_key(|user| user.id));
    assert_eq!(system.stored().await.len(), 1000);
}
