//! Request ids, deadlines and admission of calls.

use super::*;

#[tokio::test]
async fn a_request_id_is_passed_to_the_handler_and_returned() {
    let server = TestServer::start(settings()).await;
    let mut request = tonic::Request::new(String::new());
    request
        .metadata_mut()
        .insert(request_id::HEADER, "order-7".parse().unwrap());

    let response = server
        .client()
        .await
        .send(&path("RequestId"), request)
        .await
        .unwrap();

    assert_eq!(
        response.metadata().get(request_id::HEADER).unwrap(),
        "order-7"
    );
    assert_eq!(response.into_inner(), "order-7");
}

#[tokio::test]
async fn a_call_without_a_request_id_gets_one() {
    let server = TestServer::start(settings()).await;
    let request = tonic::Request::new(String::new());

    let response = server
        .client()
        .await
        .send(&path("RequestId"), request)
        .await
        .unwrap();

    let id = response
        .metadata()
        .get(request_id::HEADER)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert!(uuid::Uuid::parse_str(&id).is_ok());
    assert_eq!(response.into_inner(), id);
}

#[tokio::test]
async fn a_failure_returns_the_request_id_too() {
    let server = TestServer::start(settings()).await;
    let headers = [
        ("content-type", "application/grpc"),
        (request_id::HEADER, "order-7"),
    ];

    let (_, headers) = server
        .send_raw(&path("Missing"), &headers, EMPTY_MESSAGE)
        .await;

    assert_eq!(headers[request_id::HEADER], "order-7");
}

#[tokio::test]
async fn a_call_is_ended_at_the_deadline_of_the_client() {
    let server = TestServer::start(settings()).await;

    let status = server
        .send_raw_call(&path("Wait"), &[("grpc-timeout", "20m")], EMPTY_MESSAGE)
        .await;

    assert_refused(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_call_with_a_passed_deadline_does_not_start() {
    let server = TestServer::start(settings()).await;

    let status = server
        .send_raw_call(&path("Wait"), &[("grpc-timeout", "0S")], EMPTY_MESSAGE)
        .await;

    assert_refused(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert_eq!(server.handlers.waiting.available_permits(), 0);
}

#[tokio::test]
async fn a_malformed_timeout_is_rejected() {
    let server = TestServer::start(settings()).await;

    let status = server
        .send_raw_call(&path("Echo"), &[("grpc-timeout", "soon")], EMPTY_MESSAGE)
        .await;

    assert_refused(&status, Code::InvalidArgument, "INVALID_TIMEOUT");
}

#[tokio::test]
async fn a_call_without_a_deadline_gets_the_call_timeout() {
    let call_timeout = Duration::from_millis(20);
    let server = TestServer::start(ServerSettings {
        call_timeout,
        ..settings()
    })
    .await;

    let status = server.client().await.call("Wait", "").await.unwrap_err();

    assert_refused(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_handler_can_read_the_remaining_time() {
    let call_timeout = Duration::from_mins(50);
    let server = TestServer::start(ServerSettings {
        call_timeout,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let mut request = tonic::Request::new(String::new());
    request.set_timeout(Duration::from_secs(1000));

    let clients = client
        .send(&path("Remaining"), request)
        .await
        .unwrap()
        .into_inner();
    let servers = client.call("Remaining", "").await.unwrap();

    assert!(
        (900..=1000).contains(&clients.parse().unwrap()),
        "{clients}"
    );
    assert!(
        (2900..=3000).contains(&servers.parse().unwrap()),
        "{servers}"
    );
}

#[tokio::test]
async fn a_stream_has_only_the_deadline_of_the_client() {
    let call_timeout = Duration::from_millis(1);
    let server = TestServer::start(ServerSettings {
        call_timeout,
        ..settings()
    })
    .await;
    let client = server.client().await;

    for method in ["Follow", "Busy"] {
        let mut stream = client.stream(method, Some(Duration::from_secs(1))).await;
        let first = within_timeout(stream.message()).await.unwrap();
        let status = loop {
            match within_timeout(stream.message()).await {
                Ok(message) => assert!(message.is_some()),
                Err(status) => break status,
            }
        };

        assert!(first.is_some());
        assert_refused(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
}

#[tokio::test]
async fn a_call_above_the_limit_is_rejected_until_another_ends() {
    let max_concurrent_calls = NonZeroUsize::MIN;
    let server = TestServer::start(ServerSettings {
        max_concurrent_calls,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let first = server.spawn_wait(&client).await;

    let status = client.call("Echo", "x").await.unwrap_err();
    let health = healthcheck(server.address, NAME).await;
    let streamed = client.stream("Follow", None).await.message().await;
    server.handlers.done.cancel();
    let first = within_timeout(first).await.unwrap();
    let next = client.call("Echo", "x").await;

    assert_refused(&status, Code::Unavailable, "OVERLOADED");
    assert!(status.get_details_retry_info().is_some());
    assert!(health.is_ok(), "the health check was rejected");
    assert_eq!(streamed.unwrap().as_deref(), Some("first"));
    assert_eq!(first.unwrap(), "done");
    assert_eq!(next.unwrap(), "x");
}

#[tokio::test]
async fn calls_are_rejected_until_the_server_is_ready() {
    let mut server = TestServer::start_unready(settings()).await;
    let client = server.client().await;

    let early = client.call("Echo", "x").await.unwrap_err();
    server.set_ready(Ok(())).await;
    let then = client.call("Echo", "x").await;

    assert_refused(&early, Code::Unavailable, "NOT_READY");
    assert_eq!(then.unwrap(), "x");
}
