//! The user service, which owns the user accounts. No other service writes them.
//!
//! [`run`] is the only entry point: of the binary, of the whole system in one process, and of
//! tests.

mod error;
mod rpc;
mod settings;
pub mod store;
mod user;

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
use proto::user::v1::{self, user_service_server::UserServiceServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::settings::Settings;
use crate::{
    rpc::Rpc,
    store::{
        UserStore,
        sqlite::{self, SqliteStore},
    },
};

/// The full name of the gRPC service.
pub const NAME: &str = v1::user_service_server::SERVICE_NAME;

/// The contract that the service implements.
pub const CONTRACT: Contract = Contract {
    name: NAME,
    descriptor_set: v1::FILE_DESCRIPTOR_SET,
};

/// Serves the accounts in `database` on `listener` until `shutdown`, then drains.
///
/// # Errors
///
/// [`ExitError`] if the database is unusable, or not ready in time.
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
            let store = SqliteStore::new(database.clone(), clock);
            serve(settings, listener, database, store, shutdown).await
        }
    }
}

/// Serves the accounts in `store`, which is a store in `database`.
async fn serve(
    settings: &Settings,
    listener: TcpListener,
    database: impl Lifecycle,
    store: impl UserStore,
    shutdown: CancellationToken,
) -> Result<(), ExitError> {
    let handlers = UserServiceServer::new(Rpc::new(store.clone()))
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
        background: vec![Box::pin(async move {
            idempotency::prune(|| store.prune_idempotency_records()).await;
        })],
        shutdown,
    })
    .await
}
