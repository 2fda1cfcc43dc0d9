//! What `service-config.json` says of calls: how long each may take, and when it is repeated.
//!
//! Other gRPC libraries have this built in, and tonic does not. Here are deadlines and retries
//! by <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>, without their
//! throttling, and the name that health is asked of. It knows nothing of the calls themselves.

use std::{error::Error, time::Duration};

use serde::{Deserialize, Deserializer, de};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Request, Response, Status};

/// The part of the file that is made use of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceConfig {
    /// Whose health is asked.
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
    /// Makes a call as the file says: within its time-out, all attempts together, and again if
    /// it fails with a code that stands there.
    pub async fn call<Q: Clone, A>(
        &self,
        (service, method): (&str, &str),
        message: Q,
        send: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let nothing = MethodConfig::default();
        let config = self.of(service, method).unwrap_or(&nothing);
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

    /// What is said of a method itself, else of its service.
    fn of(&self, service: &str, method: &str) -> Option<&MethodConfig> {
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
    /// How long to wait after so many failed attempts; none if that was the last one.
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

/// The answer, or none at the deadline: tonic's own time-outs begin with a connection, and end
/// with the head of an answer.
async fn within<A>(
    deadline: Option<Instant>,
    answer: impl Future<Output = Result<A, Status>>,
) -> Result<A, Status> {
    match deadline {
        None => answer.await,
        Some(deadline) => timeout_at(deadline, answer)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the time of the call is up"))),
    }
}

/// The name of a code that may be repeated; empty for others.
///
/// What did not come from the server but from the connection is UNAVAILABLE, as it is in other
/// libraries; tonic gives it various codes, and a source.
pub fn code(status: &Status) -> &'static str {
    match status.code() {
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::Unavailable => "UNAVAILABLE",
        _ if status.source().is_some() => "UNAVAILABLE",
        _ => "",
    }
}

/// `1.5s`, as Protobuf writes durations in JSON.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let seconds = text
        .strip_suffix('s')
        .and_then(|number| number.parse().ok());
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| de::Error::custom(format!("`{text}` is no duration")))
}

fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}
