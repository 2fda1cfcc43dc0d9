//! The scripts run in memory, one after the other: what each finds, does and leaves. SQL
//! stands here.

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use database::sqlite::{
    Action, Code as Deed,
    authorizer::{self},
};
use serde::Serialize;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    Code, Error, Finding,
    script::{Script, Step},
    syntax,
};
use crate::{
    sql::{self, Position, quoted},
    sqlite::schema::{Name, Schema},
};

/// Which way a script was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
    /// Up, after it had been undone.
    Again,
}

/// One script that was run.
#[derive(Debug)]
pub(crate) struct Leg<'a> {
    pub(crate) way: Way,
    pub(crate) script: &'a Script<'a>,
    pub(crate) before: Schema,
    /// What there was afterwards.
    pub(crate) result: Result<Schema, Failure>,
    /// The views that worked before and did not work afterwards.
    pub(super) broken_views: Vec<Name>,
    /// What each statement did to what belongs to somebody else.
    strangers: Vec<Stranger>,
}

/// What a statement did to what belongs to somebody else.
#[derive(Debug)]
struct Stranger {
    statement: usize,
    deed: String,
    whose: String,
}

/// A statement that SQLite refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// As the repository has it.
    pub(crate) file: String,
    #[serde(flatten)]
    pub(crate) place: Position,
    /// What SQLite says.
    pub(crate) message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.place;
        write!(f, "{}:{line}:{column}: {}", self.file, self.message)
    }
}

impl std::error::Error for Failure {}

/// All scripts that could be run: each up, down and up again.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    pub(crate) legs: Vec<Leg<'a>>,
    /// What there is in the end.
    pub(crate) newest: Schema,
    /// The database in which they ran.
    pub(crate) connection: SqliteConnection,
}

impl<'a> Trial<'a> {
    /// Runs them, until a way up fails.
    ///
    /// # Errors
    ///
    /// [`Error`], but not because a script fails.
    pub(crate) async fn run(steps: &'a [Step<'a>]) -> Result<Self, Error> {
        let mut runner = Runner::new().await?;
        let mut legs = Vec::new();
        for step in steps {
            let up = runner.leg(step, Way::Up).await?;
            let mut failed = up.result.is_err();
            legs.push(up);
            if !failed && step.is_reversible() {
                let down = runner.leg(step, Way::Down).await?;
                let undone = down.result.is_ok();
                legs.push(down);
                if undone {
                    let again = runner.leg(step, Way::Again).await?;
                    failed = again.result.is_err();
                    legs.push(again);
                }
            }
            if failed {
                break;
            }
        }
        Ok(Self {
            legs,
            newest: runner.schema,
            connection: runner.connection,
        })
    }
}

/// What was done to which table or view, as SQLite asks about it.
type Touched = Vec<(String, String)>;

struct Runner {
    connection: SqliteConnection,
    schema: Schema,
    /// Whose each table, view and index is.
    owners: BTreeMap<Name, String>,
    touched: Arc<Mutex<Touched>>,
}

impl Runner {
    async fn new() -> Result<Self, Error> {
        let mut connection = memory().await?;
        let touched = Arc::<Mutex<Touched>>::default();
        let seen = Arc::clone(&touched);
        authorizer::install(&mut connection, move |action| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.extend(touch(action));
            true
        })
        .await?;
        Ok(Self {
            connection,
            schema: Schema::default(),
            owners: BTreeMap::new(),
            touched,
        })
    }

    async fn leg<'a>(&mut self, step: &'a Step<'a>, way: Way) -> Result<Leg<'a>, Error> {
        let script = if way == Way::Down {
            &step.down
        } else {
            &step.up
        };
        let before = self.schema.clone();
        let mut strangers = Vec::new();
        let worked = self.working_views().await;
        execute(&mut self.connection, "begin").await?;
        let run = self.run(script, &mut strangers).await;
        let result = match run {
            Ok(()) => {
                execute(&mut self.connection, "commit").await?;
                self.schema = Schema::read(&mut self.connection).await?;
                if way != Way::Down {
                    self.own(script.owner);
                }
                Ok(self.schema.clone())
            }
            Err(failure) => {
                // It fails if the failure has ended the transaction already.
                let _ = execute(&mut self.connection, "rollback").await;
                Err(failure)
            }
        };
        let works = self.working_views().await;
        let is_broken = |view: &Name| self.schema.views.contains_key(view) && !works.contains(view);
        Ok(Leg {
            way,
            script,
            before,
            result,
            broken_views: worked.into_iter().filter(is_broken).collect(),
            strangers,
        })
    }

    async fn run(
        &mut self,
        script: &Script<'_>,
        strangers: &mut Vec<Stranger>,
    ) -> Result<(), Failure> {
        for (at, statement) in script.statements.iter().enumerate() {
            if syntax::is_forbidden(statement.text) {
                continue;
            }
            self.take();
            let result = execute(&mut self.connection, statement.text).await;
            if let Err(error) = result {
                let offset = authorizer::error_offset(&mut self.connection).await;
                let offset = offset.ok().flatten().unwrap_or_default();
                return Err(Failure {
                    file: script.file.clone(),
                    place: sql::position(script.text, statement.offset + offset),
                    message: said(&error),
                });
            }
            let mut touched = self.take();
            self.look_into(&touched).await;
            touched.extend(self.take());
            for (deed, name) in touched {
                let whose = if is_migrators(&name) {
                    Some("the migrator")
                } else {
                    let owner = self.owners.get(&Name::new(&name)).map(String::as_str);
                    owner.filter(|owner| *owner != script.owner)
                };
                strangers.extend(whose.map(|whose| Stranger {
                    statement: at,
                    deed: format!("it {deed} {name}"),
                    whose: whose.to_owned(),
                }));
            }
        }
        Ok(())
    }

    /// Has SQLite ask about what views and triggers do, which it does when they are used.
    async fn look_into(&mut self, touched: &Touched) {
        for (deed, name) in touched {
            let table = quoted(name);
            if deed == "creates the view" {
                // All of its columns: SQLite does not ask about one that is not used.
                let view = format!("select * from {table}");
                let _ = prepares(&mut self.connection, &view).await;
            }
            if deed != "creates a trigger on" {
                continue;
            }
            let columns = "select name from pragma_table_info(?1)";
            let columns: Vec<String> = sqlx::query_scalar(columns)
                .bind(name)
                .fetch_all(&mut self.connection)
                .await
                .unwrap_or_default();
            let mut uses = vec![
                format!("insert into {table} default values"),
                format!("delete from {table}"),
            ];
            uses.extend(columns.iter().map(|column| {
                let column = quoted(column);
                format!("update {table} set {column} = {column}")
            }));
            for statement in uses {
                // One that fails uses what is not there yet.
                let _ = prepares(&mut self.connection, &statement).await;
            }
        }
    }

    async fn working_views(&mut self) -> Vec<Name> {
        let mut working = Vec::new();
        for view in self.schema.views.keys() {
            let statement = format!("select * from {view}");
            if prepares(&mut self.connection, &statement).await.is_ok() {
                working.push(view.clone());
            }
        }
        working
    }

    /// What is new belongs to the service whose script made it, and what is gone to nobody.
    fn own(&mut self, owner: &str) {
        let Schema {
            tables,
            indexes,
            views,
            ..
        } = &self.schema;
        let there = tables.keys().chain(indexes.keys()).chain(views.keys());
        self.owners = there
            .map(|name| {
                let owner = self.owners.get(name).map_or(owner, String::as_str);
                (name.clone(), owner.to_owned())
            })
            .collect();
    }

    fn take(&self) -> Touched {
        mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is touched of what services own, and how.
fn touch(action: Action<'_>) -> Option<(String, String)> {
    let (deed, name) = match action.code {
        Deed::Read => ("reads", action.first),
        Deed::Insert => ("inserts into", action.first),
        Deed::Update => ("updates", action.first),
        Deed::Delete => ("deletes from", action.first),
        Deed::CreateTable => ("creates the table", action.first),
        Deed::CreateView => ("creates the view", action.first),
        Deed::CreateIndex => ("creates an index on", action.second),
        Deed::CreateTrigger => ("creates a trigger on", action.second),
        Deed::DropTable => ("drops the table", action.first),
        Deed::DropView => ("drops the view", action.first),
        Deed::DropIndex => ("drops an index of", action.second),
        Deed::DropTrigger => ("drops a trigger of", action.second),
        Deed::AlterTable => ("alters", action.second),
        _ => return None,
    };
    let name = name.filter(|name| !name.to_ascii_lowercase().starts_with("sqlite_"))?;
    Some((deed.to_owned(), name.to_owned()))
}

fn is_migrators(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("_sqlx_") || name.starts_with("_migrator_")
}

/// M003: what belongs to another service is touched; once for each statement and table.
pub(super) fn ownership(leg: &Leg<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut last = None;
    for stranger in &leg.strangers {
        let Stranger {
            statement,
            deed,
            whose,
        } = stranger;
        // Its first deed says enough.
        if last.replace((statement, whose)) != Some((statement, whose)) {
            findings.push(leg.script.finding(
                Code::Ownership,
                *statement,
                format!("{deed}, which belongs to {whose}"),
                format!("only migrations of {whose} may touch it"),
            ));
        }
    }
    findings
}

/// An empty database in memory.
pub(crate) async fn memory() -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .in_memory(true)
        // As in a run.
        .foreign_keys(false)
        .disable_statement_logging()
        .connect()
        .await
}

/// Runs one statement or several.
pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    sql: &str,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether SQLite takes a statement, given what there is; else what it says. The
/// statement is not run, and what was prepared before does not count.
pub(crate) async fn prepares(connection: &mut SqliteConnection, sql: &str) -> Result<(), String> {
    execute(connection, &format!("explain {sql}"))
        .await
        .map_err(|error| said(&error))
}

/// What SQLite says, without what sqlx says around it.
pub(crate) fn said(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
