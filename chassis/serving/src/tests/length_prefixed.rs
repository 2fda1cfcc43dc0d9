//! Server streams whose messages are encoded once.

use super::*;

#[tokio::test]
async fn messages_that_were_framed_together_come_one_by_one() {
    let server = TestServer::start(settings()).await;
    let mut stream = server.client().await.stream("Pieces", None).await;

    let mut messages = Vec::new();
    while let Some(message) = soon(stream.message()).await.unwrap() {
        messages.push(message);
    }

    assert_eq!(messages, ["one", "", "two", "three"]);
    let trailers = stream.trailers().await.unwrap().unwrap();
    assert!(
        trailers
            .get("grpc-status")
            .is_none_or(|status| status == "0")
    );
}

#[tokio::test]
async fn pieces_that_fail_end_the_stream_with_the_failure() {
    let server = TestServer::start(settings()).await;
    let mut stream = server.client().await.stream("PiecesThatFail", None).await;

    let mut messages = Vec::new();
    let status = loop {
        match soon(stream.message()).await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => panic!("it ended well"),
            Err(status) => break status,
        }
    };

    assert_eq!(messages, ["one", "", "two"]);
    assert_refused(&status, Code::DataLoss, "DATA_LOSS");
    assert_eq!(status.message(), "torn");
}

#[tokio::test]
async fn another_server_sends_encoded_messages_one_by_one() {
    let batches = Test::pieces("PiecesThatFail").unwrap();
    let mut stream = stream_response::<String>(stream::iter(batches)).into_inner();

    let mut messages = Vec::new();
    let status = loop {
        match stream.next().await.unwrap() {
            Ok(message) => messages.push(message),
            Err(status) => break status,
        }
    };

    assert_eq!(messages, ["one", "", "two"]);
    assert_eq!(status.code(), Code::DataLoss);
}
