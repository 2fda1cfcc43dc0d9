//! `PurgeUsers`.

use proto::user::v1::{
    PurgeUsersRequest, PurgeUsersResponse, Role, User, purge_users_request::Selection,
    user_mutation::Mutation,
};
use tonic::{Code, Status};

use super::{assert_refused, commit, named};
use crate::support::System;

async fn purge(
    system: &System,
    selection: Selection,
    force: bool,
) -> Result<PurgeUsersResponse, Status> {
    let request = PurgeUsersRequest {
        selection: Some(selection),
        force,
    };
    Ok(system.users().purge_users(request).await?.into_inner())
}

fn of_role(role: Role) -> Selection {
    Selection::Role(role.into())
}

/// Creates two ordinary users, and an administrator between them.
async fn create_three(system: &System) -> Vec<User> {
    let create = |(name, role): (&str, Role)| {
        Mutation::Create(User {
            role: role.into(),
            ..named(name)
        })
    };
    let three = [("a", Role::User), ("b", Role::Admin), ("c", Role::User)];
    let users = system.commit(commit(three.map(create))).await.unwrap();
    users.into_iter().map(Option::unwrap).collect()
}

#[tokio::test]
async fn a_preview_names_the_users_and_deletes_none() {
    let system = System::start().await;
    let ids: Vec<_> = create_three(&system).await.iter().map(|u| u.id).collect();
    let before = system.stored().await;

    for (selection, expected) in [
        (Selection::All(true), ids.clone()),
        (of_role(Role::User), vec![ids[0], ids[2]]),
        (of_role(Role::Admin), vec![ids[1]]),
    ] {
        let preview = purge(&system, selection, false).await.unwrap();

        assert_eq!(preview.purge_count, i64::try_from(expected.len()).unwrap());
        assert_eq!(preview.purge_sample, expected);
    }
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn a_preview_names_the_100_lowest_ids() {
    let system = System::start().await;
    let users = system
        .create_all((0..101).map(|n| format!("user{n}")))
        .await;

    let preview = purge(&system, Selection::All(true), false).await.unwrap();

    assert_eq!(preview.purge_count, 101);
    assert!(
        preview
            .purge_sample
            .iter()
            .eq(users[..100].iter().map(|user| &user.id))
    );
}

#[tokio::test]
async fn a_forced_purge_deletes_only_the_selected_users() {
    for (selection, left) in [
        (Selection::All(true), &[][..]),
        (of_role(Role::User), &["b"]),
        (of_role(Role::Admin), &["a", "c"]),
    ] {
        let system = System::start().await;
        create_three(&system).await;

        let purged = purge(&system, selection, true).await.unwrap();

        assert_eq!(purged.purge_count, 3 - i64::try_from(left.len()).unwrap());
        assert_eq!(purged.purge_sample, [0; 0]);
        assert_eq!(system.query("select nickname from users").await, left);
    }
}

#[tokio::test]
async fn a_purge_deletes_none_if_one_user_has_posts() {
    let system = System::start().await;
    let users = create_three(&system).await;
    system.post_by(&users[2]).await;
    let before = system.stored().await;

    for selection in [Selection::All(true), of_role(Role::User)] {
        let status = purge(&system, selection, true).await.unwrap_err();

        assert_refused(&status, Code::FailedPrecondition, "USER_HAS_POSTS");
        assert_eq!(system.stored().await, before);
    }
    let purged = purge(&system, of_role(Role::Admin), true).await.unwrap();
    assert_eq!(purged.purge_count, 1);
}
