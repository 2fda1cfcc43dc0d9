//! SQLite's authorizer: rules for the actions that the statements of a connection may perform.
//!
//! It knows no table and no rule.

use sqlx::SqliteConnection;

use super::{action::Action, ffi};

/// Restricts a connection to the actions that `rule` allows, until another rule replaces it or it is
/// [removed](remove). SQLite calls the rule when it prepares a statement, so the execution has no
/// cost. It calls a new rule before the next execution of a statement that is already prepared.
///
/// # Errors
///
/// If the connection is lost or out of memory.
pub async fn install(
    connection: &mut SqliteConnection,
    rule: impl Fn(Action<'_>) -> bool + Send + Sync + 'static,
) -> Result<(), sqlx::Error> {
    ffi::authorize(connection, Some(Box::new(rule))).await
}

/// Removes the rule of a connection, so that it may perform any action.
///
/// # Errors
///
/// If the connection is lost.
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
    async fn a_rule_applies_until_it_is_removed() {
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
    async fn a_rule_is_dropped_when_it_is_replaced_or_its_connection_closed() {
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
