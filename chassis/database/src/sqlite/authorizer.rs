//! Rules on what the statements of a connection may do, for SQLite itself to enforce.
//!
//! It knows what SQLite asks; it knows no table, and no rule.

use sqlx::SqliteConnection;

use super::{action::Action, ffi};

/// Lets a connection do what `rule` allows, and nothing else, until another rule is
/// installed or this one is [removed](remove). SQLite asks when a statement is prepared,
/// so it costs nothing afterwards; statements that are prepared already are asked about
/// again before their next run.
///
/// # Errors
///
/// The connection is lost, or out of memory.
pub async fn install(
    connection: &mut SqliteConnection,
    rule: impl Fn(Action<'_>) -> bool + Send + Sync + 'static,
) -> Result<(), sqlx::Error> {
    ffi::authorize(connection, Some(Box::new(rule))).await
}

/// Lets a connection do everything again.
///
/// # Errors
///
/// The connection is lost.
pub async fn remove(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    ffi::authorize(connection, None).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::{AssertSqlSafe, Connection};

    use super::*;
    use crate::sqlite::action::ActionCode;

    async fn memory() -> SqliteConnection {
        SqliteConnection::connect("sqlite::memory:").await.unwrap()
    }

    async fn run(connection: &mut SqliteConnection, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(connection)
            .await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_rule_holds_until_it_is_removed() {
        let mut connection = memory().await;
        run(&mut connection, "create table a (id)").await.unwrap();

        install(&mut connection, |action| {
            !(action.code == ActionCode::Read && action.arg1 == Some("a"))
        })
        .await
        .unwrap();
        let denied = run(&mut connection, "select id from a").await.unwrap_err();
        remove(&mut connection).await.unwrap();
        let allowed = run(&mut connection, "select id from a").await;

        assert!(denied.to_string().contains("prohibited"), "{denied}");
        assert!(allowed.is_ok(), "{allowed:?}");
    }

    #[tokio::test]
    async fn a_rule_goes_when_another_takes_its_place_or_the_connection_is_closed() {
        let mut connection = memory().await;
        let (first, second) = (Arc::new(()), Arc::new(()));

        for kept in [Arc::clone(&first), Arc::clone(&second)] {
            install(&mut connection, move |_| Arc::strong_count(&kept) > 0)
                .await
                .unwrap();
        }
        let counts = (Arc::strong_count(&first), Arc::strong_count(&second));
        connection.close().await.unwrap();

        assert_eq!(counts, (1, 2));
        assert_eq!(Arc::strong_count(&second), 1);
    }
}
