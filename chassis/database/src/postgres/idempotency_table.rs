//! The table of idempotency records of a service.

/// Defines the functions on a service's table of idempotency records, whose name is `$table`. sqlx
/// checks each statement where the macro is invoked. `$error` is the error of the service, which
/// implements `From` for [`ReplayError`](crate::idempotency::ReplayError).
///
/// If another transaction saves a response under the same key first, the statement fails, and the
/// transaction is executed again. Then it finds the response.
#[macro_export]
macro_rules! postgres_idempotency_table {
    ($table:tt, $error:ty) => {
        /// Executes `work` and saves its response, or returns the saved response of a replayed
        /// request. Rejects a new request whose response exceeds the limit of `responses`.
        ///
        /// The record is inserted before `work` is executed: a concurrent execution of the same
        /// request waits for it, and is not rejected for what this one writes.
        pub(super) async fn once<T: serde::Serialize + serde::de::DeserializeOwned>(
            connection: &mut sqlx::PgConnection,
            responses: &$crate::stored_responses::StoredResponses,
            request: Option<$crate::idempotency::KeyedRequest>,
            work: impl AsyncFnOnce(&mut sqlx::PgConnection) -> Result<T, $crate::WriteError<$error>>,
        ) -> Result<T, $crate::WriteError<$error>> {
            let Some(request) = request else {
                return work(connection).await;
            };
            let (response, count) = find_response(connection, responses, request).await?;
            if let Some(response) = response {
                return Ok(response);
            }
            if !responses.have_room(count, 1, 0) {
                return Err(reject(connection, responses, count, request).await?);
            }
            save_responses(connection, &[(request, String::new())]).await?;
            let result = work(connection).await?;
            let response = serde_json::to_string(&result)
                .map_err($crate::idempotency::ReplayError::from)
                .map_err(<$error>::from)?;
            if !responses.have_room(count, 1, response.len()) {
                return Err(reject(connection, responses, count, request).await?);
            }
            sqlx::query!(
                "update " + $table + " set result = $2 where request_id = $1",
                request.uuid(),
                response
            )
            .execute(connection)
            .await?;
            Ok(result)
        }

        /// Returns the saved response of a replayed request, or `None` for a new one, and counts the
        /// stored responses. Deletes an expired one.
        async fn find_response<T: serde::de::DeserializeOwned>(
            connection: &mut sqlx::PgConnection,
            responses: &$crate::stored_responses::StoredResponses,
            request: $crate::idempotency::KeyedRequest,
        ) -> Result<(Option<T>, $crate::stored_responses::Count), $crate::WriteError<$error>> {
            let (key, since) = (request.uuid(), request.retained_since());
            let count = count(connection, responses).await?;
            let record = sqlx::query!(
                "select fingerprint, result, create_time from "
                    + $table
                    + " where request_id = $1",
                key
            )
            .fetch_optional(&mut *connection)
            .await?;
            match record {
                Some(record) if record.create_time > since => {
                    let response = request.replay(&record.fingerprint, &record.result);
                    Ok((Some(response.map_err(<$error>::from)?), count))
                }
                Some(_) => {
                    sqlx::query!(
                        "delete from " + $table + " where request_id = $1 and create_time <= $2",
                        key,
                        since
                    )
                    .execute(connection)
                    .await?;
                    Ok((None, count))
                }
                None => Ok((None, count)),
            }
        }

        /// Counts the stored responses of committed transactions. A record whose transaction ends
        /// after that of a record with a higher id is counted by the next recount only.
        async fn count(
            connection: &mut sqlx::PgConnection,
            responses: &$crate::stored_responses::StoredResponses,
        ) -> Result<$crate::stored_responses::Count, sqlx::Error> {
            let count = responses.count();
            let newer = sqlx::query!(
                r#"select coalesce(max(id), $1) as "until!", count(*) as "records!",
                    coalesce(sum(octet_length(result)), 0)::bigint as "bytes!" from "#
                    + $table
                    + " where id > $1",
                count.until
            )
            .fetch_one(connection)
            .await?;
            let (until, records, bytes) = (newer.until, newer.records, newer.bytes);
            responses.begin_transaction();
            Ok(responses.add(count, $crate::stored_responses::Newer { until, records, bytes }))
        }

        /// Returns the rejection of a request whose response exceeds the limit. It may be retried
        /// once the oldest record has expired.
        async fn reject(
            connection: &mut sqlx::PgConnection,
            responses: &$crate::stored_responses::StoredResponses,
            count: $crate::stored_responses::Count,
            request: $crate::idempotency::KeyedRequest,
        ) -> Result<$crate::WriteError<$error>, sqlx::Error> {
            let oldest = sqlx::query_scalar!(
                "select min(create_time) from " + $table + " where request_id <> $1",
                request.uuid()
            )
            .fetch_one(connection)
            .await?;
            let error = responses.reject(count, request.time_until_expiry(oldest));
            Ok($crate::WriteError::Rejected(error.into()))
        }

        /// Returns which requests may be executed together: those without a key, and those that
        /// neither are recorded nor replay an earlier one. If their responses, of at most
        /// `max_bytes` in total, might exceed the limit of `responses`, none with a key.
        pub(super) async fn first_seen(
            connection: &mut sqlx::PgConnection,
            responses: &$crate::stored_responses::StoredResponses,
            requests: &[Option<$crate::idempotency::KeyedRequest>],
            max_bytes: usize,
        ) -> Result<Vec<bool>, sqlx::Error> {
            let keys = requests.iter().flatten();
            let keys: Vec<_> = keys.map($crate::idempotency::KeyedRequest::uuid).collect();
            if keys.is_empty() {
                return Ok(vec![true; requests.len()]);
            }
            let count = count(connection, responses).await?;
            if !responses.have_room(count, keys.len(), max_bytes) {
                return Ok(requests.iter().map(Option::is_none).collect());
            }
            let recorded = sqlx::query_scalar!(
                "select request_id from " + $table + " where request_id = any($1)",
                &keys
            )
            .fetch_all(connection)
            .await?;
            let recorded: Vec<_> = recorded.iter().map(|key| key.as_bytes().to_vec()).collect();
            Ok($crate::idempotency::first_seen(requests, &recorded))
        }

        /// Saves the responses of requests that are not recorded.
        pub(super) async fn save_responses(
            connection: &mut sqlx::PgConnection,
            responses: &[($crate::idempotency::KeyedRequest, String)],
        ) -> Result<(), sqlx::Error> {
            if responses.is_empty() {
                return Ok(());
            }
            let (mut keys, mut fingerprints) = (Vec::new(), Vec::new());
            let (mut results, mut times) = (Vec::new(), Vec::new());
            for (request, response) in responses {
                keys.push(request.uuid());
                fingerprints.push(request.fingerprint());
                results.push(response.as_str());
                times.push(request.time());
            }
            sqlx::query!(
                "insert into "
                    + $table
                    + " (request_id, fingerprint, result, create_time)
                select request_id, fingerprint, result, create_time
                from unnest($1::uuid[], $2::bytea[], $3::text[], $4::bigint[])
                    as saved (request_id, fingerprint, result, create_time)",
                &keys,
                &fingerprints as _,
                &results as _,
                &times
            )
            .execute(connection)
            .await?;
            Ok(())
        }

        /// Prunes the oldest records that are expired at `now`, in one short step. Skips records that
        /// another replica is deleting. Returns whether more records may be expired.
        pub(super) async fn prune(
            connection: &mut sqlx::PgConnection,
            now: chrono::DateTime<chrono::Utc>,
        ) -> Result<bool, sqlx::Error> {
            let until = $crate::idempotency::expired_before(now);
            let limit = $crate::idempotency::PRUNE_BATCH;
            let pruned = sqlx::query!(
                "delete from "
                    + $table
                    + " where id in (
                    select id from "
                    + $table
                    + " where create_time <= $2
                    order by create_time limit $1 for update skip locked
                )",
                limit,
                until
            )
            .execute(connection)
            .await?;
            Ok(i64::try_from(pruned.rows_affected()) == Ok(limit))
        }

        /// Counts the stored responses again, if that is due, in short reads. The running count
        /// includes records that were pruned since, and misses some of other processes.
        pub(super) async fn recount(
            database: &$crate::postgres::Database,
        ) -> Result<(), $crate::Error> {
            let responses = database.stored_responses();
            if !responses.recount_is_due() {
                return Ok(());
            }
            let start = std::time::Instant::now();
            let mut count = $crate::stored_responses::Count::default();
            let limit = $crate::stored_responses::RECOUNT_BATCH;
            loop {
                let after = count.until;
                let step = database.read::<_, $crate::Error>(move |connection| {
                    Box::pin(async move {
                        let step = sqlx::query!(
                            r#"select coalesce(max(id), $1) as "until!", count(*) as "records!",
                                coalesce(sum(bytes), 0)::bigint as "bytes!"
                            from (
                                select id, octet_length(result) as bytes from "#
                                + $table
                                + " where id > $1 order by id limit $2
                            ) as step",
                            after,
                            limit
                        )
                        .fetch_one(connection)
                        .await?;
                        let (until, records, bytes) = (step.until, step.records, step.bytes);
                        Ok($crate::stored_responses::Newer { until, records, bytes })
                    })
                });
                let step = step.await?;
                count = count.plus(step);
                if step.records < limit {
                    break;
                }
            }
            responses.recounted(count, start);
            Ok(())
        }
    };
}
