//! A fake user service, which records the calls and behaves as a test sets it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use proto::user::v1::{
    BatchGetUsersRequest, BatchGetUsersResponse, User,
    user_service_server::{UserService, UserServiceServer},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Server, server::TcpIncoming},
};

use crate::support::within_timeout;

/// The behavior on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    Respond,
    /// The calls wait until they are [released](FakeUserService::release).
    Hang,
    Fail,
    /// The next call fails as if it had never been sent. Later calls get a response.
    RefuseOne,
}

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub ids: Vec<i64>,
    /// The timeout that the caller sent.
    pub timeout: Option<Duration>,
    pub request_id: Option<String>,
}

/// A fake user service. Clones share its state.
#[derive(Clone, Debug)]
pub struct FakeUserService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    nicknames: Mutex<BTreeMap<i64, String>>,
    behavior: Mutex<Behavior>,
    calls: watch::Sender<Vec<Call>>,
    released: watch::Sender<()>,
}

/// The server of a fake user service.
#[derive(Debug)]
pub struct Served {
    stop: CancellationToken,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl FakeUserService {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            nicknames: Mutex::default(),
            behavior: Mutex::new(Behavior::Respond),
            calls: watch::Sender::default(),
            released: watch::Sender::default(),
        }))
    }

    /// Adds a user, or changes its nickname.
    pub fn add_user(&self, id: i64, nickname: &str) {
        let mut nicknames = self.0.nicknames.lock().unwrap();
        nicknames.insert(id, nickname.into());
    }

    /// Removes a user.
    pub fn remove_user(&self, id: i64) {
        self.0.nicknames.lock().unwrap().remove(&id);
    }

    /// Sets the behavior on later calls.
    pub fn set_behavior(&self, behavior: Behavior) {
        *self.0.behavior.lock().unwrap() = behavior;
    }

    /// Responds to the calls that hang.
    pub fn release(&self) {
        self.0.released.send_replace(());
    }

    /// Returns the calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.0.calls.borrow().clone()
    }

    /// Waits until `count` calls have been received.
    pub async fn called(&self, count: usize) {
        let mut calls = self.0.calls.subscribe();
        within_timeout(calls.wait_for(|calls| calls.len() >= count))
            .await
            .unwrap();
    }

    pub fn serve(&self, listener: TcpListener) -> Served {
        let stop = CancellationToken::new();
        let serving = Server::builder()
            .add_service(UserServiceServer::new(self.clone()))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener),
                stop.clone().cancelled_owned(),
            );
        Served {
            stop,
            task: tokio::spawn(serving),
        }
    }

    /// Returns the behavior on the current call.
    fn behavior(&self) -> Behavior {
        let mut behavior = self.0.behavior.lock().unwrap();
        let now = *behavior;
        if now == Behavior::RefuseOne {
            *behavior = Behavior::Respond;
        }
        now
    }

    async fn answer(
        &self,
        request: Request<BatchGetUsersRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        let (metadata, _, BatchGetUsersRequest { ids, .. }) = request.into_parts();
        let call = Call {
            ids: ids.clone(),
            timeout: text(&metadata, "grpc-timeout").map(|value| timeout(&value)),
            request_id: text(&metadata, "x-request-id"),
        };
        // The state when the call arrives, even if the response is delayed.
        let (users, missing_ids) = {
            let nicknames = self.0.nicknames.lock().unwrap();
            let (found, missing_ids): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|id| nicknames.contains_key(id));
            let users: Vec<_> = found
                .into_iter()
                .map(|id| User {
                    id,
                    nickname: nicknames[&id].clone(),
                    ..User::default()
                })
                .collect();
            (users, missing_ids)
        };
        // Subscribe before the call is recorded: a test that has seen it can then release it.
        let mut released = self.0.released.subscribe();
        let behavior = self.behavior();
        self.0.calls.send_modify(|calls| calls.push(call));
        match behavior {
            Behavior::Respond => {}
            Behavior::Hang => released.changed().await.unwrap(),
            Behavior::Fail => return Err(Status::internal("told to")),
            Behavior::RefuseOne => return Err(Status::unavailable("told to")),
        }
        Ok(Response::new(BatchGetUsersResponse { users, missing_ids }))
    }
}

impl Served {
    /// Stops the server.
    pub async fn stop(self) {
        self.stop.cancel();
        within_timeout(self.task).await.unwrap().unwrap();
    }
}

/// Listens on an address that was used before.
pub async fn listen_again(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).await.unwrap()
}

fn text(metadata: &MetadataMap, key: &str) -> Option<String> {
    Some(metadata.get(key)?.to_str().unwrap().into())
}

/// Parses a `grpc-timeout`.
fn timeout(value: &str) -> Duration {
    let (count, unit) = value.split_at(value.len() - 1);
    let count = count.parse().unwrap();
    match unit {
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => panic!("{value} is too long"),
    }
}

/// Implements the service. Calls other than `BatchGetUsers` panic.
macro_rules! user_service {
    ($($method:ident: $request:ident -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl UserService for FakeUserService {
            async fn batch_get_users(
                &self,
                request: Request<BatchGetUsersRequest>,
            ) -> Result<Response<BatchGetUsersResponse>, Status> {
                self.answer(request).await
            }
            $(
                async fn $method(
                    &self,
                    _: Request<proto::user::v1::$request>,
                ) -> Result<Response<proto::user::v1::$response>, Status> {
                    panic!("{} was called", stringify!($method));
                }
            )*
        }
    };
}

user_service! {
    create_user: CreateUserRequest -> CreateUserResponse;
    get_user: GetUserRequest -> GetUserResponse;
    lookup_user: LookupUserRequest -> LookupUserResponse;
    list_users: ListUsersRequest -> ListUsersResponse;
    update_user: UpdateUserRequest -> UpdateUserResponse;
    delete_user: DeleteUserRequest -> DeleteUserResponse;
    commit_users: CommitUsersRequest -> CommitUsersResponse;
    purge_users: PurgeUsersRequest -> PurgeUsersResponse;
}
