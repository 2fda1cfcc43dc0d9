//! A case: two schemas, rows and writes, and the steps from one schema to the other and back.

use std::{collections::BTreeMap, fmt, time::Duration};

use database::settings::DatabaseUrl;
use sqlx::SqliteConnection;

use super::{
    coverage::Coverage,
    data::{self, dump, move_rows, sequences},
    database::TestDatabase,
    oracle,
    random::{self, changed},
    random_source::RandomSource,
    rows as random_rows,
    surviving::{Pair, SurvivingColumns, pairs},
    writes,
};
use crate::{
    Error, Migrator, Project,
    commands::check,
    lint::LintCode,
    project::{Owner, ReleaseRecord, migrations::Direction},
    run::options::Run,
    sql::{
        self,
        name::{Name, ObjectKind},
        operation::created_object,
    },
    sqlite::{
        planner::{
            self, Question, QuestionKind, Renames, plan, plan_down,
            tests::{declared, done, memory, rows, run},
        },
        schema::Schema,
    },
    state::application::Application,
};

/// A pair of random schemas, rows of the first one, and writes to the second one.
pub(super) struct Case {
    is_related: bool,
    from: String,
    to: String,
    /// The tables and indexes of `to`.
    to_tables: String,
    /// The views and triggers of `to`.
    to_bodies: String,
    rows: Vec<String>,
    writes: Vec<String>,
    renamed_tables: BTreeMap<Name, Name>,
    /// Old column names by the new names of the table and the column.
    renamed_columns: BTreeMap<(Name, Name), Name>,
}

/// Two schemas, and the plans between them.
struct Plans<'a> {
    from: &'a Schema,
    to: &'a Schema,
    pairs: &'a [Pair<'a>],
    surviving: SurvivingColumns<'a>,
}

macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, .. } = self;
        let (rows, writes) = (self.rows.join(";\n"), self.writes.join(";\n"));
        write!(
            f,
            "--- from\n{from}--- to\n{to}--- rows\n{rows}\n--- writes\n{writes}\n"
        )
    }
}

impl Case {
    pub(super) fn new(random: &mut RandomSource, related: bool) -> Self {
        let from = random::schema(random);
        let to = if related {
            changed(&from, random)
        } else {
            random::schema(random)
        };
        let mut renamed_tables = BTreeMap::new();
        let mut renamed_columns = BTreeMap::new();
        for before in from.tables.iter().filter(|_| related) {
            let Some(after) = to.table(before.id) else {
                continue;
            };
            let (old, new) = (Name::new(&before.name), Name::new(&after.name));
            let same = |name: &Name, other: &str| *name == Name::new(other);
            // If the old name is in use again, that object is the successor.
            let taken = to.tables.iter().any(|table| same(&old, &table.name));
            if old != new && taken {
                continue;
            }
            if old != new {
                renamed_tables.insert(new.clone(), old);
            }
            for column in &before.columns {
                let old = Name::new(&column.name);
                let taken = after.columns.iter().any(|c| same(&old, &c.name));
                if let Some(now) = after.column(column.id)
                    && !taken
                {
                    let key = (new.clone(), Name::new(&now.name));
                    renamed_columns.insert(key, old);
                }
            }
        }
        Self {
            is_related: related,
            from: from.script(),
            to: to.script(),
            to_tables: to.tables_script(),
            to_bodies: to.bodies_script(),
            rows: random_rows::rows(&from, random),
            writes: writes::writes(&to, random),
            renamed_tables,
            renamed_columns,
        }
    }

    /// Answers a question as the author of the change would.
    fn answer(&self, question: &Question) -> Option<&Name> {
        let key = (question.table.clone(), question.new.clone());
        let old = match question.kind {
            QuestionKind::Table => self.renamed_tables.get(&question.new),
            QuestionKind::Column => self.renamed_columns.get(&key),
        };
        old.filter(|old| question.candidates.contains(old))
    }

    /// Returns the renames, with questions answered.
    fn renames(&self, from: &Schema, to: &Schema) -> Result<Renames, planner::Error> {
        let (mut renames, mut open) = Renames::find(from, to)?;
        while let Some(question) = open.first() {
            open = renames.resolve(from, to, question, self.answer(question).cloned())?;
        }
        Ok(renames)
    }

    pub(super) async fn run(&self, coverage: &Coverage) -> Result<(), String> {
        let mut project = project(&self.from);
        if let Some(broken) = oracle::unusable(&self.from).await {
            return must_be_unusable(&project, &broken, coverage).await;
        }
        if self.is_related {
            project.owners[0].add("0001_first.up.sql".as_ref(), &self.from);
            let down = "-- @irreversible the other test generates the first migration";
            project.owners[0].add("0001_first.down.sql".as_ref(), down);
        } else {
            self.generate(&mut project, "first").await?;
        }
        let (from, to) = (declared(&self.from).await, declared(&self.to).await);
        self.to.clone_into(&mut project.owners[0].schema);
        if let Some(broken) = oracle::unusable(&self.to).await {
            return must_be_unusable(&project, &broken, coverage).await;
        }
        let renames = self.renames(&from, &to);
        let renames = renames.map_err(|error| error.to_string())?;
        let (up, down) = match (plan(&from, &to, &renames), plan_down(&from, &to, &renames)) {
            (Ok(up), Ok(down)) => (up, down),
            (Err(error), _) | (_, Err(error)) => {
                oracle::right_refusal(&error, &to)?;
                Coverage::count(&coverage.refused);
                return Ok(());
            }
        };
        let before = project.clone();
        let is_changed = match self.generate(&mut project, "second").await {
            Err(error) if error.contains(" M001 ") => {
                let wrong = self.are_rows_kept(&pairs(&from, &to, &renames)).await?;
                ensure!(!wrong, "{error}");
                Coverage::count(&coverage.refused);
                return Ok(());
            }
            is_changed => is_changed?,
        };
        ensure!(
            is_changed == (from != to),
            "a migration was written: {is_changed}"
        );
        let pairs = pairs(&from, &to, &renames);
        let plans = Plans {
            from: &from,
            to: &to,
            pairs: &pairs,
            surviving: SurvivingColumns::new(&pairs, &up, &down),
        };
        coverage.count_plan(&up, &from, &to);
        let result = self.migrate(&before, &project, &plans, coverage).await;
        result.map_err(|error| {
            format!(
                "{error}\n--- up\n{}--- down\n{}",
                up.script(),
                down.script()
            )
        })
    }

    /// Reports whether the declaration allows the rows, and each table has two of them.
    async fn are_rows_kept(&self, pairs: &[Pair<'_>]) -> Result<bool, String> {
        let mut database = memory().await;
        done(&mut database, &self.from).await;
        run(&mut database, "pragma foreign_keys = on").await?;
        for row in &self.rows {
            let _ = run(&mut database, row).await;
        }
        let mut expected = memory().await;
        done(&mut expected, &self.to_tables).await;
        Ok(data::min_rows(&mut database, pairs).await > 1
            && move_rows(&mut database, &mut expected, pairs).await)
    }

    /// Generates and adds the missing migration. Returns whether one was missing.
    async fn generate(&self, project: &mut Project, name: &str) -> Result<bool, String> {
        let answer =
            |question: &Question| Some(self.answer(question).map(|old| old.spelled().to_owned()));
        let missing = project.missing_migrations(name, true, answer).await;
        let missing = missing.map_err(|error| format!("migrate: {}", error.line()))?;
        for new in &missing.migrations {
            *project = project.with(new);
        }
        Ok(!missing.migrations.is_empty())
    }

    /// Checks the project, and migrates a database with rows up, down, and up again.
    async fn migrate(
        &self,
        before: &Project,
        project: &Project,
        plans: &Plans<'_>,
        coverage: &Coverage,
    ) -> Result<(), String> {
        let database = TestDatabase::new();
        let line = |error: Error| error.line();
        let first = database.migrator(before);
        first.run(UP).await.map_err(line)?;
        let mut connection = database.connect().await;
        run(&mut connection, "pragma foreign_keys = on").await?;
        for row in &self.rows {
            let _ = run(&mut connection, row).await;
        }
        run(&mut connection, "pragma foreign_keys = off").await?;

        let report = check::check(project).await.map_err(line)?;
        let accepted = |code: LintCode| code == LintCode::AllColumns;
        ensure!(
            report.declared.ok
                && report.steps.ok
                && report.lint.findings.iter().all(|f| accepted(f.code)),
            "check: {report}"
        );
        let migrator = database.migrator(project);
        let checked = migrator.lock_time(Duration::MAX).await.map_err(line)?;

        let mut expected = memory().await;
        done(&mut expected, &self.to_tables).await;
        let is_allowed = move_rows(&mut connection, &mut expected, plans.pairs).await
            && data::violations(&mut expected).await == Ok(Vec::new());
        let contents = dump(&mut connection, plans.from).await;
        let survivors = plans
            .surviving
            .read(&mut connection, |pair| pair.before, false);
        let survivors = survivors.await;
        let sequences_before = sequences(&mut connection, plans.pairs, |pair| pair.before).await;
        let violations = data::violations(&mut connection).await;
        if survivors.iter().any(|rows| !rows.is_empty()) {
            Coverage::count(&coverage.with_rows);
        }

        let upgraded = migrator.run(UP).await;
        ensure!(
            upgraded.is_ok() == checked.is_empty(),
            "check: {checked:?}, but upgrade: {upgraded:?}"
        );
        if let Err(error) = upgraded {
            ensure!(
                !is_allowed,
                "the upgrade fails on allowed rows: {}",
                error.line()
            );
            let schema = Schema::read(&mut connection).await.unwrap();
            ensure!(schema == *plans.from, "a failed upgrade changed the schema");
            let found = dump(&mut connection, plans.from).await;
            ensure!(found == contents, "a failed upgrade changed rows");
            Coverage::count(&coverage.failed);
            return Ok(());
        }
        Coverage::count(&coverage.up);
        reaches(&migrator, &mut connection, plans.to, "up").await?;
        let drift = migrator.diff().await.map_err(line)?;
        ensure!(!drift.drift, "{drift}");
        same(
            &dump(&mut connection, plans.to).await,
            &dump(&mut expected, plans.to).await,
            "up",
        )?;
        same(
            &data::violations(&mut connection).await,
            &data::violations(&mut expected).await,
            "foreign keys",
        )?;
        let found = sequences(&mut connection, plans.pairs, |pair| pair.after).await;
        same(&found, &sequences_before, "sequences")?;

        let must = !plans.surviving.may_fail;
        if plans.from == plans.to {
            return Ok(());
        }
        if !downgrade(project, &migrator, must).await? {
            return Ok(());
        }
        reaches(&first, &mut connection, plans.from, "down").await?;
        let back = plans
            .surviving
            .read(&mut connection, |pair| pair.before, false);
        same(&back.await, &survivors, "down")?;
        let found = sequences(&mut connection, plans.pairs, |pair| pair.before).await;
        same(&found, &sequences_before, "sequences, down")?;
        if must && plans.pairs.len() == plans.from.tables.len() && plans.surviving.all {
            let found = data::violations(&mut connection).await;
            same(&found, &violations, "foreign keys, down")?;
        }
        Coverage::count(&coverage.down);

        match migrator.run(UP).await {
            Err(error) if must => return Err(format!("up again: {}", error.line())),
            Err(_) => return Ok(()),
            Ok(_) => reaches(&migrator, &mut connection, plans.to, "up again").await?,
        }
        let again = plans
            .surviving
            .read(&mut connection, |pair| pair.after, true);
        same(&again.await, &survivors, "up again")?;
        Coverage::count(&coverage.up_again);
        self.write(&database, plans, coverage).await?;
        downgrade(project, &migrator, false).await?;
        Ok(())
    }

    /// Executes the writes, which must have the same results as in a database with the declared
    /// schema and the same rows.
    async fn write(
        &self,
        database: &TestDatabase,
        plans: &Plans<'_>,
        coverage: &Coverage,
    ) -> Result<(), String> {
        let mut expected = memory().await;
        done(&mut expected, &self.to_tables).await;
        data::copy(&database.path(), &mut expected, plans.to).await;
        let migrated = &mut database.connect().await;
        let order = "select name from sqlite_schema
            where type in ('view', 'trigger') order by rowid";
        let bodies = sql::statements(&self.to_bodies);
        for name in rows(migrated, order).await {
            let key = Name::new(&name);
            let is_it = |(_, other): (ObjectKind, Name)| other == key;
            let body = bodies
                .iter()
                .find(|body| created_object(body.text).is_some_and(is_it));
            done(&mut expected, body.unwrap().text).await;
        }
        for database in [&mut *migrated, &mut expected] {
            run(database, "pragma foreign_keys = on").await?;
        }
        // SQLite does not define the order of several triggers of a table.
        let triggers = plans.to.triggers.values();
        let is_defined = triggers.clone().all(|trigger| {
            let same = triggers
                .clone()
                .filter(|other| other.table == trigger.table);
            same.count() == 1
        });
        for write in &self.writes {
            let found = run(migrated, write).await;
            let wanted = run(&mut expected, write).await;
            // Which of several violated constraints SQLite names depends on their order.
            ensure!(
                found.is_ok() == wanted.is_ok() || !is_defined,
                "{write}: {found:?} instead of {wanted:?}"
            );
            if let Err(error) = &found {
                let is_broken = ["no such ", "values were supplied", "has no column"];
                let is_broken = is_broken.iter().any(|text| error.contains(text));
                ensure!(!is_broken, "{write}: {error}");
            } else {
                Coverage::count(&coverage.writes);
            }
        }
        if is_defined {
            same(
                &dump(migrated, plans.to).await,
                &dump(&mut expected, plans.to).await,
                "rows after the writes",
            )?;
        }
        run(migrated, "pragma foreign_keys = off").await
    }
}

/// An upgrade without a backup.
const UP: Run = Run {
    no_backup: true,
    ..Run::upgrade()
};

/// A downgrade without a backup.
const DOWN: Run = Run {
    no_backup: true,
    allow_data_loss: true,
    ..Run::downgrade()
};

/// Returns a project with a declared schema and no migrations.
fn project(schema: &str) -> Project {
    Project {
        owners: vec![Owner {
            name: "user-service".to_owned(),
            schema: schema.to_owned(),
            migrations: Vec::new(),
            recorded: Vec::new(),
            released: ReleaseRecord::default(),
        }],
        application: Application::MICROBLOG,
        database: DatabaseUrl::from_path("microblog.db"),
    }
}

/// Checks that `migrate` and `check` reject a declaration that cannot be used.
async fn must_be_unusable(
    project: &Project,
    broken: &str,
    coverage: &Coverage,
) -> Result<(), String> {
    let missing = project
        .missing_migrations("broken", true, |_| Some(None))
        .await;
    let refused = missing.is_err_and(|error| error.line().contains("cannot be used"));
    ensure!(refused, "migrate accepts what cannot be used: {broken}");
    let report = check::check(project).await.map_err(|error| error.line())?;
    let mut findings = report.lint.findings.iter();
    let found = findings.any(|finding| finding.code == LintCode::Unusable);
    ensure!(found, "check accepts what cannot be used: {broken}");
    Coverage::count(&coverage.unusable);
    Ok(())
}

/// Reverts the newest migration. A failure must be announced in the head of the script. Returns
/// whether it succeeded.
async fn downgrade(project: &Project, migrator: &Migrator, must: bool) -> Result<bool, String> {
    let Err(error) = migrator.run(DOWN).await else {
        return Ok(true);
    };
    ensure!(!must, "down: {}", error.line());
    let migrations = project.migrations().unwrap();
    let script = migrations.get(migrations.newest()).unwrap();
    let script = script.script(Direction::Down);
    ensure!(
        script.contains("-- This down migration fails:"),
        "the head of the down script announces no failure: {}",
        error.line()
    );
    Ok(false)
}

/// Checks that a database has a schema, and that SQLite reads its dump as this schema.
async fn reaches(
    migrator: &Migrator,
    connection: &mut SqliteConnection,
    wanted: &Schema,
    step: &str,
) -> Result<(), String> {
    let found = Schema::read(connection).await.unwrap();
    ensure!(
        found == *wanted,
        "{step}: it is\n{}instead of\n{}",
        found.catalog().ddl(),
        wanted.catalog().ddl()
    );
    let wrong = data::integrity(connection).await;
    ensure!(wrong.is_empty(), "{step}: {wrong:?}");
    let dump = migrator.dump().await.map_err(|error| error.line())?.ddl;
    let mut copy = memory().await;
    run(&mut copy, &dump)
        .await
        .map_err(|error| format!("{step}: {error} in the dump\n{dump}"))?;
    let copied = Schema::read(&mut copy).await.unwrap();
    let differences = wanted.catalog().differences(&copied.catalog());
    let lines: Vec<_> = differences.iter().map(ToString::to_string).collect();
    ensure!(
        copied == *wanted,
        "{step}: the dump is another schema: {lines:?}\n{dump}"
    );
    same(&copied.catalog().ddl(), &dump, "the dump of the dump")?;
    Ok(())
}

fn same<T: PartialEq + fmt::Debug>(found: &T, wanted: &T, what: &str) -> Result<(), String> {
    ensure!(found == wanted, "{what}: {found:?} instead of {wanted:?}");
    Ok(())
}
