//! The user service: owns the accounts, and is the only one to change them.
//!
//! [`run`] is the only door: for the binary, for the whole system in one process, and
//! for tests.

mod error;
mod rpc;
mod settings;
pub mod store;
mod user;

use chassis::{
    database::sqlite::Database,
    idempotency,
    process::{Background, Failure, clock::Clock},
    serving::{self, Service},
};
use proto::user::v1::{self, user_service_server::UserServiceServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::settings::Settings;
use crate::{rpc::Rpc, store::sqlite::Store};

/// The full name of the gRPC service.
pub const NAME: &str = v1::user_service_server::SERVICE_NAME;

/// Serves the accounts in `database` on `listener` until `shutdown`, then drains.
///
/// # Errors
///
/// [`Failure`] if the database cannot be used, or is not there in time.
pub async fn run(
    settings: &Settings,
    listener: TcpListener,
    database: Database,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let store = Store::new(database.clone(), clock);
    let handlers = UserServiceServer::new(Rpc::new(store.clone()))
        .max_decoding_message_size(settings.server.max_message_bytes.get());
    let service = Service {
        domain: error::DOMAIN,
        descriptor_set: v1::FILE_DESCRIPTOR_SET,
        handlers,
    };
    let draining = CancellationToken::new();
    let background = Background::new("work in the background");
    let ready = async {
        database.ready().await?;
        background.spawn(draining.clone(), async move {
            idempotency::prune(|| store.prune_requests()).await;
        });
        Ok(())
    };

    let serving = serving::run(
        &settings.server,
        listener,
        service,
        ready,
        shutdown,
        draining.clone(),
    );
    let served = tokio::select! {
        served = serving => served,
        failure = database.failed() => Err(failure),
        failure = background.failed() => Err(failure),
    };

    draining.cancel();
    database.close().await;
    served
}
