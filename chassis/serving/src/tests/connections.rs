//! Connections that do not behave.

use futures::{FutureExt, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{http1::request, *};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits until the server closes the connection.
async fn closed(mut stream: TcpStream) {
    let mut read = Vec::new();
    // A reset is an end, too.
    let _ = soon(stream.read_to_end(&mut read)).await;
}

#[tokio::test]
async fn a_connection_that_does_not_speak_in_time_is_closed() {
    let header_read_timeout = Duration::from_millis(20);
    let server = TestServer::start(ServerSettings {
        header_read_timeout,
        ..settings()
    })
    .await;

    for said in [&[], &PREFACE[..1], &PREFACE[..PREFACE.len() - 1]] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(said).await.unwrap();

        closed(stream).await;
    }
}

#[tokio::test]
async fn a_connection_that_has_spoken_stays_open() {
    let header_read_timeout = Duration::from_millis(20);
    let server = TestServer::start(ServerSettings {
        header_read_timeout,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let mut stream = client.stream("Follow", None).await;
    soon(stream.message()).await.unwrap();

    // This one is closed after the other's time was over.
    closed(TcpStream::connect(server.address).await.unwrap()).await;

    // The client would connect again, but its stream would have ended.
    assert_eq!(client.call("Echo", "x").await.unwrap(), "x");
    assert!(poll!(stream.message().boxed()).is_pending());
}

#[tokio::test]
async fn a_connection_that_follows_a_stream_over_http_1_stays_open() {
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
    let mut answer = Vec::new();
    while !answer.windows(5).any(|five| five == b"first") {
        assert!(soon(follower.read_buf(&mut answer)).await.unwrap() > 0);
    }

    // This one is closed after the other's time was over.
    closed(TcpStream::connect(server.address).await.unwrap()).await;

    assert!(poll!(follower.read_u8().boxed()).is_pending());
}

#[tokio::test]
async fn a_connection_that_speaks_another_protocol_is_closed() {
    let server = TestServer::start(settings()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();

    stream
        .write_all(b"EHLO mail.example\r\nMAIL FROM:<a@mail.example>\r\n")
        .await
        .unwrap();

    closed(stream).await;
}

#[tokio::test]
async fn a_connection_too_many_waits_until_another_closes() {
    let max_connections = NonZeroUsize::MIN;
    let mut server = TestServer::start_unready(ServerSettings {
        max_connections,
        ..settings()
    })
    .await;
    let first = server.client().await;
    server.ready.take().unwrap().send(Ok(())).unwrap();
    while first.call("Echo", "x").await.is_err() {
        tokio::task::yield_now().await;
    }

    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(PREFACE).await.unwrap();
    first.call("Echo", "x").await.unwrap();
    // The server speaks first on a connection that it has accepted.
    let early = second.try_read(&mut [0]);
    drop(first);
    let then = soon(second.read_u8()).await;

    assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert!(then.is_ok());
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_setting_that_cannot_work() {
    let server = TestServer::start(settings()).await;

    let failure = listen(server.address).await.unwrap_err();

    assert!(matches!(failure, ExitError::Config(_)));
    assert!(failure.to_string().contains(&server.address.to_string()));
}

#[tokio::test]
async fn an_address_of_another_machine_is_a_setting_that_cannot_work() {
    let elsewhere = "192.0.2.1:0".parse().unwrap();

    let failure = listen(elsewhere).await.unwrap_err();

    assert!(matches!(failure, ExitError::Config(_)));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_and_one_that_follows_a_stream_is_not() {
    let server = TestServer::start(ServerSettings {
        call_timeout: Duration::from_millis(500),
        max_concurrent_calls: NonZeroUsize::MIN,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let mut stream = client.stream("Follow", None).await;
    soon(stream.message()).await.unwrap();
    let deaf = TcpStream::connect(server.address).await.unwrap();
    let (asking, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, Bytes>(deaf)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut asking = asking.ready().await.unwrap();

    let request = Request::builder()
        .method("POST")
        .uri(format!("http://{}{}", server.address, path("Echo")))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (answer, mut body) = asking.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(EMPTY_MESSAGE), true)
        .unwrap();
    let answer = soon(answer).await.unwrap();
    // Nothing of it is read, and the call takes the only place.
    let meanwhile = client.call("Echo", "x").await;
    // It ends, although the client keeps its side of it.
    let _ = soon(connection).await.unwrap();
    drop((asking, answer));

    assert_eq!(meanwhile.unwrap_err().code(), Code::Unavailable);
    while client.call("Echo", "x").await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(poll!(stream.message().boxed()).is_pending());
}
