//! `GetUser` and `LookupUser`.

use proto::user::v1::{LookupUserRequest, User, lookup_user_request::Key};
use tonic::{Code, Status};

use super::{assert_refused, metadata, user};
use crate::support::System;

async fn lookup(system: &System, key: Key) -> Result<User, Status> {
    let request = LookupUserRequest { key: Some(key) };
    let response = system.users().lookup_user(request).await?;
    Ok(response.into_inner().user.unwrap())
}

#[tokio::test]
async fn a_missing_id_is_not_found() {
    let system = System::start().await;
    let susan = system.create_user("susan").await.unwrap();

    for id in [susan.id + 1, i64::MAX] {
        let status = system.get(id).await.unwrap_err();

        assert_refused(&status, Code::NotFound, "USER_NOT_FOUND");
        assert_eq!(metadata(&status, "id"), Some(id.to_string()));
    }
}

#[tokio::test]
async fn a_user_is_looked_up_by_nickname_in_any_letter_case() {
    let system = System::start().await;
    let emile = system
        .create(user("Émile Zola", "emile@example.com"))
        .await
        .unwrap();
    system.create_user("emile zola").await.unwrap();

    for nickname in ["Émile Zola", "ÉMILE ZOLA", " e\u{301}mile  zola"] {
        let found = lookup(&system, Key::Nickname(nickname.into())).await;
        assert_eq!(found.unwrap(), emile, "{nickname}");
    }
}

#[tokio::test]
async fn a_user_is_looked_up_by_address_in_any_letter_case() {
    let system = System::start().await;
    let susan = system
        .create(user("susan", "Susan@Example.com"))
        .await
        .unwrap();
    system.create_user("john").await.unwrap();

    for email in [
        "Susan@Example.com",
        "susan@example.com",
        "SUSAN@EXAMPLE.COM",
    ] {
        let found = lookup(&system, Key::Email(email.into())).await;
        assert_eq!(found.unwrap(), susan, "{email}");
    }
}

#[tokio::test]
async fn a_missing_key_is_not_found() {
    let system = System::start().await;
    system
        .create(user("susan", "john@example.com"))
        .await
        .unwrap();

    for key in [
        Key::Nickname("john".into()),
        Key::Nickname("susan%".into()),
        Key::Nickname("' or '1' = '1".into()),
        Key::Email("susan@example.com".into()),
    ] {
        let status = lookup(&system, key).await.unwrap_err();

        assert_refused(&status, Code::NotFound, "USER_NOT_FOUND");
    }
}
