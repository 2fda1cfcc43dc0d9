//! `ListPosts`.

use proto::post::v1::{ListPostsRequest, Post, PostView};

use super::{assert_violation, bodies, delete, draft, rewrite, system_fixture::SystemFixture};

/// Every valid order, and whether it lists the newest post first.
pub const ORDERS: [(&str, bool); 7] = [
    ("", true),
    ("create_time desc", true),
    ("id desc", true),
    ("  create_time   desc ", true),
    ("create_time", false),
    ("id", false),
    (" id ", false),
];

/// Starts a system with four posts. The second and the third are john's.
async fn with_four() -> SystemFixture {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["1"]).await;
    fixture.posts.create_all(fixture.john, ["2", "3"]).await;
    fixture.posts.create_all(fixture.susan, ["4"]).await;
    fixture
}

fn in_order(order_by: &str) -> ListPostsRequest {
    ListPostsRequest {
        order_by: order_by.into(),
        ..ListPostsRequest::default()
    }
}

#[tokio::test]
async fn posts_are_listed_in_every_order_and_newest_first_by_default() {
    let fixture = with_four().await;

    for (order, newest_first) in ORDERS {
        for (author_id, mut expected) in [
            (None, vec!["1", "2", "3", "4"]),
            (Some(fixture.susan), vec!["1", "4"]),
            (Some(fixture.john), vec!["2", "3"]),
            // A missing author has no posts.
            (Some(99), vec![]),
            (Some(i64::MAX), vec![]),
        ] {
            let list = ListPostsRequest {
                author_id,
                return_total_size: true,
                ..in_order(order)
            };
            let listed = fixture.posts.list(list).await.unwrap();

            if newest_first {
                expected.reverse();
            }
            assert_eq!(bodies(&listed.posts), expected, "{order:?} {author_id:?}");
            assert_eq!(listed.next_page_token, "");
            let total = i64::try_from(expected.len()).unwrap();
            assert_eq!(listed.total_size, Some(total));
        }
    }
}

#[tokio::test]
async fn a_cached_first_page_shows_changes_of_every_process() {
    let fixture = with_four().await;
    let first = async |author_id| {
        let list = ListPostsRequest {
            author_id,
            page_size: 3,
            ..ListPostsRequest::default()
        };
        // The first read fills the cache, and the second may use it.
        let read = fixture.posts.list(list.clone()).await.unwrap();
        assert_eq!(fixture.posts.list(list).await.unwrap(), read);
        bodies(&read.posts).join(", ")
    };
    let all_and_susans = async || (first(None).await, first(Some(fixture.susan)).await);

    let before = all_and_susans().await;
    let fifth = fixture
        .posts
        .create(draft(fixture.susan, "5"))
        .await
        .unwrap();
    let created = all_and_susans().await;
    fixture
        .posts
        .update(rewrite(fifth.id, "new 5"))
        .await
        .unwrap();
    let updated = all_and_susans().await;
    fixture.posts.delete(delete(fifth.id)).await.unwrap();
    let deleted = all_and_susans().await;
    // This bypasses the service, as another process does.
    let rewritten = "update posts set body = 'new 4' where body = '4'";
    fixture.system.execute(rewritten).await;
    let elsewhere = all_and_susans().await;
    fixture.system.execute("delete from posts").await;
    let gone = all_and_susans().await;

    let pages = |all: &str, susans: &str| (all.to_owned(), susans.to_owned());
    assert_eq!(before, pages("4, 3, 2", "4, 1"));
    assert_eq!(created, pages("5, 4, 3", "5, 4, 1"));
    assert_eq!(updated, pages("new 5, 4, 3", "new 5, 4, 1"));
    assert_eq!(deleted, before);
    assert_eq!(elsewhere, pages("new 4, 3, 2", "new 4, 1"));
    assert_eq!(gone, pages("", ""));
}

#[tokio::test]
async fn first_pages_of_different_lists_are_cached_separately() {
    let fixture = with_four().await;
    let lists = || {
        let authors = [None, Some(fixture.susan), Some(fixture.john)];
        authors.into_iter().flat_map(|author_id| {
            ORDERS.into_iter().flat_map(move |(order, newest_first)| {
                [1, 2, 50].map(|page_size| {
                    let list = ListPostsRequest {
                        author_id,
                        page_size,
                        ..in_order(order)
                    };
                    (list, newest_first)
                })
            })
        })
    };

    for _ in 0..2 {
        for (list, newest_first) in lists() {
            let listed = fixture.posts.list(list.clone()).await.unwrap();

            let mut expected = match list.author_id {
                None => vec!["1", "2", "3", "4"],
                Some(author) if author == fixture.susan => vec!["1", "4"],
                Some(_) => vec!["2", "3"],
            };
            if newest_first {
                expected.reverse();
            }
            let size = usize::try_from(list.page_size).unwrap();
            let more = expected.len() > size;
            expected.truncate(size);
            assert_eq!(bodies(&listed.posts), expected, "{list:?}");
            assert_eq!(!listed.next_page_token.is_empty(), more, "{list:?}");
        }
    }
}

#[tokio::test]
async fn posts_on_all_pages_are_counted_on_request_only() {
    let fixture = with_four().await;
    let counted = |author_id| ListPostsRequest {
        page_size: 1,
        author_id,
        return_total_size: true,
        ..ListPostsRequest::default()
    };

    let uncounted = fixture.posts.list(in_order("")).await.unwrap();
    let all = fixture.posts.list(counted(None)).await.unwrap();
    let second = fixture
        .posts
        .list(ListPostsRequest {
            page_token: all.next_page_token,
            ..counted(None)
        })
        .await
        .unwrap();
    let his = fixture
        .posts
        .list(counted(Some(fixture.john)))
        .await
        .unwrap();

    assert_eq!(uncounted.total_size, None);
    assert_eq!(all.total_size, Some(4));
    assert_eq!(second.total_size, Some(4));
    assert_eq!(his.total_size, Some(2));
}

#[tokio::test]
async fn a_list_without_posts_is_one_empty_page() {
    let fixture = SystemFixture::start().await;

    let listed = fixture.posts.list(in_order("id")).await.unwrap();

    assert_eq!(listed.posts, []);
    assert_eq!(listed.next_page_token, "");
}

#[tokio::test]
async fn a_page_has_50_posts_by_default_and_at_most_1000() {
    let fixture = SystemFixture::start().await;
    fixture
        .posts
        .create_all(fixture.susan, vec!["x"; 1000])
        .await;
    fixture.posts.create_all(fixture.susan, ["last"]).await;

    for (asked, given) in [
        (0, 50),
        (1, 1),
        (1000, 1000),
        (1001, 1000),
        (i32::MAX, 1000),
    ] {
        for author_id in [None, Some(fixture.susan)] {
            let listed = fixture
                .posts
                .list(ListPostsRequest {
                    page_size: asked,
                    author_id,
                    ..ListPostsRequest::default()
                })
                .await
                .unwrap();

            assert_eq!(listed.posts.len(), given, "{asked}");
            assert_ne!(listed.next_page_token, "");
        }
    }
}

#[tokio::test]
async fn a_full_last_page_has_no_token() {
    let fixture = with_four().await;
    let page = |page_size, page_token| ListPostsRequest {
        page_size,
        page_token,
        ..in_order("id")
    };

    let first = fixture.posts.list(page(1, String::new())).await.unwrap();
    // Each page can have another size.
    let second = fixture.posts.list(page(3, first.next_page_token)).await;

    let second = second.unwrap();
    assert_eq!(bodies(&second.posts), ["2", "3", "4"]);
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn a_token_is_rejected_for_another_list() {
    let fixture = with_four().await;
    let list = ListPostsRequest {
        page_size: 1,
        view: PostView::Basic.into(),
        ..in_order("id")
    };
    let page_token = fixture
        .posts
        .list(list.clone())
        .await
        .unwrap()
        .next_page_token;
    let next = ListPostsRequest { page_token, ..list };
    assert!(fixture.posts.list(next.clone()).await.is_ok());

    for other in [
        ListPostsRequest {
            order_by: "id desc".into(),
            ..next.clone()
        },
        ListPostsRequest {
            order_by: String::new(),
            ..next.clone()
        },
        ListPostsRequest {
            author_id: Some(fixture.john),
            ..next.clone()
        },
        ListPostsRequest {
            view: PostView::Full.into(),
            ..next.clone()
        },
        ListPostsRequest {
            return_total_size: true,
            ..next.clone()
        },
    ] {
        let status = fixture.posts.list(other).await.unwrap_err();

        assert_violation(&status, "INVALID_PAGE_TOKEN", "page_token");
    }
}

#[tokio::test]
async fn a_token_of_another_service_is_rejected() {
    let fixture = with_four().await;
    let list = proto::user::v1::ListUsersRequest {
        page_size: 1,
        ..Default::default()
    };
    let users = fixture.system.users().list_users(list).await.unwrap();

    let status = fixture
        .posts
        .list(ListPostsRequest {
            page_token: users.into_inner().next_page_token,
            ..in_order("id")
        })
        .await
        .unwrap_err();

    assert_violation(&status, "INVALID_PAGE_TOKEN", "page_token");
}

#[tokio::test]
async fn a_truncated_or_forged_token_is_rejected() {
    let fixture = with_four().await;
    let list = ListPostsRequest {
        page_size: 1,
        ..ListPostsRequest::default()
    };
    let token = fixture
        .posts
        .list(list.clone())
        .await
        .unwrap()
        .next_page_token;
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
        let status = fixture
            .posts
            .list(ListPostsRequest {
                page_token: forged.into(),
                ..list.clone()
            })
            .await
            .unwrap_err();

        assert_violation(&status, "INVALID_PAGE_TOKEN", "page_token");
    }
}

#[tokio::test]
async fn every_call_returns_the_same_post() {
    let fixture = with_four().await;

    let listed = fixture.posts.list(in_order("")).await.unwrap();

    for post in listed.posts {
        let got: Post = fixture.posts.get(post.id).await.unwrap();
        assert_eq!(got, post);
    }
}
