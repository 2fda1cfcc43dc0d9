//! The limits of memory and places: clients that send or read only a part.

use h2::{
    SendStream,
    client::{ResponseFuture, SendRequest},
};
use tokio::io::AsyncWriteExt;

use super::{connections::PREFACE, *};
use crate::budget::BufferBudget;

/// Enough bytes for the few calls of a test, and for one connection 1 MiB.
const MAX_BUFFERED_BYTES: usize = 4 << 20;

/// The prefix of a message of 4 MiB.
const LARGE_PREFIX: &[u8] = &[0, 0, 0x40, 0, 0];

fn limited() -> ServerSettings {
    ServerSettings {
        max_buffered_bytes: BufferBudget::new(MAX_BUFFERED_BYTES),
        ..settings()
    }
}

/// A connection whose flow-control windows the test controls.
struct RawClient {
    address: SocketAddr,
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl RawClient {
    async fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(window)
            .handshake::<_, Bytes>(stream)
            .await
            .unwrap();
        Self {
            address,
            sender,
            connection: tokio::spawn(connection),
        }
    }

    /// Starts a call of a method of the test service with an empty message.
    async fn call(&self, method: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let (response, mut body) = self.start(&path(method), EMPTY_MESSAGE).await;
        body.send_data(Bytes::new(), true).unwrap();
        (response, body)
    }

    /// Starts a call, and sends a part of its request.
    async fn start(&self, path: &str, part: &[u8]) -> (ResponseFuture, SendStream<Bytes>) {
        let mut sender = within_timeout(self.sender.clone().ready()).await.unwrap();
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        let part = Bytes::copy_from_slice(part);
        body.send_data(part, false).unwrap();
        (response, body)
    }
}

/// Returns the status of a response without a body.
async fn status(response: ResponseFuture) -> Status {
    let response = within_timeout(response).await.unwrap();
    Status::from_header_map(response.headers()).unwrap()
}

#[tokio::test]
async fn incomplete_requests_are_limited_by_their_announced_bytes() {
    let max_message_bytes = NonZeroUsize::new(4 << 20).unwrap();
    let server = TestServer::start(ServerSettings {
        max_message_bytes,
        max_buffered_bytes: BufferBudget::new(64 << 20),
        ..settings()
    })
    .await;
    let client = RawClient::connect(server.address, 65_535).await;

    let first = client.start(&path("Wait"), LARGE_PREFIX).await;
    let second = client.start(&path("Wait"), LARGE_PREFIX).await;
    let refused = status(second.0).await;
    let other = server.client().await.call("Echo", "x").await;
    drop(first);
    let health = healthcheck(server.address, NAME).await;

    assert_refused(&refused, Code::ResourceExhausted, "MEMORY_LIMIT");
    assert!(refused.get_details_retry_info().is_some());
    assert_eq!(other.unwrap(), "x");
    assert!(health.is_ok());
}

#[tokio::test]
async fn open_calls_are_limited_whatever_their_service() {
    let server = TestServer::start(limited()).await;
    let client = RawClient::connect(server.address, 65_535).await;

    // 64 times 16 KiB are the share of the connection.
    let mut open = Vec::new();
    for path in ["Check", "Watch"].iter().cycle().take(64) {
        open.push(
            client
                .start(&format!("/grpc.health.v1.Health/{path}"), &[])
                .await,
        );
    }
    let (response, _body) = client.start("/grpc.health.v1.Health/Check", &[]).await;
    let refused = status(response).await;

    assert_refused(&refused, Code::ResourceExhausted, "MEMORY_LIMIT");
    assert_eq!(server.client().await.call("Echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn admin_messages_are_limited_to_4_kib() {
    let max_message_bytes = NonZeroUsize::new(4 << 20).unwrap();
    let server = TestServer::start(ServerSettings {
        max_message_bytes,
        ..settings()
    })
    .await;
    let client = RawClient::connect(server.address, 65_535).await;

    let (response, _body) = client
        .start("/grpc.health.v1.Health/Check", &[0, 0, 0, 0x10, 1])
        .await;
    let refused = status(response).await;

    assert_refused(&refused, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert!(
        refused.message().contains("4096 bytes"),
        "{}",
        refused.message()
    );
}

/// Returns when the connection of a client ends.
async fn ended(client: RawClient) {
    let _ = within_timeout(client.connection).await.unwrap();
}

#[tokio::test]
async fn responses_that_are_not_read_are_limited() {
    // The stream's window delays the data, and the connection's window when that is used up.
    for window in [0, 1 << 30] {
        let server = TestServer::start(ServerSettings {
            max_buffered_bytes: BufferBudget::new(100_000_000),
            ..settings()
        })
        .await;
        let client = RawClient::connect(server.address, window).await;

        // A share of 25 MB holds one response of 20 MB.
        let (first, _body) = client.call("Large").await;
        let first = within_timeout(first).await.unwrap();
        let (second, _body) = client.call("Large").await;
        let second = within_timeout(second).await.unwrap();
        let trailers = within_timeout(second.into_body().trailers()).await.unwrap();
        drop(first);

        let refused = Status::from_header_map(&trailers.unwrap()).unwrap();
        assert_refused(&refused, Code::ResourceExhausted, "MEMORY_LIMIT");
        assert_eq!(server.client().await.call("Echo", "x").await.unwrap(), "x");
    }
}

#[tokio::test]
async fn a_response_that_is_queued_but_not_sent_is_stalled() {
    let server = TestServer::start(ServerSettings {
        call_timeout: Duration::from_millis(200),
        ..settings()
    })
    .await;
    // One byte of the window lets hyper queue the whole response, with its trailers.
    let client = RawClient::connect(server.address, 1).await;

    let (response, _body) = client.call("Echo").await;
    let response = within_timeout(response).await.unwrap();

    ended(client).await;
    drop(response);
}

/// Returns a frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[tokio::test]
async fn a_stream_that_is_not_read_from_its_socket_is_stalled() {
    let server = TestServer::start(ServerSettings {
        call_timeout: Duration::from_millis(200),
        ..settings()
    })
    .await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let path = path("Busy");
    let content_type = "application/grpc";
    // POST, http, and two literals with the indexed names :path and content-type.
    let headers = [
        &[0x83, 0x86, 0x04, u8::try_from(path.len()).unwrap()],
        path.as_bytes(),
        &[0x0f, 0x10, u8::try_from(content_type.len()).unwrap()],
        content_type.as_bytes(),
    ]
    .concat();
    let largest_window = [0x7f, 0xff, 0xff, 0xff];
    let call = [
        PREFACE,
        &frame(4, 0, 0, &[&[0, 4], &largest_window[..]].concat()),
        &frame(8, 0, 0, &[0x7f, 0, 0, 0]),
        &frame(1, 4, 1, &headers),
        &frame(0, 1, 1, EMPTY_MESSAGE),
    ];
    client.write_all(&call.concat()).await.unwrap();

    // PINGs tell the client that the connection ended, without reading from it.
    let ping = frame(6, 0, 0, &[0; 8]);
    within_timeout(async {
        let is_open = |sent: std::io::Result<usize>| match sent {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        };
        while is_open(client.try_write(&ping)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn incomplete_requests_and_unread_responses_take_no_places() {
    let server = TestServer::start(ServerSettings {
        max_concurrent_calls: NonZeroUsize::MIN,
        ..settings()
    })
    .await;
    let client = RawClient::connect(server.address, 0).await;

    let incomplete = client.start(&path("Echo"), &EMPTY_MESSAGE[..4]).await;
    let (unread, _body) = client.call("Echo").await;
    let unread = within_timeout(unread).await.unwrap();
    let other = server.client().await.call("Echo", "x").await;

    assert_eq!(other.unwrap(), "x");
    drop((incomplete, unread));
}

#[tokio::test]
async fn messages_of_many_small_elements_are_limited() {
    let max_message_bytes = NonZeroUsize::new(1 << 20).unwrap();
    let server = TestServer::start(ServerSettings {
        max_message_bytes,
        max_buffered_bytes: BufferBudget::new(64 << 20),
        ..settings()
    })
    .await;
    // Of 2 bytes each, decoded to 100 times as much.
    let elements = [0x0a, 0].repeat(100_000);
    let message = [&[0, 0, 0x03, 0x0d, 0x40], &elements[..]].concat();

    let refused = server.send_raw_call(&path("Echo"), &[], &message).await;

    assert_refused(&refused, Code::ResourceExhausted, "MEMORY_LIMIT");
}
