//! A migration's script, run statement by statement under the rule for its owner, so
//! that each one's place, rows and time are known. SQL stands here.

use std::{collections::BTreeMap, time::Instant};

use database::sqlite::authorizer;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::{
    error::{Error, Place},
    project::migrations::{Direction, Migration},
    report::Executed,
    sql::{self, Token, quoted},
    sqlite::guard::{Denial, Guard, Made, Owners},
};

/// A script that is being run.
#[derive(Debug)]
struct Script<'a> {
    migration: &'a Migration,
    direction: Direction,
    guard: Guard,
}

/// Runs the script of `migration` that goes in `direction`, in the transaction that there
/// is. `owners` own what there is.
///
/// # Errors
///
/// [`Error::Script`], [`Error::Ownership`] or [`Error::Forbidden`], with the place.
pub(crate) async fn run(
    connection: &mut SqliteConnection,
    migration: &Migration,
    direction: Direction,
    owners: &Owners,
) -> Result<Vec<Executed>, Error> {
    let marks = others_marks(connection, migration.owner(), owners).await?;
    let guard = Guard::new(migration.owner(), owners.clone());
    let rule = guard.clone();
    authorizer::install(connection, move |action| rule.allows(action)).await?;
    let script = Script {
        migration,
        direction,
        guard,
    };
    let result = script.run(connection).await;
    let removed = authorizer::remove(connection).await;
    let executed = result?;
    removed?;
    // SQLite asks about the table of marks, and not about whose mark it is.
    let after = others_marks(connection, migration.owner(), owners).await?;
    if let Some((table, _)) = marks
        .iter()
        .find(|(table, mark)| after.get(*table) != Some(*mark))
    {
        return Err(Error::Ownership {
            place: place_of_marks(migration, direction),
            owner: migration.owner().to_owned(),
            deed: format!("change which ids of {table} were in use"),
            whose: owners.of(table).unwrap_or_default().to_owned(),
        });
    }
    Ok(executed)
}

/// The AUTOINCREMENT marks of the tables of others.
async fn others_marks(
    connection: &mut SqliteConnection,
    owner: &str,
    owners: &Owners,
) -> Result<BTreeMap<String, i64>, Error> {
    let there: bool = sqlx::query_scalar(
        "select exists (select 1 from sqlite_schema where name = 'sqlite_sequence')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !there {
        return Ok(BTreeMap::new());
    }
    let marks: Vec<(String, i64)> = sqlx::query_as("select name, seq from sqlite_sequence")
        .fetch_all(connection)
        .await?;
    let theirs = |(table, _): &(String, i64)| owners.of(table).is_some_and(|whose| whose != owner);
    Ok(marks.into_iter().filter(theirs).collect())
}

/// The first statement of a script that names the table of marks.
fn place_of_marks(migration: &Migration, direction: Direction) -> Place {
    let text = migration.script(direction);
    let marks = sql::tokens(text)
        .into_iter()
        .find(|token| token.unquoted().eq_ignore_ascii_case("sqlite_sequence"));
    let position = sql::position(text, marks.map_or(0, |token| token.offset));
    Place {
        file: migration.file(direction),
        line: position.line,
        column: position.column,
    }
}

impl Script<'_> {
    async fn run(&self, connection: &mut SqliteConnection) -> Result<Vec<Executed>, Error> {
        let mut executed = Vec::new();
        for statement in sql::statements(self.migration.script(self.direction)) {
            executed.push(self.execute(connection, &statement).await?);
        }
        Ok(executed)
    }

    async fn execute(
        &self,
        connection: &mut SqliteConnection,
        statement: &sql::Statement<'_>,
    ) -> Result<Executed, Error> {
        let rows_before = self.changes(connection).await?;
        let began = Instant::now();
        // It was compiled in, so it is as trusted as this code.
        let result = sqlx::raw_sql(AssertSqlSafe(statement.text))
            .execute(&mut *connection)
            .await;
        let elapsed = began.elapsed();
        let offset = match result {
            Ok(_) => None,
            Err(_) => authorizer::error_offset(connection).await?,
        };
        let (denial, made) = self.guard.take();
        let place = self.place(statement.offset + offset.unwrap_or(0));
        if let Some(denial) = denial {
            return Err(self.denied(place, denial));
        }
        result.map_err(|source| self.failed(place, source))?;
        for made in made {
            if let Some(denial) = self.look_into(connection, &made, statement.text).await {
                return Err(self.denied(self.place(statement.offset), denial));
            }
        }
        Ok(Executed {
            line: self.place(statement.offset).line,
            sql: statement.text.to_owned(),
            rows: self.changes(connection).await? - rows_before,
            elapsed,
        })
    }

    /// How many rows were touched since the connection was opened.
    async fn changes(&self, connection: &mut SqliteConnection) -> Result<i64, Error> {
        self.guard.trust(true);
        let changes = sqlx::query_scalar("select total_changes()")
            .fetch_one(connection)
            .await;
        self.guard.trust(false);
        Ok(changes?)
    }

    /// What a view or a trigger would be denied when it is used: SQLite does not ask
    /// before.
    async fn look_into(
        &self,
        connection: &mut SqliteConnection,
        made: &Made,
        declaration: &str,
    ) -> Option<Denial> {
        let uses = match made {
            Made::View(view) => {
                let columns = self.columns(connection, view).await;
                vec![format!(
                    "explain select {} from {}",
                    // Of a view that cannot be understood nothing is known.
                    if columns.is_empty() {
                        "1".into()
                    } else {
                        columns.join(", ")
                    },
                    quoted(view)
                )]
            }
            Made::TriggerOn(table) => {
                let columns = self.columns(connection, table).await;
                uses(&quoted(table), &columns)
            }
        };
        let mut understood = true;
        for statement in uses {
            understood &= sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut *connection)
                .await
                .is_ok();
        }
        let denial = self.guard.take().0;
        if denial.is_some() || understood {
            return denial;
        }
        // It uses what is not there yet, and SQLite got no further: what is not asked
        // about may not even be named.
        let names = sql::tokens(declaration)
            .into_iter()
            .filter(Token::is_name)
            .map(|token| token.unquoted());
        self.guard.denies_naming(names)
    }

    /// The columns of a table or a view, as they have to be written.
    async fn columns(&self, connection: &mut SqliteConnection, table: &str) -> Vec<String> {
        self.guard.trust(true);
        let columns = sqlx::query_scalar::<_, String>(
            "select name
             from pragma_table_info(?1)",
        )
        .bind(table)
        .fetch_all(connection)
        .await;
        self.guard.trust(false);
        // A view of what is not there yet has no columns yet.
        let columns = columns.unwrap_or_default();
        columns.iter().map(|column| quoted(column)).collect()
    }

    fn place(&self, offset: usize) -> Place {
        let position = sql::position(self.migration.script(self.direction), offset);
        Place {
            file: self.migration.file(self.direction),
            line: position.line,
            column: position.column,
        }
    }

    fn denied(&self, place: Place, denial: Denial) -> Error {
        let owner = self.migration.owner().to_owned();
        match denial {
            Denial::Theirs { deed, whose } => Error::Ownership {
                place,
                owner,
                deed,
                whose,
            },
            Denial::Forbidden(deed) => Error::Forbidden { place, deed },
        }
    }

    fn failed(&self, place: Place, source: sqlx::Error) -> Error {
        Error::Script {
            place,
            number: self.migration.number(),
            name: self.migration.name().to_owned(),
            direction: self.direction,
            source,
        }
    }
}

/// Statements that between them fire every trigger of a table.
fn uses(table: &str, columns: &[String]) -> Vec<String> {
    let updates = columns
        .iter()
        .map(|column| format!("explain update {table} set {column} = {column}"));
    let others = [
        format!("explain insert into {table} default values"),
        format!("explain delete from {table}"),
    ];
    updates.chain(others).collect()
}
