//! A server for gRPC and gRPC-Web: everything between the socket and the handlers of a service.
//!
//! Every connection, call and wait has a limit, every failure has error details, and a drain ends
//! whatever the clients do. The types of the API are here too: statuses, field violations, page
//! tokens, etags and update masks. The crate must not name a message or a service, and does not
//! know the database.

use std::{future::Future, pin::Pin, pin::pin, sync::Arc};

use process::ExitError;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use self::settings::ServerSettings;
use self::{
    call::{CallService, methods::MethodTable, server_context::ServerContext},
    grpc_web::GrpcWeb,
    health::{Health, Phase, ServerState, v1::health_server::HealthServer},
    limiter::Limiter,
    listen::{accept::Connections, http, workers::Workers},
};

pub mod budget;
mod call;
pub mod call_context;
mod cors;
pub mod etag;
mod grpc_status;
mod grpc_web;
pub mod health;
pub mod length_prefixed;
mod limiter;
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
    call::{Handlers, request_body::request_bytes},
    health::healthcheck,
    listen::accept::{listen, loopback_for_unspecified},
};

/// The largest message of the admin services, health and reflection, in bytes. Their requests are
/// short names.
const MAX_ADMIN_MESSAGE_BYTES: usize = 4096;

/// The time that the tasks of aborted connections get to end.
const ABORT_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(100);

/// The service that a server runs.
#[derive(Debug)]
pub struct Service<S> {
    /// The domain of every ErrorInfo.
    pub domain: &'static str,
    /// The compiled contract, an encoded `google.protobuf.FileDescriptorSet`. Reflection serves it,
    /// and it tells which methods are server streaming.
    pub descriptor_set: &'static [u8],
    /// The handlers. They accept messages of at most [`ServerSettings::max_message_bytes`].
    pub handlers: S,
}

/// Serves until `shutdown` is cancelled, and then drains.
///
/// Until `ready` resolves, the health is `NOT_SERVING`, and calls fail with `UNAVAILABLE`
/// (`NOT_READY`).
///
/// While `available` is `false`, the health is `NOT_SERVING`, calls fail with `UNAVAILABLE`
/// (`DATABASE_REPLACED`), and open streams end with it.
///
/// A drain first sets the health to `NOT_SERVING` for `DRAIN_DELAY`, so that load balancers stop
/// sending calls. Then it accepts no more connections, cancels `draining`, and waits for running
/// calls for `DRAIN_TIMEOUT`. Streams that do not end when `draining` is cancelled are ended with
/// [`shutting_down`](crate::status::shutting_down). Connections that are still open at the timeout
/// are aborted, which is logged.
///
/// # Errors
///
/// The failure of `ready`, after a drain. [`ExitError::Failed`] if the service cannot be served.
pub async fn run<S: Handlers>(
    settings: &ServerSettings,
    listener: TcpListener,
    service: Service<S>,
    ready: impl Future<Output = Result<(), ExitError>> + Send,
    available: watch::Receiver<bool>,
    shutdown: CancellationToken,
    draining: CancellationToken,
) -> Result<(), ExitError> {
    let name = S::NAME;
    let address = listener
        .local_addr()
        .map_err(|error| ExitError::Failed(format!("the server has no address: {error}")))?;
    tracing::debug!(service = name, %address, "listening");
    let (phase, watching) = watch::channel(Phase::Starting);
    let state = ServerState {
        phase: watching,
        available,
    };
    let calls = build_call_service(settings, service, state, draining.clone())?;
    let connections = Connections::new(settings, Limiter::new(settings));
    let stop = CancellationToken::new();
    let web = GrpcWeb {
        calls,
        origins: Arc::new(settings.cors_allowed_origins.clone()),
    };
    let workers = Workers::start(settings.worker_threads)
        .map_err(|error| ExitError::Failed(format!("cannot start the worker threads: {error}")))?;
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
        () = &mut server => return Err(ExitError::Failed("the server stopped accepting connections".into())),
    };

    if phase.send_if_modified(drain_if_serving) && connections.open() > 0 {
        // The server keeps serving during the delay, and does not end before it.
        let _ = timeout(settings.drain_delay, server.as_mut()).await;
    }
    draining.cancel();
    stop.cancel();
    drain(settings, server, &connections).await;
    outcome
}

/// Waits until running calls have finished, and aborts their connections at the timeout.
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
        "drain timed out; connections with running calls aborted"
    );
    connections.abort_all();
    let _ = timeout(ABORT_TIMEOUT, server).await;
}

/// Starts the drain if the server is serving. Returns whether it was: a server that never became
/// ready has no running calls, and no client that has to learn of the drain.
fn drain_if_serving(phase: &mut Phase) -> bool {
    let serving = *phase == Phase::Serving;
    if serving {
        *phase = Phase::Draining;
    }
    serving
}

/// Builds the call service: the service itself, with health and reflection as admin services.
fn build_call_service<S: Handlers>(
    settings: &ServerSettings,
    service: Service<S>,
    state: ServerState,
    draining: CancellationToken,
) -> Result<CallService<S>, ExitError> {
    let Service {
        domain,
        descriptor_set,
        handlers,
    } = service;
    let name = S::NAME;
    let max_message_bytes = settings.max_message_bytes.get();
    let max_admin_message_bytes = MAX_ADMIN_MESSAGE_BYTES.min(max_message_bytes);
    let invalid = |error: &dyn std::error::Error| {
        ExitError::Failed(format!("the descriptor set of {name} is invalid: {error}"))
    };

    let health = Health {
        name,
        domain,
        state: state.clone(),
    };
    let health = HealthServer::new(health).max_decoding_message_size(max_admin_message_bytes);
    let admin_routes = reflection::add_reflection(
        Routes::new(health),
        name,
        descriptor_set,
        max_admin_message_bytes,
    )
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
        state,
        call_timeout: settings.call_timeout,
        slow_call_threshold: settings.slow_call_threshold,
        max_message_bytes,
        max_admin_message_bytes,
        refusals: Arc::default(),
        draining,
    };
    Ok(CallService {
        server: Arc::new(server),
        handlers,
        admin_routes: admin_routes.prepare(),
    })
}
