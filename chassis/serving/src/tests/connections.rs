//! The limits of connections.

use futures::{FutureExt, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{http1::request, *};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits until the server closes the connection.
async fn closed(mut stream: TcpStream) {
    let mut read = Vec::new();
    // A reset closes the connection, too.
    let _ = within_timeout(stream.read_to_end(&mut read)).await;
}

#[tokio::test]
async fn a_connection_without_a_timely_preface_is_closed() {
    let header_read_timeout = Duration::from_millis(20);
    let server = TestServer::start(ServerSettings {
        header_read_timeout,
        ..settings()
    })
    .await;

    for sent in [&[], &PREFACE[..1], &PREFACE[..PREFACE.len() - 1]] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();

        closed(stream).await;
    }
}

#[tokio::test]
async fn a_connection_with_a_preface_stays_open() {
    let header_read_timeout = Duration::from_millis(20);
    let server = TestServer::start(ServerSettings {
        header_read_timeout,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let mut stream = client.stream("Follow", None).await;
    within_timeout(stream.message()).await.unwrap();

    // A silent connection that was opened later is closed at its timeout.
    closed(TcpStream::connect(server.address).await.unwrap()).await;

    // A new connection would serve the call, too, but the stream would have ended.
    assert_eq!(client.call("Echo", "x").await.unwrap(), "x");
    assert!(poll!(stream.message().boxed()).is_pending());
}

#[tokio::test]
async fn a_connection_with_a_stream_over_http_1_stays_open() {
    let header_read_timeout = Duration::from_millis(20);
    let server = TestServer::start(ServerSettings {
        header_read_timeout,
        ..settings()
    })
    .await;
    let mut follower = TcpStream::connect(server.address).await.unwrap();
    let headers = [("content-type", "application/grpc-web")];
    let call = request(&format!("POST {}", path("Follow")), &headers, EMPTY_MESSAGE);
    follower.write_all(&call).await.unwrap();
    let mut response = Vec::new();
    while !response.windows(5).any(|five| five == b"first") {
        assert!(
            within_timeout(follower.read_buf(&mut response))
                .await
                .unwrap()
                > 0
        );
    }

    // A silent connection that was opened later is closed at its timeout.
    closed(TcpStream::connect(server.address).await.unwrap()).await;

    assert!(poll!(follower.read_u8().boxed()).is_pending());
}

#[tokio::test]
async fn a_connection_of_another_protocol_is_closed() {
    let server = TestServer::start(settings()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();

    stream
        .write_all(b"EHLO mail.example\r\nMAIL FROM:<a@mail.example>\r\n")
        .await
        .unwrap();

    closed(stream).await;
}

/// The type of the frame that announces the end of an HTTP/2 connection.
const GOAWAY: u8 = 7;

/// Returns the types of HTTP/2 frames.
fn frame_types(mut frames: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [a, b, c, kind, rest @ ..] = frames {
        types.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        // The flags and the stream.
        frames = rest.get(5 + length..).unwrap_or_default();
    }
    types
}

#[tokio::test]
async fn connections_beyond_those_being_closed_are_aborted() {
    let server = TestServer::start(ServerSettings {
        max_connections: NonZeroUsize::MIN,
        ..settings()
    })
    .await;

    // More than the connections that can be closing. None of the clients reacts.
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        within_timeout(stream.read_u8()).await.unwrap();
        idle.push(stream);
    }
    let last = server.client().await.call("Echo", "x").await;

    assert_eq!(last.unwrap(), "x");
    for stream in idle {
        closed(stream).await;
    }
}

#[tokio::test]
async fn the_connection_idle_longest_is_closed_at_the_limit() {
    let server = TestServer::start(ServerSettings {
        max_connections: NonZeroUsize::new(2).unwrap(),
        ..settings()
    })
    .await;
    let busy = server.client().await;
    let mut stream = busy.stream("Follow", None).await;
    within_timeout(stream.message()).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(PREFACE).await.unwrap();
    // The server sends its SETTINGS first on an accepted connection.
    within_timeout(idle.read_u8()).await.unwrap();

    let third = server.client().await.call("Echo", "x").await;
    // It acknowledges nothing, but is closed in time. A reset closes it, too.
    let mut frames = vec![0];
    let _ = within_timeout(idle.read_to_end(&mut frames)).await;

    assert_eq!(third.unwrap(), "x");
    assert!(frame_types(&frames).contains(&GOAWAY), "{frames:?}");
    assert!(poll!(stream.message().boxed()).is_pending());
    assert_eq!(busy.call("Echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_reserve_serves_health_while_calls_run_on_all_connections() {
    let server = TestServer::start(ServerSettings {
        max_connections: NonZeroUsize::MIN,
        ..settings()
    })
    .await;
    let first = server.client().await;
    while first.call("Echo", "x").await.is_err() {
        tokio::task::yield_now().await;
    }
    let waiting = server.spawn_wait(&first).await;

    let second = server.client().await;
    let refused = second.call("Echo", "x").await.unwrap_err();
    // More than the reserve: the idle connections of earlier health checks are closed.
    for _ in 0..20 {
        healthcheck(server.address, NAME).await.unwrap();
    }
    server.handlers.done.cancel();
    within_timeout(waiting).await.unwrap().unwrap();
    let third = server.client().await;
    within_timeout(async {
        while third.call("Echo", "x").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    assert_refused(&refused, Code::Unavailable, "OVERLOADED");
    assert!(refused.get_details_retry_info().is_some());
}

#[tokio::test]
async fn an_address_in_use_is_a_configuration_error() {
    let server = TestServer::start(settings()).await;

    let failure = listen(server.address).await.unwrap_err();

    assert!(matches!(failure, ExitError::Config(_)));
    assert!(failure.to_string().contains(&server.address.to_string()));
}

#[tokio::test]
async fn an_address_of_another_machine_is_a_configuration_error() {
    let elsewhere = "192.0.2.1:0".parse().unwrap();

    let failure = listen(elsewhere).await.unwrap_err();

    assert!(matches!(failure, ExitError::Config(_)));
}

#[tokio::test]
async fn a_stalled_client_is_disconnected_and_an_idle_stream_is_not() {
    let server = TestServer::start(ServerSettings {
        call_timeout: Duration::from_millis(500),
        max_concurrent_calls: NonZeroUsize::MIN,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let mut stream = client.stream("Follow", None).await;
    within_timeout(stream.message()).await.unwrap();
    let non_reading = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, Bytes>(non_reading)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();

    let request = Request::builder()
        .method("POST")
        .uri(format!("http://{}{}", server.address, path("Echo")))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (response, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(EMPTY_MESSAGE), true)
        .unwrap();
    let response = within_timeout(response).await.unwrap();
    // The response is not read, but its call does not keep the only place.
    let second = client.call("Echo", "x").await;
    // The server closes the connection, although the client keeps it open.
    let _ = within_timeout(connection).await.unwrap();
    drop((sender, response));

    assert_eq!(second.unwrap(), "x");
    assert!(poll!(stream.message().boxed()).is_pending());
}
