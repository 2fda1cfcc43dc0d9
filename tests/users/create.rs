//! `CreateUser`.

use futures::future::join_all;
use proto::user::v1::{CreateUserRequest, Role, User};
use tonic::Code;

use super::{assert_invalid, assert_refused, delete, named, update, user};
use crate::support::System;

fn only_validate(user: User) -> CreateUserRequest {
    CreateUserRequest {
        user: Some(user),
        validate_only: true,
        ..CreateUserRequest::default()
    }
}

#[tokio::test]
async fn a_created_user_is_returned_as_stored() {
    let system = System::start().await;

    let created = system
        .create(user("Susan", "Susan@Example.com"))
        .await
        .unwrap();

    assert!(created.id > 0);
    assert_eq!(created.nickname, "Susan");
    assert_eq!(created.email, "Susan@Example.com");
    assert_eq!(created.role(), Role::User);
    assert!(created.create_time.is_some());
    assert_eq!(created.update_time, created.create_time);
    assert_ne!(created.etag, "");
    assert_eq!(system.get(created.id).await.unwrap(), created);
}

#[tokio::test]
async fn a_user_is_created_with_the_requested_role() {
    let system = System::start().await;

    for role in [Role::User, Role::Admin] {
        let created = system
            .create(User {
                role: role.into(),
                ..named(role.as_str_name())
            })
            .await
            .unwrap();

        assert_eq!(created.role(), role);
        assert_eq!(system.get(created.id).await.unwrap().role(), role);
    }
}

#[tokio::test]
async fn output_only_fields_are_ignored() {
    let system = System::start().await;
    let time = prost_types::Timestamp {
        seconds: 1,
        nanos: 1,
    };

    let created = system
        .create(User {
            id: -7,
            create_time: Some(time),
            update_time: Some(time),
            etag: "mine".into(),
            ..named("susan")
        })
        .await
        .unwrap();

    assert!(created.id > 0);
    assert_ne!(created.create_time, Some(time));
    assert_ne!(created.update_time, Some(time));
    assert_ne!(created.etag, "mine");
}

#[tokio::test]
async fn white_space_in_a_nickname_is_trimmed_and_collapsed() {
    let system = System::start().await;

    let created = system
        .create(user("  John \u{3000} Doe ", "john@example.com"))
        .await
        .unwrap();

    assert_eq!(created.nickname, "John Doe");
}

#[tokio::test]
async fn the_longest_nickname_and_address_are_accepted() {
    let system = System::start().await;
    let nickname = "😀".repeat(64);
    // 62 code points, which are 64 octets, the maximum before the at sign, and 57 after it.
    let email = format!("{}éé@{}.com", "a".repeat(60), "b".repeat(53));
    assert_eq!(email.chars().count(), 120);

    let created = system.create(user(&nickname, &email)).await.unwrap();

    assert_eq!(created.nickname, nickname);
    assert_eq!(created.email, email);
}

#[tokio::test]
async fn a_nickname_taken_in_another_letter_case_is_rejected() {
    let system = System::start().await;
    for (taken, rejected) in [
        ("Susan", "sUSAN"),
        ("ÉMILE", "e\u{301}mile"),
        ("ｊｏｈｎ", "John"),
    ] {
        system.create_user(taken).await.unwrap();
        let before = system.stored().await;

        let status = system.create_user(rejected).await.unwrap_err();

        assert_refused(&status, Code::AlreadyExists, "NICKNAME_TAKEN");
        assert_eq!(system.stored().await, before);
    }
}

#[tokio::test]
async fn an_address_taken_in_another_letter_case_is_rejected() {
    let system = System::start().await;
    for (number, (taken, rejected)) in [
        ("susan@example.com", "SUSAN@Example.COM"),
        ("straße@example.com", "STRASSE@example.com"),
    ]
    .into_iter()
    .enumerate()
    {
        let first = user(&format!("first {number}"), taken);
        system.create(first).await.unwrap();
        let before = system.stored().await;

        let second = user(&format!("second {number}"), rejected);
        let status = system.create(second).await.unwrap_err();

        assert_refused(&status, Code::AlreadyExists, "EMAIL_TAKEN");
        assert_eq!(system.stored().await, before);
    }
}

#[tokio::test]
async fn released_names_can_be_used_again() {
    let system = System::start().await;
    let renamed = system.create(named("susan")).await.unwrap();
    let change = User {
        id: renamed.id,
        ..named("sue")
    };
    system.update(update(change, &[])).await.unwrap();
    let deleted = system.create(named("john")).await.unwrap();
    system.delete(delete(deleted.id)).await.unwrap();

    let again = (
        system.create(named("susan")).await,
        system.create(named("john")).await,
    );

    assert!(again.0.is_ok() && again.1.is_ok(), "{again:?}");
}

#[tokio::test]
async fn an_id_is_never_reused() {
    let system = System::start().await;
    let first = system.create(named("susan")).await.unwrap();
    system.delete(delete(first.id)).await.unwrap();

    let second = system.create(named("susan")).await.unwrap();

    assert!(second.id > first.id);
}

#[tokio::test]
async fn a_dry_run_returns_the_user_without_an_id_and_stores_none() {
    let system = System::start().await;

    let tried = system
        .create_by(only_validate(user("  Susan ", "susan@example.com")))
        .await
        .unwrap();

    assert_eq!(tried.id, 0);
    assert_eq!(tried.nickname, "Susan");
    assert_eq!(tried.role(), Role::User);
    assert!(tried.create_time.is_some());
    assert_eq!(system.stored().await, [""; 0]);
}

#[tokio::test]
async fn a_dry_run_is_rejected_where_the_call_would_be() {
    let system = System::start().await;
    system.create(named("susan")).await.unwrap();
    let before = system.stored().await;

    let nickname = only_validate(user("SUSAN", "other@example.com"));
    let status = system.create_by(nickname).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "NICKNAME_TAKEN");

    let email = only_validate(user("other", "SUSAN@example.com"));
    let status = system.create_by(email).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "EMAIL_TAKEN");

    let invalid = only_validate(user("", "susan"));
    let status = system.create_by(invalid).await.unwrap_err();
    assert_invalid(&status, &["user.nickname", "user.email"]);

    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn one_of_64_concurrent_creations_gets_a_nickname() {
    let system = System::start().await;

    let results = join_all((0..64).map(|_| system.create_user("susan"))).await;

    let rejected: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(rejected.len(), 63);
    for status in rejected {
        assert_refused(status, Code::AlreadyExists, "NICKNAME_TAKEN");
    }
    assert_eq!(system.stored().await.len(), 1);
}

#[tokio::test]
async fn concurrent_creations_get_distinct_ids() {
    let system = System::start().await;

    let created = join_all((0..64).map(|n| system.create(named(&format!("user{n}"))))).await;

    let mut ids: Vec<_> = created.into_iter().map(|user| user.unwrap().id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 64);
    for id in ids {
        assert!(system.get(id).await.is_ok());
    }
}

#[tokio::test]
async fn only_concurrent_creations_with_a_taken_name_are_rejected() {
    let system = System::start().await;
    system.create(named("susan")).await.unwrap();

    let results = join_all((0..64).map(|n| {
        let name = match n % 8 {
            3 => "Susan".to_owned(),
            5 => "twice".to_owned(),
            _ => format!("\u{dc}ser{n}"),
        };
        system.create(user(&name, &format!("user{n}@example.com")))
    }))
    .await;

    let (created, rejected): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((created.len(), rejected.len()), (49, 15));
    for status in rejected {
        assert_refused(&status.unwrap_err(), Code::AlreadyExists, "NICKNAME_TAKEN");
    }
    let mut created: Vec<_> = created.into_iter().map(Result::unwrap).collect();
    created.sort_by_key(|user| user.id);
    assert_eq!(system.stored().await.len(), 50);
    for user in &created {
        assert_eq!(system.get(user.id).await.unwrap(), *user);
    }
    let times: Vec<_> = created
        .iter()
        .map(|user| user.create_time.map(|time| (time.seconds, time.nanos)))
        .collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}
