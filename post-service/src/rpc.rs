//! The handlers of `PostService`: decode, do, encode.
//!
//! They know the wire and the domain, and nothing of how posts are stored or authors are
//! looked up.

mod decode;
mod encode;

use std::time::Duration;

use chassis::serving::{
    call_context,
    length_prefixed::{PreEncodedStream, PrefixedMessages, stream_response},
};
use proto::{
    Encoded,
    post::v1::{
        self, CommitPostsRequest, CommitPostsResponse, CreatePostRequest, CreatePostResponse,
        DeletePostRequest, DeletePostResponse, GetPostRequest, GetPostResponse, ListPostsRequest,
        ListPostsResponse, PurgePostsRequest, PurgePostsResponse, UpdatePostRequest,
        UpdatePostResponse, WatchPostsRequest, WatchPostsResponse,
        post_service_server::PostService,
    },
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{
    authors::{Author, Authors},
    error::Error,
    post::{Mutation, Post, View},
    store::{IdempotentWrite, ListQuery, Page, PostStore},
    watch::{Feed, FilteredBatch},
};

/// The handlers, which use the store, the resolver of authors and the feed of new posts.
#[derive(Clone, Debug)]
pub struct Rpc<S> {
    store: S,
    authors: Authors,
    feed: Feed<PrefixedMessages, S>,
}

impl<S> Rpc<S> {
    /// Returns the handlers for the posts in `store`.
    #[must_use]
    pub fn new(store: S, authors: Authors, feed: Feed<PrefixedMessages, S>) -> Self {
        Self {
            store,
            authors,
            feed,
        }
    }
}

#[tonic::async_trait]
impl<S: PostStore> PostService for Rpc<S> {
    async fn create_post(
        &self,
        request: Request<CreatePostRequest>,
    ) -> Result<Response<CreatePostResponse>, Status> {
        let remaining = call_context::remaining();
        let (draft, options) = decode::create(request.into_inner())?;
        let author_ids = [draft.author_id];
        let write = IdempotentWrite::create(draft, options, self.store.clock().now())?;

        // A replay gets its saved response, even if the author can no longer be looked up.
        let authors = if self.store.is_replay(&write).await? {
            self.authors.resolve(&author_ids, remaining).await
        } else {
            let authors = self.authors.resolve_for_write(&author_ids, remaining);
            authors.await.map_err(Error::from)?
        };
        // The foreign key decides whether the author exists: the user service may be behind.
        let created = self.store.create(write).await;
        let created = created.inspect_err(|error| self.evict_missing(error));
        self.feed.wake();

        let post = created?;
        let authors = match authors.as_slice() {
            // The author was created after the look-up.
            [Author::Deleted] => self.authors.resolve(&author_ids, remaining).await,
            _ => authors,
        };
        Ok(Response::new(CreatePostResponse {
            post: Some(encode::post(&post, authors.first())),
        }))
    }

    async fn get_post(
        &self,
        request: Request<GetPostRequest>,
    ) -> Result<Response<GetPostResponse>, Status> {
        let remaining = call_context::remaining();
        let (id, view) = decode::get(request.into_inner())?;

        let post = self.store.get(id).await?;

        Ok(Response::new(GetPostResponse {
            post: Some(self.encode_post(&post, view, remaining).await),
        }))
    }

    async fn list_posts(
        &self,
        request: Request<ListPostsRequest>,
    ) -> Result<Response<Encoded<ListPostsResponse>>, Status> {
        let remaining = call_context::remaining();
        let (query, view) = decode::list(request.into_inner())?;

        let page = self.store.list(&query).await?;

        let response = if view == View::Full && query.is_first_page() {
            self.first_page(&query, &page, remaining).await?
        } else {
            let authors = self.resolve_authors(&page.posts, view, remaining).await;
            encode::page(&query, view, &page, &authors)?.into()
        };
        Ok(Response::new(response))
    }

    async fn update_post(
        &self,
        request: Request<UpdatePostRequest>,
    ) -> Result<Response<UpdatePostResponse>, Status> {
        let remaining = call_context::remaining();
        let (update, validate_only) = decode::update(request.into_inner())?;

        let post = self.store.update(update, validate_only).await?;

        Ok(Response::new(UpdatePostResponse {
            post: Some(self.encode_post(&post, View::Full, remaining).await),
        }))
    }

    async fn delete_post(
        &self,
        request: Request<DeletePostRequest>,
    ) -> Result<Response<DeletePostResponse>, Status> {
        let deletion = decode::delete(request.into_inner())?;

        self.store.delete(deletion).await?;

        Ok(Response::new(DeletePostResponse {}))
    }

    async fn commit_posts(
        &self,
        request: Request<CommitPostsRequest>,
    ) -> Result<Response<CommitPostsResponse>, Status> {
        let remaining = call_context::remaining();
        let (mutations, options) = decode::commit(request.into_inner())?;
        let write = IdempotentWrite::commit(mutations, options, self.store.clock().now())?;

        if !self.store.is_replay(&write).await? {
            self.check_authors(write.payload(), remaining).await?;
        }
        let posts = self.store.commit(write).await;
        let posts = posts.inspect_err(|error| self.evict_missing(error));
        self.feed.wake();

        Ok(Response::new(encode::results(&posts?)))
    }

    async fn purge_posts(
        &self,
        request: Request<PurgePostsRequest>,
    ) -> Result<Response<PurgePostsResponse>, Status> {
        let (filter, force) = decode::purge(request.into_inner())?;

        let (purge_count, purge_sample) = if force {
            (self.store.purge(filter).await?, Vec::new())
        } else {
            self.store.preview_purge(filter).await?
        };

        Ok(Response::new(PurgePostsResponse {
            purge_count,
            purge_sample,
        }))
    }

    type WatchPostsStream = PreEncodedStream<WatchPostsResponse>;

    async fn watch_posts(
        &self,
        request: Request<WatchPostsRequest>,
    ) -> Result<Response<Self::WatchPostsStream>, Status> {
        let (author_id, after, view) = decode::watch(request.into_inner())?;

        let mut subscription = self.feed.subscribe(author_id, after, view).await?;

        // The client's flow control paces the stream. The server ends it when it drains.
        let rpc = self.clone();
        let batches = async_stream::try_stream! {
            loop {
                let batch = subscription.next().await?;
                let encoded = batch.get_or_encode(|| rpc.encode_batch(&batch)).await?;
                // A slow watcher then holds only the encoded posts, not the whole batch.
                drop(batch);
                yield encoded;
            }
        };
        Ok(stream_response(batches))
    }
}

impl<S: PostStore> Rpc<S> {
    /// Encodes a post in `view`.
    async fn encode_post(&self, post: &Post, view: View, remaining: Option<Duration>) -> v1::Post {
        let authors = self.resolve_authors([post], view, remaining).await;
        encode::post(post, authors.first())
    }

    /// Returns the response with a first page and its authors. The response is cached with the
    /// page until one of the authors has to be refreshed, since it is equal for all callers.
    async fn first_page(
        &self,
        query: &ListQuery,
        page: &Page,
        remaining: Option<Duration>,
    ) -> Result<Encoded<ListPostsResponse>, Error> {
        if let Some(response) = page.response.get(Instant::now()) {
            return Ok(Encoded::from_bytes(response));
        }
        let ids = page.posts.iter().map(|post| post.author_id);
        // Read this before the authors are resolved, which can only extend it.
        let expires = self.authors.fresh_until(ids);
        let authors = self
            .resolve_authors(&page.posts, View::Full, remaining)
            .await;

        let response = Encoded::from(encode::page(query, View::Full, page, &authors)?);
        // An unresolved author may be resolved by the next call.
        let resolved = |author| matches!(author, &Author::Resolved(_));
        if let Some(expires) = expires.filter(|_| authors.iter().all(resolved)) {
            page.response.set(response.clone().into_bytes(), expires);
        }
        Ok(response)
    }

    /// Encodes the posts of a batch for all watchers with an equal filter.
    async fn encode_batch(
        &self,
        batch: &FilteredBatch<PrefixedMessages>,
    ) -> Result<PrefixedMessages, Status> {
        let authors = self
            .resolve_authors(batch.posts(), batch.view(), None)
            .await;
        let message = |(index, post)| {
            let post = Some(encode::post(post, authors.get(index)));
            Encoded::from(WatchPostsResponse { post }).into_bytes()
        };
        let messages: Vec<_> = batch.posts().enumerate().map(message).collect();
        PrefixedMessages::encode(&messages)
    }

    /// Returns the authors of `posts` in their order, or an empty list in the basic view.
    async fn resolve_authors(
        &self,
        posts: impl IntoIterator<Item = &Post>,
        view: View,
        remaining: Option<Duration>,
    ) -> Vec<Author> {
        match view {
            View::Basic => Vec::new(),
            View::Full => {
                let ids: Vec<_> = posts.into_iter().map(|post| post.author_id).collect();
                self.authors.resolve(&ids, remaining).await
            }
        }
    }

    /// Evicts the author that violated the foreign key: it was cached, and has been deleted.
    fn evict_missing(&self, error: &Error) {
        match error {
            Error::AuthorNotFound(author_id) => self.authors.evict(*author_id),
            Error::Mutation { error, .. } => self.evict_missing(error),
            _ => {}
        }
    }

    /// Fails if the author of a new post is not cached and cannot be looked up. Missing authors
    /// pass: the foreign key finds the first of them in the order of the mutations.
    async fn check_authors(
        &self,
        mutations: &[Mutation],
        remaining: Option<Duration>,
    ) -> Result<(), Error> {
        let author_id = |mutation: &Mutation| match mutation {
            Mutation::Create(draft) => Some(draft.author_id),
            Mutation::Update(_) | Mutation::Delete(_) => None,
        };
        let ids: Vec<_> = mutations.iter().filter_map(author_id).collect();
        let Err(unavailable) = self.authors.resolve_for_write(&ids, remaining).await else {
            return Ok(());
        };
        let index = mutations
            .iter()
            .position(|mutation| author_id(mutation) == Some(unavailable.0));
        let error = Error::from(unavailable);
        Err(match index {
            Some(index) => error.at_index(index),
            None => error,
        })
    }
}
