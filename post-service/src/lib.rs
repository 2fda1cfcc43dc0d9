//! The post service, which owns the posts and resolves their authors with the user service.
//!
//! [`run`] is the only entry point: of the binary, of the whole system in one process, and of
//! tests.

mod authors;
mod error;
mod post;
mod rpc;
mod settings;
pub mod store;
mod watch;

use chassis::{
    Parts,
    database::{
        Lifecycle,
        settings::{DatabaseSettings, DatabaseUrl},
        sqlite::Database,
    },
    idempotency,
    process::{ExitError, clock::Clock},
    program::Contract,
    serving::Service,
};
use proto::post::v1::{self, post_service_server::PostServiceServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use crate::settings::{AuthorSettings, PageSettings, Settings, WatchSettings};
use crate::{
    authors::Authors,
    rpc::Rpc,
    store::{
        PostStore,
        sqlite::{self, SqliteStore},
    },
    watch::Feed,
};

/// The full name of the gRPC service.
pub const NAME: &str = v1::post_service_server::SERVICE_NAME;

/// The contract that the service implements.
pub const CONTRACT: Contract = Contract {
    name: NAME,
    descriptor_set: v1::FILE_DESCRIPTOR_SET,
};

/// Serves the posts in `database` on `listener` until `shutdown`, then drains. It serves even
/// if the user service is down.
///
/// # Errors
///
/// [`ExitError`] if a setting is invalid, or if the database is unusable or not ready in time.
pub async fn run(
    settings: &Settings,
    listener: TcpListener,
    database: &DatabaseSettings,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), ExitError> {
    match &database.database_url {
        DatabaseUrl::Sqlite(path) => {
            let database = Database::new(path, database, &sqlite::REQUIREMENTS);
            let (pages, poll) = (
                settings.pages.list_cache_capacity,
                settings.watch.watch_poll_interval,
            );
            let store = SqliteStore::new(database.clone(), clock, pages, poll);
            serve(settings, listener, database, store, shutdown).await
        }
    }
}

/// Serves the posts in `store`, which is a store in `database`.
async fn serve(
    settings: &Settings,
    listener: TcpListener,
    database: impl Lifecycle,
    store: impl PostStore,
    shutdown: CancellationToken,
) -> Result<(), ExitError> {
    let authors = Authors::new(&settings.user_service_url, &settings.authors);
    let feed = Feed::new(store.clone(), &settings.watch);
    let handlers = PostServiceServer::new(Rpc::new(store.clone(), authors, feed.clone()))
        .max_decoding_message_size(settings.server.max_message_bytes.get());
    chassis::run(Parts {
        settings: &settings.server,
        listener,
        service: Service {
            domain: error::DOMAIN,
            descriptor_set: v1::FILE_DESCRIPTOR_SET,
            handlers,
        },
        database,
        background: vec![
            Box::pin(async move {
                idempotency::prune(|| store.prune_idempotency_records()).await;
            }),
            Box::pin(async move { feed.run().await }),
        ],
        shutdown,
    })
    .await
}
