//! The whole system with two users, and a client of the post service that takes arguments and
//! returns results without their messages.

use chassis::process::clock::Clock;
use microblog::Settings;
use proto::post::v1::{
    CommitPostsRequest, CreatePostRequest, DeletePostRequest, GetPostRequest, ListPostsRequest,
    ListPostsResponse, Post, PurgePostsRequest, PurgePostsResponse, UpdatePostRequest,
    WatchPostsRequest, WatchPostsResponse, post_mutation::Mutation,
    post_service_client::PostServiceClient,
};
use tonic::{IntoRequest, Status, Streaming, transport::Channel};

use super::{commit, draft};
use crate::support::{System, within_timeout};

/// A client of a post service.
#[derive(Clone, Debug)]
pub struct Posts(pub PostServiceClient<Channel>);

/// The system with two users who write posts.
#[derive(Debug)]
pub struct SystemFixture {
    pub system: System,
    pub posts: Posts,
    /// The ids of the users with these nicknames.
    pub susan: i64,
    pub john: i64,
}

/// A stream of posts.
#[derive(Debug)]
pub struct PostStream(Streaming<WatchPostsResponse>);

impl SystemFixture {
    /// Starts a system with the settings of tests and the system clock.
    pub async fn start() -> Self {
        Self::on(System::start().await).await
    }

    /// Starts a system with some settings changed.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(System::with(change).await).await
    }

    /// Starts a system with `clock`.
    pub async fn at(clock: Clock) -> Self {
        Self::on(System::at(clock).await).await
    }

    /// Starts a system with one post, and returns its stored rows.
    pub async fn with_post() -> (Self, Post, Vec<String>) {
        let fixture = Self::start().await;
        let post = fixture
            .posts
            .create(draft(fixture.susan, "1"))
            .await
            .unwrap();
        let stored = fixture.stored().await;
        (fixture, post, stored)
    }

    async fn on(system: System) -> Self {
        Self {
            posts: Posts(system.posts().await),
            susan: system.create_user("susan").await.unwrap().id,
            john: system.create_user("john").await.unwrap().id,
            system,
        }
    }

    /// Restarts the system on the same database with `clock`.
    pub async fn restart(self, clock: Clock) -> Self {
        let system = self.system.restart(clock).await;
        Self {
            posts: Posts(system.posts().await),
            system,
            ..self
        }
    }

    /// Returns all rows that the service has stored, to assert that nothing changed.
    pub async fn stored(&self) -> Vec<String> {
        self.system
            .query(
                "select json_array(id, body, create_time, update_time, revision, user_id)
                    from posts
                union all
                select json_array(id, hex(request_id), hex(fingerprint), result, create_time)
                    from post_requests",
            )
            .await
    }

    /// Returns the stored bodies, in the order of the ids.
    pub async fn stored_bodies(&self) -> Vec<String> {
        let query = "select body from posts order by id";
        self.system.query(query).await
    }
}

impl Posts {
    pub fn client(&self) -> PostServiceClient<Channel> {
        self.0.clone()
    }

    pub async fn create(&self, post: Post) -> Result<Post, Status> {
        self.create_by(CreatePostRequest {
            post: Some(post),
            ..CreatePostRequest::default()
        })
        .await
    }

    pub async fn create_by(&self, request: CreatePostRequest) -> Result<Post, Status> {
        let response = self.client().create_post(request).await?;
        Ok(response.into_inner().post.unwrap())
    }

    pub async fn get(&self, id: i64) -> Result<Post, Status> {
        self.get_by(GetPostRequest { id, view: 0 }).await
    }

    pub async fn get_by(&self, request: GetPostRequest) -> Result<Post, Status> {
        let response = self.client().get_post(request).await?;
        Ok(response.into_inner().post.unwrap())
    }

    pub async fn list(&self, request: ListPostsRequest) -> Result<ListPostsResponse, Status> {
        Ok(self.client().list_posts(request).await?.into_inner())
    }

    pub async fn update(&self, request: UpdatePostRequest) -> Result<Post, Status> {
        let response = self.client().update_post(request).await?;
        Ok(response.into_inner().post.unwrap())
    }

    pub async fn delete(&self, request: DeletePostRequest) -> Result<(), Status> {
        self.client().delete_post(request).await.map(drop)
    }

    pub async fn commit(&self, request: CommitPostsRequest) -> Result<Vec<Option<Post>>, Status> {
        let response = self.client().commit_posts(request).await?;
        let results = response.into_inner().results;
        Ok(results.into_iter().map(|result| result.post).collect())
    }

    pub async fn purge(&self, request: PurgePostsRequest) -> Result<PurgePostsResponse, Status> {
        Ok(self.client().purge_posts(request).await?.into_inner())
    }

    pub async fn watch(
        &self,
        request: impl IntoRequest<WatchPostsRequest>,
    ) -> Result<PostStream, Status> {
        let response = self.client().watch_posts(request).await?;
        Ok(PostStream(response.into_inner()))
    }

    /// Creates posts of one author in one transaction.
    pub async fn create_all(
        &self,
        author: i64,
        bodies: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Vec<Post> {
        let created = bodies
            .into_iter()
            .map(|body| Mutation::Create(draft(author, body.as_ref())));
        let posts = self.commit(commit(created)).await.unwrap();
        posts.into_iter().map(Option::unwrap).collect()
    }
}

impl PostStream {
    /// Returns the next post, and fails if it does not arrive in time.
    pub async fn next(&mut self) -> Result<Post, Status> {
        let message = within_timeout(self.0.message()).await?;
        Ok(message.expect("the stream ended").post.unwrap())
    }

    /// Returns the ids of the next `count` posts.
    pub async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.next().await.unwrap().id);
        }
        ids
    }
}
