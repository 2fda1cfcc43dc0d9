//! Executes a script statement by statement, with the role of its owner.

use std::time::Instant;

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgErrorPosition};

use super::roles::owner_role;
use crate::{
    error::Error,
    project::migrations::{Direction, Migration},
    report::StatementReport,
    run::data_loss::DataLoss,
    sql::{destructive_change::DestructiveChange, directives, location::SourceLocation, quoted},
    sqlite::execute::ExecuteError,
};

/// First words of statements that end the transaction of the run, or change its role.
const FORBIDDEN: [&str; 9] = [
    "abort", "begin", "commit", "end", "prepare", "reset", "rollback", "set", "start",
];

/// Executes the script of a migration. Returns its statements.
///
/// # Errors
///
/// [`ExecuteError`] with the location of the statement.
pub(super) async fn execute(
    connection: &mut PgConnection,
    migration: &Migration,
    direction: Direction,
) -> Result<Vec<StatementReport>, Error> {
    let text = migration.script(direction);
    let file = migration.file(direction);
    let role = format!("set local role {}", owner_role(migration.owner()));
    sqlx::raw_sql(AssertSqlSafe(role))
        .execute(&mut *connection)
        .await?;
    let mut reports = Vec::new();
    for Statement { offset, sql } in statements(text) {
        let location = |offset| SourceLocation::new(&file, text, offset);
        let word = sql.split(|c: char| !c.is_ascii_alphabetic()).next();
        let word = word.unwrap_or_default().to_ascii_lowercase();
        if FORBIDDEN.contains(&word.as_str()) {
            return Err(ExecuteError::Forbidden {
                location: location(offset),
                operation: format!("execute {}", word.to_uppercase()),
            }
            .into());
        }
        let started = Instant::now();
        // The script is compiled in, or an operator's file.
        let executed = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await;
        let done = executed.map_err(|source| ExecuteError::Script {
            location: location(offset + error_offset(&source, sql)),
            number: migration.number(),
            name: migration.name().to_owned(),
            direction,
            source,
        })?;
        reports.push(StatementReport {
            line: location(offset).line,
            sql: sql.to_owned(),
            rows: i64::try_from(done.rows_affected()).unwrap_or(i64::MAX),
            elapsed: started.elapsed(),
        });
    }
    sqlx::query("reset role").execute(connection).await?;
    Ok(reports)
}

/// Returns the offset of an error in a statement, in bytes.
fn error_offset(error: &sqlx::Error, sql: &str) -> usize {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
    match error.and_then(sqlx::postgres::PgDatabaseError::position) {
        // It counts characters, from 1.
        Some(PgErrorPosition::Original(at)) => {
            let start = sql.char_indices().nth(at.saturating_sub(1));
            start.map_or(0, |(offset, _)| offset)
        }
        _ => 0,
    }
}

/// Counts the data that a down script destroys, according to its `@destroys` directives.
pub(super) async fn losses(
    connection: &mut PgConnection,
    script: &str,
) -> Result<Vec<DataLoss>, sqlx::Error> {
    let mut losses = Vec::new();
    for change in directives::destroys(script) {
        let (table, column) = match &change {
            DestructiveChange::Table(table) | DestructiveChange::Rows(table) => (table, None),
            DestructiveChange::Column(table, column) | DestructiveChange::Values(table, column) => {
                (table, Some(column))
            }
            DestructiveChange::Sequence(_) => continue,
        };
        let name = quoted(table.spelled());
        let condition =
            column.map(|column| format!(" where {} is not null", quoted(column.spelled())));
        let count = format!(
            "select count(*) from {name}{}",
            condition.unwrap_or_default()
        );
        // The names are quoted.
        let rows = sqlx::query_scalar(AssertSqlSafe(count))
            .fetch_one(&mut *connection)
            .await?;
        if rows > 0 {
            losses.push(DataLoss {
                table: table.spelled().to_owned(),
                column: column.map(|column| column.spelled().to_owned()),
                rows,
            });
        }
    }
    Ok(losses)
}

/// A statement of a script.
#[derive(Debug, PartialEq, Eq)]
struct Statement<'a> {
    /// The offset in the script, in bytes.
    offset: usize,
    /// The text without leading comments and without the semicolon.
    sql: &'a str,
}

/// Splits a script at the semicolons outside of quotes and comments.
fn statements(script: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let (mut start, mut at) = (None, 0);
    while at < script.len() {
        let rest = &script[at..];
        let (length, is_blank) = token(rest);
        if rest.starts_with(';') {
            if let Some(start) = start.take() {
                statements.push(Statement {
                    offset: start,
                    sql: script[start..at].trim_end(),
                });
            }
        } else if !is_blank {
            start.get_or_insert(at);
        }
        at += length;
    }
    if let Some(start) = start {
        statements.push(Statement {
            offset: start,
            sql: script[start..].trim_end(),
        });
    }
    statements
}

/// Returns the length of the first token in bytes, and whether it is a blank or a comment. A token of
/// another kind than quotes and comments is one character.
fn token(rest: &str) -> (usize, bool) {
    let until = |end: &str, from: usize| {
        let length = rest[from..].find(end);
        length.map_or(rest.len(), |length| from + length + end.len())
    };
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        '-' if rest.starts_with("--") => (until("\n", 2), true),
        '/' if rest.starts_with("/*") => (block_comment(rest), true),
        // A doubled quote is the end of one part and the start of the next.
        '\'' | '"' => (until(&first.to_string(), 1), false),
        'E' | 'e' if rest[1..].starts_with('\'') => (escaped_string(rest), false),
        '$' => match dollar_quote(rest) {
            Some(tag) => (until(tag, tag.len()), false),
            None => (1, false),
        },
        first => (first.len_utf8(), first.is_whitespace()),
    }
}

/// Returns the length of a comment, which may contain others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Returns the length of a text such as `E'it\'s'`.
fn escaped_string(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 2;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\'' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Returns the start of a dollar-quoted text, such as `$body$`.
fn dollar_quote(rest: &str) -> Option<&str> {
    let length = rest[1..].find('$')?;
    let tag = &rest[1..=length];
    let mut plain = tag.chars().all(|c| c.is_alphanumeric() || c == '_');
    plain &= !tag.starts_with(|c: char| c.is_ascii_digit());
    plain.then(|| &rest[..length + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_at_its_semicolons_only() {
        let script = "-- a; b\nselect ';', \"a;b\", $x$ ; $$ $x$, E'\\';', $1; ;\n\
                      /* ; /* ; */ ; */ select 'it''s;' -- c;\n, 2";

        let found: Vec<_> = statements(script)
            .into_iter()
            .map(|statement| statement.sql)
            .collect();

        assert_eq!(
            found,
            [
                "select ';', \"a;b\", $x$ ; $$ $x$, E'\\';', $1",
                "select 'it''s;' -- c;\n, 2",
            ]
        );
    }
}
