//! What a downgrade takes away, and what is in it: which tables and columns vanish is read
//! from what there is before and after its scripts in memory, and what they hold from the
//! live database. SQL stands here.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::{
    sql::{self, Kind, Token, quoted},
    sqlite::schema::{Column, Name, Schema, Table},
};

/// What a comment in a way down begins with that nobody should go without asking.
const IRREVERSIBLE: &str = "@irreversible";

/// A table or a column with values that a downgrade takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The table, as it is called before the downgrade.
    pub table: String,
    /// The column, or `None` if it is the whole table.
    pub column: Option<String>,
    /// The rows of the table, or those that have something in the column other than its
    /// default.
    pub rows: i64,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            column,
            rows,
        } = self;
        let s = if *rows == 1 { "" } else { "s" };
        match column {
            None => write!(f, "table {table} ({rows} row{s})"),
            Some(column) => write!(f, "column {table}.{column} ({rows} value{s})"),
        }
    }
}

/// Why a way down says that it cannot be undone, if it says so in a comment such as
/// `-- @irreversible the old format is not kept`.
pub(crate) fn irreversible(script: &str) -> Option<&str> {
    let comments = sql::tokens(script).into_iter();
    comments
        .filter(|token| token.kind == Kind::Comment)
        .find_map(|token| {
            let text = token.text.trim_matches(|c| matches!(c, '-' | '/' | '*'));
            Some(text.trim().strip_prefix(IRREVERSIBLE)?.trim())
        })
}

/// A table, or a column of it, by the names that they had before.
pub(crate) type Vanished = (String, Option<String>);

/// A table that stays.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// What it is called before.
    name: String,
    /// What it is called afterwards.
    new_name: String,
}

/// How many rows the tables that stay have before a run.
#[derive(Debug)]
pub(crate) struct Rows(Vec<(Kept, i64)>);

impl Rows {
    /// Counts those of a live database with this schema.
    pub(crate) async fn before(
        live: &mut SqliteConnection,
        schema: &Schema,
        kept: Vec<Kept>,
    ) -> Result<Self, sqlx::Error> {
        let mut rows = Vec::new();
        for kept in kept {
            if schema.tables.contains_key(&Name::new(&kept.name)) {
                let count = count(live, &kept.name, "").await?;
                rows.push((kept, count));
            }
        }
        Ok(Self(rows))
    }

    /// What has become fewer. A table that is rebuilt loses what is not copied.
    pub(crate) async fn lost(self, live: &mut SqliteConnection) -> Result<Vec<Loss>, sqlx::Error> {
        let mut losses = Vec::new();
        for (kept, before) in self.0 {
            let rows = before - count(live, &kept.new_name, "").await?;
            if rows > 0 {
                losses.push(Loss {
                    table: kept.name,
                    column: None,
                    rows,
                });
            }
        }
        Ok(losses)
    }
}

async fn count(
    live: &mut SqliteConnection,
    table: &str,
    condition: &str,
) -> Result<i64, sqlx::Error> {
    let table = quoted(table);
    let statement = format!("select count(*) from {table}{condition}");
    // The names are quoted, and the default is that of a migration.
    sqlx::query_scalar(AssertSqlSafe(statement))
        .fetch_one(live)
        .await
}

/// Counts what is in the tables and columns of a live database with this schema that are
/// about to vanish.
pub(crate) async fn measure(
    live: &mut SqliteConnection,
    schema: &Schema,
    vanished: Vec<Vanished>,
) -> Result<Vec<Loss>, sqlx::Error> {
    let mut losses = Vec::new();
    for (table, column) in vanished {
        // What is not there holds nothing; and SQLite would take its name for a text.
        let Some(there) = schema.tables.get(&Name::new(&table)) else {
            continue;
        };
        let condition = match &column {
            None => String::new(),
            Some(column) => match stored(there).find(|c| c.name == Name::new(column)) {
                Some(there) => {
                    let default = there.default.as_deref().unwrap_or("null");
                    format!(" where {} is not ({default})", quoted(column))
                }
                None => continue,
            },
        };
        let rows = count(live, &table, &condition).await?;
        if rows > 0 {
            losses.push(Loss {
                table,
                column,
                rows,
            });
        }
    }
    Ok(losses)
}

/// Returns the columns of a table that hold values.
fn stored(table: &Table) -> impl Iterator<Item = &Column> {
    let columns = table.columns.iter();
    columns.filter(|column| column.generated.is_none())
}

/// What has become of each table and column under which name. Names are in lower case.
#[derive(Debug)]
pub(crate) struct Trace {
    tables: BTreeMap<String, Traced>,
    /// What is gone.
    pub(crate) vanished: Vec<Vanished>,
}

/// A table that was there at first.
#[derive(Debug)]
struct Traced {
    /// What it was called.
    name: String,
    /// The columns that it had, by what they are called now.
    columns: BTreeMap<String, String>,
}

impl Trace {
    /// From what there is at first.
    pub(crate) fn new(schema: &Schema) -> Self {
        let tables = schema.tables.iter().map(|(name, table)| {
            let names = stored(table).map(|column| &column.name);
            let traced = Traced {
                name: name.spelled().to_owned(),
                columns: names
                    .map(|name| (name.folded().to_owned(), name.spelled().to_owned()))
                    .collect(),
            };
            (name.folded().to_owned(), traced)
        });
        Self {
            tables: tables.collect(),
            vanished: Vec::new(),
        }
    }

    /// What is not gone.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let kept = |(now, traced): (&String, &Traced)| Kept {
            name: traced.name.clone(),
            new_name: now.clone(),
        };
        self.tables.iter().map(kept).collect()
    }

    /// Follows a statement, if it renames something.
    pub(crate) fn follow(&mut self, statement: &str) {
        match renaming(statement) {
            None => {}
            Some(Renaming::Table { from, to }) => {
                if let Some(traced) = self.tables.remove(&from)
                    && let Some(replaced) = self.tables.insert(to, traced)
                {
                    self.vanished.push((replaced.name, None));
                }
            }
            Some(Renaming::Column { table, from, to }) => {
                if let Some(traced) = self.tables.get_mut(&table)
                    && let Some(column) = traced.columns.remove(&from)
                    && let Some(replaced) = traced.columns.insert(to, column)
                {
                    let table = traced.name.clone();
                    self.vanished.push((table, Some(replaced)));
                }
            }
        }
    }

    /// Compares with what there is after a script. A table under the same name is the
    /// same one, though it was rebuilt.
    pub(crate) fn compare(&mut self, there: &Schema) {
        let vanished = &mut self.vanished;
        self.tables.retain(|now, traced| {
            let Some(there) = there.tables.get(&Name::new(now)) else {
                vanished.push((traced.name.clone(), None));
                return false;
            };
            let table = &traced.name;
            traced.columns.retain(|column, name| {
                let kept = stored(there).any(|there| there.name == Name::new(column));
                if !kept {
                    vanished.push((table.clone(), Some(name.clone())));
                }
                kept
            });
            true
        });
    }
}

/// What ALTER TABLE renames.
#[derive(Debug, PartialEq, Eq)]
enum Renaming {
    Table {
        from: String,
        to: String,
    },
    Column {
        table: String,
        from: String,
        to: String,
    },
}

/// What a statement renames.
fn renaming(statement: &str) -> Option<Renaming> {
    let tokens: Vec<_> = sql::tokens(statement)
        .into_iter()
        .filter(|token| token.kind != Kind::Comment)
        .collect();
    let [alter, table, rest @ ..] = tokens.as_slice() else {
        return None;
    };
    if !alter.is("alter") || !table.is("table") {
        return None;
    }
    // The name of the database may stand before that of the table.
    let (table, rest) = match rest {
        [_, dot, table, rest @ ..] if dot.is_symbol(".") => (table, rest),
        [table, rest @ ..] => (table, rest),
        [] => return None,
    };
    let table = name(table);
    match rest {
        [rename, to, new] if rename.is("rename") && to.is("to") => Some(Renaming::Table {
            from: table,
            to: name(new),
        }),
        [rename, words @ .., from, to, new] if rename.is("rename") && to.is("to") => {
            let said = words.is_empty() || matches!(words, [column] if column.is("column"));
            said.then(|| Renaming::Column {
                table,
                from: name(from),
                to: name(new),
            })
        }
        _ => None,
    }
}

fn name(token: &Token<'_>) -> String {
    token.unquoted().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_says_that_a_way_down_is_irreversible() {
        for (script, why) in [
            (
                "-- @irreversible it is gone\ndrop table a",
                Some("it is gone"),
            ),
            ("drop table a; /* @irreversible */", Some("")),
            ("-- not @irreversible\ndrop table a", None),
            ("insert into a values ('-- @irreversible')", None),
        ] {
            assert_eq!(irreversible(script), why, "{script}");
        }
    }

    #[test]
    fn what_is_renamed_is_read_from_the_statement() {
        let table = Renaming::Table {
            from: "a".into(),
            to: "b c".into(),
        };
        let column = |table: &str| Renaming::Column {
            table: table.into(),
            from: "b".into(),
            to: "c".into(),
        };
        for (statement, expected) in [
            ("alter table A rename to \"b c\"", Some(table)),
            ("ALTER TABLE main.a RENAME COLUMN b TO c", Some(column("a"))),
            ("alter table rename rename b to c", Some(column("rename"))),
            ("alter table a add column b", None),
            ("drop table a", None),
        ] {
            assert_eq!(renaming(statement), expected, "{statement}");
        }
    }
}
