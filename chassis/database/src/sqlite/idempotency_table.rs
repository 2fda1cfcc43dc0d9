//! The table of idempotency records of a service.

/// Defines the functions on a service's table of idempotency records, whose name is `$table`. sqlx
/// checks each statement where the macro is invoked. `$error` is the error of the service, which
/// implements `From` for [`ReplayError`](crate::idempotency::ReplayError), [`Error`](crate::Error) and
/// [`sqlx::Error`].
#[macro_export]
macro_rules! idempotency_table {
    ($table:tt, $error:ty) => {
        /// Executes `work` and saves its response, or returns the saved response of a replayed
        /// request. Rejects a new request whose response exceeds the limit of `responses`.
        pub(super) async fn once<T: serde::Serialize + serde::de::DeserializeOwned>(
            connection: &mut sqlx::SqliteConnection,
            responses: $crate::stored_responses::StoredResponses,
            request: Option<$crate::idempotency::KeyedRequest>,
            work: impl AsyncFnOnce(&mut sqlx::SqliteConnection) -> Result<T, $crate::WriteError<$error>>,
        ) -> Result<T, $crate::WriteError<$error>> {
            let Some(request) = request else {
                return work(connection).await;
            };
            let (response, count) = find_response(connection, &responses, request).await?;
            if let Some(response) = response {
                return Ok(response);
            }
            if !responses.have_room(count, 1, 0) {
                return Err(reject(connection, &responses, count, request).await?);
            }
            let result = work(connection).await?;
            let response = $crate::sqlite::json_param(&result)?;
            if !responses.have_room(count, 1, response.len()) {
                return Err(reject(connection, &responses, count, request).await?);
            }
            save_response(connection, request, &response).await?;
            Ok(result)
        }

        /// Returns the saved response of a replayed request, or `None` for a new one, and counts the
        /// stored responses.
        async fn find_response<T: serde::de::DeserializeOwned>(
            connection: &mut sqlx::SqliteConnection,
            responses: &$crate::stored_responses::StoredResponses,
            request: $crate::idempotency::KeyedRequest,
        ) -> Result<(Option<T>, $crate::stored_responses::Count), $crate::WriteError<$error>> {
            let count = responses.count();
            let (id, since) = (request.key(), request.retained_since());
            let found = sqlx::query!(
                r#"select
                    newer.until as "until!: i64", newer.records as "records!: i64",
                    newer.bytes as "bytes!: i64", replayed.fingerprint as "fingerprint?: Vec<u8>",
                    replayed.result as "result?: String"
                from (
                    select coalesce(max(id), ?3) as until, count(*) as records,
                        coalesce(sum(octet_length(result)), 0) as bytes
                    from "#
                    + $table
                    + r#" where id > ?3
                ) as newer
                left join "#
                    + $table
                    + " as replayed on replayed.request_id = ?1 and replayed.create_time > ?2",
                id,
                since,
                count.until
            )
            .fetch_one(connection)
            .await?;
            let (until, records, bytes) = (found.until, found.records, found.bytes);
            let newer = $crate::stored_responses::Newer { until, records, bytes };
            let count = responses.add(count, newer);
            let response = match (&found.fingerprint, &found.result) {
                (Some(fingerprint), Some(result)) => {
                    Some(request.replay(fingerprint, result).map_err(<$error>::from)?)
                }
                _ => None,
            };
            Ok((response, count))
        }

        /// Returns the rejection of a request whose response exceeds the limit. It may be retried
        /// once the oldest record has expired.
        async fn reject(
            connection: &mut sqlx::SqliteConnection,
            responses: &$crate::stored_responses::StoredResponses,
            count: $crate::stored_responses::Count,
            request: $crate::idempotency::KeyedRequest,
        ) -> Result<$crate::WriteError<$error>, sqlx::Error> {
            let now = request.time();
            let oldest = sqlx::query_scalar!(
                r#"select create_time as "create_time!: i64" from "#
                    + $table
                    + " where create_time <= ?1 order by id limit 1",
                now
            )
            .fetch_optional(connection)
            .await?;
            let error = responses.reject(count, request.time_until_expiry(oldest));
            Ok($crate::WriteError::Rejected(error.into()))
        }

        /// Saves the response of a request. It replaces an expired one.
        async fn save_response(
            connection: &mut sqlx::SqliteConnection,
            request: $crate::idempotency::KeyedRequest,
            response: &str,
        ) -> Result<(), sqlx::Error> {
            let (id, fingerprint, time) = (request.key(), request.fingerprint(), request.time());
            sqlx::query!(
                "insert or replace into "
                    + $table
                    + " (request_id, fingerprint, result, create_time)
                values (?1, ?2, ?3, ?4)",
                id,
                fingerprint,
                response,
                time
            )
            .execute(connection)
            .await?;
            Ok(())
        }

        /// Returns which requests may be executed together: those without a key, and those that
        /// neither are recorded nor replay an earlier one. If their responses, of at most
        /// `max_bytes` in total, might exceed the limit of `responses`, none with a key.
        pub(super) async fn first_seen(
            connection: &mut sqlx::SqliteConnection,
            responses: &$crate::stored_responses::StoredResponses,
            requests: &[Option<$crate::idempotency::KeyedRequest>],
            max_bytes: usize,
        ) -> Result<Vec<bool>, sqlx::Error> {
            let ids = requests.iter().flatten();
            let ids: Vec<_> = ids.map($crate::idempotency::KeyedRequest::key_as_hex).collect();
            if ids.is_empty() {
                return Ok(vec![true; requests.len()]);
            }
            let (records, count) = (ids.len(), responses.count());
            let ids = $crate::sqlite::json_param(&ids)?;
            let found = sqlx::query!(
                r#"select
                    newer.until as "until!: i64", newer.records as "records!: i64",
                    newer.bytes as "bytes!: i64", recorded.request_id as "request_id?: Vec<u8>"
                from (
                    select coalesce(max(id), ?2) as until, count(*) as records,
                        coalesce(sum(octet_length(result)), 0) as bytes
                    from "#
                    + $table
                    + r#" where id > ?2
                ) as newer
                left join "#
                    + $table
                    + " as recorded on recorded.request_id in (select unhex(value) from json_each(?1))",
                ids,
                count.until
            )
            .fetch_all(connection)
            .await?;
            let newer = found.first().map(|row| $crate::stored_responses::Newer {
                until: row.until,
                records: row.records,
                bytes: row.bytes,
            });
            let count = newer.map_or(count, |newer| responses.add(count, newer));
            if !responses.have_room(count, records, max_bytes) {
                return Ok(requests.iter().map(Option::is_none).collect());
            }
            let recorded: Vec<_> = found.into_iter().filter_map(|row| row.request_id).collect();
            Ok($crate::idempotency::first_seen(requests, &recorded))
        }

        /// Saves the responses of requests that are not recorded.
        pub(super) async fn save_responses(
            connection: &mut sqlx::SqliteConnection,
            responses: &[($crate::idempotency::KeyedRequest, String)],
        ) -> Result<(), sqlx::Error> {
            if responses.is_empty() {
                return Ok(());
            }
            let size = $crate::idempotency::estimated_size(responses);
            let rows = $crate::sqlite::json_param_with_capacity(size, $crate::idempotency::to_rows(responses))?;
            sqlx::query!(
                "insert into "
                    + $table
                    + " (request_id, fingerprint, result, create_time)
                select unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3
                from jsonb_each(?1)",
                rows
            )
            .execute(connection)
            .await?;
            Ok(())
        }

        /// Prunes the oldest records that are expired at `now`, in one short step. Records later than
        /// `now`, from a clock that was ahead, do not count towards its limit. Returns whether more
        /// records may be expired.
        pub(super) async fn prune(
            connection: &mut sqlx::SqliteConnection,
            now: chrono::DateTime<chrono::Utc>,
        ) -> Result<bool, sqlx::Error> {
            let until = $crate::idempotency::expired_before(now);
            let (now, limit) = (now.timestamp_micros(), $crate::idempotency::PRUNE_BATCH);
            let pruned = sqlx::query!(
                "delete from "
                    + $table
                    + "
                where id in (
                    select id from "
                    + $table
                    + " where create_time <= ?3 order by id limit ?1
                ) and create_time <= ?2",
                limit,
                until,
                now
            )
            .execute(connection)
            .await?;
            Ok(i64::try_from(pruned.rows_affected()) == Ok(limit))
        }

        /// Counts the stored responses again, if that is due, in short reads. The running count
        /// includes records that were pruned since, and does not know of a restored database.
        pub(super) async fn recount(
            database: &$crate::sqlite::Database,
        ) -> Result<(), $crate::Error> {
            let responses = database.stored_responses();
            if !responses.recount_is_due() {
                return Ok(());
            }
            let start = std::time::Instant::now();
            let mut count = $crate::stored_responses::Count::default();
            let limit = $crate::stored_responses::RECOUNT_BATCH;
            loop {
                let mut reader = database.reader().await?;
                let step = sqlx::query!(
                    r#"select coalesce(max(id), ?1) as "until!: i64", count(*) as "records!: i64",
                        coalesce(sum(bytes), 0) as "bytes!: i64"
                    from (
                        select id, octet_length(result) as bytes from "#
                        + $table
                        + "
                        where id > ?1 order by id limit ?2
                    )",
                    count.until,
                    limit
                )
                .fetch_one(&mut *reader)
                .await?;
                let (until, records, bytes) = (step.until, step.records, step.bytes);
                count = count.plus($crate::stored_responses::Newer { until, records, bytes });
                if records < limit {
                    break;
                }
            }
            responses.recounted(count, start);
            Ok(())
        }
    };
}
