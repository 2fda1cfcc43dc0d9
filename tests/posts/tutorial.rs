//! The steps of the tutorial that this system descends from, as calls.

use proto::{
    post::v1::{ListPostsRequest, PurgePostsRequest, author::State, purge_posts_request},
    user::v1::{
        CommitUsersRequest, GetUserRequest, ListUsersRequest, PurgeUsersRequest, User,
        UserMutation, purge_users_request, user_mutation::Mutation,
    },
};
use tonic::{Code, Status};

use super::{author, bodies, draft, system_fixture::Posts};
use crate::support::{self, System};

const JOHN: (&str, &str) = ("john", "john@example.com");
const SUSAN: (&str, &str) = ("susan", "susan@example.com");

fn user((nickname, email): (&str, &str)) -> User {
    User {
        nickname: nickname.into(),
        email: email.into(),
        ..User::default()
    }
}

/// Creates users in one transaction, as `db.session.add` and `db.session.commit` do.
async fn commit(system: &System, users: &[(&str, &str)]) -> Result<Vec<User>, Status> {
    let mutations = users.iter().map(|&names| UserMutation {
        mutation: Some(Mutation::Create(user(names))),
    });
    let request = CommitUsersRequest {
        mutations: mutations.collect(),
        ..CommitUsersRequest::default()
    };
    let results = system.users().commit_users(request).await?.into_inner();
    let users = results.results.into_iter().map(|result| result.user);
    Ok(users.map(Option::unwrap).collect())
}

async fn nicknames(system: &System, order_by: &str) -> Vec<String> {
    let request = ListUsersRequest {
        order_by: order_by.into(),
        ..ListUsersRequest::default()
    };
    let list = system.users().list_users(request).await.unwrap();
    let users = list.into_inner().users.into_iter();
    users.map(|user| user.nickname).collect()
}

fn posts_of(user: &User) -> ListPostsRequest {
    ListPostsRequest {
        author_id: Some(user.id),
        ..ListPostsRequest::default()
    }
}

async fn delete_users(system: &System) -> Result<i64, Status> {
    let request = PurgeUsersRequest {
        selection: Some(purge_users_request::Selection::All(true)),
        force: true,
    };
    let response = system.users().purge_users(request).await?;
    Ok(response.into_inner().purge_count)
}

async fn delete_posts(posts: &Posts) -> Result<i64, Status> {
    let request = PurgePostsRequest {
        selection: Some(purge_posts_request::Selection::All(true)),
        force: true,
    };
    Ok(posts.purge(request).await?.purge_count)
}

#[tokio::test]
async fn the_calls_of_the_tutorial_succeed() {
    let system = System::start().await;
    let posts = Posts(system.posts().await);

    // Create two users, one after the other.
    let john = commit(&system, &[JOHN]).await.unwrap().remove(0);
    let susan = commit(&system, &[SUSAN]).await.unwrap().remove(0);
    assert_eq!((john.id, susan.id), (1, 2));

    // List all users.
    assert_eq!(nicknames(&system, "").await, ["john", "susan"]);

    // Get a user by id.
    let got = system.users().get_user(GetUserRequest { id: 1 }).await;
    assert_eq!(got.unwrap().into_inner().user, Some(john.clone()));

    // John writes a post.
    let post = posts
        .create(draft(john.id, "my first post!"))
        .await
        .unwrap();
    assert_eq!(post.id, 1);

    // List all posts of John.
    let his = posts.list(posts_of(&john)).await.unwrap().posts;
    assert_eq!(his, [post]);

    // List the author and the body of all posts.
    let all = posts.list(ListPostsRequest::default()).await.unwrap().posts;
    assert_eq!(bodies(&all), ["my first post!"]);
    assert_eq!(all[0].author_id, john.id);
    assert_eq!(all[0].author, Some(author(State::Resolved, "john")));

    // Susan has no posts.
    let hers = posts.list(posts_of(&susan)).await.unwrap().posts;
    assert_eq!(hers, []);

    // List all users in reverse alphabetical order.
    let reversed = nicknames(&system, "nickname desc").await;
    assert_eq!(reversed, ["susan", "john"]);

    // Commit several changes, all or none.
    let carol = ("carol", "carol@example.com");
    let second_fails = [carol, ("SUSAN", "other@example.com")];
    let rolled_back = commit(&system, &second_fails).await.unwrap_err();
    let domain = "microblog.user.v1";
    support::assert_refused(domain, &rolled_back, Code::AlreadyExists, "NICKNAME_TAKEN");
    assert_eq!(nicknames(&system, "").await, ["john", "susan"]);
    let dave = ("dave", "dave@example.com");
    commit(&system, &[carol, dave]).await.unwrap();
    let four = ["carol", "dave", "john", "susan"];
    assert_eq!(nicknames(&system, "nickname").await, four);

    // Delete everything, the posts before their authors.
    let too_early = delete_users(&system).await.unwrap_err();
    support::assert_refused(
        domain,
        &too_early,
        Code::FailedPrecondition,
        "USER_HAS_POSTS",
    );
    assert_eq!(nicknames(&system, "nickname").await, four);
    assert_eq!(delete_posts(&posts).await.unwrap(), 1);
    assert_eq!(delete_users(&system).await.unwrap(), 4);
    assert_eq!(nicknames(&system, "").await, [""; 0]);
}
