//! The post service of the baseline.

use proto::{
    Encoded,
    post::v1::{
        Author, CommitPostsRequest, CommitPostsResponse, CreatePostRequest, CreatePostResponse,
        DeletePostRequest, DeletePostResponse, GetPostRequest, GetPostResponse, ListPostsRequest,
        ListPostsResponse, Post, PostMutationResult, PurgePostsRequest, PurgePostsResponse,
        UpdatePostRequest, UpdatePostResponse, WatchPostsRequest, WatchPostsResponse,
        author::State, post_mutation::Mutation, post_service_server::PostService,
    },
    user::v1::{GetUserRequest, user_service_client::UserServiceClient},
};
use sqlx::{FromRow, SqliteConnection, SqlitePool};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint},
};

use super::{failed, now, timestamp};

#[derive(Debug)]
pub struct Posts {
    pool: SqlitePool,
    users: UserServiceClient<Channel>,
}

impl Posts {
    pub fn new(pool: SqlitePool, user_service_url: String) -> Self {
        let channel = Endpoint::from_shared(user_service_url)
            .unwrap()
            .connect_lazy();
        Self {
            pool,
            users: UserServiceClient::new(channel),
        }
    }

    async fn author(&self, id: i64) -> Result<Author, Status> {
        let mut users = self.users.clone();
        let response = users.get_user(GetUserRequest { id }).await?;
        let nickname = response.into_inner().user.unwrap_or_default().nickname;
        Ok(Author {
            state: State::Resolved.into(),
            nickname,
        })
    }

    async fn show(&self, row: Row) -> Result<Post, Status> {
        let author = self.author(row.user_id).await?;
        Ok(Post {
            author: Some(author),
            ..row.into()
        })
    }
}

#[derive(FromRow)]
struct Row {
    id: i64,
    body: String,
    create_time: i64,
    update_time: i64,
    revision: i64,
    user_id: i64,
}

impl From<Row> for Post {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            body: row.body,
            create_time: timestamp(row.create_time),
            author_id: row.user_id,
            author: None,
            update_time: timestamp(row.update_time),
            etag: row.revision.to_string(),
        }
    }
}

async fn insert(connection: &mut SqliteConnection, post: &Post) -> Result<Row, Status> {
    let now = now();
    sqlx::query_as(
        "insert into posts (body, create_time, update_time, revision, user_id)
         values (?, ?, ?, 1, ?)
         returning id, body, create_time, update_time, revision, user_id",
    )
    .bind(&post.body)
    .bind(now)
    .bind(now)
    .bind(post.author_id)
    .fetch_one(connection)
    .await
    .map_err(failed)
}

#[tonic::async_trait]
impl PostService for Posts {
    async fn create_post(
        &self,
        request: Request<CreatePostRequest>,
    ) -> Result<Response<CreatePostResponse>, Status> {
        let post = request
            .into_inner()
            .post
            .ok_or_else(|| Status::invalid_argument("no post"))?;
        let author = self.author(post.author_id).await?;
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let row = insert(&mut transaction, &post).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Response::new(CreatePostResponse {
            post: Some(Post {
                author: Some(author),
                ..row.into()
            }),
        }))
    }

    async fn get_post(
        &self,
        request: Request<GetPostRequest>,
    ) -> Result<Response<GetPostResponse>, Status> {
        let row: Row = sqlx::query_as(
            "select id, body, create_time, update_time, revision, user_id
             from posts
             where id = ?",
        )
        .bind(request.into_inner().id)
        .fetch_one(&self.pool)
        .await
        .map_err(failed)?;
        Ok(Response::new(GetPostResponse {
            post: Some(self.show(row).await?),
        }))
    }

    async fn list_posts(
        &self,
        request: Request<ListPostsRequest>,
    ) -> Result<Response<Encoded<ListPostsResponse>>, Status> {
        let request = request.into_inner();
        let before: i64 = request.page_token.parse().unwrap_or(i64::MAX);
        let limit = if request.page_size == 0 {
            50
        } else {
            request.page_size
        };
        let rows: Vec<Row> = match request.author_id {
            Some(author) => sqlx::query_as(
                "select id, body, create_time, update_time, revision, user_id
                 from posts
                 where id < ? and user_id = ?
                 order by id desc
                 limit ?",
            )
            .bind(before)
            .bind(author),
            None => sqlx::query_as(
                "select id, body, create_time, update_time, revision, user_id
                 from posts
                 where id < ?
                 order by id desc
                 limit ?",
            )
            .bind(before),
        }
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let next_page_token = rows.last().map(|row| row.id.to_string());
        let mut posts = Vec::new();
        for row in rows {
            posts.push(self.show(row).await?);
        }
        Ok(Response::new(
            ListPostsResponse {
                posts,
                next_page_token: next_page_token.unwrap_or_default(),
                total_size: None,
            }
            .into(),
        ))
    }

    async fn commit_posts(
        &self,
        request: Request<CommitPostsRequest>,
    ) -> Result<Response<CommitPostsResponse>, Status> {
        let mutations = request.into_inner().mutations;
        let mut creations = Vec::new();
        for mutation in mutations {
            let Some(Mutation::Create(post)) = mutation.mutation else {
                return Err(Status::unimplemented("only creates are measured"));
            };
            self.author(post.author_id).await?;
            creations.push(post);
        }
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let mut results = Vec::new();
        for post in &creations {
            let row = insert(&mut transaction, post).await?;
            results.push(PostMutationResult {
                post: Some(row.into()),
            });
        }
        transaction.commit().await.map_err(failed)?;
        Ok(Response::new(CommitPostsResponse { results }))
    }

    async fn update_post(
        &self,
        _: Request<UpdatePostRequest>,
    ) -> Result<Response<UpdatePostResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn delete_post(
        &self,
        _: Request<DeletePostRequest>,
    ) -> Result<Response<DeletePostResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn purge_posts(
        &self,
        _: Request<PurgePostsRequest>,
    ) -> Result<Response<PurgePostsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    type WatchPostsStream = futures::stream::Empty<Result<WatchPostsResponse, Status>>;

    async fn watch_posts(
        &self,
        _: Request<WatchPostsRequest>,
    ) -> Result<Response<Self::WatchPostsStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
