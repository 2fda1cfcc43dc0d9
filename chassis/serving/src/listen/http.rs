//! HTTP over the connections that were accepted: HTTP/2 for gRPC, and HTTP/1.1 besides,
//! since browsers speak it without TLS.
//!
//! It knows the limits of both, and when a connection has served its last call; what a
//! request asks for it does not know.

use std::future::{Future, poll_fn};

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

/// The smallest buffer that the library takes for the head of an HTTP/1.1 request, in
/// bytes.
const MIN_HTTP1_HEADER_BUFFER: usize = 8192;

/// How much of a stream's answers waits for its client, in bytes, which may let the server send far
/// more than it takes. The library has 400 KB, for each of all who watch; a window of HTTP/2 is 64.
const MAX_SEND_BUFFER: usize = 65_535;

/// Serves the connections of `sockets` until `stop`; then none is accepted, and those that are open are
/// waited for, until each has answered the calls that run.
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
                            // TLS, if any, goes between the two.
                            let io = HttpIo::new(socket, limits);
                            serve_connection(builder, executor, io, web, stop).await;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "a connection is lost on its way to its worker");
                        }
                    }
                })
            });
        }
    };
    // What waits in the backlog of the listener is turned away, since that goes with it.
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
    let stall = io.stall_detector();
    let calls = service_fn(move |request| web.respond(request, stall.clone()));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), calls));
    let mut stopped = std::pin::pin!(stop.cancelled().fuse());
    let ended = poll_fn(|cx| {
        if stopped.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
        }
        let ended = connection.as_mut().poll(cx);
        executor.poll_new_streams(cx);
        ended
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(error = status::chain(&*error), "a connection ended early");
    }
}

/// The limits that the library leaves open. An age for connections is not among them: its
/// grace would cut calls without notice.
fn builder(settings: &ServerSettings, executor: StreamExecutor) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(executor);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout)
        .max_header_list_size(settings.max_header_bytes);
    builder
        .http1()
        .timer(TokioTimer::new())
        // Of the next request on the same connection, too, which so is not kept for ever.
        .header_read_timeout(settings.header_read_timeout)
        .max_buf_size(MIN_HTTP1_HEADER_BUFFER.max(settings.max_header_bytes as usize));
    builder
}
