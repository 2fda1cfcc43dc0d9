//! The bytes that requests count for towards `MAX_BUFFERED_BYTES`, beside those that they take.

use std::mem::size_of;

use chassis::serving::request_bytes;
use prost::Message;
use prost_types::FieldMask;
use proto::{
    post::v1 as posts,
    user::v1::{self as users, BatchGetUsersRequest, CommitUsersRequest, UpdateUserRequest},
};

const USERS: &str = "/microblog.user.v1.UserService";
const POSTS: &str = "/microblog.post.v1.PostService";

/// Returns the bytes that a message of a method of either service counts for.
fn counted(path: &str, message: &[u8]) -> usize {
    let descriptor_set = if path.starts_with(USERS) {
        users::FILE_DESCRIPTOR_SET
    } else {
        posts::FILE_DESCRIPTOR_SET
    };
    request_bytes(descriptor_set, path, message).unwrap()
}

/// Returns the largest bytes that a `Vec` has allocated: while it grows, it has its previous half,
/// too.
fn vec_bytes<T>(elements: &Vec<T>) -> usize {
    elements.capacity() * size_of::<T>() * 3 / 2
}

fn mask_bytes(mask: Option<&FieldMask>) -> usize {
    mask.map_or(0, |mask| {
        let paths = mask.paths.iter().map(String::capacity).sum::<usize>();
        vec_bytes(&mask.paths) + paths
    })
}

/// Returns a field of a message, which is length-delimited.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut field).unwrap();
    field.extend(content);
    field
}

#[test]
fn empty_mutations_count_for_what_they_take() {
    let message = field(1, &[]).repeat(100_000);

    let decoded = CommitUsersRequest::decode(&*message).unwrap();
    let taken = message.len() + vec_bytes(&decoded.mutations);
    assert!(counted(&format!("{USERS}/CommitUsers"), &message) >= taken);

    let decoded = posts::CommitPostsRequest::decode(&*message).unwrap();
    let taken = message.len() + vec_bytes(&decoded.mutations);
    assert!(counted(&format!("{POSTS}/CommitPosts"), &message) >= taken);
}

#[test]
fn paths_count_for_what_they_take_in_nested_messages() {
    for (paths, updates) in [(100_000, 1), (1, 50_000), (5, 10_000)] {
        let mask = field(1, &[]).repeat(paths);
        let update = field(2, &mask);
        let message = field(1, &field(2, &update)).repeat(updates);

        let decoded = CommitUsersRequest::decode(&*message).unwrap();
        let masks = decoded
            .mutations
            .iter()
            .map(|change| match &change.mutation {
                Some(users::user_mutation::Mutation::Update(update)) => {
                    mask_bytes(update.update_mask.as_ref())
                }
                other => panic!("{other:?}"),
            });
        let taken = message.len() + vec_bytes(&decoded.mutations) + masks.sum::<usize>();
        assert!(counted(&format!("{USERS}/CommitUsers"), &message) >= taken);

        let decoded = posts::CommitPostsRequest::decode(&*message).unwrap();
        let masks = decoded
            .mutations
            .iter()
            .map(|change| match &change.mutation {
                Some(posts::post_mutation::Mutation::Update(update)) => {
                    mask_bytes(update.update_mask.as_ref())
                }
                other => panic!("{other:?}"),
            });
        let taken = message.len() + vec_bytes(&decoded.mutations) + masks.sum::<usize>();
        assert!(counted(&format!("{POSTS}/CommitPosts"), &message) >= taken);

        let decoded = UpdateUserRequest::decode(&*update).unwrap();
        let taken = update.len() + mask_bytes(decoded.update_mask.as_ref());
        assert!(counted(&format!("{USERS}/UpdateUser"), &update) >= taken);
    }
}

#[test]
fn packed_ids_count_for_what_they_take() {
    let message = field(1, &vec![1; 100_000]);

    let decoded = BatchGetUsersRequest::decode(&*message).unwrap();

    assert_eq!(decoded.ids.len(), 100_000);
    let taken = message.len() + vec_bytes(&decoded.ids);
    assert!(counted(&format!("{USERS}/BatchGetUsers"), &message) >= taken);
}

#[test]
fn the_largest_valid_requests_fit_the_default_limits() {
    // A connection gets 16 MiB.
    let limit = 8 << 20;
    let user = users::User {
        nickname: "n".repeat(50),
        email: "e".repeat(250),
        ..users::User::default()
    };
    let create = users::UserMutation {
        mutation: Some(users::user_mutation::Mutation::Create(user)),
    };
    let commit = CommitUsersRequest {
        mutations: vec![create; 1000],
        ..CommitUsersRequest::default()
    };
    let batch = BatchGetUsersRequest {
        ids: (i64::MAX - 999..=i64::MAX).collect(),
        ..BatchGetUsersRequest::default()
    };

    assert!(counted(&format!("{USERS}/CommitUsers"), &commit.encode_to_vec()) < limit);
    assert!(counted(&format!("{USERS}/BatchGetUsers"), &batch.encode_to_vec()) < limit);
}
