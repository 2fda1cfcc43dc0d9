//! The statements of the services, as sqlx recorded them in `.sqlx/` when it checked them.

use chassis::database::AccessPolicy;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqliteConnection};

use crate::{
    assert_none,
    database::migrated,
    rust::pieces,
    tree::{File, files, sources},
};

/// A service with its statements.
pub struct Service {
    /// Its folder.
    pub folder: &'static str,
    /// What it may touch.
    pub access: &'static AccessPolicy,
}

/// Both of them.
pub fn services() -> [Service; 2] {
    [
        Service {
            folder: "user-service",
            access: user_service::store::sqlite::REQUIREMENTS.access,
        },
        Service {
            folder: "post-service",
            access: post_service::store::sqlite::REQUIREMENTS.access,
        },
    ]
}

/// A recorded statement.
pub struct Recorded {
    pub file: String,
    /// As it is in the sources.
    pub query: String,
    /// All of the record.
    pub json: Value,
}

impl Recorded {
    /// In one line.
    pub fn text(&self) -> String {
        self.query.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Service {
    /// What was recorded for it.
    pub fn recorded(&self) -> Vec<Recorded> {
        let files = files(&[&format!("{}/.sqlx", self.folder)], "");
        let recorded = files.into_iter().map(|File { path, text }| {
            let json: Value = serde_json::from_str(&text).unwrap();
            Recorded {
                file: path,
                query: json["query"].as_str().unwrap().to_owned(),
                json,
            }
        });
        recorded.collect()
    }
}

/// What `rule` finds wrong with any recorded statement of any service.
fn wrong(mut rule: impl FnMut(&Service, &Recorded) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for service in services() {
        for recorded in service.recorded() {
            if let Some(what) = rule(&service, &recorded) {
                found.push(format!("{}: {what}: {}", recorded.file, recorded.text()));
            }
        }
    }
    found
}

#[test]
fn no_statement_names_all_columns_or_skips_rows() {
    let found = wrong(|_, recorded| {
        let text = recorded.text().to_lowercase().replace("count(*)", "");
        let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).collect();
        (text.contains('*') || words.contains(&"offset")).then(|| "`*` or offset".into())
    });

    assert_none(&found, "a column that is added breaks it, or a row that is");
}

#[test]
fn what_a_statement_yields_comes_from_tables_of_its_own_service() {
    let found = wrong(|service, recorded| {
        let columns = recorded.json["describe"]["columns"].as_array().unwrap();
        let tables = columns
            .iter()
            .filter_map(|column| column["origin"]["Table"]["table"].as_str());
        let mut others = tables.filter(|table| !service.access.owned_tables.contains(table));
        others.next().map(|table| format!("it reads {table}"))
    });

    assert_none(&found, "a service reads another's table");
}

#[test]
fn no_statement_is_put_together_when_the_program_runs() {
    let mut found = Vec::new();
    for file in sources() {
        let words = pieces(file.code()).words;
        if words.iter().any(|word| word == "AssertSqlSafe")
            && !file.is_in(&["migrator/src", "chassis/database/src"])
        {
            found.push(file.path);
        }
    }

    assert_none(&found, "sqlx takes a text as a statement if it is told to");
}

#[test]
fn only_the_migrator_creates_or_alters() {
    let mut found = Vec::new();
    for file in sources() {
        for text in pieces(file.code()).texts {
            let text = text.to_lowercase();
            let words: Vec<_> = text.split_whitespace().collect();
            let changes = words.windows(2).any(|pair| {
                matches!(pair[0], "create" | "alter" | "drop")
                    && matches!(pair[1], "table" | "index" | "view" | "trigger" | "unique")
            });
            if changes && !file.is_in(&["migrator/src"]) {
                found.push(format!("{}: {text}", file.path));
            }
        }
    }
    let folders = [
        "src",
        "proto",
        "chassis",
        "user-service",
        "post-service",
        "migrator",
        "tests",
    ];
    let scripts = files(&folders, ".sql").into_iter().filter(|file| {
        !file.is_in(&["user-service/migrations", "post-service/migrations"])
            && !file.path.ends_with("-service/schema.sql")
    });
    found.extend(scripts.map(|file| file.path));

    assert_none(&found, "the schema is changed elsewhere");
}

/// Whether a query is one of the texts, or joined of some by a macro: of `most`, at most.
fn is_joined(query: &str, texts: &[String], most: usize) -> bool {
    texts
        .iter()
        .any(|text| match query.strip_prefix(text.as_str()) {
            Some("") => true,
            Some(rest) => most > 1 && is_joined(rest, texts, most - 1),
            None => false,
        })
}

#[test]
fn every_record_is_of_a_statement_in_the_sources() {
    let found = wrong(|service, recorded| {
        let store = format!("{}/src/store/sqlite", service.folder);
        let mut sources = files(&[&format!("{}/src", service.folder)], ".rs");
        sources.retain(|file| file.is_in(&[&store]));
        // The macros that define the same statements for each service.
        sources.extend(files(&["chassis/database/src/sqlite"], ".rs"));
        let texts = sources.iter().flat_map(|file| pieces(&file.text).texts);
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        let is_there = is_joined(&recorded.query, &texts, 5);
        (!is_there).then(|| "nobody runs it".into())
    });

    assert_none(&found, "run `bash .ci/prepare`: .sqlx/ is out of date");
}

#[tokio::test]
async fn every_record_is_what_sqlx_says_of_the_statement_today() {
    async fn describe(connection: &mut SqliteConnection, query: &str) -> Value {
        let query = AssertSqlSafe(query).into_sql_str();
        let described = connection.describe(query).await;
        described.map_or_else(
            |e| e.to_string().into(),
            |d| serde_json::to_value(d).unwrap(),
        )
    }
    let (_folder, mut connection) = migrated().await;

    let mut found = Vec::new();
    for service in services() {
        for recorded in service.recorded() {
            let Recorded { file, query, json } = &recorded;
            let hash: String = Sha256::digest(query.as_bytes())
                .iter()
                .fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
            let expected = serde_json::json!({
                "db_name": "SQLite",
                "query": query,
                "describe": describe(&mut connection, query).await,
                "hash": hash,
            });
            if *json != expected || !file.ends_with(&format!("/query-{hash}.json")) {
                found.push(format!("{file}: now {}", expected["describe"]));
            }
        }
    }

    assert_none(&found, "run `bash .ci/prepare`: .sqlx/ is out of date");
}
