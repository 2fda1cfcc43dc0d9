//! The handlers of `UserService`: decode, do, encode.
//!
//! They know the wire and the domain, and nothing of how users are stored.

mod decode;
mod encode;

use proto::user::v1::{
    BatchGetUsersRequest, BatchGetUsersResponse, CommitUsersRequest, CommitUsersResponse,
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
    GetUserResponse, ListUsersRequest, ListUsersResponse, LookupUserRequest, LookupUserResponse,
    PurgeUsersRequest, PurgeUsersResponse, UpdateUserRequest, UpdateUserResponse,
    user_service_server::UserService,
};
use tonic::{Request, Response, Status};

use crate::{error::Error, store::UserStore};

/// The handlers, which use the store.
#[derive(Debug)]
pub struct Rpc<S> {
    store: S,
}

impl<S> Rpc<S> {
    /// Returns the handlers for the users in `store`.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl<S: UserStore> UserService for Rpc<S> {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let (draft, options) = decode::create(request.into_inner())?;

        let user = self.store.create(draft, options).await?;

        Ok(Response::new(CreateUserResponse {
            user: Some(user.into()),
        }))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let id = decode::get(request.into_inner())?;

        let user = self.store.get(id).await?;

        Ok(Response::new(GetUserResponse {
            user: Some(user.into()),
        }))
    }

    async fn lookup_user(
        &self,
        request: Request<LookupUserRequest>,
    ) -> Result<Response<LookupUserResponse>, Status> {
        let key = decode::lookup(request.into_inner())?;

        let user = self.store.lookup(&key).await?;

        Ok(Response::new(LookupUserResponse {
            user: Some(user.into()),
        }))
    }

    async fn batch_get_users(
        &self,
        request: Request<BatchGetUsersRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        let (ids, allow_missing) = decode::batch_get(request.into_inner())?;

        let users = self.store.batch_get(&ids).await?;

        let missing: Vec<_> = ids
            .iter()
            .zip(&users)
            .filter_map(|(id, user)| user.is_none().then_some(id.get()))
            .collect();
        if let (false, Some(&id)) = (allow_missing, missing.first()) {
            return Err(Error::NotFound(id).into());
        }
        Ok(Response::new(encode::batch(users, missing)))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let query = decode::list(request.into_inner())?;

        let page = self.store.list(&query).await?;

        Ok(Response::new(encode::page(&query, page)?))
    }

    async fn update_user(
        &self,
        request: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        let (update, validate_only) = decode::update(request.into_inner())?;

        let user = self.store.update(update, validate_only).await?;

        Ok(Response::new(UpdateUserResponse {
            user: Some(user.into()),
        }))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let deletion = decode::delete(request.into_inner())?;

        self.store.delete(deletion).await?;

        Ok(Response::new(DeleteUserResponse {}))
    }

    async fn commit_users(
        &self,
        request: Request<CommitUsersRequest>,
    ) -> Result<Response<CommitUsersResponse>, Status> {
        let (mutations, options) = decode::commit(request.into_inner())?;

        let users = self.store.commit(mutations, options).await?;

        Ok(Response::new(encode::results(users)))
    }

    async fn purge_users(
        &self,
        request: Request<PurgeUsersRequest>,
    ) -> Result<Response<PurgeUsersResponse>, Status> {
        let (filter, force) = decode::purge(request.into_inner())?;

        let (purge_count, purge_sample) = if force {
            (self.store.purge(filter).await?, Vec::new())
        } else {
            self.store.preview_purge(filter).await?
        };

        Ok(Response::new(PurgeUsersResponse {
            purge_count,
            purge_sample,
        }))
    }
}
