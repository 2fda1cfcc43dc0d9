//! Executes the gRPC service config in `service-config.json`: deadlines, retries and the name for
//! health checking.
//!
//! Other gRPC libraries implement it, but tonic does not. Retries follow
//! <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>, without throttling. It must
//! not know the calls themselves.

use std::{error::Error, time::Duration};

use serde::{Deserialize, Deserializer, de};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Request, Response, Status};

/// The supported part of a service config.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceConfig {
    /// The health check.
    pub health_check_config: HealthCheckConfig,
    method_config: Vec<MethodConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckConfig {
    /// The name of the service; empty for the whole server.
    pub service_name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodConfig {
    name: Vec<Name>,
    #[serde(default, deserialize_with = "optional_duration")]
    timeout: Option<Duration>,
    retry_policy: Option<RetryPolicy>,
}

#[derive(Deserialize)]
struct Name {
    service: String,
    method: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryPolicy {
    max_attempts: u32,
    #[serde(deserialize_with = "duration")]
    initial_backoff: Duration,
    #[serde(deserialize_with = "duration")]
    max_backoff: Duration,
    backoff_multiplier: f64,
    retryable_status_codes: Vec<String>,
}

impl ServiceConfig {
    /// Makes a call: within the timeout of its method, which covers all attempts, and with retries
    /// if it fails with a retryable code.
    pub async fn call<Q: Clone, A>(
        &self,
        (service, method): (&str, &str),
        message: Q,
        send: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let nothing = MethodConfig::default();
        let config = self.method_config(service, method).unwrap_or(&nothing);
        let deadline = config.timeout.map(|timeout| Instant::now() + timeout);
        let mut failed = 0;
        loop {
            let mut request = Request::new(message.clone());
            if let Some(deadline) = deadline {
                request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            }
            let status = match within(deadline, send(request)).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            failed += 1;
            let policy = config.retry_policy.as_ref();
            let Some(pause) = policy.and_then(|policy| policy.pause(&status, failed)) else {
                return Err(status);
            };
            if deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
                return Err(status);
            }
            sleep(pause).await;
        }
    }

    /// Returns the config of a method or, if it has none, of its service.
    fn method_config(&self, service: &str, method: &str) -> Option<&MethodConfig> {
        let find = |method: Option<&str>| {
            self.method_config.iter().find(|config| {
                let mut names = config.name.iter();
                names.any(|name| name.service == service && name.method.as_deref() == method)
            })
        };
        find(Some(method)).or_else(|| find(None))
    }
}

impl RetryPolicy {
    /// Returns the backoff after `failed` attempts, or `None` if the call must not be retried.
    fn pause(&self, status: &Status, failed: u32) -> Option<Duration> {
        let code = code(status);
        let again = self.retryable_status_codes.iter().any(|name| name == code);
        if !again || failed >= self.max_attempts {
            return None;
        }
        let exponent = i32::try_from(failed).ok()? - 1;
        let grown = self
            .initial_backoff
            .mul_f64(self.backoff_multiplier.powi(exponent));
        Some(
            grown
                .min(self.max_backoff)
                .mul_f64(0.8 + 0.4 * fastrand::f64()),
        )
    }
}

/// Returns the response, or fails at the deadline. The timeout of tonic starts only with a connection,
/// and covers only the response headers.
async fn within<A>(
    deadline: Option<Instant>,
    response: impl Future<Output = Result<A, Status>>,
) -> Result<A, Status> {
    match deadline {
        None => response.await,
        Some(deadline) => timeout_at(deadline, response).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(
                "the deadline of the call has passed",
            ))
        }),
    }
}

/// Returns the name of a code that may be retryable, or "" for other codes.
///
/// Errors of the connection are UNAVAILABLE, as in other libraries. tonic uses various codes for
/// them, and sets a source.
pub fn code(status: &Status) -> &'static str {
    match status.code() {
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::Unavailable => "UNAVAILABLE",
        _ if status.source().is_some() => "UNAVAILABLE",
        _ => "",
    }
}

/// Decodes a duration in the JSON format of Protobuf, such as `1.5s`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let seconds = text
        .strip_suffix('s')
        .and_then(|number| number.parse().ok());
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| de::Error::custom(format!("`{text}` is not a duration")))
}

fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}
