//! The rows of a database, and their expected form in another schema.

use std::{collections::BTreeMap, path::Path};

use sqlx::SqliteConnection;

use super::{model::quote, pairs::Pair};
use crate::sql::name::Name;
use crate::sqlite::{
    planner::{
        is_needed, number,
        tests::{done, rows, run},
    },
    schema::{Schema, Table},
};

/// The rows of each table.
pub(super) type Contents = BTreeMap<Name, Vec<String>>;

/// Returns all rows of each table, sorted, with all times made equal.
pub(super) async fn dump(database: &mut SqliteConnection, schema: &Schema) -> Contents {
    let mut all = BTreeMap::new();
    for (name, table) in &schema.tables {
        let columns: Vec<_> = table.columns.iter().map(|c| c.name.clone()).collect();
        let mut columns = columns;
        columns.sort();
        all.insert(name.clone(), values_of(database, name, &columns).await);
    }
    all
}

pub(super) async fn values_of(
    database: &mut SqliteConnection,
    table: &Name,
    columns: &[Name],
) -> Vec<String> {
    let values: Vec<_> = columns
        .iter()
        .map(|c| {
            let c = quote(c.spelled());
            format!("case when {c} glob '20??-??-?? ??:??:??*' then 'now' else quote({c}) end")
        })
        .collect();
    let values = if values.is_empty() {
        "''".to_owned()
    } else {
        values.join(" || ', ' || ")
    };
    let query = format!("select {values} from {}", quote(table.spelled()));
    let mut found = rows(database, &query).await;
    found.sort();
    found
}

/// Returns the number of rows of the smallest table.
pub(super) async fn min_rows(database: &mut SqliteConnection, pairs: &[Pair<'_>]) -> usize {
    let mut counts = Vec::new();
    for pair in pairs {
        let query = format!("select '' from {}", pair.before.name.quoted());
        counts.push(rows(database, &query).await.len());
    }
    counts.into_iter().min().unwrap_or_default()
}

/// Returns the rows with broken references, or an error if SQLite cannot check them.
pub(super) async fn violations(database: &mut SqliteConnection) -> Result<Vec<String>, ()> {
    let query = "select \"table\" || ' to ' || parent from pragma_foreign_key_check order by 1";
    let query = sqlx::query_scalar(query);
    query.fetch_all(database).await.map_err(|_| ())
}

/// Returns the findings of SQLite's integrity check. It leaves out one that ordinary statements
/// cause too: a text in a NOT NULL column of numbers that comes after a virtual column.
pub(super) async fn integrity(database: &mut SqliteConnection) -> Vec<String> {
    let query = "select integrity_check from pragma_integrity_check";
    let mut found = rows(database, query).await;
    found.retain(|line| line != "ok" && !line.starts_with("TEXT value in "));
    found
}

/// Returns the AUTOINCREMENT sequences of the tables that keep theirs.
pub(super) async fn sequences<'a>(
    database: &mut SqliteConnection,
    pairs: &[Pair<'a>],
    table: impl Fn(&Pair<'a>) -> &'a Table,
) -> Vec<Vec<String>> {
    let mut marks = Vec::new();
    for pair in pairs {
        if pair.before.autoincrement() && pair.after.autoincrement() {
            let name = table(pair).name.folded().replace('\'', "''");
            let query = format!(
                "select cast(seq as text) from sqlite_sequence where lower(name) = '{name}'"
            );
            marks.push(rows(database, &query).await);
        }
    }
    marks
}

/// Writes each row of one database into another. Returns whether all of them fit.
pub(super) async fn move_rows(
    from: &mut SqliteConnection,
    to: &mut SqliteConnection,
    pairs: &[Pair<'_>],
) -> bool {
    let mut all = true;
    for Pair {
        before,
        after,
        columns,
    } in pairs
    {
        let plain = |new: &&Name| after.column(new).is_some_and(|c| c.generated.is_none());
        let statements: Vec<_> = columns.keys().filter(plain).collect();
        // The column, and its value unless it gets the default.
        let names = statements.iter().map(|new| {
            let (column, old) = (after.column(new).unwrap(), quote(columns[*new].spelled()));
            let named = format!("'{}, '", quote(new.spelled()).replace('\'', "''"));
            let value = format!("quote({old}) || ', '");
            let defaults = is_needed(after, column) && column.default.is_some();
            let unless = |text: String| format!("iif({defaults} and {old} is null, '', {text})");
            (unless(named), unless(value))
        });
        // A new key is the number that each row had before.
        let alias = after
            .rowid_alias()
            .filter(|c| !columns.contains_key(&c.name));
        let numbered = alias.map(|c| {
            let name = quote(c.name.spelled()).replace('\'', "''");
            (
                format!("'{name}, '"),
                format!("quote({}) || ', '", number(before)),
            )
        });
        let (names, values): (Vec<_>, Vec<_>) = names.chain(numbered).unzip();
        let table = quote(after.name.spelled()).replace('\'', "''");
        let concat = |texts: Vec<String>| {
            if texts.is_empty() {
                "''".into()
            } else {
                texts.join(" || ")
            }
        };
        // Rows whose key SQLite generates come last.
        let key = after.rowid_alias().and_then(|c| columns.get(&c.name));
        let order = key.map_or_else(String::new, |old| {
            let old = quote(old.spelled());
            format!(" order by {old} is null, {}", number(before))
        });
        let query = format!(
            "select 'insert into {table} (' || rtrim({}, ', ') || ') values (' || rtrim({}, ', ') || ')' from {}{order}",
            concat(names),
            concat(values),
            quote(before.name.spelled())
        );
        let inserts = rows(from, &query).await;
        for insert in &inserts {
            let insert = if insert.contains(" () ") {
                format!("insert into {} default values", quote(after.name.spelled()))
            } else {
                insert.clone()
            };
            all &= run(to, &insert).await.is_ok();
        }
        let count = format!(
            "select cast(count(*) as text) from {}",
            quote(after.name.spelled())
        );
        all &= rows(to, &count).await == [inserts.len().to_string()];
    }
    all
}

/// Copies all rows, with their rowids, and all sequences into an empty database with an equal
/// schema.
pub(super) async fn copy(from: &Path, to: &mut SqliteConnection, schema: &Schema) {
    done(
        to,
        &format!("attach 'file:{}?mode=rw' as migrated", from.display()),
    )
    .await;
    for table in schema.tables.values() {
        let plain = table.columns.iter().filter(|c| c.generated.is_none());
        let mut columns: Vec<_> = plain.map(|column| column.name.quoted()).collect();
        let is_free = |name: &&str| table.column(&Name::new(name)).is_none();
        let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(is_free);
        let rowid = rowid.filter(|_| !table.without_rowid && table.rowid_alias().is_none());
        columns.extend(rowid.map(str::to_owned));
        let (name, columns) = (table.name.quoted(), columns.join(", "));
        let copy =
            format!("insert into main.{name} ({columns}) select {columns} from migrated.{name}");
        done(to, &copy).await;
    }
    if schema.tables.values().any(Table::autoincrement) {
        let copy = "delete from main.sqlite_sequence;
            insert into main.sqlite_sequence (name, seq)
            select name, seq from migrated.sqlite_sequence";
        done(to, copy).await;
    }
    done(to, "detach migrated").await;
}
