//! The migrations produce the declared schema.

use migrator::Run;
use sqlx::{Connection, SqliteConnection};

use crate::{TestDir, execute, query_texts};

const MODEL: [&str; 2] = [
    include_str!("../../../user-service/schema.sql"),
    include_str!("../../../post-service/schema.sql"),
];

/// The queries return a line for each part of a schema, except the history and SQLite's internal
/// tables.
const PARTS: [&str; 4] = [
    "select json_array('column', t.name, c.cid, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden)
     from sqlite_schema t, pragma_table_xinfo(t.name) c
     where t.type in ('table', 'view') and t.name not like '\\_%' escape '\\' and t.name not like 'sqlite\\_%' escape '\\'",
    "select json_array('index', t.name, i.name, i.\"unique\", i.origin, i.partial)
     from sqlite_schema t, pragma_index_list(t.name) i
     where t.type = 'table' and t.name not like '\\_%' escape '\\'",
    "select json_array('index column', i.name, c.seqno, c.cid, c.name, c.\"desc\", c.coll, c.key)
     from sqlite_schema t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) c
     where t.type = 'table' and t.name not like '\\_%' escape '\\'",
    "select json_array('reference', t.name, r.id, r.seq, r.\"table\", r.\"from\", r.\"to\", r.on_update, r.on_delete, r.match)
     from sqlite_schema t, pragma_foreign_key_list(t.name) r
     where t.type = 'table'",
];

const DECLARATIONS: &str = "select sql from sqlite_schema
    where sql is not null and tbl_name not like '\\_%' escape '\\'
      and tbl_name not like 'sqlite\\_%' escape '\\'";

/// Returns all parts of a schema in a fixed order.
async fn parts(connection: &mut SqliteConnection) -> Vec<String> {
    let mut parts = Vec::new();
    for query in PARTS {
        parts.extend(query_texts(connection, query).await);
    }
    for declaration in query_texts(connection, DECLARATIONS).await {
        parts.push(plain(&declaration));
    }
    parts.sort();
    parts
}

/// Removes comments, and reduces whitespace to single spaces.
fn plain(sql: &str) -> String {
    let lines = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or(line));
    let words: Vec<_> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ")
}

async fn parts_of(dir: &TestDir) -> Vec<String> {
    let mut connection = dir.connect().await;
    let parts = parts(&mut connection).await;
    connection.close().await.unwrap();
    parts
}

#[tokio::test]
async fn migrations_produce_the_declared_tables() {
    let mut memory = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    for model in MODEL {
        execute(&mut memory, model).await;
    }
    let dir = TestDir::new();

    dir.migrator().run(Run::upgrade()).await.unwrap();

    let declared = parts(&mut memory).await;
    assert!(
        declared.len() > 40,
        "the comparison sees too little: {declared:#?}"
    );
    assert_eq!(parts_of(&dir).await, declared);
}

#[tokio::test]
async fn each_migration_can_be_reverted_and_reapplied() {
    let dir = TestDir::new();
    let migrator = dir.migrator();
    migrator.create().await.unwrap();
    let newest = migrator::Project::embedded()
        .unwrap()
        .migrations()
        .unwrap()
        .newest();

    for number in 1..=newest {
        let before = parts_of(&dir).await;
        migrator.run(Run::upgrade_to(number)).await.unwrap();
        let after = parts_of(&dir).await;
        migrator.run(Run::downgrade()).await.unwrap();
        let undone = parts_of(&dir).await;
        migrator.run(Run::upgrade_to(number)).await.unwrap();

        assert_eq!(undone, before, "migration {number}");
        assert_eq!(parts_of(&dir).await, after, "migration {number}");
        assert_ne!(before, after, "migration {number}");
    }
}

#[tokio::test]
async fn the_history_has_the_layout_of_sqlx() {
    let dir = TestDir::new();

    dir.migrator().run(Run::upgrade()).await.unwrap();

    let columns = dir
        .query("select name || ' ' || type from pragma_table_info('_sqlx_migrations')")
        .await;
    assert_eq!(
        columns,
        [
            "version BIGINT",
            "description TEXT",
            "installed_on TIMESTAMP",
            "success BOOLEAN",
            "checksum BLOB",
            "execution_time BIGINT",
        ]
    );
    let rows = dir
        .query(
            "select version || ' ' || description || ' ' || success || ' ' || length(checksum)
             from _sqlx_migrations order by version",
        )
        .await;
    assert_eq!(rows, ["1 create users 1 48", "2 create posts 1 48"]);
}
