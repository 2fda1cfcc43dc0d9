//! The server from outside, over connections of its own, with a small service in it.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, Request, StatusCode, uri::PathAndQuery};
use prost::Message;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status, Streaming, body::Body, server::NamedService};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use super::{
    Service, call_context, healthcheck,
    length_prefixed::{PrefixedMessages, stream_response},
    listen, request_id,
};
use process::ExitError;

use crate::settings::ServerSettings;

mod access_log;
mod calls;
mod connections;
mod drain;
mod failures;
mod health;
mod http1;
mod length_prefixed;
mod log;
mod web;

const NAME: &str = "test.v1.Test";
const DOMAIN: &str = "test.v1";
const MAX_MESSAGE_BYTES: usize = 1000;

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `future` gives, which must not take long.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

/// Defaults, but without the pause that suits load balancers, and with limits so far off
/// that a test that needs one to end does not end.
fn settings() -> ServerSettings {
    ServerSettings {
        drain_delay: Duration::from_millis(1),
        drain_timeout: Duration::from_secs(3600),
        header_read_timeout: Duration::from_secs(3600),
        max_message_bytes: NonZeroUsize::new(MAX_MESSAGE_BYTES).unwrap(),
        // What a test wants to see logged it sees in its own thread only.
        worker_threads: NonZeroUsize::MIN,
        ..ServerSettings::default()
    }
}

/// The handlers, whose messages are strings.
#[derive(Clone, Debug)]
struct Test {
    /// One permit for each call of Wait that has begun.
    waiting: Arc<Semaphore>,
    /// Cancelled to let the calls of Wait end.
    done: CancellationToken,
}

impl Test {
    async fn answer(
        self,
        method: String,
        request: tonic::Request<String>,
    ) -> Result<String, Status> {
        match method.as_str() {
            "Echo" => Ok(request.into_inner()),
            "Panic" => panic!("a deliberate panic"),
            "RequestId" => Ok(call_context::request_id().unwrap()),
            "Remaining" => {
                let left = call_context::remaining().unwrap();
                Ok(left.as_secs().to_string())
            }
            // More than a connection takes that nobody reads.
            "Large" => Ok("x".repeat(20_000_000)),
            "Wait" => {
                self.waiting.add_permits(1);
                self.done.cancelled().await;
                Ok("done".into())
            }
            _ => Err(Status::unimplemented("")),
        }
    }

    /// What a stream says in pieces, of several messages each.
    fn pieces(method: &str) -> Option<Vec<Result<PrefixedMessages, Status>>> {
        let piece = |messages: &[&str]| {
            let encoded = |message: &&str| (*message).to_owned().encode_to_vec();
            PrefixedMessages::encode(&messages.iter().map(encoded).collect::<Vec<_>>())
        };
        let (first, second) = (piece(&["one", "", "two"]), piece(&["three"]));
        match method {
            "Pieces" => Some(vec![first, second]),
            "PiecesThatFail" => Some(vec![first, Err(Status::data_loss("torn")), second]),
            _ => None,
        }
    }

    /// Not at once: what a stream has ready goes out in one piece.
    async fn panic_later() -> Result<String, Status> {
        tokio::task::yield_now().await;
        panic!("a deliberate panic")
    }

    fn stream(method: &str) -> Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>> {
        let first = stream::iter([Ok("first".to_owned())]);
        match method {
            "PanicInStream" => Box::pin(first.chain(stream::once(Self::panic_later()))),
            "Busy" => Box::pin(stream::repeat_with(|| Ok("more".to_owned()))),
            _ => Box::pin(first.chain(stream::pending())),
        }
    }
}

impl NamedService for Test {
    const NAME: &'static str = NAME;
}

impl tower::Service<Request<Body>> for Test {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        assert_ne!(method, "PanicAtOnce", "a deliberate panic");
        let codec = ProstCodec::<String, String>::default();
        let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Box::pin(async move {
            if STREAMING.contains(&method.as_str()) {
                if let Some(said) = Self::pieces(&method) {
                    let pieces = tower::service_fn(move |_: tonic::Request<String>| {
                        std::future::ready(Ok(stream_response::<String>(stream::iter(
                            said.clone(),
                        ))))
                    });
                    return Ok(grpc.server_streaming(pieces, request).await);
                }
                let stream = tower::service_fn(move |_: tonic::Request<String>| {
                    std::future::ready(Ok(Response::new(Self::stream(&method))))
                });
                return Ok(grpc.server_streaming(stream, request).await);
            }
            let answer = tower::service_fn(move |request: tonic::Request<String>| {
                let answer = this.clone().answer(method.clone(), request);
                async { answer.await.map(Response::new) }
            });
            Ok(grpc.unary(answer, request).await)
        })
    }
}

const STREAMING: [&str; 5] = [
    "Follow",
    "Busy",
    "PanicInStream",
    "Pieces",
    "PiecesThatFail",
];

fn descriptor_set() -> Vec<u8> {
    let method = |name: &str| MethodDescriptorProto {
        name: Some(name.into()),
        server_streaming: Some(true),
        ..Default::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Test".into()),
        method: STREAMING.map(method).into(),
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("test.proto".into()),
        package: Some("test.v1".into()),
        service: vec![service],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

/// A server that runs.
struct TestServer {
    address: SocketAddr,
    handlers: Test,
    /// Says that the database is there.
    ready: Option<oneshot::Sender<Result<(), ExitError>>>,
    shutdown: CancellationToken,
    draining: CancellationToken,
    running: JoinHandle<Result<(), ExitError>>,
}

impl TestServer {
    /// One that is ready.
    async fn start(settings: ServerSettings) -> Self {
        let mut server = Self::start_unready(settings).await;
        server.be_ready(Ok(())).await;
        server
    }

    /// One that waits for its database.
    async fn start_unready(settings: ServerSettings) -> Self {
        let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let handlers = Test {
            waiting: Arc::new(Semaphore::new(0)),
            done: CancellationToken::new(),
        };
        let service = Service {
            domain: DOMAIN,
            descriptor_set: descriptor_set().leak(),
            handlers: handlers.clone(),
        };
        let (ready, is_ready) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let draining = CancellationToken::new();
        let running = tokio::spawn({
            let (shutdown, draining) = (shutdown.clone(), draining.clone());
            let is_ready = async { is_ready.await.unwrap() };
            async move { super::run(&settings, listener, service, is_ready, shutdown, draining).await }
        });
        Self {
            address,
            handlers,
            ready: Some(ready),
            shutdown,
            draining,
            running,
        }
    }

    /// Says that the database is there, or why not, and waits until the server knows.
    async fn be_ready(&mut self, ready: Result<(), ExitError>) {
        let succeeds = ready.is_ok();
        self.ready.take().unwrap().send(ready).unwrap();
        while succeeds && healthcheck(self.address, NAME).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the handler of another call of Wait runs.
    async fn wait_begins(&self) {
        soon(self.handlers.waiting.acquire())
            .await
            .unwrap()
            .forget();
    }

    /// Starts a call of Wait, and waits until its handler runs.
    async fn spawn_wait(&self, client: &Client) -> JoinHandle<Result<String, Status>> {
        let client = client.clone();
        let call = tokio::spawn(async move { client.call("Wait", "").await });
        self.wait_begins().await;
        call
    }

    /// How the server ended, which it must do now.
    async fn end(self) -> Result<(), ExitError> {
        soon(self.running).await.unwrap()
    }

    /// A new connection.
    async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        Client(endpoint.connect().await.unwrap())
    }

    /// Sends a request as no gRPC client would, and gives the HTTP status, and headers and
    /// trailers together.
    async fn raw(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (StatusCode, HeaderMap) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method("POST").uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (response, mut sending) = client
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        sending
            .send_data(Bytes::copy_from_slice(body), true)
            .unwrap();
        let (head, mut body) = soon(response).await.unwrap().into_parts();
        while body.data().await.is_some() {}
        let mut headers = head.headers;
        headers.extend(body.trailers().await.unwrap().unwrap_or_default());
        (head.status, headers)
    }

    /// The same with what every gRPC request has; gives the call's status.
    async fn raw_call(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Status {
        let headers = [&[("content-type", "application/grpc")], headers].concat();
        let (http, headers) = self.raw(path, &headers, body).await;
        assert_eq!(http, StatusCode::OK);
        Status::from_header_map(&headers).unwrap()
    }
}

/// A message as gRPC frames it, of nothing.
const EMPTY_MESSAGE: &[u8] = &[0, 0, 0, 0, 0];

fn path(method: &str) -> String {
    format!("/{NAME}/{method}")
}

/// A connection to a server.
#[derive(Clone)]
struct Client(Channel);

impl Client {
    /// Calls a method that takes and gives a string.
    async fn call(&self, method: &str, text: &str) -> Result<String, Status> {
        let response = self
            .send(&path(method), tonic::Request::new(text.to_owned()))
            .await?;
        Ok(response.into_inner())
    }

    async fn send<M: Message + 'static>(
        &self,
        path: &str,
        request: tonic::Request<M>,
    ) -> Result<Response<String>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::try_from(path).unwrap();
        soon(grpc.unary(request, path, ProstCodec::<M, String>::default())).await
    }

    /// Calls a method that gives a stream of strings.
    async fn stream(&self, method: &str, timeout: Option<Duration>) -> Streaming<String> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::try_from(path(method)).unwrap();
        let mut request = tonic::Request::new(String::new());
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let codec = ProstCodec::<String, String>::default();
        soon(grpc.server_streaming(request, path, codec))
            .await
            .unwrap()
            .into_inner()
    }
}

/// Asserts the code and the reason of a failure, and that it has the server's domain.
#[track_caller]
fn assert_refused(status: &Status, code: Code, reason: &str) {
    let info = status
        .get_details_error_info()
        .expect("it has no ErrorInfo");
    assert_eq!(
        (status.code(), info.reason.as_str()),
        (code, reason),
        "{}",
        status.message()
    );
    assert_eq!(info.domain, DOMAIN);
}
