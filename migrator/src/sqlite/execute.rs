//! Executes a script statement by statement under the ownership rule. The same loop serves runs
//! on a database and on a scratch database.

mod error;

use std::{collections::BTreeMap, time::Instant};

use database::sqlite::{authorizer, error_offset};
use sqlx::{AssertSqlSafe, SqliteConnection};

pub use self::error::ExecuteError;
use super::{
    guard::{CreatedObject, Denial, Guard, Policy},
    internal,
};
use crate::{
    project::migrations::{Direction, Migration},
    report::StatementReport,
    sql::{self, Token, forbidden::forbidden, location::SourceLocation, quoted},
    state::owners::Owners,
};

/// A script to execute.
#[derive(Clone, Debug)]
pub(crate) struct Script<'a> {
    /// The service that owns the script.
    pub(crate) owner: &'a str,
    /// The path in the project.
    pub(crate) file: String,
    pub(crate) text: &'a str,
}

impl<'a> Script<'a> {
    /// Returns the script of a migration in `direction`.
    pub(crate) fn new(migration: &'a Migration, direction: Direction) -> Self {
        Self {
            owner: migration.owner(),
            file: migration.file(direction),
            text: migration.script(direction),
        }
    }

    fn location(&self, offset: usize) -> SourceLocation {
        SourceLocation::new(&self.file, self.text, offset)
    }
}

/// The outcome of a script.
#[derive(Debug, Default)]
pub(crate) struct Execution {
    /// The statements that succeeded, in order.
    pub(crate) statements: Vec<StatementReport>,
    /// The denials, in order: at most one for each statement.
    pub(crate) denials: Vec<DeniedStatement>,
    /// The statement that SQLite rejected: the last that was executed.
    pub(crate) failure: Option<StatementFailure>,
}

/// A denied statement.
#[derive(Clone, Debug)]
pub(crate) struct DeniedStatement {
    pub(crate) location: SourceLocation,
    pub(crate) denial: Denial,
}

/// A statement that SQLite rejected.
#[derive(Debug)]
pub(crate) struct StatementFailure {
    pub(crate) location: SourceLocation,
    pub(crate) source: sqlx::Error,
}

impl StatementFailure {
    /// Returns SQLite's message.
    pub(crate) fn message(&self) -> String {
        sqlite_message(&self.source)
    }
}

impl Execution {
    /// Rejects a script with a denial or a failure.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`], with the location.
    pub(crate) fn refuse(
        &mut self,
        migration: &Migration,
        direction: Direction,
    ) -> Result<(), ExecuteError> {
        if let Some(DeniedStatement { location, denial }) = self.denials.drain(..).next() {
            return Err(match denial {
                Denial::NotOwned { operation, whose } => ExecuteError::Ownership {
                    location,
                    owner: migration.owner().to_owned(),
                    operation,
                    whose,
                },
                Denial::Forbidden(operation) => ExecuteError::Forbidden {
                    location,
                    operation,
                },
            });
        }
        match self.failure.take() {
            Some(StatementFailure { location, source }) => Err(ExecuteError::Script {
                location,
                number: migration.number(),
                name: migration.name().to_owned(),
                direction,
                source,
            }),
            None => Ok(()),
        }
    }
}

/// Observes nothing.
pub(crate) async fn no_observer(_: &mut SqliteConnection, _: usize) -> Result<(), sqlx::Error> {
    Ok(())
}

/// Executes a script on a database with these `owners`. After each statement that succeeded,
/// `observe` is called with its index; the rule does not apply to it.
///
/// # Errors
///
/// A failure of the connection. A rejected script is reported in the [`Execution`].
pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    script: &Script<'_>,
    owners: &Owners,
    policy: Policy,
    observe: impl AsyncFnMut(&mut SqliteConnection, usize) -> Result<(), sqlx::Error>,
) -> Result<Execution, sqlx::Error> {
    let before = foreign_sequences(connection, script.owner, owners).await?;
    let guard = Guard::new(script.owner, owners.clone(), policy);
    let rule = guard.clone();
    authorizer::install(connection, move |action| rule.allows(action)).await?;
    let mut guarded = GuardedScript {
        connection,
        script,
        guard,
        policy,
    };
    let result = guarded.run(observe).await;
    let removed = authorizer::remove(connection).await;
    let mut execution = result?;
    removed?;
    if execution.denials.is_empty() && execution.failure.is_none() {
        // The authorizer names `sqlite_sequence`, but not the table whose row is changed.
        let after = foreign_sequences(connection, script.owner, owners).await?;
        let changed = before
            .iter()
            .find(|(table, at)| after.get(*table) != Some(*at));
        execution
            .denials
            .extend(changed.map(|(table, _)| DeniedStatement {
                location: sequence_statement(script),
                denial: Denial::NotOwned {
                    operation: format!("change the AUTOINCREMENT sequence of {table}"),
                    whose: owners.owner(table).unwrap_or_default().to_owned(),
                },
            }));
    }
    Ok(execution)
}

/// Returns the AUTOINCREMENT sequences of the tables of other owners.
async fn foreign_sequences(
    connection: &mut SqliteConnection,
    owner: &str,
    owners: &Owners,
) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    if !internal::table_exists(connection, "sqlite_sequence").await? {
        return Ok(BTreeMap::new());
    }
    let sequences: Vec<(String, i64)> = sqlx::query_as("select name, seq from sqlite_sequence")
        .fetch_all(connection)
        .await?;
    let foreign =
        |(table, _): &(String, i64)| owners.owner(table).is_some_and(|whose| whose != owner);
    Ok(sequences.into_iter().filter(foreign).collect())
}

/// Returns the location of the first token that names `sqlite_sequence`.
fn sequence_statement(script: &Script<'_>) -> SourceLocation {
    let word = sql::tokens(script.text)
        .into_iter()
        .find(|token| token.unquoted().eq_ignore_ascii_case("sqlite_sequence"));
    script.location(word.map_or(0, |token| token.offset))
}

/// A connection under a guard, with the script to execute.
struct GuardedScript<'a> {
    connection: &'a mut SqliteConnection,
    script: &'a Script<'a>,
    guard: Guard,
    policy: Policy,
}

impl GuardedScript<'_> {
    async fn run(
        &mut self,
        mut observe: impl AsyncFnMut(&mut SqliteConnection, usize) -> Result<(), sqlx::Error>,
    ) -> Result<Execution, sqlx::Error> {
        let mut execution = Execution::default();
        for (at, statement) in sql::statements(self.script.text).iter().enumerate() {
            // The statement would end the transaction, or reach beyond the database.
            if self.policy == Policy::Record && forbidden(statement.text).is_some() {
                continue;
            }
            self.execute(statement, &mut execution).await?;
            let denied = self.policy == Policy::Enforce && !execution.denials.is_empty();
            if denied || execution.failure.is_some() {
                break;
            }
            self.guard.set_trusted(true);
            observe(self.connection, at).await?;
            self.guard.set_trusted(false);
        }
        Ok(execution)
    }

    async fn execute(
        &mut self,
        statement: &sql::Statement<'_>,
        execution: &mut Execution,
    ) -> Result<(), sqlx::Error> {
        let rows_before = self.changes().await?;
        let began = Instant::now();
        // The text is part of a migration, which is as trusted as this code.
        let result = sqlx::raw_sql(AssertSqlSafe(statement.text))
            .execute(&mut *self.connection)
            .await;
        let elapsed = began.elapsed();
        let offset = match result {
            Ok(_) => None,
            Err(_) => error_offset(self.connection).await?,
        };
        let location = self.script.location(statement.offset + offset.unwrap_or(0));
        let (mut denial, created) = self.guard.take_record();
        if result.is_ok() {
            for object in created {
                let probed = self.probe(&object, statement.text).await;
                denial = denial.or(probed);
            }
        }
        let denied = denial.is_some();
        execution
            .denials
            .extend(denial.map(|denial| DeniedStatement {
                location: location.clone(),
                denial,
            }));
        match result {
            Ok(_) => execution.statements.push(StatementReport {
                line: location.line,
                sql: statement.text.to_owned(),
                rows: self.changes().await? - rows_before,
                elapsed,
            }),
            // The authorizer rejected it: the denial is reported instead of the error.
            Err(_) if denied && self.policy == Policy::Enforce => {}
            Err(source) => execution.failure = Some(StatementFailure { location, source }),
        }
        Ok(())
    }

    /// Returns the number of rows changed since the connection was opened.
    async fn changes(&mut self) -> Result<i64, sqlx::Error> {
        self.guard.set_trusted(true);
        let changes = sqlx::query_scalar("select total_changes()")
            .fetch_one(&mut *self.connection)
            .await;
        self.guard.set_trusted(false);
        changes
    }

    /// Returns the denial of using a new view or trigger, whose body SQLite does not authorize
    /// at CREATE.
    async fn probe(&mut self, created: &CreatedObject, declaration: &str) -> Option<Denial> {
        let uses = match created {
            CreatedObject::View(view) => {
                let columns = self.columns(view).await;
                vec![format!(
                    "select {} from {}",
                    // The columns of an invalid view are unknown.
                    if columns.is_empty() {
                        "1".into()
                    } else {
                        columns.join(", ")
                    },
                    quoted(view)
                )]
            }
            CreatedObject::TriggerOn(table) => {
                let columns = self.columns(table).await;
                trigger_firing_statements(&quoted(table), &columns)
            }
        };
        let mut understood = true;
        for statement in uses {
            understood &= try_prepare(self.connection, &statement).await.is_ok();
        }
        let denial = self.guard.take_record().0;
        if denial.is_some() || understood {
            return denial;
        }
        // The body refers to an object that does not exist yet, so SQLite stopped before it
        // authorized everything. Foreign names are therefore denied as such.
        let names = sql::tokens(declaration)
            .into_iter()
            .filter(Token::is_name)
            .map(|token| token.unquoted());
        self.guard.deny_foreign_names(names)
    }

    /// Returns the quoted names of the columns of a table or a view.
    async fn columns(&mut self, table: &str) -> Vec<String> {
        self.guard.set_trusted(true);
        let columns = sqlx::query_scalar::<_, String>(
            "select name
             from pragma_table_info(?1)",
        )
        .bind(table)
        .fetch_all(&mut *self.connection)
        .await;
        self.guard.set_trusted(false);
        // A view on a missing table has no columns yet.
        let columns = columns.unwrap_or_default();
        columns.iter().map(|column| quoted(column)).collect()
    }
}

/// Returns statements that together fire every trigger of a table.
pub(crate) fn trigger_firing_statements(table: &str, columns: &[String]) -> Vec<String> {
    let assignments: Vec<_> = columns
        .iter()
        .map(|column| format!("{column} = {column}"))
        .collect();
    let update = format!("update {table} set {}", assignments.join(", "));
    let others = [
        format!("insert into {table} default values"),
        format!("delete from {table}"),
    ];
    let updates = (!assignments.is_empty()).then_some(update);
    updates.into_iter().chain(others).collect()
}

/// Prepares a statement without executing it, and returns SQLite's message if it is invalid for
/// the current schema. It bypasses the cache of prepared statements.
pub(crate) async fn try_prepare(
    connection: &mut SqliteConnection,
    sql: &str,
) -> Result<(), String> {
    #[cfg(test)]
    work::count();
    // The first row shows that SQLite has compiled the statement. A program with triggers has many.
    sqlx::raw_sql(AssertSqlSafe(format!("explain {sql}")))
        .fetch_optional(connection)
        .await
        .map(drop)
        .map_err(|error| sqlite_message(&error))
}

/// Returns SQLite's message without sqlx's prefix.
pub(crate) fn sqlite_message(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Counts the statements that a test's thread has prepared.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local! {
        static PREPARED: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        PREPARED.set(PREPARED.get() + 1);
    }

    /// Returns the number of statements so far.
    pub(crate) fn prepared() -> usize {
        PREPARED.get()
    }
}
