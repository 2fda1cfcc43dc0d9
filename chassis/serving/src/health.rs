//! Health checking by `grpc.health.v1`: the server for load balancers and supervisors, and the client
//! for the `healthcheck` command.
//!
//! The server, which has the name `""`, and its service have the same health.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use futures::Stream;
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status, transport::Endpoint};

use self::v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus, health_client::HealthClient,
};
use crate::{
    listen::accept::loopback_for_unspecified,
    status::{self, Metadata},
};
use process::ExitError;

/// The package `grpc.health.v1`.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::pedantic,
    rustdoc::bare_urls,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("grpc.health.v1");

    /// The compiled protocol, including comments: an encoded
    /// `google.protobuf.FileDescriptorSet`.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/health.binpb"));
}

/// The timeout of a health check by the `healthcheck` command, including the connection. A
/// supervisor should treat a server that is slower as unhealthy.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// The lifecycle phase of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The service is not ready yet.
    Starting,
    /// The service accepts calls.
    Serving,
    /// The service accepts calls of clients that have not noticed the drain yet.
    Draining,
}

/// The state of a server.
#[derive(Clone, Debug)]
pub(super) struct ServerState {
    /// The lifecycle phase.
    pub(super) phase: watch::Receiver<Phase>,
    /// `false` while the database is not the one that was opened.
    pub(super) available: watch::Receiver<bool>,
}

impl ServerState {
    fn status(&mut self) -> ServingStatus {
        let available = *self.available.borrow_and_update();
        match *self.phase.borrow_and_update() {
            Phase::Serving if available => ServingStatus::Serving,
            Phase::Starting | Phase::Serving | Phase::Draining => ServingStatus::NotServing,
        }
    }

    /// Waits for a change. Returns `false` when the server has ended.
    async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = self.phase.changed() => changed.is_ok(),
            Ok(()) = self.available.changed() => true,
        }
    }
}

/// The health service of a server.
#[derive(Debug)]
pub(super) struct Health {
    /// The name of the service, which has the health of the server.
    pub(super) name: &'static str,
    /// The domain of every ErrorInfo.
    pub(super) domain: &'static str,
    /// The state of the server.
    pub(super) state: ServerState,
}

impl Health {
    fn serves(&self, name: &str) -> bool {
        name.is_empty() || name == self.name
    }
}

#[tonic::async_trait]
impl v1::health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let HealthCheckRequest { service } = request.into_inner();
        if !self.serves(&service) {
            return Err(status::with_error_info(
                self.domain,
                Code::NotFound,
                "UNKNOWN_SERVICE",
                format!(
                    "this server has no service {service:?}, only {:?}",
                    self.name
                ),
                Metadata::new(),
            ));
        }
        Ok(Response::new(response(self.state.clone().status())))
    }

    async fn list(
        &self,
        _request: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let response = response(self.state.clone().status());
        let statuses = ["", self.name].map(|name| (name.to_owned(), response));
        Ok(Response::new(HealthListResponse {
            statuses: statuses.into(),
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Streams the health and its changes. The stream ends when the server drains.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let HealthCheckRequest { service } = request.into_inner();
        let served = self.serves(&service);
        let mut state = self.state.clone();
        Ok(Response::new(Box::pin(async_stream::stream! {
            let mut last = None;
            loop {
                let now = if served {
                    response(state.status())
                } else {
                    response(ServingStatus::ServiceUnknown)
                };
                if last.replace(now) != Some(now) {
                    yield Ok(now);
                }
                if !state.changed().await {
                    return;
                }
            }
        })))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

/// Checks the health of the service `name` on the server that listens on `address`. If that is
/// every address of the machine, connects to the loopback address. Times out after 1 s.
///
/// # Errors
///
/// [`ExitError::Failed`] unless the response is `SERVING`.
pub async fn healthcheck(address: SocketAddr, name: &str) -> Result<(), ExitError> {
    let address = loopback_for_unspecified(address);
    let health = match tokio::time::timeout(HEALTHCHECK_TIMEOUT, check_once(address, name)).await {
        Ok(health) => health,
        Err(_) => Err(format!(
            "no response within {}",
            humantime::format_duration(HEALTHCHECK_TIMEOUT)
        )),
    };
    match health {
        Ok(ServingStatus::Serving) => Ok(()),
        Ok(status) => Err(status.as_str_name().to_owned()),
        Err(error) => Err(error),
    }
    .map_err(|cause| ExitError::Failed(format!("{name} on {address} is not serving: {cause}")))
}

async fn check_once(address: SocketAddr, name: &str) -> Result<ServingStatus, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let connect = async { endpoint?.connect().await };
    let channel = connect.await.map_err(|error| status::chain(&error))?;
    let request = HealthCheckRequest {
        service: name.to_owned(),
    };
    match HealthClient::new(channel).check(request).await {
        Ok(response) => Ok(response.into_inner().status()),
        Err(status) => Err(status.message().to_owned()),
    }
}
