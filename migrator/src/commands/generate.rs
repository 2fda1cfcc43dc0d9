//! `migrate`: generates the migrations from the current schema to the declared one. Writes no
//! migration that was not applied, reverted and reapplied on a scratch database.

mod order;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    error::{Error, exit::Exit, generate::GenerateError},
    lint::{self, ExecutedScripts, Finding, LintCode, Scripts},
    project::{
        Project,
        migrations::Direction,
        paths::{self, ROOT},
    },
    report::RunReport,
    scratch::{
        Scratch,
        desired::{DesiredSchema, UnusableDeclaration},
    },
    sql::name::{Name, ObjectKind},
    sqlite::{
        execute::no_observer,
        guard::Policy,
        planner::{self, Question, Renames},
        schema::Schema,
    },
    state::owners::Owners,
};

/// A generated migration.
#[derive(Clone, Debug, Serialize)]
pub struct NewMigration {
    /// The position in the sequence.
    pub number: i64,
    /// The owner whose tables the migration changes.
    pub owner: String,
    /// The path of the up script, relative to the project.
    pub up: PathBuf,
    /// The path of the down script, relative to the project.
    pub down: PathBuf,
    /// The tables and columns that the up migration destroys.
    pub destroys: Vec<String>,
    /// The up script.
    pub up_sql: String,
    /// The down script.
    pub down_sql: String,
}

/// The result of `migrate`, ordered by number.
#[derive(Clone, Debug, Serialize)]
pub struct NewMigrations {
    /// A migration for each owner whose declarations changed.
    pub migrations: Vec<NewMigration>,
    /// True if the files were written.
    pub written: bool,
    /// The report of the upgrade, if one was requested.
    pub upgrade: Option<RunReport>,
}

/// The options of `migrate`.
#[derive(Clone, Copy, Debug)]
pub struct Generate<'a> {
    /// A short description of the migration.
    pub name: &'a str,
    /// Writes scripts without statements instead of the missing migrations.
    pub empty: bool,
    /// The owner of an empty migration, by default the first one of the project.
    pub owner: Option<&'a str>,
    /// Writes nothing.
    pub check: bool,
    /// Accepts a migration that destroys data.
    pub allow_data_loss: bool,
}

impl NewMigrations {
    fn new(migrations: Vec<NewMigration>) -> Self {
        Self {
            migrations,
            written: false,
            upgrade: None,
        }
    }

    /// Generates the missing migrations of a project, or an empty one, and writes them unless
    /// `check` is set. `answer` returns the old name of a possibly renamed object, `Some(None)`
    /// for a new object, or `None` without a terminal.
    ///
    /// # Errors
    ///
    /// [`Error`], in particular [`GenerateError`].
    pub async fn generate(
        folder: &Path,
        options: Generate<'_>,
        answer: impl Fn(&Question) -> Option<Option<String>>,
    ) -> Result<Self, Error> {
        let project = Project::read(folder)?;
        let Generate {
            name,
            empty,
            owner,
            check,
            allow_data_loss,
        } = options;
        if empty {
            return project.empty_migration(owner, name)?.write(folder);
        }
        let missing = project.missing_migrations(name, allow_data_loss || check, answer);
        let missing = missing.await?;
        if check {
            return Ok(missing);
        }
        missing.write(folder)
    }

    /// Returns 3 if a migration is missing and was not written.
    #[must_use]
    pub fn exit_code(&self) -> Exit {
        if self.written || self.is_empty() {
            Exit::Done
        } else {
            Exit::Pending
        }
    }

    fn is_empty(&self) -> bool {
        self.migrations.is_empty()
    }

    /// Writes the files into a project. Overwrites none.
    fn write(mut self, folder: &Path) -> Result<Self, Error> {
        for new in &self.migrations {
            let (paths, scripts) = ([&*new.up, &*new.down], [&*new.up_sql, &*new.down_sql]);
            Project::write_migration(folder, paths, scripts).map_err(|source| {
                GenerateError::Unwritten {
                    file: new.up.clone(),
                    source,
                }
            })?;
        }
        self.written = true;
        Ok(self)
    }
}

impl fmt::Display for NewMigrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            writeln!(
                f,
                "Nothing to do: the migrations produce the declared schema"
            )?;
        }
        for new in &self.migrations {
            if self.written {
                writeln!(f, "New migration saved as {}", new.up.display())?;
                writeln!(f, "      and its down script as {}", new.down.display())?;
            } else {
                writeln!(f, "-- A migration is missing: {}\n", new.up.display())?;
                writeln!(f, "{}", new.up_sql)?;
            }
            for what in &new.destroys {
                writeln!(f, "It destroys {what}")?;
            }
        }
        match &self.upgrade {
            Some(report) => write!(f, "{report}"),
            None => Ok(()),
        }
    }
}

impl Project {
    /// Generates the migrations to the declared schema, one for each owner whose declarations
    /// changed.
    pub(crate) async fn missing_migrations(
        &self,
        name: &str,
        allow_data_loss: bool,
        answer: impl Fn(&Question) -> Option<Option<String>>,
    ) -> Result<NewMigrations, Error> {
        let declared = DesiredSchema::new(self).await?;
        reject_unusable(&declared)?;
        let mut project = self.clone();
        let migrations = self.migrations()?;
        let mut scratch = Scratch::replay(&migrations, migrations.newest()).await?;
        let mut missing = Vec::new();
        for owner in self.migration_order(&scratch.schema(), scratch.owners(), &declared) {
            let newest = scratch.schema();
            check_owners(scratch.owners(), &newest, &declared)?;
            let target = with_declarations(&newest, scratch.owners(), &declared, owner);
            if target == *newest {
                continue;
            }
            let renames = renames(&newest, &target, &answer)?;
            let up = planner::plan(&newest, &target, &renames)?;
            let destroys: Vec<_> = up.losses().map(ToString::to_string).collect();
            if !allow_data_loss && !destroys.is_empty() {
                return Err(GenerateError::Destroys {
                    owner: owner.to_owned(),
                    what: destroys.join(", "),
                }
                .into());
            }
            let down = planner::plan_down(&newest, &target, &renames)?;
            let new = project.new_migration(owner, name, (up.script(), down.script()), destroys)?;
            project = project.with(&new);
            verify_round_trip(&mut scratch, &project, &target).await?;
            missing.push(new);
        }
        if *scratch.schema() != declared.schema {
            return Err(GenerateError::VerificationFailed {
                direction: Direction::Up,
            }
            .into());
        }
        reject_findings(&project, &declared, &missing).await?;
        Ok(NewMigrations::new(missing))
    }

    /// Returns a migration of `owner` without statements, to be edited by hand.
    fn empty_migration(&self, owner: Option<&str>, name: &str) -> Result<NewMigrations, Error> {
        let first = self.owners.first().map_or(ROOT, |owner| &owner.name);
        let owner = owner.unwrap_or(first);
        let up = "-- The change, and the reason.\n".to_owned();
        let down = "-- The reverse change. If there is none: `-- @irreversible` and the reason.\n"
            .to_owned();
        let new = self.new_migration(owner, name, (up, down), Vec::new())?;
        Ok(NewMigrations::new(vec![new]))
    }

    fn new_migration(
        &self,
        owner: &str,
        name: &str,
        (up_sql, down_sql): (String, String),
        destroys: Vec<String>,
    ) -> Result<NewMigration, Error> {
        let number = self.next_number();
        let [up, down] = self
            .migration_paths(owner, number, name)
            .map_err(|source| GenerateError::Unwritten {
                file: paths::of_owner(owner, "migrations").into(),
                source,
            })?;
        Ok(NewMigration {
            number,
            owner: owner.to_owned(),
            up,
            down,
            destroys,
            up_sql,
            down_sql,
        })
    }

    /// Returns the project with one more migration.
    pub(crate) fn with(&self, new: &NewMigration) -> Self {
        let mut project = self.clone();
        for owner in &mut project.owners {
            if owner.name == new.owner {
                owner.add(&new.up, &new.up_sql);
                owner.add(&new.down, &new.down_sql);
            }
        }
        project
    }
}

/// Rejects a declared object that SQLite rejects when it is used.
fn reject_unusable(declared: &DesiredSchema) -> Result<(), GenerateError> {
    match declared.unusable.first() {
        None => Ok(()),
        Some(UnusableDeclaration { location, object }) => Err(GenerateError::Unusable {
            object: format!("{} {}", object.kind, object.name),
            location: location.clone(),
            message: object.message.clone(),
        }),
    }
}

/// Rejects a generated migration that the lint would reject. The author of a declaration answers
/// for the other rules.
async fn reject_findings(
    project: &Project,
    declared: &DesiredSchema,
    new: &[NewMigration],
) -> Result<(), Error> {
    const RULES: [LintCode; 6] = [
        LintCode::Refused,
        LintCode::AddedColumn,
        LintCode::Destroyed,
        LintCode::Ownership,
        LintCode::Forbidden,
        LintCode::Rebuild,
    ];
    if new.is_empty() {
        return Ok(());
    }
    let scripts = Scripts::new(project)?;
    let steps = scripts.steps();
    let executed = ExecutedScripts::run(project, &steps).await?;
    let findings = lint::findings(project, &scripts, &steps, &executed, declared).await?;
    let is_new = |finding: &&Finding| {
        let file = Path::new(&finding.file);
        RULES.contains(&finding.code) && new.iter().any(|new| new.up == file || new.down == file)
    };
    match findings.iter().find(is_new) {
        None => Ok(()),
        Some(finding) => Err(GenerateError::Unplannable(finding.to_string()).into()),
    }
}

/// Rejects a table that another owner than its own declares: no migration can change the
/// owner.
fn check_owners(owners: &Owners, schema: &Schema, declared: &DesiredSchema) -> Result<(), Error> {
    for table in schema.tables.keys() {
        let owner = owners.owner(table.folded());
        let declared_by = declared.owner(ObjectKind::Table, table);
        if let (Some(owner), Some(declared_by)) = (owner, declared_by)
            && owner != declared_by
        {
            return Err(GenerateError::Moved {
                table: table.spelled().to_owned(),
                owner: owner.to_owned(),
                declared_by: declared_by.to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

/// Returns the current schema in which the objects of `owner` are replaced by the declared ones.
fn with_declarations(
    schema: &Schema,
    owners: &Owners,
    declared: &DesiredSchema,
    owner: &str,
) -> Schema {
    let others = |name: &Name| owners.owner(name.folded()) != Some(owner);
    let mut part = schema.clone();
    part.tables.retain(|name, _| others(name));
    part.indexes.retain(|_, index| others(&index.table));
    part.views.retain(|name, _| others(name));
    part.triggers.retain(|_, trigger| others(&trigger.table));

    let is_own = |kind, name: &Name| declared.owner(kind, name) == Some(owner);
    let mut own = declared.schema.clone();
    own.tables.retain(|name, _| is_own(ObjectKind::Table, name));
    own.indexes
        .retain(|name, _| is_own(ObjectKind::Index, name));
    own.views.retain(|name, _| is_own(ObjectKind::View, name));
    own.triggers
        .retain(|name, _| is_own(ObjectKind::Trigger, name));
    part.tables.append(&mut own.tables);
    part.indexes.append(&mut own.indexes);
    part.views.append(&mut own.views);
    part.triggers.append(&mut own.triggers);
    part
}

/// Returns the declared renames and the answered ones.
fn renames(
    from: &Schema,
    to: &Schema,
    answer: impl Fn(&Question) -> Option<Option<String>>,
) -> Result<Renames, Error> {
    let (mut renames, mut questions) = Renames::find(from, to)?;
    while let Some(question) = questions.first() {
        let Some(old) = answer(question) else {
            return Err(planner::Error::Ambiguous(question.clone()).into());
        };
        let old = old.as_deref().map(Name::new);
        questions = renames.resolve(from, to, question, old)?;
    }
    Ok(renames)
}

/// Applies, reverts and reapplies the newest migration of a project.
async fn verify_round_trip(
    scratch: &mut Scratch,
    project: &Project,
    target: &Schema,
) -> Result<(), Error> {
    let migrations = project.migrations()?;
    let Some(newest) = migrations.get(migrations.newest()) else {
        return Ok(());
    };
    let trip = scratch
        .round_trip(newest, Policy::Enforce, no_observer)
        .await?;
    let mut runs = trip.runs();
    match runs.find(|(run, expected)| *run.after != *expected.unwrap_or(target)) {
        Some((run, _)) => Err(GenerateError::VerificationFailed {
            direction: run.direction,
        }
        .into()),
        None => Ok(()),
    }
}
