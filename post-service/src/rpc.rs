//! The calls of `PostService`: decode, do, encode.
//!
//! It knows the wire and the domain, and nothing of how posts are stored or authors are
//! resolved.

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
    store::{IdempotentWrite, List, Page, PostStore},
    watch::{Feed, Wanted},
};

/// The calls, over the posts that are stored, the authors who wrote them, and the feed of
/// new ones.
#[derive(Clone, Debug)]
pub struct Rpc<S> {
    store: S,
    authors: Authors,
    feed: Feed<PrefixedMessages, S>,
}

impl<S> Rpc<S> {
    /// The calls over `store`.
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
        let (draft, write) = decode::create(request.into_inner())?;
        let author = [draft.author];
        let write = IdempotentWrite::create(draft, write, self.store.clock().now())?;

        // What was done before is answered as it was, whoever is there now.
        let authors = if self.store.is_replay(&write).await? {
            self.authors.resolve(&author, remaining).await
        } else {
            let authors = self.authors.resolve_for_write(&author, remaining);
            authors.await.map_err(Error::from)?
        };
        // Whether there is the author is for the foreign key to say, which knows it now.
        let created = self.store.create(write).await;
        let created = created.inspect_err(|error| self.evict_missing(error));
        self.feed.wake();

        let post = created?;
        let authors = match authors.as_slice() {
            // Created in the meantime.
            [Author::Deleted] => self.authors.resolve(&author, remaining).await,
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
            post: Some(self.show(&post, view, remaining).await),
        }))
    }

    async fn list_posts(
        &self,
        request: Request<ListPostsRequest>,
    ) -> Result<Response<Encoded<ListPostsResponse>>, Status> {
        let remaining = call_context::remaining();
        let (list, view) = decode::list(request.into_inner())?;

        let page = self.store.list(&list).await?;

        let response = if view == View::Full && list.is_first_page() {
            self.first_page(&list, &page, remaining).await?
        } else {
            let authors = self.authors_of(&page.posts, view, remaining).await;
            encode::page(&list, view, &page, &authors)?.into()
        };
        Ok(Response::new(response))
    }

    async fn update_post(
        &self,
        request: Request<UpdatePostRequest>,
    ) -> Result<Response<UpdatePostResponse>, Status> {
        let remaining = call_context::remaining();
        let (change, validate_only) = decode::update(request.into_inner())?;

        let post = self.store.update(change, validate_only).await?;

        Ok(Response::new(UpdatePostResponse {
            post: Some(self.show(&post, View::Full, remaining).await),
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
        let (mutations, write) = decode::commit(request.into_inner())?;
        let write = IdempotentWrite::commit(mutations, write, self.store.clock().now())?;

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
        let (selection, force) = decode::purge(request.into_inner())?;

        let (purge_count, purge_sample) = if force {
            (self.store.purge(selection).await?, Vec::new())
        } else {
            self.store.preview_purge(selection).await?
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
        let (author, after, view) = decode::watch(request.into_inner())?;

        let mut watch = self.feed.watch(author, after, view).await?;

        // It goes on only as fast as the client takes what it is sent, and is ended by the
        // server when that drains.
        let rpc = self.clone();
        let batches = async_stream::try_stream! {
            loop {
                let wanted = watch.next().await?;
                let sent = wanted.sent(|| rpc.encoded(&wanted)).await?;
                // One who is slow keeps what it is sent, and not the rest of the batch.
                drop(wanted);
                yield sent;
            }
        };
        Ok(stream_response(batches))
    }
}

impl<S: PostStore> Rpc<S> {
    /// Returns a post as `view` shows it.
    async fn show(&self, post: &Post, view: View, remaining: Option<Duration>) -> v1::Post {
        let authors = self.authors_of([post], view, remaining).await;
        encode::post(post, authors.first())
    }

    /// Returns the response with a first page and its authors. It is the same for all callers
    /// until one of the authors has to be looked up again, so it is encoded once until then.
    async fn first_page(
        &self,
        list: &List,
        page: &Page,
        remaining: Option<Duration>,
    ) -> Result<Encoded<ListPostsResponse>, Error> {
        if let Some(response) = page.response.get(Instant::now()) {
            return Ok(Encoded::from_bytes(response));
        }
        let ids = page.posts.iter().map(|post| post.author);
        // The authors that are resolved below are known at least until then.
        let expires = self.authors.fresh_until(ids);
        let authors = self.authors_of(&page.posts, View::Full, remaining).await;

        let response = Encoded::from(encode::page(list, View::Full, page, &authors)?);
        // An author that is not resolved may be so in the next call.
        let resolved = |author| matches!(author, &Author::Resolved(_));
        if let Some(expires) = expires.filter(|_| authors.iter().all(resolved)) {
            page.response.set(response.clone().into_bytes(), expires);
        }
        Ok(response)
    }

    /// What is sent of new posts to all who want the same of them.
    async fn encoded(&self, wanted: &Wanted<PrefixedMessages>) -> Result<PrefixedMessages, Status> {
        let authors = self.authors_of(wanted.posts(), wanted.view(), None).await;
        let message = |(at, post)| {
            let post = Some(encode::post(post, authors.get(at)));
            Encoded::from(WatchPostsResponse { post }).into_bytes()
        };
        let messages: Vec<_> = wanted.posts().enumerate().map(message).collect();
        PrefixedMessages::encode(&messages)
    }

    /// The authors that `view` shows of `posts`, in their order: none in the basic one.
    async fn authors_of(
        &self,
        posts: impl IntoIterator<Item = &Post>,
        view: View,
        remaining: Option<Duration>,
    ) -> Vec<Author> {
        match view {
            View::Basic => Vec::new(),
            View::Full => {
                let ids: Vec<_> = posts.into_iter().map(|post| post.author).collect();
                self.authors.resolve(&ids, remaining).await
            }
        }
    }

    /// Forgets the author of whom the foreign key told that it is gone: it was known from
    /// before, and was deleted since.
    fn evict_missing(&self, error: &Error) {
        match error {
            Error::AuthorNotFound(author) => self.authors.evict(*author),
            Error::Mutation { error, .. } => self.evict_missing(error),
            _ => {}
        }
    }

    /// Whether it can be told that the authors of new posts are there. Those who are not
    /// are left to the foreign key, which finds the first of them in the order of the
    /// changes.
    async fn check_authors(
        &self,
        mutations: &[Mutation],
        remaining: Option<Duration>,
    ) -> Result<(), Error> {
        let author = |mutation: &Mutation| match mutation {
            Mutation::Create(draft) => Some(draft.author),
            Mutation::Update(_) | Mutation::Delete(_) => None,
        };
        let ids: Vec<_> = mutations.iter().filter_map(author).collect();
        let Err(unavailable) = self.authors.resolve_for_write(&ids, remaining).await else {
            return Ok(());
        };
        let index = mutations
            .iter()
            .position(|mutation| author(mutation) == Some(unavailable.0));
        let error = Error::from(unavailable);
        Err(match index {
            Some(index) => error.at(index),
            None => error,
        })
    }
}
