//! The user service of the baseline.

use proto::user::v1::{
    BatchGetUsersRequest, BatchGetUsersResponse, CommitUsersRequest, CommitUsersResponse,
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
    GetUserResponse, ListUsersRequest, ListUsersResponse, LookupUserRequest, LookupUserResponse,
    PurgeUsersRequest, PurgeUsersResponse, Role, UpdateUserRequest, UpdateUserResponse, User,
    user_service_server::UserService,
};
use sqlx::{FromRow, QueryBuilder, SqlitePool};
use tonic::{Request, Response, Status};

use super::{failed, now, timestamp};

#[derive(Debug)]
pub struct Users {
    pool: SqlitePool,
}

impl Users {
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }
}

#[derive(FromRow)]
struct Row {
    id: i64,
    nickname: String,
    email: String,
    role: i64,
    create_time: i64,
    update_time: i64,
    revision: i64,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        let role = if row.role == 1 {
            Role::Admin
        } else {
            Role::User
        };
        Self {
            id: row.id,
            nickname: row.nickname,
            email: row.email,
            role: role.into(),
            create_time: timestamp(row.create_time),
            update_time: timestamp(row.update_time),
            etag: row.revision.to_string(),
        }
    }
}

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let user = request
            .into_inner()
            .user
            .ok_or_else(|| Status::invalid_argument("no user"))?;
        let now = now();
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let row: Row = sqlx::query_as(
            "insert into users
                 (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
             values (?, ?, ?, ?, 0, ?, ?, 1)
             returning id, nickname, email, role, create_time, update_time, revision",
        )
        .bind(&user.nickname)
        .bind(user.nickname.to_lowercase())
        .bind(&user.email)
        .bind(user.email.to_lowercase())
        .bind(now)
        .bind(now)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Response::new(CreateUserResponse {
            user: Some(row.into()),
        }))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let row: Row = sqlx::query_as(
            "select id, nickname, email, role, create_time, update_time, revision
             from users
             where id = ?",
        )
        .bind(request.into_inner().id)
        .fetch_one(&self.pool)
        .await
        .map_err(failed)?;
        Ok(Response::new(GetUserResponse {
            user: Some(row.into()),
        }))
    }

    async fn batch_get_users(
        &self,
        request: Request<BatchGetUsersRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        let mut query = QueryBuilder::new(
            "select id, nickname, email, role, create_time, update_time, revision
             from users
             where id in (",
        );
        let mut ids = query.separated(", ");
        for id in request.into_inner().ids {
            ids.push_bind(id);
        }
        query.push(")");
        let rows: Vec<Row> = query
            .build_query_as()
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        Ok(Response::new(BatchGetUsersResponse {
            users: rows.into_iter().map(Into::into).collect(),
            missing_ids: Vec::new(),
        }))
    }

    async fn lookup_user(
        &self,
        _: Request<LookupUserRequest>,
    ) -> Result<Response<LookupUserResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn list_users(
        &self,
        _: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn update_user(
        &self,
        _: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn delete_user(
        &self,
        _: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn commit_users(
        &self,
        _: Request<CommitUsersRequest>,
    ) -> Result<Response<CommitUsersResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn purge_users(
        &self,
        _: Request<PurgeUsersRequest>,
    ) -> Result<Response<PurgeUsersResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
