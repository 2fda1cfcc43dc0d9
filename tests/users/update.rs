//! `UpdateUser`.

use std::time::Duration;

use chassis::process::clock::Clock;
use chrono::DateTime;
use proto::user::v1::{Role, UpdateUserRequest, User};
use tonic::Code;

use super::{assert_invalid, assert_refused, metadata, named, update, user};
use crate::support::System;

/// Returns new values for all updatable fields.
fn changed(id: i64) -> User {
    User {
        id,
        role: Role::Admin.into(),
        ..user("Sue", "sue@example.com")
    }
}

fn only_validate(request: UpdateUserRequest) -> UpdateUserRequest {
    UpdateUserRequest {
        validate_only: true,
        ..request
    }
}

#[tokio::test]
async fn only_the_fields_in_the_mask_are_updated() {
    let system = System::start().await;
    for path in ["nickname", "email", "role"] {
        let before = system.create(named(path)).await.unwrap();
        let new = User {
            nickname: format!("new {path}"),
            email: format!("new.{path}@example.com"),
            ..changed(before.id)
        };

        let after = system.update(update(new.clone(), &[path])).await.unwrap();

        let pick = |field, new, old| if path == field { new } else { old };
        assert_eq!(
            after.nickname,
            pick("nickname", new.nickname, before.nickname)
        );
        assert_eq!(after.email, pick("email", new.email, before.email));
        assert_eq!(
            after.role,
            if path == "role" {
                new.role
            } else {
                before.role
            }
        );
        assert_eq!(system.get(before.id).await.unwrap(), after);
    }
}

#[tokio::test]
async fn a_star_in_the_mask_updates_all_fields() {
    let system = System::start().await;
    let before = system.create(named("susan")).await.unwrap();

    let after = system
        .update(update(changed(before.id), &["*"]))
        .await
        .unwrap();

    assert_eq!(after.nickname, "Sue");
    assert_eq!(after.email, "sue@example.com");
    assert_eq!(after.role(), Role::Admin);
}

#[tokio::test]
async fn a_star_in_the_mask_includes_unset_fields() {
    let system = System::start().await;
    let susan = system.create(named("susan")).await.unwrap();
    let before = system.stored().await;
    let none = User {
        id: susan.id,
        ..User::default()
    };

    let status = system.update(update(none, &["*"])).await.unwrap_err();

    assert_invalid(&status, &["user.nickname", "user.email", "user.role"]);
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn set_fields_are_updated_without_a_mask() {
    let system = System::start().await;
    let before = system.create(named("susan")).await.unwrap();
    let new = User {
        id: before.id,
        role: Role::Admin.into(),
        ..User::default()
    };
    // A mask without paths is equivalent to no mask.
    let empty = UpdateUserRequest {
        update_mask: Some(prost_types::FieldMask::default()),
        ..update(
            User {
                email: "sue@example.com".into(),
                ..new.clone()
            },
            &[],
        )
    };

    let after = system.update(update(new, &[])).await.unwrap();
    let later = system.update(empty).await.unwrap();

    assert_eq!(after.role(), Role::Admin);
    assert_eq!(
        (&after.nickname, &after.email),
        (&before.nickname, &before.email)
    );
    assert_eq!(later.email, "sue@example.com");
    assert_eq!(later.nickname, before.nickname);
}

#[tokio::test]
async fn an_update_changes_the_etag_and_the_update_time() {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let system = System::at(clock.clone()).await;
    let before = system.create(named("susan")).await.unwrap();
    clock.advance(Duration::from_secs(7));

    let after = system
        .update(update(changed(before.id), &["role"]))
        .await
        .unwrap();

    assert_ne!(after.etag, before.etag);
    assert_eq!(after.create_time, before.create_time);
    let seconds = after.update_time.unwrap().seconds - before.update_time.unwrap().seconds;
    assert_eq!(seconds, 7);
}

#[tokio::test]
async fn an_update_to_the_same_values_changes_nothing() {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let system = System::at(clock.clone()).await;
    let susan = system.create(named("susan")).await.unwrap();
    let before = system.stored().await;
    clock.advance(Duration::from_secs(7));

    for paths in [&["*"][..], &["nickname"], &[]] {
        let after = system.update(update(susan.clone(), paths)).await.unwrap();

        assert_eq!(after, susan);
    }
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn an_update_can_change_only_the_letter_case_of_names() {
    let system = System::start().await;
    let before = system.create(named("susan")).await.unwrap();
    let new = User {
        id: before.id,
        ..user("SUSAN", "SUSAN@example.com")
    };

    let after = system.update(update(new, &[])).await.unwrap();

    assert_eq!(
        (after.nickname.as_str(), after.email.as_str()),
        ("SUSAN", "SUSAN@example.com")
    );
    assert_ne!(after.etag, before.etag);
}

#[tokio::test]
async fn names_of_other_users_are_rejected_in_any_letter_case() {
    let system = System::start().await;
    system.create(named("susan")).await.unwrap();
    let john = system.create(named("john")).await.unwrap();
    let before = system.stored().await;
    let new = User {
        id: john.id,
        ..user("SUSAN", "SUSAN@example.com")
    };

    for (path, reason) in [("nickname", "NICKNAME_TAKEN"), ("email", "EMAIL_TAKEN")] {
        let request = update(new.clone(), &[path]);
        for request in [request.clone(), only_validate(request)] {
            let status = system.update(request).await.unwrap_err();

            assert_refused(&status, Code::AlreadyExists, reason);
        }
    }
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn updating_a_missing_user_fails() {
    let system = System::start().await;
    let request = update(changed(7), &[]);

    for request in [request.clone(), only_validate(request)] {
        let status = system.update(request).await.unwrap_err();

        assert_refused(&status, Code::NotFound, "USER_NOT_FOUND");
    }
    assert_eq!(system.stored().await, [""; 0]);
}

#[tokio::test]
async fn an_etag_from_before_a_restore_does_not_match_other_content() {
    let system = System::start().await;
    let before = system.create(named("susan")).await.unwrap();
    // Simulate the restore of a backup without the user.
    let database = system.database();
    database.execute("delete from users").await;
    database.restart_ids("users", before.id - 1).await;
    let after = system.create(named("john")).await.unwrap();
    assert_eq!(after.id, before.id);

    let stale = User {
        etag: before.etag,
        ..changed(after.id)
    };
    let status = system.update(update(stale, &[])).await.unwrap_err();

    assert_refused(&status, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(system.get(after.id).await.unwrap(), after);
}

#[tokio::test]
async fn an_update_with_a_stale_etag_is_rejected() {
    let system = System::start().await;
    let first = system.create(named("susan")).await.unwrap();
    let guarded = |etag: &str| {
        let user = User {
            etag: etag.into(),
            ..changed(first.id)
        };
        update(user, &["nickname"])
    };
    let second = system.update(guarded(&first.etag)).await.unwrap();
    let before = system.stored().await;

    for etag in [&first.etag, "never given out"] {
        for request in [guarded(etag), only_validate(guarded(etag))] {
            let status = system.update(request).await.unwrap_err();

            assert_refused(&status, Code::Aborted, "ETAG_MISMATCH");
            assert_eq!(metadata(&status, "etag"), Some(second.etag.clone()));
        }
    }
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn a_dry_run_update_is_returned_and_not_stored() {
    let system = System::start().await;
    let susan = system.create(named("susan")).await.unwrap();
    let before = system.stored().await;

    let tried = system
        .update(only_validate(update(changed(susan.id), &["*"])))
        .await
        .unwrap();

    assert_eq!((tried.id, tried.nickname.as_str()), (susan.id, "Sue"));
    assert_eq!(tried.role(), Role::Admin);
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn output_only_fields_are_not_updated() {
    let system = System::start().await;
    let before = system.create(named("susan")).await.unwrap();
    let time = prost_types::Timestamp {
        seconds: 1,
        nanos: 1,
    };
    let new = User {
        create_time: Some(time),
        update_time: Some(time),
        ..changed(before.id)
    };

    let after = system.update(update(new, &["*"])).await.unwrap();

    assert_eq!(after.create_time, before.create_time);
    assert_ne!(after.update_time, Some(time));
}
