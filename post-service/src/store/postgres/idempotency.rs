//! The idempotency records of the service: idempotency keys and saved responses.

use chassis::database::{WriteError, idempotency::KeyedRequest, postgres_idempotency_table};
use sqlx::PgConnection;

use crate::error::Error;

postgres_idempotency_table!("post_requests", Error);

/// Returns whether the response of this request has been saved.
///
/// # Errors
///
/// [`Error::RequestIdReused`], and those of the database.
pub(super) async fn is_recorded(
    connection: &mut PgConnection,
    request: KeyedRequest,
) -> Result<bool, WriteError<Error>> {
    let fingerprint = sqlx::query_scalar!(
        "select fingerprint from post_requests where request_id = $1 and create_time > $2",
        request.uuid(),
        request.retained_since()
    )
    .fetch_optional(connection)
    .await?;
    match fingerprint {
        None => Ok(false),
        Some(fingerprint) if fingerprint == request.fingerprint() => Ok(true),
        Some(_) => Err(Error::RequestIdReused.into()),
    }
}
