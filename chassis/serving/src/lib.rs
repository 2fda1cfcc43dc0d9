//! Serving gRPC, and gRPC-Web: what surrounds a service from the socket to its handlers, so that a
//! service is its handlers alone.
//!
//! Every connection, call and wait has a bound; every failure has its details; and a
//! server that is asked to end does so, whatever its clients do. The vocabulary of an API is
//! here too: statuses, field violations, page tokens, etags, update
//! masks.
//!
//! It names no message and no service, and knows no database.

use std::{future::Future, pin::Pin, pin::pin, sync::Arc};

use process::ExitError;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use self::settings::ServerSettings;
use self::{
    call::{CallService, methods::MethodTable, server_context::ServerContext},
    grpc_web::GrpcWeb,
    health::{Health, Phase, v1::health_server::HealthServer},
    listen::{accept::Connections, http, workers::Workers},
};

mod call;
pub mod call_context;
mod cors;
pub mod etag;
mod grpc_status;
mod grpc_web;
pub mod health;
pub mod length_prefixed;
mod listen;
pub mod pagination;
mod reflection;
pub mod repeated;
pub mod request_id;
pub mod settings;
mod stall;
pub mod status;
#[cfg(test)]
mod tests;
pub mod update_mask;
pub mod violation;

pub use self::{
    call::Handlers,
    health::healthcheck,
    listen::accept::{listen, loopback_for_unspecified},
};

/// How long connections that are cut may take to notice it.
const ABORT_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(100);

/// What a process serves.
#[derive(Debug)]
pub struct Service<S> {
    /// The domain of every ErrorInfo.
    pub domain: &'static str,
    /// Its compiled contract, an encoded `google.protobuf.FileDescriptorSet`: for
    /// reflection, and to tell which of its methods answer with a stream.
    pub descriptor_set: &'static [u8],
    /// Its calls. It accepts messages of at most [`ServerSettings::max_message_bytes`].
    pub handlers: S,
}

/// Serves until `shutdown`, and then drains: those who ask for its health are told to
/// turn away, no more calls are accepted, those that run are waited for, and what is
/// then left is cut.
///
/// Until `ready` says that the database is there, the health is `NOT_SERVING`, and calls
/// fail with `UNAVAILABLE`. While it drains, `draining` is cancelled at the moment at
/// which the service's own streams have to end; those that do not end by themselves are
/// ended, with [`shutting_down`](crate::status::shutting_down).
///
/// # Errors
///
/// The failure of `ready`, after a drain; or [`ExitError::Failed`] if the service cannot
/// be served at all. A drain that has to cut calls is no failure, but it is logged.
pub async fn run<S: Handlers>(
    settings: &ServerSettings,
    listener: TcpListener,
    service: Service<S>,
    ready: impl Future<Output = Result<(), ExitError>> + Send,
    shutdown: CancellationToken,
    draining: CancellationToken,
) -> Result<(), ExitError> {
    let name = S::NAME;
    let address = listener
        .local_addr()
        .map_err(|error| ExitError::Failed(format!("the server has no address: {error}")))?;
    tracing::debug!(service = name, %address, "listening");
    let (phase, watching) = watch::channel(Phase::Starting);
    let calls = build_call_service(settings, service, watching, draining.clone())?;
    let connections = Connections::new(settings);
    let stop = CancellationToken::new();
    let web = GrpcWeb {
        calls,
        origins: Arc::new(settings.cors_allowed_origins.clone()),
    };
    let workers = Workers::start(settings.worker_threads)
        .map_err(|error| ExitError::Failed(format!("the worker threads do not start: {error}")))?;
    let sockets = connections.accept(listener);
    let limits = connections.limits();
    let mut server = pin!(http::serve(
        settings,
        sockets,
        limits,
        web,
        workers,
        stop.clone()
    ));

    let live = async {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            ready = ready => ready?,
        }
        phase.send_replace(Phase::Serving);
        tracing::info!(service = name, %address, "serving");
        shutdown.cancelled().await;
        Ok(())
    };
    let outcome = tokio::select! {
        outcome = live => outcome,
        () = &mut server => return Err(ExitError::Failed("the server ended by itself".into())),
    };

    if phase.send_if_modified(drain_if_serving) && connections.open() > 0 {
        // It goes on serving for that long: there is nothing to wait for but the time.
        let _ = timeout(settings.drain_delay, server.as_mut()).await;
    }
    draining.cancel();
    stop.cancel();
    drain(settings, server, &connections).await;
    outcome
}

/// Waits for the calls that run, and cuts what is left after the limit.
async fn drain(
    settings: &ServerSettings,
    mut server: Pin<&mut impl Future<Output = ()>>,
    connections: &Connections,
) {
    connections.close_unidentified();
    if timeout(settings.drain_timeout, server.as_mut())
        .await
        .is_ok()
    {
        return;
    }
    tracing::warn!(
        connections = connections.open(),
        "calls still run at the end of the drain; their connections are cut"
    );
    connections.abort_all();
    let _ = timeout(ABORT_TIMEOUT, server).await;
}

/// A server that never was ready has no calls that run, and nobody who has to be told.
fn drain_if_serving(phase: &mut Phase) -> bool {
    let serving = *phase == Phase::Serving;
    if serving {
        *phase = Phase::Draining;
    }
    serving
}

/// The service with its companions, health and reflection, and what surrounds them all.
fn build_call_service<S: Handlers>(
    settings: &ServerSettings,
    service: Service<S>,
    phase: watch::Receiver<Phase>,
    draining: CancellationToken,
) -> Result<CallService<S>, ExitError> {
    let Service {
        domain,
        descriptor_set,
        handlers,
    } = service;
    let name = S::NAME;
    let max_message_bytes = settings.max_message_bytes.get();
    let invalid = |error: &dyn std::error::Error| {
        ExitError::Failed(format!("the descriptor set of {name} is invalid: {error}"))
    };

    let health = Health {
        name,
        domain,
        phase: phase.clone(),
    };
    let health = HealthServer::new(health).max_decoding_message_size(max_message_bytes);
    let admin_routes =
        reflection::add_reflection(Routes::new(health), name, descriptor_set, max_message_bytes)
            .map_err(|error| invalid(&error))?;
    let descriptor_sets = [
        descriptor_set,
        health::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let server = ServerContext {
        name,
        domain,
        methods: MethodTable::from_descriptor_sets(&descriptor_sets)
            .map_err(|error| invalid(&error))?,
        phase,
        in_flight: Arc::new(Semaphore::new(settings.max_concurrent_calls.get())),
        call_timeout: settings.call_timeout,
        slow_call_threshold: settings.slow_call_threshold,
        max_message_bytes,
        draining,
    };
    Ok(CallService {
        server: Arc::new(server),
        handlers,
        admin_routes: admin_routes.prepare(),
    })
}
