//! Serves HTTP over accepted connections: HTTP/2 for gRPC, and HTTP/1.1 for browsers, which use
//! HTTP/2 over TLS only.
//!
//! It sets the limits of both versions, and ends each connection after its last call when the
//! server stops. It does not read requests.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    http_io::{HttpIo, HttpIoLimits},
    socket::Socket,
    stream_executor::StreamExecutor,
    workers::Workers,
};
use crate::{call::Handlers, grpc_web::GrpcWeb, settings::ServerSettings, status};

/// The smallest buffer for the head of an HTTP/1.1 request that hyper accepts, in bytes.
const MIN_HTTP1_HEADER_BUFFER: usize = 8192;

/// The largest send buffer of a stream, in bytes: the default flow-control window of HTTP/2.
/// hyper's default is 400 KB, which a slow client fills for each stream that it watches.
const MAX_SEND_BUFFER: usize = 65_535;

/// The flow-control windows of a stream and of a connection, in bytes: what the server holds of
/// requests that no call reads. hyper's default is 1 MiB for each.
const STREAM_WINDOW: u32 = 65_535;
const CONNECTION_WINDOW: u32 = 2 * STREAM_WINDOW;

/// The time that a client gets to close its idle connection, after a GOAWAY has announced that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves the connections of `sockets` until `stop`. Then accepts no more, and waits until each open
/// connection has answered its running calls.
pub(crate) async fn serve<S: Handlers>(
    settings: &ServerSettings,
    sockets: impl Stream<Item = Socket>,
    limits: HttpIoLimits,
    web: GrpcWeb<S>,
    mut workers: Workers,
    stop: CancellationToken,
) {
    let open = TaskTracker::new();
    let accepting = async {
        let mut sockets = std::pin::pin!(sockets);
        while let Some(socket) = sockets.next().await {
            let executor = StreamExecutor::default();
            let builder = builder(settings, executor.clone());
            let (limits, web, stop) = (limits.clone(), web.clone(), stop.clone());
            workers.spawn(|elsewhere| {
                open.track_future(async move {
                    let socket = if elsewhere {
                        socket.rebind_to_runtime()
                    } else {
                        Ok(socket)
                    };
                    match socket {
                        Ok(socket) => {
                            // TLS would go between the socket and HTTP.
                            let io = HttpIo::new(socket, limits);
                            serve_connection(builder, executor, io, web, stop).await;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "failed to move connection to its worker runtime");
                        }
                    }
                })
            });
        }
    };
    // This drops the listener: the kernel resets the connections in its backlog.
    let _ = stop.run_until_cancelled(accepting).await;
    open.close();
    open.wait().await;
}

/// Serves one connection.
async fn serve_connection<S: Handlers>(
    builder: auto::Builder<StreamExecutor>,
    executor: StreamExecutor,
    io: HttpIo<Socket>,
    web: GrpcWeb<S>,
    stop: CancellationToken,
) {
    let share = Arc::clone(io.share());
    let calls = service_fn(|request| web.respond(request, &share));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), calls));
    let mut stopped = std::pin::pin!(stop.cancelled().fuse());
    let mut closing = std::pin::pin!(share.closing().fuse());
    let ended = poll_fn(|cx| {
        if stopped.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
        }
        if closing.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
            let share = Arc::clone(&share);
            tokio::spawn(async move {
                tokio::time::sleep(CLOSE_TIMEOUT).await;
                share.abort();
            });
        }
        let ended = connection.as_mut().poll(cx);
        executor.poll_new_streams(cx);
        ended
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(
            error = status::chain(&*error),
            "connection ended with an error"
        );
    }
}

/// Returns the HTTP server with its limits.
///
/// Connections have no maximum age: at the end of its grace period, running calls would be aborted
/// without a status.
fn builder(settings: &ServerSettings, executor: StreamExecutor) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(executor);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout)
        .max_header_list_size(settings.max_header_bytes);
    builder
        .http1()
        .timer(TokioTimer::new())
        // It also limits the wait for the next request, so idle connections are closed.
        .header_read_timeout(settings.header_read_timeout)
        .max_buf_size(MIN_HTTP1_HEADER_BUFFER.max(settings.max_header_bytes as usize));
    builder
}
