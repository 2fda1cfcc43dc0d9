//! The table of idempotency records of a service.

/// Defines the functions on a service's table of idempotency records, whose name is `$table`. sqlx
/// checks each statement where the macro is invoked. `$error` is the error of the service, which
/// implements `From` for [`ReplayError`](crate::idempotency::ReplayError) and [`sqlx::Error`].
#[macro_export]
macro_rules! idempotency_table {
    ($table:tt, $error:ty) => {
        /// Executes `work` and saves its response, or returns the saved response of a replayed request.
        pub(super) async fn once<T: serde::Serialize + serde::de::DeserializeOwned>(
            connection: &mut sqlx::SqliteConnection,
            request: Option<$crate::idempotency::KeyedRequest>,
            work: impl AsyncFnOnce(&mut sqlx::SqliteConnection) -> Result<T, $crate::WriteError<$error>>,
        ) -> Result<T, $crate::WriteError<$error>> {
            let Some(request) = request else {
                return work(connection).await;
            };
            if let Some(response) = find_response(connection, request).await? {
                return Ok(response);
            }
            let response = work(connection).await?;
            save_response(connection, request, &response).await?;
            Ok(response)
        }

        /// Returns the saved response of a replayed request, or `None` for a new one.
        async fn find_response<T: serde::de::DeserializeOwned>(
            connection: &mut sqlx::SqliteConnection,
            request: $crate::idempotency::KeyedRequest,
        ) -> Result<Option<T>, $crate::WriteError<$error>> {
            let (id, since) = (request.key(), request.retained_since());
            let record = sqlx::query!(
                "select fingerprint, result from "
                    + $table
                    + "
                where request_id = ?1 and create_time > ?2",
                id,
                since
            )
            .fetch_optional(connection)
            .await?;
            let response = record.map(|record| request.replay(&record.fingerprint, &record.result));
            Ok(response.transpose().map_err(<$error>::from)?)
        }

        /// Saves the response of a request. It replaces an expired one.
        async fn save_response(
            connection: &mut sqlx::SqliteConnection,
            request: $crate::idempotency::KeyedRequest,
            response: &impl serde::Serialize,
        ) -> Result<(), sqlx::Error> {
            let response = $crate::sqlite::json_param(response)?;
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

        /// Returns which requests may be executed together: those that neither are recorded nor
        /// replay an earlier one.
        pub(super) async fn first_seen(
            connection: &mut sqlx::SqliteConnection,
            requests: &[Option<$crate::idempotency::KeyedRequest>],
        ) -> Result<Vec<bool>, sqlx::Error> {
            let ids = requests.iter().flatten();
            let ids: Vec<_> = ids.map($crate::idempotency::KeyedRequest::key_as_hex).collect();
            if ids.is_empty() {
                return Ok(vec![true; requests.len()]);
            }
            let ids = $crate::sqlite::json_param(&ids)?;
            let recorded = sqlx::query_scalar!(
                "select request_id from "
                    + $table
                    + "
                where request_id in (select unhex(value) from json_each(?1))",
                ids
            )
            .fetch_all(connection)
            .await?;
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
    };
}
