//! The idempotency records of the service: idempotency keys and saved responses.

use chassis::database::{
    idempotency::KeyedRequest,
    idempotency_table, select,
    sqlite::{ReadSource, RowCursor, WrongType},
};

use crate::error::Error;

idempotency_table!("post_requests", Error);

/// The fingerprint of a record, as hexadecimal digits.
struct Fingerprint {
    fingerprint: String,
}

impl Fingerprint {
    fn read(columns: &mut RowCursor<'_>) -> Result<Self, WrongType> {
        Ok(Self {
            fingerprint: columns.text()?,
        })
    }
}

/// Returns whether the response of this request has been saved.
///
/// # Errors
///
/// [`Error::RequestIdReused`], and those of the database.
pub(super) async fn is_recorded(
    mut source: ReadSource<'_>,
    request: KeyedRequest,
) -> Result<bool, Error> {
    let (id, since) = (request.key_as_hex(), request.retained_since());
    let records: Vec<Fingerprint> = select!(
        &mut source,
        Fingerprint,
        r#"select hex(fingerprint) as "fingerprint!: String" from "#
            + "post_requests where request_id = unhex(?1) and create_time > ?2",
        &id,
        since
    )?;
    match records.first() {
        None => Ok(false),
        Some(record) if record.fingerprint == request.fingerprint_as_hex() => Ok(true),
        Some(_) => Err(Error::RequestIdReused),
    }
}
