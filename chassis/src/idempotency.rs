//! Requests that a client may repeat ([AIP-155](https://google.aip.dev/155)): how they are asked
//! for, and how their responses are pruned.

use std::time::Duration;

use database::{Scope, idempotency::RequestId};
use serving::violation::FieldViolations;

/// The interval between two searches for expired records.
const PRUNED_EVERY: Duration = Duration::from_secs(10);

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// The id under which the result is kept for a repeat, if the client chose one.
    pub request_id: Option<RequestId>,
    /// Whether everything is done and then rolled back.
    pub validate_only: bool,
}

impl Write {
    /// What the fields `request_id` and `validate_only` of a request ask for, or `None`
    /// and a violation.
    pub fn decode(
        violations: &mut FieldViolations,
        request_id: &str,
        validate_only: bool,
    ) -> Option<Self> {
        let request_id = violations.check("request_id", RequestId::parse(request_id))?;
        Some(Self {
            request_id,
            validate_only,
        })
    }

    /// How far a write reaches that, but for its answer, is as `alone` says.
    #[must_use]
    pub fn scope(self, alone: Scope) -> Scope {
        match self {
            Self {
                validate_only: true,
                ..
            } => Scope::Trial,
            // The answer is written too.
            Self {
                request_id: Some(_),
                ..
            } => Scope::Savepoint,
            Self {
                request_id: None, ..
            } => alone,
        }
    }
}

/// Forgets old answers for as long as it is polled: by small steps, each of which says
/// whether there may be more to forget.
pub async fn prune<F, E>(mut step: impl FnMut() -> F)
where
    F: Future<Output = Result<bool, E>>,
    E: std::fmt::Display,
{
    let mut ticks = tokio::time::interval(PRUNED_EVERY);
    loop {
        ticks.tick().await;
        loop {
            match step().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "old answers were not forgotten; trying again later");
                    break;
                }
            }
        }
    }
}
