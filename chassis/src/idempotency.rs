//! Idempotent writes ([AIP-155](https://google.aip.dev/155)): decodes how a request is to be
//! written, and prunes expired records.
//!
//! It knows no table: a service passes the step that deletes its records.

use std::time::Duration;

use database::{Atomicity, idempotency::IdempotencyKey};
use serving::violation::FieldViolations;

/// The time between two searches for expired idempotency records.
const PRUNE_INTERVAL: Duration = Duration::from_secs(10);

/// The options of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The idempotency key, if the client sent one. The result is stored under it.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Executes the write and then rolls it back.
    pub validate_only: bool,
}

impl WriteOptions {
    /// Decodes the fields `request_id` and `validate_only` of a request. If the id is invalid,
    /// adds a violation and returns `None`.
    pub fn decode(
        violations: &mut FieldViolations,
        request_id: &str,
        validate_only: bool,
    ) -> Option<Self> {
        let idempotency_key = violations.check("request_id", IdempotencyKey::parse(request_id))?;
        Some(Self {
            idempotency_key,
            validate_only,
        })
    }

    /// Returns the atomicity of the write, whose statements alone have the atomicity `statements`.
    #[must_use]
    pub fn atomicity(self, statements: Atomicity) -> Atomicity {
        match self {
            Self {
                validate_only: true,
                ..
            } => Atomicity::ValidateOnly,
            // The idempotency record is one more statement.
            Self {
                idempotency_key: Some(_),
                ..
            } => Atomicity::Savepoint,
            Self {
                idempotency_key: None,
                ..
            } => statements,
        }
    }
}

/// Prunes expired idempotency records until it is dropped. Each call of `step` deletes a batch,
/// and reports whether more may be expired: short transactions let other writes in between.
pub async fn prune<F, E>(mut step: impl FnMut() -> F)
where
    F: Future<Output = Result<bool, E>>,
    E: std::fmt::Display,
{
    let mut ticks = tokio::time::interval(PRUNE_INTERVAL);
    let mut failing = false;
    loop {
        ticks.tick().await;
        loop {
            let result = step().await;
            if let (Err(error), false) = (&result, failing) {
                tracing::warn!(%error, "pruning idempotency records failed; will retry");
            }
            failing = result.is_err();
            if !matches!(result, Ok(true)) {
                break;
            }
        }
    }
}
