//! Tests of the server over TCP, with a small service behind it.

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
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, oneshot, watch},
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
mod cors;
mod drain;
mod failures;
mod health;
mod http1;
mod length_prefixed;
mod limits;
mod log;
mod web;

const NAME: &str = "test.v1.Test";
const DOMAIN: &str = "test.v1";
const MAX_MESSAGE_BYTES: usize = 1000;

/// The longest time that a passing test waits for anything.
const TEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the output of `future`, or panics at the timeout.
async fn within_timeout<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TEST_TIMEOUT, future)
        .await
        .expect("timed out")
}

/// Returns settings without a noticeable drain delay, and with timeouts that no test reaches: a test
/// that depends on a timeout sets its own.
fn settings() -> ServerSettings {
    ServerSettings {
        drain_delay: Duration::from_millis(1),
        drain_timeout: Duration::from_hours(1),
        header_read_timeout: Duration::from_hours(1),
        max_message_bytes: NonZeroUsize::new(MAX_MESSAGE_BYTES).unwrap(),
        max_buffered_bytes: crate::budget::BufferBudget::new(1 << 30),
        // The subscriber of a test sees only the log lines of its own thread.
        worker_threads: NonZeroUsize::MIN,
        ..ServerSettings::default()
    }
}

/// The handlers of the service. Requests and responses are strings.
#[derive(Clone, Debug)]
struct TestHandlers {
    /// Gets a permit for each call of Wait that starts.
    waiting: Arc<Semaphore>,
    /// Cancelled to let the calls of Wait return.
    done: CancellationToken,
    max_message_bytes: usize,
}

impl TestHandlers {
    async fn respond(
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
            // More than the buffers of a connection hold.
            "Large" => Ok("x".repeat(20_000_000)),
            "Wait" => {
                self.waiting.add_permits(1);
                self.done.cancelled().await;
                Ok("done".into())
            }
            _ => Err(Status::unimplemented("")),
        }
    }

    /// Returns the batches of a pre-encoded stream.
    fn batches(method: &str) -> Option<Vec<Result<PrefixedMessages, Status>>> {
        let batch = |messages: &[&str]| {
            let encoded = |message: &&str| (*message).to_owned().encode_to_vec();
            PrefixedMessages::encode(&messages.iter().map(encoded).collect::<Vec<_>>())
        };
        let (first, second) = (batch(&["one", "", "two"]), batch(&["three"]));
        match method {
            "PreEncoded" => Some(vec![first, second]),
            "PreEncodedFails" => Some(vec![first, Err(Status::data_loss("torn")), second]),
            _ => None,
        }
    }

    /// Panics in the second poll, so that the first message is sent before.
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

impl NamedService for TestHandlers {
    const NAME: &'static str = NAME;
}

impl tower::Service<Request<Body>> for TestHandlers {
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
        let mut grpc =
            tonic::server::Grpc::new(codec).max_decoding_message_size(this.max_message_bytes);
        Box::pin(async move {
            if STREAMING.contains(&method.as_str()) {
                if let Some(batches) = Self::batches(&method) {
                    let encoded = tower::service_fn(move |_: tonic::Request<String>| {
                        std::future::ready(Ok(stream_response::<String>(stream::iter(
                            batches.clone(),
                        ))))
                    });
                    return Ok(grpc.server_streaming(encoded, request).await);
                }
                let stream = tower::service_fn(move |_: tonic::Request<String>| {
                    std::future::ready(Ok(Response::new(Self::stream(&method))))
                });
                return Ok(grpc.server_streaming(stream, request).await);
            }
            let unary = tower::service_fn(move |request: tonic::Request<String>| {
                let response = this.clone().respond(method.clone(), request);
                async { response.await.map(Response::new) }
            });
            Ok(grpc.unary(unary, request).await)
        })
    }
}

const STREAMING: [&str; 5] = [
    "Follow",
    "Busy",
    "PanicInStream",
    "PreEncoded",
    "PreEncodedFails",
];

fn descriptor_set() -> Vec<u8> {
    let method = |name: &str| MethodDescriptorProto {
        name: Some(name.into()),
        server_streaming: Some(true),
        ..Default::default()
    };
    // A list of lists, as far as the limits of the request are concerned.
    let list = ".test.v1.List".to_owned();
    let lists = FieldDescriptorProto {
        name: Some("lists".into()),
        number: Some(1),
        r#type: Some(Type::Message.into()),
        type_name: Some(list.clone()),
        label: Some(Label::Repeated.into()),
        ..Default::default()
    };
    let message = DescriptorProto {
        name: Some("List".into()),
        field: vec![lists],
        ..Default::default()
    };
    let echo = MethodDescriptorProto {
        name: Some("Echo".into()),
        input_type: Some(list),
        ..Default::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Test".into()),
        method: STREAMING.map(method).into_iter().chain([echo]).collect(),
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("test.proto".into()),
        package: Some("test.v1".into()),
        service: vec![service],
        message_type: vec![message],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

/// A running server.
struct TestServer {
    address: SocketAddr,
    handlers: TestHandlers,
    /// Makes the server ready, or fails its readiness.
    ready: Option<oneshot::Sender<Result<(), ExitError>>>,
    available: watch::Sender<bool>,
    shutdown: CancellationToken,
    draining: CancellationToken,
    running: JoinHandle<Result<(), ExitError>>,
}

impl TestServer {
    /// Starts a server that is ready.
    async fn start(settings: ServerSettings) -> Self {
        let mut server = Self::start_unready(settings).await;
        server.set_ready(Ok(())).await;
        server
    }

    /// Starts a server that is not ready.
    async fn start_unready(settings: ServerSettings) -> Self {
        let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let handlers = TestHandlers {
            waiting: Arc::new(Semaphore::new(0)),
            done: CancellationToken::new(),
            max_message_bytes: settings.max_message_bytes.get(),
        };
        let service = Service {
            domain: DOMAIN,
            descriptor_set: descriptor_set().leak(),
            handlers: handlers.clone(),
        };
        let (ready, is_ready) = oneshot::channel();
        let (available, is_available) = watch::channel(true);
        let shutdown = CancellationToken::new();
        let draining = CancellationToken::new();
        let running = tokio::spawn({
            let (shutdown, draining) = (shutdown.clone(), draining.clone());
            let is_ready = async { is_ready.await.unwrap() };
            async move {
                super::run(
                    &settings,
                    listener,
                    service,
                    is_ready,
                    is_available,
                    shutdown,
                    draining,
                )
                .await
            }
        });
        Self {
            address,
            handlers,
            ready: Some(ready),
            available,
            shutdown,
            draining,
            running,
        }
    }

    /// Makes the server ready, or fails its readiness, and waits until it is serving.
    async fn set_ready(&mut self, ready: Result<(), ExitError>) {
        let succeeds = ready.is_ok();
        self.ready.take().unwrap().send(ready).unwrap();
        while succeeds && healthcheck(self.address, NAME).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the handler of one more call of Wait runs.
    async fn wait_started(&self) {
        within_timeout(self.handlers.waiting.acquire())
            .await
            .unwrap()
            .forget();
    }

    /// Starts a call of Wait, and waits until its handler runs.
    async fn spawn_wait(&self, client: &Client) -> JoinHandle<Result<String, Status>> {
        let client = client.clone();
        let call = tokio::spawn(async move { client.call("Wait", "").await });
        self.wait_started().await;
        call
    }

    /// Waits until the server has ended, and returns its result.
    async fn end(self) -> Result<(), ExitError> {
        within_timeout(self.running).await.unwrap()
    }

    /// Opens a connection.
    async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        Client(endpoint.connect().await.unwrap())
    }

    /// Sends a request that a gRPC client would not send. Returns the HTTP status, and the headers
    /// and trailers together.
    async fn send_raw(
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
        let (head, mut body) = within_timeout(response).await.unwrap().into_parts();
        while body.data().await.is_some() {}
        let mut headers = head.headers;
        headers.extend(body.trailers().await.unwrap().unwrap_or_default());
        (head.status, headers)
    }

    /// Sends a request with the content type of gRPC, and returns the status of the call.
    async fn send_raw_call(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Status {
        let headers = [&[("content-type", "application/grpc")], headers].concat();
        let (http, headers) = self.send_raw(path, &headers, body).await;
        assert_eq!(http, StatusCode::OK);
        Status::from_header_map(&headers).unwrap()
    }
}

/// The length-prefixed message of an empty string.
const EMPTY_MESSAGE: &[u8] = &[0, 0, 0, 0, 0];

fn path(method: &str) -> String {
    format!("/{NAME}/{method}")
}

/// A connection to a server.
#[derive(Clone)]
struct Client(Channel);

impl Client {
    /// Calls a unary method.
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
        within_timeout(grpc.unary(request, path, ProstCodec::<M, String>::default())).await
    }

    /// Calls a server streaming method.
    async fn stream(&self, method: &str, timeout: Option<Duration>) -> Streaming<String> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::try_from(path(method)).unwrap();
        let mut request = tonic::Request::new(String::new());
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let codec = ProstCodec::<String, String>::default();
        within_timeout(grpc.server_streaming(request, path, codec))
            .await
            .unwrap()
            .into_inner()
    }
}

/// Asserts the code, the reason and the domain of a failure.
#[track_caller]
fn assert_refused(status: &Status, code: Code, reason: &str) {
    let info = status.get_details_error_info().expect("no ErrorInfo");
    assert_eq!(
        (status.code(), info.reason.as_str()),
        (code, reason),
        "{}",
        status.message()
    );
    assert_eq!(info.domain, DOMAIN);
}
