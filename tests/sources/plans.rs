//! Checks the query plans of all statements: each uses an index where one exists, and full table
//! scans are listed with their reasons.

use sqlx::{AssertSqlSafe, Row};

use crate::{assert_none, database::migrated, statements::services};

/// The intended table scans: the statement (a final `…` matches any rest), the step as SQLite words
/// it, and the reason.
const SCANS: [(&str, &str, &str); 18] = [
    (
        r#"select count(*) as "count!: i64" from users"#,
        "SCAN users USING COVERING INDEX",
        "it counts all rows",
    ),
    (
        r#"select count(*) as "count!: i64" from users where role = 0"#,
        "SCAN users",
        "it counts nearly all rows",
    ),
    (
        r#"select count(*) as "count!: i64" from users where role = 1"#,
        "SCAN users USING COVERING INDEX admins_by_id",
        "it counts all in this small index",
    ),
    (
        r#"select id as "id!" from users order by id limit ?1"#,
        "SCAN users",
        "it starts at the lowest id and ends at the limit",
    ),
    (
        r#"select id as "id!" from users where role = 0 order by id limit ?1"#,
        "SCAN users",
        "it ends at the limit, and few users in between are administrators",
    ),
    (
        r#"select id as "id!" from users where role = 1 order by id limit ?1"#,
        "SCAN users USING COVERING INDEX admins_by_id",
        "it starts at the lowest id in this small index and ends at the limit",
    ),
    (
        "delete from users where role = 0",
        "SCAN users",
        "it deletes nearly all rows",
    ),
    (
        "delete from users where role = 1",
        "SCAN users USING COVERING INDEX admins_by_id",
        "it deletes all in this small index",
    ),
    ("delete from users", "SCAN users", "it deletes all rows"),
    ("insert into users …", "SCAN users", "it reads the last row"),
    (
        r#"select create_time as "create_time!: i64" from user_requests where create_time <= ?1 …"#,
        "SCAN user_requests",
        "it ends at the oldest record that is not later than the current time",
    ),
    (
        "delete from user_requests where id in …",
        "SCAN user_requests",
        "it starts at the oldest record and ends at the limit or at the current time",
    ),
    (
        r#"select count(*) as "count!: i64" from posts"#,
        "SCAN posts USING COVERING INDEX",
        "it counts all rows",
    ),
    (
        r#"select id as "id!" from posts order by id limit ?1"#,
        "SCAN posts",
        "it starts at the lowest id and ends at the limit",
    ),
    ("delete from posts", "SCAN posts", "it deletes all rows"),
    ("insert into posts …", "SCAN posts", "it reads the last row"),
    (
        r#"select create_time as "create_time!: i64" from post_requests where create_time <= ?1 …"#,
        "SCAN post_requests",
        "it ends at the oldest record that is not later than the current time",
    ),
    (
        "delete from post_requests where id in …",
        "SCAN post_requests",
        "it starts at the oldest record and ends at the limit or at the current time",
    ),
];

/// A step of a query plan.
struct Step {
    /// The statement in one line.
    statement: String,
    /// The description by SQLite.
    detail: String,
}

/// Returns the query plans of all statements of both services.
async fn steps() -> Vec<Step> {
    let (_folder, mut connection) = migrated().await;
    let mut steps = Vec::new();
    for service in services() {
        for recorded in service.recorded() {
            let explain = format!("explain query plan {}", recorded.query);
            let rows = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection);
            steps.extend(rows.await.unwrap().iter().map(|row| Step {
                statement: recorded.text(),
                detail: row.get("detail"),
            }));
        }
    }
    assert!(steps.len() > 40, "only {} steps were read", steps.len());
    steps
}

/// Reports whether a step scans a table of a service. Other scans read the single row of a constant
/// or an array that the caller passed.
fn scans_a_table(detail: &str) -> bool {
    let scanned = detail.strip_prefix("SCAN ");
    let name = scanned.and_then(|rest| rest.split_whitespace().next());
    let tables = services()
        .map(|service| service.access.owned_tables)
        .concat();
    name.is_some_and(|name| tables.contains(&name))
}

/// Reports whether `step` is this entry of `SCANS`.
fn is_meant(step: &Step, (statement, scan, _): &(&str, &str, &str)) -> bool {
    let same = match statement.strip_suffix('…') {
        Some(prefix) => step.statement.starts_with(prefix),
        None => step.statement == *statement,
    };
    // SQLite chooses the index that it counts.
    let rest = step.detail.strip_prefix(scan);
    same && rest.is_some_and(|rest| rest.is_empty() || scan.ends_with("COVERING INDEX"))
}

#[tokio::test]
async fn only_listed_statements_scan_a_table() {
    let steps = steps().await;

    let scans: Vec<_> = steps.iter().filter(|s| scans_a_table(&s.detail)).collect();
    let unmeant = scans
        .iter()
        .filter(|step| !SCANS.iter().any(|meant| is_meant(step, meant)))
        .map(|step| format!("{}: {}", step.detail, step.statement));
    let gone = SCANS
        .iter()
        .filter(|meant| !scans.iter().any(|step| is_meant(step, meant)))
        .map(|(statement, scan, _)| format!("outdated entry: {scan}: {statement}"));

    assert_none(&unmeant.chain(gone).collect::<Vec<_>>(), "scans");
}

#[tokio::test]
async fn no_statement_sorts_or_builds_a_temporary_index() {
    let steps = steps().await;

    let found: Vec<_> = steps
        .iter()
        .filter(|step| step.detail.contains("TEMP B-TREE") || step.detail.contains("AUTOMATIC"))
        .map(|step| format!("{}: {}", step.detail, step.statement))
        .collect();

    assert_none(&found, "an index must give the order");
}

#[tokio::test]
async fn every_index_serves_a_statement() {
    let (_folder, mut connection) = migrated().await;
    let indexes: Vec<String> =
        sqlx::query_scalar("select name from sqlite_schema where type = 'index' and sql <> ''")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let steps = steps().await;

    let idle: Vec<_> = indexes
        .into_iter()
        .filter(|index| {
            let by = format!("INDEX {index}");
            !steps.iter().any(|step| step.detail.contains(&by))
        })
        .collect();

    assert_none(
        &idle,
        "no statement uses this index, and each write pays for it",
    );
}
