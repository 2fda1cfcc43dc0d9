//! Requests that were answered, kept so that a repeat is answered alike.

use chassis::{
    clock::Clock,
    database::{Scope, Stop},
    idempotency::{Fingerprint, KEPT_FOR, PRUNED_AT_ONCE, RequestId, Write},
};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::SqliteConnection;

use super::Store;
use crate::error::Error;

/// A request with an id, at the time at which it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    id: RequestId,
    fingerprint: Fingerprint,
    now: i64, // microseconds
}

impl Request {
    /// The request that `write` is for, if the client gave it an id.
    pub(super) fn of(
        write: Write,
        method: &str,
        payload: &impl Serialize,
        clock: &Clock,
    ) -> Result<Option<Self>, Error> {
        let Some(id) = write.request_id else {
            return Ok(None);
        };
        let fingerprint = Fingerprint::of(method, payload)
            .map_err(|error| Error::Corrupt(format!("a request: {error}")))?;
        Ok(Some(Self {
            id,
            fingerprint,
            now: clock.now().timestamp_micros(),
        }))
    }

    /// The oldest time of which answers are still kept.
    fn kept_since(&self) -> i64 {
        kept_since(self.now)
    }
}

/// How much a write by one statement can leave half done.
pub(super) fn scope(write: Write) -> Scope {
    match write {
        Write {
            validate_only: true,
            ..
        } => Scope::Trial,
        // The answer is written too.
        Write {
            request_id: Some(_),
            ..
        } => Scope::Savepoint,
        Write {
            request_id: None, ..
        } => Scope::Statement,
    }
}

/// What the request was answered with before, if it was.
pub(super) async fn answer<T: DeserializeOwned>(
    connection: &mut SqliteConnection,
    request: Option<Request>,
) -> Result<Option<T>, Stop<Error>> {
    let Some(request) = request else {
        return Ok(None);
    };
    let (id, since) = (request.id.as_bytes(), request.kept_since());
    let answered = sqlx::query!(
        "select fingerprint, result from user_requests
        where request_id = ?1 and create_time > ?2",
        id,
        since
    )
    .fetch_optional(connection)
    .await?;
    match answered {
        None => Ok(None),
        Some(answered) if answered.fingerprint != request.fingerprint.as_bytes() => {
            Err(Error::RequestIdReused.into())
        }
        Some(answered) => serde_json::from_str(&answered.result)
            .map(Some)
            .map_err(|error| Error::Corrupt(format!("an answer: {error}")).into()),
    }
}

/// Keeps what the request is answered with. An answer that is no longer valid gives way.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    request: Option<Request>,
    result: &impl Serialize,
) -> Result<(), Stop<Error>> {
    let Some(request) = request else {
        return Ok(());
    };
    let result = serde_json::to_string(result)
        .map_err(|error| Error::Corrupt(format!("an answer: {error}")))?;
    let (id, fingerprint) = (request.id.as_bytes(), request.fingerprint.as_bytes());
    sqlx::query!(
        "insert or replace into user_requests (request_id, fingerprint, result, create_time)
        values (?1, ?2, ?3, ?4)",
        id,
        fingerprint,
        result,
        request.now
    )
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Forgets the oldest answers, if they are no longer valid: one small step, so that
    /// no write waits for it. Says whether there may be more of them.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn prune_requests(&self) -> Result<bool, Error> {
        let since = kept_since(self.clock.now().timestamp_micros());
        let pruned = self
            .database
            .write(Scope::Statement, move |connection| {
                Box::pin(async move {
                    let done = sqlx::query!(
                        "delete from user_requests
                        where id in (select id from user_requests order by id limit ?1)
                            and create_time <= ?2",
                        PRUNED_AT_ONCE,
                        since
                    )
                    .execute(connection)
                    .await?;
                    Ok::<_, Stop<Error>>(done.rows_affected())
                })
            })
            .await?;
        Ok(i64::try_from(pruned) == Ok(PRUNED_AT_ONCE))
    }
}

fn kept_since(now: i64) -> i64 {
    let kept = i64::try_from(KEPT_FOR.as_micros()).unwrap_or(i64::MAX);
    now.saturating_sub(kept)
}
