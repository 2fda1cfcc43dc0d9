//! Health checking and reflection.

use futures::{FutureExt, poll};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::*;
use crate::health::v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest,
    health_check_response::ServingStatus, health_client::HealthClient,
};

async fn health_client(server: &TestServer) -> HealthClient<Channel> {
    HealthClient::new(server.client().await.0)
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

/// Returns the next status of a Watch.
async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Result<ServingStatus, Status> {
    let response = within_timeout(watch.message()).await?;
    Ok(response.expect("the stream ended").status())
}

#[tokio::test]
async fn the_server_and_its_service_have_the_same_health() {
    let mut server = TestServer::start_unready(settings()).await;
    let mut health = health_client(&server).await;

    for name in ["", NAME] {
        let early = health.check(about(name)).await.unwrap().into_inner();
        assert_eq!(early.status(), ServingStatus::NotServing);
    }
    server.set_ready(Ok(())).await;
    for name in ["", NAME] {
        let then = health.check(about(name)).await.unwrap().into_inner();
        assert_eq!(then.status(), ServingStatus::Serving);
    }
}

#[tokio::test]
async fn the_health_of_an_unknown_service_is_not_found() {
    let server = TestServer::start(settings()).await;

    let status = health_client(&server)
        .await
        .check(about("missing.v1.X"))
        .await
        .unwrap_err();

    assert_refused(&status, Code::NotFound, "UNKNOWN_SERVICE");
}

#[tokio::test]
async fn list_returns_the_health_of_every_name() {
    let server = TestServer::start(settings()).await;

    let list = health_client(&server)
        .await
        .list(HealthListRequest {})
        .await
        .unwrap()
        .into_inner();

    let mut names: Vec<_> = list.statuses.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["", NAME]);
    assert!(
        list.statuses
            .values()
            .all(|health| health.status() == ServingStatus::Serving)
    );
}

#[tokio::test]
async fn a_watch_streams_the_health_and_each_change() {
    let mut server = TestServer::start_unready(settings()).await;
    let mut health = health_client(&server).await;
    let mut watch = health.watch(about(NAME)).await.unwrap().into_inner();

    assert_eq!(next(&mut watch).await.unwrap(), ServingStatus::NotServing);
    server.set_ready(Ok(())).await;
    assert_eq!(next(&mut watch).await.unwrap(), ServingStatus::Serving);
    server.shutdown.cancel();
    assert_eq!(next(&mut watch).await.unwrap(), ServingStatus::NotServing);
    let status = next(&mut watch).await.unwrap_err();
    assert_refused(&status, Code::Unavailable, "SHUTTING_DOWN");
}

#[tokio::test]
async fn a_watch_of_an_unknown_service_stays_open() {
    let mut server = TestServer::start_unready(settings()).await;
    let mut health = health_client(&server).await;
    let mut watch = health
        .watch(about("missing.v1.X"))
        .await
        .unwrap()
        .into_inner();

    assert_eq!(
        next(&mut watch).await.unwrap(),
        ServingStatus::ServiceUnknown
    );
    server.set_ready(Ok(())).await;
    // The response on the same connection follows any message that the change caused.
    health.check(about(NAME)).await.unwrap();
    assert!(poll!(watch.message().boxed()).is_pending());
}

#[tokio::test]
async fn a_healthcheck_succeeds_only_on_a_serving_server() {
    let mut server = TestServer::start_unready(settings()).await;

    let early = healthcheck(server.address, NAME).await.unwrap_err();
    server.set_ready(Ok(())).await;
    let then = healthcheck(server.address, NAME).await;
    let unknown = healthcheck(server.address, "missing.v1.X")
        .await
        .unwrap_err();

    assert!(
        matches!(&early, ExitError::Failed(error) if error.ends_with("NOT_SERVING")),
        "{early}"
    );
    assert!(then.is_ok());
    assert!(matches!(unknown, ExitError::Failed(_)));
}

#[tokio::test]
async fn a_healthcheck_fails_without_a_listener_or_a_response() {
    let silent = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let silent_address = silent.local_addr().unwrap();
    let closed = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let closed_address = closed.local_addr().unwrap();
    drop(closed);

    for address in [silent_address, closed_address] {
        let failure = within_timeout(healthcheck(address, NAME))
            .await
            .unwrap_err();

        assert!(matches!(failure, ExitError::Failed(_)));
    }
}

/// Returns the response of reflection to one request.
async fn reflected(server: &TestServer, message: MessageRequest) -> MessageResponse {
    let mut client = ServerReflectionClient::new(server.client().await.0);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let requests = stream::iter([request]);
    let mut responses = client
        .server_reflection_info(requests)
        .await
        .unwrap()
        .into_inner();
    within_timeout(responses.message())
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap()
}

#[tokio::test]
async fn reflection_lists_exactly_the_served_services() {
    let server = TestServer::start_unready(settings()).await;

    let response = reflected(&server, MessageRequest::ListServices(String::new())).await;

    let MessageResponse::ListServicesResponse(list) = response else {
        panic!("not a list: {response:?}");
    };
    let mut names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            NAME,
        ]
    );
}

#[tokio::test]
async fn reflection_describes_every_service_and_the_error_details() {
    let server = TestServer::start(settings()).await;

    for symbol in [
        NAME,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "google.rpc.ErrorInfo",
    ] {
        let message = MessageRequest::FileContainingSymbol(symbol.to_owned());
        let response = reflected(&server, message).await;

        assert!(
            matches!(response, MessageResponse::FileDescriptorResponse(_)),
            "{symbol}"
        );
    }
}

#[tokio::test]
async fn an_unavailable_database_ends_streams_and_rejects_calls_until_it_is_back() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let mut stream = client.stream("Follow", None).await;
    stream.message().await.unwrap();
    let mut watch = health_client(&server).await;
    let mut watch = watch.watch(about(NAME)).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await.unwrap(), ServingStatus::Serving);

    server.available.send_replace(false);
    let ended = within_timeout(stream.message()).await.unwrap_err();
    let rejected = client.call("Echo", "x").await.unwrap_err();
    let during = next(&mut watch).await.unwrap();
    server.available.send_replace(true);
    let after = next(&mut watch).await.unwrap();

    for status in [ended, rejected] {
        assert_refused(&status, Code::Unavailable, "DATABASE_REPLACED");
    }
    assert_eq!(during, ServingStatus::NotServing);
    assert_eq!(after, ServingStatus::Serving);
    assert_eq!(client.call("Echo", "x").await.unwrap(), "x");
}
