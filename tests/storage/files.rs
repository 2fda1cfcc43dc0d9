//! The files of the database are moved, removed or replaced while it is open.

use std::fs;

use chassis::database::{Atomicity, Error, Lifecycle, WriteError, sqlite::Database};
use tokio::sync::watch;
use user_service::store::sqlite::REQUIREMENTS;

use super::{TestDir, within_timeout};

/// Inserts a user.
async fn insert(database: &Database, name: &'static str) -> Result<(), Error> {
    let work = database.write(Atomicity::SingleStatement, move |connection| {
        Box::pin(async move {
            let inserted = sqlx::query(
                "insert into users
                    (nickname, nickname_key, email, email_key, role, create_time, update_time,
                    revision)
                values (?1, ?1, ?1 || '@example.com', ?1, 0, 0, 0, 1)",
            );
            inserted.bind(name).execute(connection).await?;
            Ok::<_, WriteError<Error>>(())
        })
    });
    within_timeout(work).await
}

async fn wait_until(available: &mut watch::Receiver<bool>, expected: bool) {
    let changed = available.wait_for(|available| *available == expected);
    within_timeout(changed).await.unwrap();
}

#[tokio::test]
async fn a_commit_into_a_moved_database_fails_and_stays_in_that_file() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;
    let mut available = database.available();
    insert(&database, "before").await.unwrap();

    let away = dir.path().with_extension("away");
    fs::rename(dir.path(), &away).unwrap();
    let committed = insert(&database, "committed").await;
    let known = !*available.borrow();
    let (not_executed, read) = (insert(&database, "late").await, database.reader().await);
    fs::rename(&away, dir.path()).unwrap();
    wait_until(&mut available, true).await;
    insert(&database, "after").await.unwrap();

    assert!(matches!(committed, Err(Error::Replaced)), "{committed:?}");
    assert!(known, "later calls are accepted");
    assert!(matches!(not_executed, Err(Error::Replaced)));
    assert!(matches!(read, Err(Error::Replaced)));
    assert_eq!(dir.nicknames().await, ["before", "committed", "after"]);
}

#[tokio::test]
async fn a_database_that_was_replaced_stays_unavailable() {
    let (dir, other) = (TestDir::migrated().await, TestDir::migrated().await);
    let database = dir.ready(&REQUIREMENTS).await;
    let mut available = database.available();
    insert(&database, "before").await.unwrap();
    database.reader().await.unwrap();

    let away = dir.path().with_extension("away");
    fs::rename(dir.path(), &away).unwrap();
    fs::rename(other.path(), dir.path()).unwrap();
    wait_until(&mut available, false).await;
    fs::rename(&away, dir.path()).unwrap();
    let (written, read) = (insert(&database, "late").await, database.reader().await);
    within_timeout(database.close()).await;

    assert!(matches!(written, Err(Error::Replaced)), "{written:?}");
    assert!(matches!(read, Err(Error::Replaced)));
    assert_eq!(dir.nicknames().await, ["before"]);
}
