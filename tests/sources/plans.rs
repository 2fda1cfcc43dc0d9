//! How SQLite does what the services ask for: by which index, and never by looking at
//! every row where an index could serve.

use sqlx::{AssertSqlSafe, Row};

use crate::{assert_none, database::migrated, statements::services};

/// The scans of tables that are meant, each by its statement (`…` stands for any end), as
/// SQLite words it, and with its reason.
const SCANS: [(&str, &str, &str); 16] = [
    (
        r#"select count(*) as "count!: i64" from users"#,
        "SCAN users USING COVERING INDEX",
        "it counts all of them",
    ),
    (
        r#"select count(*) as "count!: i64" from users where role = 0"#,
        "SCAN users",
        "it counts nearly all of them",
    ),
    (
        r#"select count(*) as "count!: i64" from users where role = 1"#,
        "SCAN users USING COVERING INDEX admins_by_id",
        "it counts all in this small index",
    ),
    (
        r#"select id as "id!" from users order by id limit ?1"#,
        "SCAN users",
        "it begins at the lowest and ends at the limit",
    ),
    (
        r#"select id as "id!" from users where role = 0 order by id limit ?1"#,
        "SCAN users",
        "it ends at the limit, and few users in between are administrators",
    ),
    (
        r#"select id as "id!" from users where role = 1 order by id limit ?1"#,
        "SCAN users USING COVERING INDEX admins_by_id",
        "it begins at the lowest in this small index and ends at the limit",
    ),
    (
        "delete from users where role = 0",
        "SCAN users",
        "it deletes nearly all of them",
    ),
    (
        "delete from users where role = 1",
        "SCAN users USING COVERING INDEX admins_by_id",
        "it deletes all in this small index",
    ),
    ("delete from users", "SCAN users", "it deletes all of them"),
    ("insert into users …", "SCAN users", "it reads the last one"),
    (
        "delete from user_requests where id in …",
        "SCAN user_requests",
        "it begins at the oldest and ends at the limit, of those that are not ahead of the clock",
    ),
    (
        r#"select count(*) as "count!: i64" from posts"#,
        "SCAN posts USING COVERING INDEX",
        "it counts all of them",
    ),
    (
        r#"select id as "id!" from posts order by id limit ?1"#,
        "SCAN posts",
        "it begins at the lowest and ends at the limit",
    ),
    ("delete from posts", "SCAN posts", "it deletes all of them"),
    ("insert into posts …", "SCAN posts", "it reads the last one"),
    (
        "delete from post_requests where id in …",
        "SCAN post_requests",
        "it begins at the oldest and ends at the limit, of those that are not ahead of the clock",
    ),
];

/// A step of a statement's plan.
struct Step {
    /// The statement, in one line.
    statement: String,
    /// What SQLite does.
    detail: String,
}

/// The steps of all statements of all services.
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
    assert!(steps.len() > 40, "so few steps are no plan");
    steps
}

/// Whether a step looks at every row of a table of ours. What it looks at else is the one
/// row of a constant, or what the caller gave as an array.
fn scans_a_table(detail: &str) -> bool {
    let scanned = detail.strip_prefix("SCAN ");
    let name = scanned.and_then(|rest| rest.split_whitespace().next());
    let tables = services()
        .map(|service| service.access.owned_tables)
        .concat();
    name.is_some_and(|name| tables.contains(&name))
}

fn is_meant(step: &Step, (statement, scan, _): &(&str, &str, &str)) -> bool {
    let same = match statement.strip_suffix('…') {
        Some(begin) => step.statement.starts_with(begin),
        None => step.statement == *statement,
    };
    // Which of the indexes it counts is SQLite's choice.
    let rest = step.detail.strip_prefix(scan);
    same && rest.is_some_and(|rest| rest.is_empty() || scan.ends_with("COVERING INDEX"))
}

#[tokio::test]
async fn no_statement_looks_at_every_row_unless_it_is_meant_to() {
    let steps = steps().await;

    let scans: Vec<_> = steps.iter().filter(|s| scans_a_table(&s.detail)).collect();
    let unmeant = scans
        .iter()
        .filter(|step| !SCANS.iter().any(|meant| is_meant(step, meant)))
        .map(|step| format!("{}: {}", step.detail, step.statement));
    let gone = SCANS
        .iter()
        .filter(|meant| !scans.iter().any(|step| is_meant(step, meant)))
        .map(|(statement, scan, _)| format!("no longer there: {scan}: {statement}"));

    assert_none(&unmeant.chain(gone).collect::<Vec<_>>(), "scans");
}

#[tokio::test]
async fn no_statement_sorts_or_builds_an_index_for_itself() {
    let steps = steps().await;

    let found: Vec<_> = steps
        .iter()
        .filter(|step| step.detail.contains("TEMP B-TREE") || step.detail.contains("AUTOMATIC"))
        .map(|step| format!("{}: {}", step.detail, step.statement))
        .collect();

    assert_none(&found, "an index has to give the order");
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

    assert_none(&idle, "an index costs every write, and serves nobody");
}
