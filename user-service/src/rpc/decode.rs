//! Decodes requests to domain types. An error lists all violations of the request.

use std::collections::HashSet;

use chassis::{
    idempotency::WriteOptions,
    serving::{
        etag::Etag,
        pagination::{self, PageSize},
        repeated,
        update_mask::UpdateMask,
        violation::FieldViolations,
    },
};
use proto::user::v1::{
    self, BatchGetUsersRequest, CommitUsersRequest, CreateUserRequest, DeleteUserRequest,
    GetUserRequest, ListUsersRequest, LookupUserRequest, PurgeUsersRequest, UpdateUserRequest,
    UserMutation, lookup_user_request, purge_users_request,
    user_mutation::Mutation as WireMutation,
};
use serde::Serialize;

use crate::{
    error::{Error, reason},
    store::{Cursor, ListQuery},
    user::{
        Email, LookupKey, Mutation, NewUser, Nickname, Order, PurgeFilter, Role, UserDeletion,
        UserId, UserUpdate,
    },
};

/// The updatable fields of a user, as named in an update mask.
const UPDATABLE: [&str; 3] = ["nickname", "email", "role"];

pub(super) fn create(request: CreateUserRequest) -> Result<(NewUser, WriteOptions), Error> {
    let CreateUserRequest {
        user,
        request_id,
        validate_only,
    } = request;
    let mut violations = FieldViolations::new();
    let draft = violations.collect(new_user(user).map_err(|v| v.nested_under("user")));
    let options = WriteOptions::decode(&mut violations, &request_id, validate_only);
    Ok(violations.finish(draft.zip(options))?)
}

pub(super) fn get(request: GetUserRequest) -> Result<UserId, Error> {
    let GetUserRequest { id } = request;
    Ok(UserId::parse(id).map_err(|error| FieldViolations::single("id", error))?)
}

pub(super) fn lookup(request: LookupUserRequest) -> Result<LookupKey, Error> {
    let LookupUserRequest { key } = request;
    let key = match key {
        None => Err(FieldViolations::single(
            "key",
            "it is not set; give a nickname or an email",
        )),
        Some(lookup_user_request::Key::Nickname(nickname)) => Nickname::parse(&nickname)
            .map(LookupKey::Nickname)
            .map_err(|error| FieldViolations::single("nickname", error)),
        Some(lookup_user_request::Key::Email(email)) => Email::parse(&email)
            .map(LookupKey::Email)
            .map_err(|error| FieldViolations::single("email", error)),
    };
    Ok(key?)
}

pub(super) fn batch_get(request: BatchGetUsersRequest) -> Result<(Vec<UserId>, bool), Error> {
    let BatchGetUsersRequest { ids, allow_missing } = request;
    let mut violations = FieldViolations::new();
    let mut seen = HashSet::with_capacity(ids.len());
    let (ids, _) = repeated::decode(&mut violations, "ids", ids, |id| {
        if !seen.insert(id) {
            return Err(FieldViolations::single("", format!("{id} occurs twice")));
        }
        UserId::parse(id).map_err(|error| FieldViolations::single("", error))
    });
    Ok(violations.finish(Some((ids, allow_missing)))?)
}

pub(super) fn list(request: ListUsersRequest) -> Result<ListQuery, Error> {
    let ListUsersRequest {
        page_size,
        page_token,
        order_by,
        role,
        return_total_size,
    } = request;
    let mut violations = FieldViolations::new();
    let size = violations.check("page_size", PageSize::parse(page_size));
    let order =
        violations
            .collect(Order::parse(&order_by).map_err(|error| {
                FieldViolations::with_reason(reason::ORDER_BY, "order_by", error)
            }));
    let role = violations.check("role", wire_role(role));
    let query = match (size, order, role) {
        (Some(size), Some(order), Some(role)) => Some(ListQuery {
            order,
            role,
            size,
            after: None,
            count: return_total_size,
        }),
        _ => None,
    };
    let mut query = violations.finish(query)?;
    if !page_token.is_empty() {
        query.after = Some(cursor(&query, &page_token)?);
    }
    Ok(query)
}

/// Returns the parameters that a page token is bound to. A token is invalid if a request changes
/// one of them.
pub(super) fn page_context(query: &ListQuery) -> impl Serialize {
    ("ListUsers", query.order.clone(), query.role, query.count)
}

fn cursor(query: &ListQuery, token: &str) -> Result<Cursor, FieldViolations> {
    pagination::decode(&page_context(query), token)
        .filter(|cursor: &Cursor| cursor.matches_order(&query.order))
        .ok_or_else(|| {
            FieldViolations::with_reason(
                reason::PAGE_TOKEN,
                "page_token",
                pagination::INVALID_TOKEN,
            )
        })
}

pub(super) fn update(request: UpdateUserRequest) -> Result<(UserUpdate, bool), Error> {
    let validate_only = request.validate_only;
    Ok((user_update(request)?, validate_only))
}

pub(super) fn delete(request: DeleteUserRequest) -> Result<UserDeletion, Error> {
    Ok(deletion(request)?)
}

pub(super) fn commit(request: CommitUsersRequest) -> Result<(Vec<Mutation>, WriteOptions), Error> {
    let CommitUsersRequest {
        mutations,
        request_id,
        validate_only,
    } = request;
    let mut violations = FieldViolations::new();
    let options = WriteOptions::decode(&mut violations, &request_id, validate_only);
    let (parsed, first_wrong) = repeated::decode(&mut violations, "mutations", mutations, mutation);
    violations
        .finish(Some(parsed).zip(options))
        .map_err(|violations| {
            let error = Error::Invalid(violations);
            match first_wrong {
                Some(index) => error.at_index(index),
                None => error,
            }
        })
}

pub(super) fn purge(request: PurgeUsersRequest) -> Result<(PurgeFilter, bool), Error> {
    let PurgeUsersRequest { selection, force } = request;
    let filter = match selection {
        None => Err(FieldViolations::single(
            "selection",
            "it is not set; give `all` or a role",
        )),
        Some(purge_users_request::Selection::All(true)) => Ok(PurgeFilter::All),
        Some(purge_users_request::Selection::All(false)) => {
            Err(FieldViolations::single("all", "it must be true"))
        }
        Some(purge_users_request::Selection::Role(role)) => match wire_role(role) {
            Ok(Some(role)) => Ok(PurgeFilter::Role(role)),
            Ok(None) => Err(FieldViolations::single("role", "it is not set")),
            Err(error) => Err(FieldViolations::single("role", error)),
        },
    };
    Ok((filter?, force))
}

fn new_user(user: Option<v1::User>) -> Result<NewUser, FieldViolations> {
    let v1::User {
        nickname,
        email,
        role,
        // Output only.
        id: _,
        create_time: _,
        update_time: _,
        etag: _,
    } = user.ok_or_else(|| FieldViolations::single("", "it is not set"))?;
    let mut violations = FieldViolations::new();
    let nickname = violations.check("nickname", Nickname::parse(&nickname));
    let email = violations.check("email", Email::parse(&email));
    let role = violations.check("role", wire_role(role));
    let draft = match (nickname, email, role) {
        (Some(nickname), Some(email), Some(role)) => Some(NewUser {
            nickname,
            email,
            role: role.unwrap_or(Role::User),
        }),
        _ => None,
    };
    violations.finish(draft)
}

fn user_update(request: UpdateUserRequest) -> Result<UserUpdate, FieldViolations> {
    let UpdateUserRequest {
        user,
        update_mask,
        // A field of the whole request, which the caller of this function reads.
        validate_only: _,
    } = request;
    let v1::User {
        id,
        nickname,
        email,
        role,
        etag,
        // Output only.
        create_time: _,
        update_time: _,
    } = user.ok_or_else(|| FieldViolations::single("user", "it is not set"))?;
    let mut violations = FieldViolations::new();
    let mask = UpdateMask::decode(&mut violations, update_mask, &UPDATABLE);
    let id = violations.check("user.id", UserId::parse(id));
    let nickname = mask
        .changes("nickname", !nickname.is_empty())
        .then(|| violations.check("user.nickname", Nickname::parse(&nickname)))
        .flatten();
    let email = mask
        .changes("email", !email.is_empty())
        .then(|| violations.check("user.email", Email::parse(&email)))
        .flatten();
    let role = mask
        .changes("role", role != 0)
        .then(|| {
            let set = wire_role(role).and_then(|role| role.ok_or("it is not set".into()));
            violations.check("user.role", set)
        })
        .flatten();
    violations.finish(id.map(|id| UserUpdate {
        id,
        etag: Etag::parse(etag),
        nickname,
        email,
        role,
    }))
}

fn deletion(request: DeleteUserRequest) -> Result<UserDeletion, FieldViolations> {
    let DeleteUserRequest {
        id,
        etag,
        allow_missing,
    } = request;
    Ok(UserDeletion {
        id: UserId::parse(id).map_err(|error| FieldViolations::single("id", error))?,
        etag: Etag::parse(etag),
        allow_missing,
    })
}

fn mutation(mutation: UserMutation) -> Result<Mutation, FieldViolations> {
    let UserMutation { mutation } = mutation;
    match mutation {
        None => Err(FieldViolations::single(
            "mutation",
            "it is not set; give create, update or delete",
        )),
        Some(WireMutation::Create(user)) => new_user(Some(user))
            .map(Mutation::Create)
            .map_err(|violations| violations.nested_under("create")),
        Some(WireMutation::Update(request)) => {
            let mut violations = FieldViolations::new();
            if request.validate_only {
                violations.add(
                    "validate_only",
                    "it must be false here; set it for the whole request",
                );
            }
            let update = violations.collect(user_update(request));
            violations
                .finish(update)
                .map(Mutation::Update)
                .map_err(|violations| violations.nested_under("update"))
        }
        Some(WireMutation::Delete(request)) => deletion(request)
            .map(Mutation::Delete)
            .map_err(|violations| violations.nested_under("delete")),
    }
}

/// Decodes a role. Returns `None` if it is unspecified.
fn wire_role(role: i32) -> Result<Option<Role>, String> {
    match v1::Role::try_from(role) {
        Ok(v1::Role::Unspecified) => Ok(None),
        Ok(v1::Role::User) => Ok(Some(Role::User)),
        Ok(v1::Role::Admin) => Ok(Some(Role::Admin)),
        Err(_) => Err(format!("{role} is not a valid role")),
    }
}
