//! Whether the release before runs on with the migrations that came after it (M005). SQL
//! stands here.

use sqlx::SqliteConnection;

use super::{
    Code, Error, Finding,
    execution::{execute, memory, prepares},
    script::Step,
    syntax,
};
use crate::sql::operation::{Deed, deed};
use crate::{project::Project, sqlite::schema::Name};

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
struct Released<'a> {
    owner: &'a str,
    query: &'a str,
    version: i64,
    /// Since which statement of the script that runs it does not work, and why.
    broken: Option<(usize, String)>,
}

/// M005: statements of the release before that a later migration breaks.
pub(super) async fn broken(project: &Project, steps: &[Step<'_>]) -> Result<Vec<Finding>, Error> {
    let mut connection = memory().await?;
    let mut released = Vec::new();
    for owner in &project.owners {
        let statements = owner.released.statements.iter();
        released.extend(statements.map(|query| Released {
            owner: &owner.name,
            query,
            version: owner.released.version,
            broken: None,
        }));
    }
    let mut findings = Vec::new();
    // Those that are in use, and work.
    let mut working: Vec<Released<'_>> = Vec::new();
    let mut number = 0;
    for step in steps {
        // What a script of this number or a later one breaks, its release did not know.
        let (begin, later): (Vec<_>, Vec<_>) = released
            .into_iter()
            .partition(|r| (number..step.number).contains(&r.version));
        released = later;
        number = step.number;
        for statement in begin {
            if fails(&mut connection, statement.query).await?.is_none() {
                working.push(statement);
            }
        }
        if follow(&mut connection, step, &mut working).await?.is_err() {
            // The trial says which statement it is.
            break;
        }
        for statement in working.extract_if(.., |statement| statement.broken.is_some()) {
            findings.extend(finding(step, &statement));
        }
    }
    Ok(findings)
}

/// Runs a script, and notes after each of its statements what does not work any more. What
/// works again, because the table is there again, is not broken.
async fn follow(
    connection: &mut SqliteConnection,
    step: &Step<'_>,
    working: &mut [Released<'_>],
) -> Result<Result<(), sqlx::Error>, Error> {
    for (at, statement) in step.up.statements.iter().enumerate() {
        if syntax::is_forbidden(statement.text) {
            continue;
        }
        if let Err(error) = execute(connection, statement.text).await {
            return Ok(Err(error));
        }
        for released in &mut *working {
            let why = fails(connection, released.query).await?;
            released.broken = match (why, released.broken.take()) {
                (Some(why), None) => Some((at, why)),
                (Some(why), Some((since, _))) => Some((since, why)),
                (None, _) => None,
            };
        }
    }
    Ok(Ok(()))
}

/// Why a statement would fail, as far as it can be told without values.
async fn fails(
    connection: &mut SqliteConnection,
    query: &str,
) -> Result<Option<String>, sqlx::Error> {
    if let Err(why) = prepares(connection, query).await {
        return Ok(Some(why));
    }
    let Deed::Insert {
        table,
        columns: Some(columns),
        ..
    } = deed(query)
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

fn finding(step: &Step<'_>, statement: &Released<'_>) -> Option<Finding> {
    let (at, why) = statement.broken.as_ref()?;
    let one_line = statement.query.split_whitespace().collect::<Vec<_>>();
    let one_line = one_line.join(" ");
    let mut shown: String = one_line.chars().take(SHOWN).collect();
    if shown.len() < one_line.len() {
        shown.push('…');
    }
    let Released { owner, version, .. } = statement;
    Some(step.up.finding(
        Code::Release,
        *at,
        format!("`{shown}` of the {owner} released at version {version} breaks: {why}"),
        "add first, and take away in a later release, when no program needs it any more".into(),
    ))
}
