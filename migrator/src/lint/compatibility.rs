//! Whether the release before runs on with the migrations that came after it (M005). SQL
//! stands here.

use sqlx::SqliteConnection;

use super::{
    finding::{Finding, LintCode},
    script::ParsedMigration,
};
use crate::{
    error::Error,
    project::Project,
    scratch::Scratch,
    sql::{name::Name, operation::Operation},
    sqlite::execute::try_prepare,
};

/// The columns of a table that every INSERT has to name: NOT NULL, without a default, and
/// not the rowid.
const NEEDED: &str = "select c.name
                      from pragma_table_xinfo(?1) c
                      where c.\"notnull\"
                        and c.hidden = 0
                        and coalesce(lower(c.dflt_value), 'null') = 'null'
                        and not (c.pk > 0 and lower(c.type) = 'integer')";

/// How much of a statement is shown, in characters.
const SHOWN: usize = 60;

/// A statement of the release before.
struct ReleasedStatement<'a> {
    owner: &'a str,
    query: &'a str,
    version: i64,
    /// Since which statement of the script that runs it does not work, and why.
    broken: Option<(usize, String)>,
}

/// The statements of the release before, while the migrations are applied one after the
/// other.
pub(super) struct Compatibility<'a> {
    /// Those whose version is not reached.
    later: Vec<ReleasedStatement<'a>>,
    /// Those that are in use, and work.
    working: Vec<ReleasedStatement<'a>>,
    /// The migration that was applied last.
    number: i64,
}

impl<'a> Compatibility<'a> {
    pub(super) fn new(project: &'a Project) -> Self {
        let mut later = Vec::new();
        for owner in &project.owners {
            let statements = owner.released.statements.iter();
            later.extend(statements.map(|query| ReleasedStatement {
                owner: &owner.name,
                query,
                version: owner.released.version,
                broken: None,
            }));
        }
        Self {
            later,
            working: Vec::new(),
            number: 0,
        }
    }

    /// Before a migration is applied.
    pub(super) async fn begin(
        &mut self,
        scratch: &mut Scratch,
        step: &ParsedMigration<'_>,
    ) -> Result<(), Error> {
        // What a script of this number or a later one breaks, its release did not know.
        let in_use = self.number..step.migration.number();
        self.number = step.migration.number();
        let in_use = self.later.extract_if(.., |r| in_use.contains(&r.version));
        for statement in in_use {
            if fails(scratch.connection(), statement.query)
                .await?
                .is_none()
            {
                self.working.push(statement);
            }
        }
        Ok(())
    }

    /// Notes after a statement what does not work any more. What works again, because the
    /// table is there again, is not broken.
    pub(super) async fn observe(
        &mut self,
        connection: &mut SqliteConnection,
        at: usize,
    ) -> Result<(), sqlx::Error> {
        for released in &mut self.working {
            let why = fails(connection, released.query).await?;
            released.broken = match (why, released.broken.take()) {
                (Some(why), None) => Some((at, why)),
                (Some(why), Some((since, _))) => Some((since, why)),
                (None, _) => None,
            };
        }
        Ok(())
    }

    /// M005: after a migration was applied, the statements that it breaks.
    pub(super) fn end(&mut self, step: &ParsedMigration<'_>) -> Vec<Finding> {
        let broken = |statement: &mut ReleasedStatement<'_>| statement.broken.is_some();
        let broken = self.working.extract_if(.., broken);
        broken
            .filter_map(|statement| finding(step, &statement))
            .collect()
    }
}

/// Why a statement would fail, as far as it can be told without values.
async fn fails(
    connection: &mut SqliteConnection,
    query: &str,
) -> Result<Option<String>, sqlx::Error> {
    if let Err(why) = try_prepare(connection, query).await {
        return Ok(Some(why));
    }
    let Operation::Insert {
        table,
        columns: Some(columns),
        ..
    } = Operation::classify(query)
    else {
        return Ok(None);
    };
    let needed: Vec<String> = sqlx::query_scalar(NEEDED)
        .bind(table.spelled())
        .fetch_all(connection)
        .await?;
    let mut missing = needed.iter().map(|column| Name::new(column));
    let missing = missing.find(|column| !columns.contains(column));
    Ok(missing.map(|column| format!("it gives no {table}.{column}, which is NOT NULL")))
}

fn finding(step: &ParsedMigration<'_>, statement: &ReleasedStatement<'_>) -> Option<Finding> {
    let (at, why) = statement.broken.as_ref()?;
    let one_line = statement.query.split_whitespace().collect::<Vec<_>>();
    let one_line = one_line.join(" ");
    let mut shown: String = one_line.chars().take(SHOWN).collect();
    if shown.len() < one_line.len() {
        shown.push('…');
    }
    let ReleasedStatement { owner, version, .. } = statement;
    Some(step.up.finding(
        LintCode::Release,
        *at,
        format!("`{shown}` of the {owner} released at version {version} breaks: {why}"),
        "add first, and take away in a later release, when no program needs it any more".into(),
    ))
}
