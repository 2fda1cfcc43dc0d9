//! The baseline: a straightforward implementation with tonic and sqlx, on the same schema and with
//! the same durability. Each call runs one statement in one transaction, on a default pool, and
//! calls the user service once for each author.
//!
//! It checks less than the services do: no limits, no page token signatures, no request ids. Only
//! the bench may use it.

mod posts;
mod users;

use std::path::Path;

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use proto::{
    post::v1::post_service_server::PostServiceServer,
    user::v1::user_service_server::UserServiceServer,
};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::net::TcpListener;
use tonic::{
    Status,
    transport::{Server, server::TcpIncoming},
};

use crate::processes;

/// Serves users until the process is killed.
pub async fn users(database: &Path) {
    let users = users::Users::new(pool(database).await);
    let (incoming, server) = listen().await;
    server
        .clone()
        .add_service(UserServiceServer::new(users))
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}

/// Serves posts until the process is killed.
pub async fn posts(database: &Path, user_service_url: String) {
    let posts = posts::Posts::new(pool(database).await, user_service_url);
    let (incoming, server) = listen().await;
    server
        .clone()
        .add_service(PostServiceServer::new(posts))
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}

async fn listen() -> (TcpIncoming, Server) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    processes::report_serving(listener.local_addr().unwrap());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    (incoming, Server::builder())
}

/// Creates a pool of 10 connections, the default of sqlx.
async fn pool(database: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .synchronous(SqliteSynchronous::Full);
    SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .unwrap()
}

fn failed(error: sqlx::Error) -> Status {
    match error {
        sqlx::Error::RowNotFound => Status::not_found("not found"),
        error => Status::internal(error.to_string()),
    }
}

fn timestamp(micros: i64) -> Option<Timestamp> {
    let time: DateTime<Utc> = DateTime::from_timestamp_micros(micros)?;
    Some(Timestamp {
        seconds: time.timestamp(),
        nanos: time.timestamp_subsec_nanos().try_into().ok()?,
    })
}

fn now() -> i64 {
    Utc::now().timestamp_micros()
}
