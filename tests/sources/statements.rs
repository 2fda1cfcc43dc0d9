//! The statements of the services, as sqlx recorded them in `.sqlx/` when it checked them.

use chassis::database::AccessPolicy;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqliteConnection};

use crate::{
    assert_none,
    database::migrated,
    lex::lex,
    tree::{File, files, sources},
};

/// A service whose statements are checked.
pub struct Service {
    /// The directory of its crate.
    pub folder: &'static str,
    /// The tables and columns that it may use.
    pub access: &'static AccessPolicy,
}

/// Returns both services.
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
    /// The statement as the source has it.
    pub query: String,
    /// The whole record.
    pub json: Value,
}

impl Recorded {
    /// Returns the statement in one line.
    pub fn text(&self) -> String {
        self.query.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Service {
    /// Returns the records in its `.sqlx` directory.
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

/// Returns what `rule` reports for each recorded statement of each service.
fn broken(mut rule: impl FnMut(&Service, &Recorded) -> Option<String>) -> Vec<String> {
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
    let found = broken(|_, recorded| {
        let text = recorded.text().to_lowercase().replace("count(*)", "");
        let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).collect();
        (text.contains('*') || words.contains(&"offset")).then(|| "`*` or offset".into())
    });

    assert_none(&found, "a new column or a concurrent insert would break it");
}

#[test]
fn statements_return_columns_of_their_own_service() {
    let found = broken(|service, recorded| {
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
fn no_statement_is_built_at_run_time() {
    let mut found = Vec::new();
    for file in sources() {
        let words = lex(file.code()).words;
        if words.iter().any(|word| word == "AssertSqlSafe")
            && !file.is_in(&["migrator/src", "chassis/database/src"])
        {
            found.push(file.path);
        }
    }

    assert_none(
        &found,
        "`AssertSqlSafe` lets sqlx run a text built at run time",
    );
}

#[test]
fn only_the_migrator_changes_the_schema() {
    let mut found = Vec::new();
    for file in sources() {
        for text in lex(file.code()).literal_texts() {
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

    assert_none(&found, "a schema change outside of the migrator");
}

/// Reports whether a query is one of the literals, or up to `most` of them joined by a macro.
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
fn every_record_matches_a_statement_in_the_sources() {
    let found = broken(|service, recorded| {
        let store = format!("{}/src/store/sqlite", service.folder);
        let mut sources = files(&[&format!("{}/src", service.folder)], ".rs");
        sources.retain(|file| file.is_in(&[&store]));
        // Macros that define one statement for both services.
        sources.extend(files(&["chassis/database/src/sqlite"], ".rs"));
        let literals = sources.iter().flat_map(|file| lex(&file.text).literals);
        let texts = literals.map(|literal| literal.text);
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        let is_there = is_joined(&recorded.query, &texts, 5);
        (!is_there).then(|| "no source contains it".into())
    });

    assert_none(&found, "run `bash .ci/prepare`: .sqlx/ is out of date");
}

#[tokio::test]
async fn every_record_matches_the_current_schema() {
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
