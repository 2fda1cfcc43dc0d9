//! Requests that the HTTP/2 library rejects: the log of the service names the reason.

use proto::user::v1::ListUsersRequest;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    process::{Process, TestDir, within_timeout},
    program, users_at,
};

/// The preface of HTTP/2, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The type of an `RST_STREAM` frame.
const RST_STREAM: u8 = 3;

/// Returns a HEADERS frame of a call on stream `id`, with literal header fields.
fn headers(id: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![];
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.bytes());
        }
    }
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 4, 0, 0, 0, id];
    frame.extend(block);
    frame
}

/// Returns the request of a call with this authority and a further header field.
fn call(id: u8, authority: &str, further: (&str, &str)) -> Vec<u8> {
    headers(
        id,
        &[
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/x/Y"),
            (":authority", authority),
            further,
        ],
    )
}

/// Sends requests over one connection, and waits until the server has reset `resets` streams.
async fn send(service: &mut Process, requests: &[Vec<u8>]) {
    let mut client = TcpStream::connect(service.serving().await).await.unwrap();
    client.write_all(PREFACE).await.unwrap();
    client.write_all(&requests.concat()).await.unwrap();
    let mut resets = 0;
    while resets < requests.len() {
        let mut head = [0; 9];
        within_timeout(client.read_exact(&mut head)).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        client.read_exact(&mut payload).await.unwrap();
        resets += usize::from(head[3] == RST_STREAM);
    }
}

/// Starts a user service with these log directives.
async fn service(directives: &str) -> (TestDir, Process) {
    let dir = TestDir::migrated().await;
    let mut command = dir.command(program("user-service"), &[]);
    command.env("RUST_LOG", directives);
    (dir, Process::start(command))
}

/// Returns the lines about rejected requests.
fn lines(service: &Process) -> Vec<Value> {
    let lines = service.stdout_lines();
    let lines = lines.iter().filter(|line| line.contains("rejected"));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_list_of_addresses_as_authority_is_logged_with_its_remedy() {
    let (_dir, mut service) = service("info").await;
    let list = "127.0.0.1:1,127.0.0.1:2";

    let requests = [1, 3, 5].map(|id| call(id, list, ("te", "trailers")));
    send(&mut service, &requests).await;
    service.wait_for_line("HTTP/2 requests rejected").await;

    let lines = lines(&service);
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["requests"], 1);
    assert!(line["cause"].as_str().unwrap().contains(list), "{line}");
    let hint = line["hint"].as_str().unwrap();
    assert!(hint.contains("grpc.default_authority"), "{line}");
    assert!(hint.contains("docs/operations.md"), "{line}");
}

#[tokio::test]
async fn other_malformed_requests_are_logged() {
    for (request, cause) in [
        (call(1, "x", ("te", "gzip")), "malformed header block"),
        (call(1, "x", ("content-length", "y")), "content-length"),
        (headers(1, &[(":method", "POST")]), "missing scheme"),
        (headers(1, &[(":path", "/")]), "missing method"),
    ] {
        let (_dir, mut service) = service("info").await;

        send(&mut service, &[request]).await;
        let line = service.wait_for_line("HTTP/2 requests rejected").await;

        assert!(line.contains(cause), "{line}");
    }
}

#[tokio::test]
async fn the_log_directives_hide_rejected_requests() {
    let (_dir, mut service) = service("info,process=error").await;

    send(&mut service, &[call(1, "a:1,b:2", ("te", "trailers"))]).await;
    let mut users = users_at(service.serving().await);
    users.list_users(ListUsersRequest::default()).await.unwrap();
    service.signal("TERM");
    let ended = service.end().await;

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!format!("{ended:?}").contains("rejected"), "{ended:?}");
}
