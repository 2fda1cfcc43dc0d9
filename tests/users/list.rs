//! `ListUsers`: orders, filters, sizes and tokens. `pagination_property` tests pages while users
//! change.

use proto::user::v1::{ListUsersRequest, Role, User, user_mutation::Mutation};

use super::{assert_violation, commit, named, nicknames, user};
use crate::support::System;

fn in_order(order_by: &str) -> ListUsersRequest {
    ListUsersRequest {
        order_by: order_by.into(),
        ..ListUsersRequest::default()
    }
}

/// Creates four users, two of them administrators. Each order lists them differently.
async fn create_four(system: &System) {
    let four = [
        ("bob", "d@example.com", Role::Admin),
        ("Dave", "A@example.com", Role::User),
        ("Alice", "c@example.com", Role::Admin),
        ("carol", "B@example.com", Role::User),
    ];
    let create = four.map(|(nickname, email, role)| {
        Mutation::Create(User {
            role: role.into(),
            ..user(nickname, email)
        })
    });
    system.commit(commit(create)).await.unwrap();
}

#[tokio::test]
async fn users_are_listed_in_the_requested_order() {
    let system = System::start().await;
    create_four(&system).await;
    let by_id = ["bob", "Dave", "Alice", "carol"];
    let by_nickname = ["Alice", "bob", "carol", "Dave"];
    let by_email = ["Dave", "carol", "Alice", "bob"];

    for (order, expected) in [
        ("", by_id),
        ("id", by_id),
        ("create_time", by_id),
        ("create_time, nickname desc", by_id),
        ("nickname", by_nickname),
        (" nickname , email desc", by_nickname),
        ("email", by_email),
        ("email,id desc", by_email),
    ] {
        let list = system.list(in_order(order)).await.unwrap();
        assert_eq!(nicknames(&list.users), expected, "{order}");
    }
    for (order, mut expected) in [
        ("id desc", by_id),
        ("create_time desc, nickname", by_id),
        // In reverse alphabetical order.
        ("nickname desc", by_nickname),
        ("email desc", by_email),
    ] {
        let list = system.list(in_order(order)).await.unwrap();
        expected.reverse();
        assert_eq!(nicknames(&list.users), expected, "{order}");
    }
}

#[tokio::test]
async fn users_of_one_role_are_listed_in_every_order() {
    let system = System::start().await;
    create_four(&system).await;

    for (order, admins, others) in [
        ("id", ["bob", "Alice"], ["Dave", "carol"]),
        ("create_time", ["bob", "Alice"], ["Dave", "carol"]),
        ("nickname", ["Alice", "bob"], ["carol", "Dave"]),
        ("email", ["Alice", "bob"], ["Dave", "carol"]),
    ] {
        for (role, mut expected) in [(Role::Admin, admins), (Role::User, others)] {
            for direction in ["", " desc"] {
                let list = system
                    .list(ListUsersRequest {
                        role: role.into(),
                        ..in_order(&format!("{order}{direction}"))
                    })
                    .await
                    .unwrap();

                assert_eq!(
                    nicknames(&list.users),
                    expected,
                    "{order}{direction} {role:?}"
                );
                expected.reverse();
            }
        }
    }
}

#[tokio::test]
async fn text_sorts_by_code_point() {
    let system = System::start().await;
    for nickname in ["émile", "Zoe", "anna", "1", "😀", "Ω"] {
        system.create_user(nickname).await.unwrap();
    }

    let list = system.list(in_order("nickname")).await.unwrap();

    assert_eq!(
        nicknames(&list.users),
        ["1", "anna", "Zoe", "émile", "Ω", "😀"]
    );
}

#[tokio::test]
async fn extreme_sort_keys_are_listed_in_every_order() {
    let system = System::start().await;
    for (nickname, email) in [
        ("!", "!@example.com"),
        ("\u{2fa1d}", "\u{10fffd}@example.com"),
        ("m", "\u{10ffff}@example.com"),
    ] {
        // Only addresses that the service accepts can be listed.
        let _ = system.create(user(nickname, email)).await;
    }
    let count = system.stored().await.len();

    for order in ["nickname", "nickname desc", "email", "email desc"] {
        let list = system.list(in_order(order)).await.unwrap();

        assert_eq!(list.users.len(), count, "{order}");
    }
}

#[tokio::test]
async fn users_on_all_pages_are_counted_on_request_only() {
    let system = System::start().await;
    create_four(&system).await;
    let counted = |role: Role| ListUsersRequest {
        page_size: 1,
        role: role.into(),
        return_total_size: true,
        ..ListUsersRequest::default()
    };

    let uncounted = system.list(in_order("id")).await.unwrap();
    let all = system.list(counted(Role::Unspecified)).await.unwrap();
    let second = system
        .list(ListUsersRequest {
            page_token: all.next_page_token,
            ..counted(Role::Unspecified)
        })
        .await
        .unwrap();
    let admins = system.list(counted(Role::Admin)).await.unwrap();

    assert_eq!(uncounted.total_size, None);
    assert_eq!(all.total_size, Some(4));
    assert_eq!(second.total_size, Some(4));
    assert_eq!(admins.total_size, Some(2));
    assert_eq!(admins.users.len(), 1);
}

#[tokio::test]
async fn a_list_without_users_is_one_empty_page() {
    let system = System::start().await;

    let list = system
        .list(ListUsersRequest {
            return_total_size: true,
            ..in_order("nickname desc")
        })
        .await
        .unwrap();

    assert_eq!(list.users, []);
    assert_eq!(list.next_page_token, "");
    assert_eq!(list.total_size, Some(0));
}

#[tokio::test]
async fn a_page_has_50_users_by_default_and_at_most_1000() {
    let system = System::start().await;
    system
        .create_all((0..1000).map(|n| format!("user{n}")))
        .await;
    system.create(named("last")).await.unwrap();

    for (asked, given) in [
        (0, 50),
        (1, 1),
        (1000, 1000),
        (1001, 1000),
        (i32::MAX, 1000),
    ] {
        let list = system
            .list(ListUsersRequest {
                page_size: asked,
                ..ListUsersRequest::default()
            })
            .await
            .unwrap();

        assert_eq!(list.users.len(), given, "{asked}");
        assert_ne!(list.next_page_token, "");
    }
}

#[tokio::test]
async fn a_full_last_page_has_no_token() {
    let system = System::start().await;
    create_four(&system).await;
    let two = |page_token| ListUsersRequest {
        page_size: 2,
        page_token,
        ..ListUsersRequest::default()
    };

    let first = system.list(two(String::new())).await.unwrap();
    let second = system.list(two(first.next_page_token)).await.unwrap();

    assert_eq!(nicknames(&second.users), ["Alice", "carol"]);
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn each_page_can_have_another_size() {
    let system = System::start().await;
    create_four(&system).await;
    let page = |page_size, page_token| ListUsersRequest {
        page_size,
        page_token,
        ..in_order("nickname desc")
    };

    let first = system.list(page(1, String::new())).await.unwrap();
    let second = system
        .list(page(1000, first.next_page_token))
        .await
        .unwrap();

    assert_eq!(nicknames(&first.users), ["Dave"]);
    assert_eq!(nicknames(&second.users), ["carol", "bob", "Alice"]);
}

#[tokio::test]
async fn a_token_is_rejected_for_another_list() {
    let system = System::start().await;
    create_four(&system).await;
    let list = ListUsersRequest {
        page_size: 1,
        ..in_order("nickname")
    };
    let page_token = system.list(list.clone()).await.unwrap().next_page_token;
    let next = ListUsersRequest { page_token, ..list };
    assert!(system.list(next.clone()).await.is_ok());
    let ordered = |order: &str| ListUsersRequest {
        order_by: order.into(),
        ..next.clone()
    };

    for other in [
        ordered("nickname desc"),
        ordered("email"),
        ordered("id"),
        ordered(""),
        ordered("nickname, email"),
        ListUsersRequest {
            role: Role::User.into(),
            ..next.clone()
        },
        ListUsersRequest {
            return_total_size: true,
            ..next.clone()
        },
    ] {
        let status = system.list(other).await.unwrap_err();

        assert_violation(&status, "INVALID_PAGE_TOKEN", "page_token");
    }
}

#[tokio::test]
async fn a_truncated_or_forged_token_is_rejected() {
    let system = System::start().await;
    create_four(&system).await;
    let list = ListUsersRequest {
        page_size: 1,
        ..ListUsersRequest::default()
    };
    let token = system.list(list.clone()).await.unwrap().next_page_token;
    let mut other = token.clone();
    let end = other.pop().unwrap();
    other.push(if end == 'A' { 'B' } else { 'A' });

    for forged in [
        &token[..token.len() - 1],
        &token[..1],
        &token[1..],
        &other,
        &format!("{token}A"),
        &format!("{token}{token}"),
        &format!(" {token}"),
        "1",
        "x' or '1' = '1",
        "\u{0}",
        &"A".repeat(100_000),
    ] {
        let status = system
            .list(ListUsersRequest {
                page_token: forged.into(),
                ..list.clone()
            })
            .await
            .unwrap_err();

        assert_violation(&status, "INVALID_PAGE_TOKEN", "page_token");
    }
}
