//! Decodes requests to domain types. An error lists all violations of the request.

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
use proto::post::v1::{
    self, CommitPostsRequest, CreatePostRequest, DeletePostRequest, GetPostRequest,
    ListPostsRequest, PostMutation, PostView, PurgePostsRequest, UpdatePostRequest,
    WatchPostsRequest, post_mutation::Mutation as WireMutation, purge_posts_request,
};
use serde::Serialize;

use crate::{
    error::{Error, reason},
    post::{
        AuthorId, Body, Mutation, NewPost, Order, PostDeletion, PostId, PostUpdate, PurgeFilter,
        View,
    },
    store::ListQuery,
};

pub(super) fn create(request: CreatePostRequest) -> Result<(NewPost, WriteOptions), Error> {
    let CreatePostRequest {
        post,
        request_id,
        validate_only,
    } = request;
    let mut violations = FieldViolations::new();
    let draft = violations.collect(new_post(post).map_err(|v| v.nested_under("post")));
    let options = WriteOptions::decode(&mut violations, &request_id, validate_only);
    Ok(violations.finish(draft.zip(options))?)
}

pub(super) fn get(request: GetPostRequest) -> Result<(PostId, View), Error> {
    let GetPostRequest { id, view } = request;
    let mut violations = FieldViolations::new();
    let id = violations.check("id", PostId::parse(id));
    let view = violations.check("view", wire_view(view));
    Ok(violations.finish(id.zip(view))?)
}

pub(super) fn list(request: ListPostsRequest) -> Result<(ListQuery, View), Error> {
    let ListPostsRequest {
        page_size,
        page_token,
        order_by,
        author_id,
        view,
        return_total_size,
    } = request;
    let mut violations = FieldViolations::new();
    let size = violations.check("page_size", PageSize::parse(page_size));
    let order =
        violations
            .collect(Order::parse(&order_by).map_err(|error| {
                FieldViolations::with_reason(reason::ORDER_BY, "order_by", error)
            }));
    let author_id = violations.check("author_id", author_id.map(AuthorId::parse).transpose());
    let view = violations.check("view", wire_view(view));
    let query = match (size, order, author_id) {
        (Some(size), Some(order), Some(author_id)) => Some(ListQuery {
            order,
            author_id,
            size,
            after: None,
            count: return_total_size,
        }),
        _ => None,
    };
    let (mut query, view) = violations.finish(query.zip(view))?;
    if !page_token.is_empty() {
        query.after = Some(cursor(&query, view, &page_token)?);
    }
    Ok((query, view))
}

/// Returns the parameters that a page token is bound to. A token is invalid if a request changes
/// one of them.
pub(super) fn page_context(query: &ListQuery, view: View) -> impl Serialize {
    ("ListPosts", query.order, query.author_id, view, query.count)
}

fn cursor(query: &ListQuery, view: View, token: &str) -> Result<i64, FieldViolations> {
    pagination::decode(&page_context(query, view), token).ok_or_else(|| {
        FieldViolations::with_reason(reason::PAGE_TOKEN, "page_token", pagination::INVALID_TOKEN)
    })
}

pub(super) fn update(request: UpdatePostRequest) -> Result<(PostUpdate, bool), Error> {
    let validate_only = request.validate_only;
    Ok((post_update(request)?, validate_only))
}

pub(super) fn delete(request: DeletePostRequest) -> Result<PostDeletion, Error> {
    Ok(deletion(request)?)
}

pub(super) fn commit(request: CommitPostsRequest) -> Result<(Vec<Mutation>, WriteOptions), Error> {
    let CommitPostsRequest {
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

pub(super) fn purge(request: PurgePostsRequest) -> Result<(PurgeFilter, bool), Error> {
    let PurgePostsRequest { selection, force } = request;
    let filter = match selection {
        None => Err(FieldViolations::single(
            "selection",
            "it is not set; give `all` or an author_id",
        )),
        Some(purge_posts_request::Selection::All(true)) => Ok(PurgeFilter::All),
        Some(purge_posts_request::Selection::All(false)) => {
            Err(FieldViolations::single("all", "it must be true"))
        }
        Some(purge_posts_request::Selection::AuthorId(id)) => AuthorId::parse(id)
            .map(PurgeFilter::Author)
            .map_err(|error| FieldViolations::single("author_id", error)),
    };
    Ok((filter?, force))
}

pub(super) fn watch(
    request: WatchPostsRequest,
) -> Result<(Option<AuthorId>, Option<i64>, View), Error> {
    let WatchPostsRequest {
        author_id,
        after_id,
        view,
    } = request;
    let mut violations = FieldViolations::new();
    let author_id = violations.check("author_id", author_id.map(AuthorId::parse).transpose());
    if let Some(after) = after_id
        && after < 0
    {
        let hint = "is not a valid id; give the last id that you saw, or 0 for all posts";
        violations.add("after_id", format!("{after} {hint}"));
    }
    let view = violations.check("view", wire_view(view));
    let (author_id, view) = violations.finish(author_id.zip(view))?;
    Ok((author_id, after_id, view))
}

fn new_post(post: Option<v1::Post>) -> Result<NewPost, FieldViolations> {
    let v1::Post {
        body,
        author_id,
        // Output only.
        id: _,
        create_time: _,
        author: _,
        update_time: _,
        etag: _,
    } = post.ok_or_else(|| FieldViolations::single("", "it is not set"))?;
    let mut violations = FieldViolations::new();
    let body = violations.check("body", Body::parse(&body));
    let author_id = violations.check("author_id", AuthorId::parse(author_id));
    violations.finish(
        body.zip(author_id)
            .map(|(body, author_id)| NewPost { body, author_id }),
    )
}

fn post_update(request: UpdatePostRequest) -> Result<PostUpdate, FieldViolations> {
    let UpdatePostRequest {
        post,
        update_mask,
        // A field of the whole request, which the caller of this function reads.
        validate_only: _,
    } = request;
    let v1::Post {
        id,
        body,
        etag,
        // Immutable or output only.
        create_time: _,
        author_id: _,
        author: _,
        update_time: _,
    } = post.ok_or_else(|| FieldViolations::single("post", "it is not set"))?;
    let mut violations = FieldViolations::new();
    // `body` is the only updatable field, so every valid mask updates it.
    UpdateMask::decode(&mut violations, update_mask, &["body"]);
    let id = violations.check("post.id", PostId::parse(id));
    let body = violations.check("post.body", Body::parse(&body));
    violations.finish(id.zip(body).map(|(id, body)| PostUpdate {
        id,
        etag: Etag::parse(etag),
        body,
    }))
}

fn deletion(request: DeletePostRequest) -> Result<PostDeletion, FieldViolations> {
    let DeletePostRequest {
        id,
        etag,
        allow_missing,
    } = request;
    Ok(PostDeletion {
        id: PostId::parse(id).map_err(|error| FieldViolations::single("id", error))?,
        etag: Etag::parse(etag),
        allow_missing,
    })
}

fn mutation(mutation: PostMutation) -> Result<Mutation, FieldViolations> {
    let PostMutation { mutation } = mutation;
    match mutation {
        None => Err(FieldViolations::single(
            "mutation",
            "it is not set; give create, update or delete",
        )),
        Some(WireMutation::Create(post)) => new_post(Some(post))
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
            let update = violations.collect(post_update(request));
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

/// Decodes a view. The default is the full one.
fn wire_view(view: i32) -> Result<View, String> {
    match PostView::try_from(view) {
        Ok(PostView::Unspecified | PostView::Full) => Ok(View::Full),
        Ok(PostView::Basic) => Ok(View::Basic),
        Err(_) => Err(format!("{view} is not a valid view")),
    }
}
