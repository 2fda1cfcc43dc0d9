//! Checks that the statements of the previous release work with newer migrations (M005). Contains
//! SQL.

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

/// Selects the columns of a table that every INSERT must name: NOT NULL, without a default, and not
/// the rowid.
const REQUIRED_COLUMNS: &str = "select c.name
                      from pragma_table_xinfo(?1) c
                      where c.\"notnull\"
                        and c.hidden = 0
                        and coalesce(lower(c.dflt_value), 'null') = 'null'
                        and not (c.pk > 0 and lower(c.type) = 'integer')";

/// The maximum length of a statement in a finding, in characters.
const MAX_STATEMENT_CHARS: usize = 60;

/// A statement of the previous release.
struct ReleasedStatement<'a> {
    owner: &'a str,
    query: &'a str,
    version: i64,
    /// The statement of the current script that broke it, and the error.
    broken: Option<(usize, String)>,
}

/// Tracks the released statements while migrations are applied one after the other.
pub(super) struct Compatibility<'a> {
    /// The statements whose release is newer than the schema.
    later: Vec<ReleasedStatement<'a>>,
    /// The statements that are in use and work.
    working: Vec<ReleasedStatement<'a>>,
    /// The number of the last applied migration.
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

    /// Adds the statements whose release is in use when `step` is applied.
    pub(super) async fn start_migration(
        &mut self,
        scratch: &mut Scratch,
        step: &ParsedMigration<'_>,
    ) -> Result<(), Error> {
        // A release is affected only by migrations that are newer than its version.
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

    /// Records the statements that the script broke so far. A statement that works again, since
    /// the table was recreated, is not broken.
    pub(super) async fn observe(
        &mut self,
        connection: &mut SqliteConnection,
        at: usize,
    ) -> Result<(), sqlx::Error> {
        for released in &mut self.working {
            let error = fails(connection, released.query).await?;
            released.broken = match (error, released.broken.take()) {
                (Some(error), None) => Some((at, error)),
                (Some(error), Some((since, _))) => Some((since, error)),
                (None, _) => None,
            };
        }
        Ok(())
    }

    /// M005: returns the statements that the applied migration broke.
    pub(super) fn finish_migration(&mut self, step: &ParsedMigration<'_>) -> Vec<Finding> {
        let broken = |statement: &mut ReleasedStatement<'_>| statement.broken.is_some();
        let broken = self.working.extract_if(.., broken);
        broken
            .filter_map(|statement| finding(step, &statement))
            .collect()
    }
}

/// Returns the error of a statement, as far as it is known without values.
async fn fails(
    connection: &mut SqliteConnection,
    query: &str,
) -> Result<Option<String>, sqlx::Error> {
    if let Err(error) = try_prepare(connection, query).await {
        return Ok(Some(error));
    }
    let Operation::Insert {
        table,
        columns: Some(columns),
        ..
    } = Operation::classify(query)
    else {
        return Ok(None);
    };
    let required: Vec<String> = sqlx::query_scalar(REQUIRED_COLUMNS)
        .bind(table.spelled())
        .fetch_all(connection)
        .await?;
    let mut missing = required.iter().map(|column| Name::new(column));
    let missing = missing.find(|column| !columns.contains(column));
    Ok(missing.map(|column| format!("it omits {table}.{column}, which is NOT NULL")))
}

fn finding(step: &ParsedMigration<'_>, statement: &ReleasedStatement<'_>) -> Option<Finding> {
    let (at, error) = statement.broken.as_ref()?;
    let one_line = statement.query.split_whitespace().collect::<Vec<_>>();
    let one_line = one_line.join(" ");
    let mut excerpt: String = one_line.chars().take(MAX_STATEMENT_CHARS).collect();
    if excerpt.len() < one_line.len() {
        excerpt.push('…');
    }
    let ReleasedStatement { owner, version, .. } = statement;
    Some(step.up.finding(
        LintCode::Release,
        *at,
        format!("`{excerpt}` of the {owner} released at version {version} breaks: {error}"),
        "add first, and remove in a later release, when no program needs it".into(),
    ))
}
