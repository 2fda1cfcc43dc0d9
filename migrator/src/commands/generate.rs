//! Writing migrations: what the services declare, compared with what the migrations make.
//! Nothing is written that was not run in memory first: up, down and up again.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    error::{Error, exit::Exit, generate::GenerateError},
    project::{Project, migrations::Direction},
    report::RunReport,
    scratch::{Scratch, desired::DesiredSchema},
    sql::name::{Name, ObjectKind},
    sqlite::{
        execute::no_observer,
        guard::Policy,
        planner::{self, Question, Renames},
        schema::Schema,
    },
    state::owners::Owners,
};

/// A migration that a project has not had so far.
#[derive(Clone, Debug, Serialize)]
pub struct NewMigration {
    /// Its place in the sequence.
    pub number: i64,
    /// The service whose tables it changes.
    pub owner: String,
    /// The file with the way up, from the folder of the project.
    pub up: PathBuf,
    /// The file with the way down.
    pub down: PathBuf,
    /// What the way up destroys: tables and columns.
    pub destroys: Vec<String>,
    /// The way up.
    pub up_sql: String,
    /// The way down.
    pub down_sql: String,
    #[serde(skip)]
    name: String,
}

/// All of them, in the order of their numbers.
#[derive(Clone, Debug, Serialize)]
pub struct NewMigrations {
    /// One for each service that changed.
    pub migrations: Vec<NewMigration>,
    /// Whether they are in the source tree by now.
    pub written: bool,
    /// The upgrade that followed, if one was asked for.
    pub upgrade: Option<RunReport>,
}

/// What `migrate` can be told.
#[derive(Clone, Copy, Debug)]
pub struct Generate<'a> {
    /// What the migration does, in a few words.
    pub name: &'a str,
    /// The service of an empty migration, to be filled by hand; `None` for what is missing.
    pub empty_for: Option<&'a str>,
    /// Whether to write nothing.
    pub check: bool,
    /// Whether to go on if the way up destroys data.
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

    /// Generates what is missing in a source tree, or an empty migration, and writes it unless
    /// it is only checked. `answer` says which of the candidates something was called before,
    /// or none of them; or `None` if nobody can be asked.
    ///
    /// # Errors
    ///
    /// [`Error`]: above all [`GenerateError`].
    pub async fn generate(
        folder: &Path,
        options: Generate<'_>,
        answer: impl Fn(&Question) -> Option<Option<String>>,
    ) -> Result<Self, Error> {
        let project = Project::read(folder)?;
        let Generate {
            name,
            empty_for,
            check,
            allow_data_loss,
        } = options;
        if let Some(owner) = empty_for {
            return project.empty_migration(owner, name)?.write(folder);
        }
        let missing = project.missing_migrations(name, allow_data_loss || check, answer);
        let missing = missing.await?;
        if check {
            return Ok(missing);
        }
        missing.write(folder)
    }

    /// 3 if a migration is missing, and was not written.
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

    /// Puts the files into a source tree. None that is there is written over.
    fn write(mut self, folder: &Path) -> Result<Self, Error> {
        for new in &mut self.migrations {
            let (up, down) = (&new.up_sql, &new.down_sql);
            Project::write_migration(folder, &new.owner, new.number, &new.name, up, down).map_err(
                |source| GenerateError::Unwritten {
                    file: new.up.clone(),
                    source,
                },
            )?;
        }
        self.written = true;
        Ok(self)
    }
}

impl fmt::Display for NewMigrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            writeln!(f, "Nothing to do: the migrations make what is declared")?;
        }
        for new in &self.migrations {
            if self.written {
                writeln!(f, "New migration saved as {}", new.up.display())?;
                writeln!(f, "       and its way back as {}", new.down.display())?;
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
    /// The migrations that lead from what there is to what is declared: one for each
    /// service whose declarations changed.
    async fn missing_migrations(
        &self,
        name: &str,
        allow_data_loss: bool,
        answer: impl Fn(&Question) -> Option<Option<String>>,
    ) -> Result<NewMigrations, Error> {
        let declared = DesiredSchema::new(self).await?;
        let mut project = self.clone();
        let migrations = self.migrations()?;
        let mut scratch = Scratch::replay(&migrations, migrations.newest()).await?;
        let mut missing = Vec::new();
        for owner in &self.owners {
            let newest = scratch.schema();
            check_owners(scratch.owners(), &newest, &declared)?;
            let target = part(&newest, scratch.owners(), &declared, &owner.name);
            if target == *newest {
                continue;
            }
            let renames = renames(&newest, &target, &answer)?;
            let up = planner::plan(&newest, &target, &renames)?;
            let destroys: Vec<_> = up.losses().map(ToString::to_string).collect();
            if !allow_data_loss && !destroys.is_empty() {
                return Err(GenerateError::Destroys {
                    owner: owner.name.clone(),
                    what: destroys.join(", "),
                }
                .into());
            }
            let down = planner::plan_down(&newest, &target, &renames)?;
            let new =
                project.new_migration(&owner.name, name, (up.script(), down.script()), destroys)?;
            project = project.with(&new);
            prove(&mut scratch, &project, &target).await?;
            missing.push(new);
        }
        if *scratch.schema() != declared.schema {
            return Err(GenerateError::VerificationFailed {
                direction: Direction::Up,
            }
            .into());
        }
        Ok(NewMigrations::new(missing))
    }

    /// A migration of `owner` without a statement, to be filled by hand.
    fn empty_migration(&self, owner: &str, name: &str) -> Result<NewMigrations, Error> {
        let up = "-- What changes, and why.\n".to_owned();
        let down = "-- The way back. If there is none: `-- @irreversible`, and why.\n".to_owned();
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
        let [up, down] = Self::migration_paths(owner, number, name).map_err(|source| {
            GenerateError::Unwritten {
                file: Path::new(owner).join("migrations"),
                source,
            }
        })?;
        Ok(NewMigration {
            number,
            owner: owner.to_owned(),
            up,
            down,
            destroys,
            up_sql,
            down_sql,
            name: name.to_owned(),
        })
    }

    /// The same with one more migration.
    fn with(&self, new: &NewMigration) -> Self {
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

/// A table stays whose it is: no migration can give it away.
fn check_owners(owners: &Owners, schema: &Schema, declared: &DesiredSchema) -> Result<(), Error> {
    for table in schema.tables.keys() {
        let maker = owners.owner(table.folded());
        let whose = declared.owner(ObjectKind::Table, table);
        if let (Some(maker), Some(whose)) = (maker, whose)
            && maker != whose
        {
            return Err(GenerateError::Moved {
                table: table.spelled().to_owned(),
                made: maker.to_owned(),
                declares: whose.to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

/// What there is, with the declarations of one owner in the place of what it had.
fn part(schema: &Schema, owners: &Owners, declared: &DesiredSchema, owner: &str) -> Schema {
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

/// The renames that are declared, and those that somebody told of.
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

/// Applies the newest migration of a project, reverts it and applies it again.
async fn prove(scratch: &mut Scratch, project: &Project, target: &Schema) -> Result<(), Error> {
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
