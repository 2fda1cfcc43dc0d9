//! Requests that were answered, kept so that a repeat is answered alike.

use chassis::{
    database::{
        Stop,
        sqlite::{Source, json, large_json},
    },
    idempotency::{self, NoAnswer, Request},
};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::SqliteConnection;

use crate::error::Error;

/// Executes `work` and saves its response, or returns the saved one if the request was answered
/// before.
pub(super) async fn once<T: Serialize + DeserializeOwned>(
    connection: &mut SqliteConnection,
    request: Option<Request>,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Stop<Error>>,
) -> Result<T, Stop<Error>> {
    if let Some(response) = answer(connection, request).await? {
        return Ok(response);
    }
    let response = work(connection).await?;
    keep(connection, request, &response).await?;
    Ok(response)
}

/// What the request was answered with before, if it was.
async fn answer<T: DeserializeOwned>(
    connection: &mut SqliteConnection,
    request: Option<Request>,
) -> Result<Option<T>, Stop<Error>> {
    let Some(request) = request else {
        return Ok(None);
    };
    let (id, since) = (request.id(), request.kept_since());
    let answered = sqlx::query!(
        "select fingerprint, result from post_requests
        where request_id = ?1 and create_time > ?2",
        id,
        since
    )
    .fetch_optional(connection)
    .await?;
    let Some(answered) = answered else {
        return Ok(None);
    };
    match request.answer(&answered.fingerprint, &answered.result) {
        Ok(answer) => Ok(Some(answer)),
        Err(NoAnswer::Reused) => Err(Error::RequestIdReused.into()),
        Err(NoAnswer::Unreadable(error)) => Err(unreadable(&error).into()),
    }
}

/// Whether the request was answered before.
///
/// # Errors
///
/// [`Error::RequestIdReused`], and those of the database.
pub(super) async fn is_answered(mut source: Source<'_>, request: Request) -> Result<bool, Error> {
    macro_rules! fingerprints {
        ($statement:tt $(, $argument:expr)*) => {
            match source.read_directly($statement, &[$($argument.into()),*], |row| row.text()) {
                Some(fingerprints) => fingerprints,
                None => {
                    let fingerprints = sqlx::query_scalar!($statement $(, $argument)*);
                    fingerprints.fetch_all(source.connection().await?).await?
                }
            }
        };
    }
    let (id, since) = (request.id_as_hex(), request.kept_since());
    let fingerprints: Vec<String> = fingerprints!(
        r#"select hex(fingerprint) as "fingerprint!: String" from post_requests
        where request_id = unhex(?1) and create_time > ?2"#,
        &id,
        since
    );
    match fingerprints.first() {
        None => Ok(false),
        Some(fingerprint) if *fingerprint == request.fingerprint_as_hex() => Ok(true),
        Some(_) => Err(Error::RequestIdReused),
    }
}

/// The failure of what should have a form as JSON.
pub(super) fn unreadable(error: &serde_json::Error) -> Error {
    Error::Corrupt(format!("a request or its answer: {error}"))
}

/// Keeps what the request is answered with. An answer that is no longer valid gives way.
async fn keep(
    connection: &mut SqliteConnection,
    request: Option<Request>,
    result: &impl Serialize,
) -> Result<(), Stop<Error>> {
    let Some(request) = request else {
        return Ok(());
    };
    let result = serde_json::to_string(result).map_err(|error| unreadable(&error))?;
    let (id, fingerprint, time) = (request.id(), request.fingerprint(), request.time());
    sqlx::query!(
        "insert or replace into post_requests (request_id, fingerprint, result, create_time)
        values (?1, ?2, ?3, ?4)",
        id,
        fingerprint,
        result,
        time
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which of some requests may be done together: none of them was answered before, and none is
/// the repeat of one of the others.
pub(super) async fn unanswered(
    connection: &mut SqliteConnection,
    requests: &[Option<Request>],
) -> Result<Vec<bool>, sqlx::Error> {
    let ids: Vec<_> = requests.iter().flatten().map(Request::id_as_hex).collect();
    if ids.is_empty() {
        return Ok(vec![true; requests.len()]);
    }
    let ids = json(&ids)?;
    let answered = sqlx::query_scalar!(
        "select request_id from post_requests
        where request_id in (select unhex(value) from json_each(?1))",
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(idempotency::unanswered(requests, &answered))
}

/// Keeps what requests are answered with, none of which was answered before.
pub(super) async fn keep_all(
    connection: &mut SqliteConnection,
    answers: &[(Request, String)],
) -> Result<(), sqlx::Error> {
    if answers.is_empty() {
        return Ok(());
    }
    let size = idempotency::size_of_rows(answers);
    let rows = large_json(size, idempotency::rows(answers))?;
    sqlx::query!(
        "insert into post_requests (request_id, fingerprint, result, create_time)
        select unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3
        from jsonb_each(?1)",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
}
