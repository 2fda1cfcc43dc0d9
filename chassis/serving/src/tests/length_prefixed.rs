//! Pre-encoded server streams.

use super::*;

#[tokio::test]
async fn messages_of_one_batch_are_received_one_by_one() {
    let server = TestServer::start(settings()).await;
    let mut stream = server.client().await.stream("PreEncoded", None).await;

    let mut messages = Vec::new();
    while let Some(message) = within_timeout(stream.message()).await.unwrap() {
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
async fn a_failed_batch_ends_the_stream_with_its_status() {
    let server = TestServer::start(settings()).await;
    let mut stream = server.client().await.stream("PreEncodedFails", None).await;

    let mut messages = Vec::new();
    let status = loop {
        match within_timeout(stream.message()).await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => panic!("the stream succeeded"),
            Err(status) => break status,
        }
    };

    assert_eq!(messages, ["one", "", "two"]);
    assert_refused(&status, Code::DataLoss, "DATA_LOSS");
    assert_eq!(status.message(), "torn");
}

#[tokio::test]
async fn another_server_decodes_the_messages_of_a_batch() {
    let batches = TestHandlers::batches("PreEncodedFails").unwrap();
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
