//! Migrates random schemas with random rows up to other ones, down, and up again.
//!
//! The expected rows do not come from the planner: each row is written into a database that was
//! created with the schema to reach. If that database rejects a row, the up migration must fail
//! and change nothing.

mod coverage;
mod data;
mod model;
mod random;
mod random_source;
mod rows;
mod surviving;

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Builder;

use self::{
    coverage::Coverage,
    data::{dump, move_rows, sequences},
    random::changed,
    random_source::RandomSource,
    surviving::{Pair, SurvivingColumns, pairs},
};
use super::{declared, done, memory, run};
use crate::sql::name::Name;
use crate::sqlite::{
    planner::{Error, Plan, Question, Renames, plan, plan_down, question::QuestionKind},
    schema::Schema,
};

/// The number of cases of each test, unless the environment sets it.
const CASES: u32 = 550;

/// The number of cases by which proptest shows that the environment sets none.
const PROPTEST_DEFAULT: u32 = 256;

fn check(related: bool) {
    let default = Config::default();
    // The environment takes precedence.
    let asked = (default.cases != PROPTEST_DEFAULT).then_some(default.cases);
    let config = Config {
        cases: asked.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..default
    };
    let cases = config.cases;
    let coverage = Coverage::default();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let result = TestRunner::new(config).run(&vec(any::<u16>(), 0..700), |numbers| {
        let case = runtime.block_on(async {
            let case = Case::new(&mut RandomSource::new(numbers), related);
            case.run(&coverage).await
        });
        case.map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(reason, numbers)) = result {
        let case = Case::new(&mut RandomSource::new(numbers), related);
        panic!(
            "{reason}\n--- from\n{}--- to\n{}--- rows\n{}",
            case.from,
            case.to,
            case.rows.join(";\n")
        );
    }
    println!("{coverage:?}");
    // If most cases failed early, the test would prove nothing.
    let most = if related { cases / 4 } else { cases / 10 };
    assert!(coverage.up_again.into_inner() >= most);
}

#[test]
fn a_changed_schema_is_reached_and_reverted_with_its_rows() {
    check(true);
}

#[test]
fn a_changed_schema_is_reached_and_reverted_with_its_rows_2() {
    check(true);
}

#[test]
fn a_changed_schema_is_reached_and_reverted_with_its_rows_3() {
    check(true);
}

#[test]
fn any_schema_is_reached_from_any_other() {
    check(false);
}

/// A pair of random schemas, with rows of the first.
struct Case {
    from: String,
    to: String,
    /// The tables and unique indexes of `to`, without its triggers.
    to_tables: String,
    rows: Vec<String>,
    renamed_tables: BTreeMap<Name, Name>,
    /// Old column names by the new names of the table and the column.
    renamed_columns: BTreeMap<(Name, Name), Name>,
}

macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

impl Case {
    fn new(random: &mut RandomSource, related: bool) -> Self {
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
            from: from.script(),
            to: to.script(),
            to_tables: to.tables_script() + &to.indexes_script(),
            rows: rows::rows(&from, random),
            renamed_tables,
            renamed_columns,
        }
    }

    /// Returns the renames, with questions answered as their author would.
    fn renames(&self, from: &Schema, to: &Schema) -> Result<Renames, Error> {
        let (mut renames, _) = Renames::find(from, to)?;
        for (new, old) in &self.renamed_tables {
            let question = Question {
                kind: QuestionKind::Table,
                table: new.clone(),
                new: new.clone(),
                candidates: vec![old.clone()],
            };
            renames.resolve(from, to, &question, Some(old.clone()))?;
        }
        let mut open = renames.questions(from, to);
        while let Some(question) = open.pop() {
            let key = (question.table.clone(), question.new.clone());
            let old = match question.kind {
                QuestionKind::Table => self.renamed_tables.get(&question.new),
                QuestionKind::Column => self.renamed_columns.get(&key),
            };
            let old = old.filter(|old| question.candidates.contains(old));
            open = renames.resolve(from, to, &question, old.cloned())?;
        }
        Ok(renames)
    }

    async fn run(&self, coverage: &Coverage) -> Result<(), String> {
        let (from, to) = (declared(&self.from).await, declared(&self.to).await);
        ensure!(
            declared(&from.catalog().ddl()).await == from,
            "its DDL is another schema:\n{}",
            from.catalog().ddl()
        );
        let renames = self
            .renames(&from, &to)
            .map_err(|error| error.to_string())?;
        let (up, down) = match (plan(&from, &to, &renames), plan_down(&from, &to, &renames)) {
            (Err(Error::NotNullWithoutDefault { table, column }), _) => {
                let column = to.tables[&table].column(&column).unwrap();
                ensure!(column.default.is_none(), "{} has a default", column.name);
                Coverage::count(&coverage.refused);
                return Ok(());
            }
            (Err(Error::SharedDefault { table, column }), _) => {
                let column = to.tables[&table].column(&column).unwrap();
                ensure!(column.default.is_some(), "{} has no default", column.name);
                Coverage::count(&coverage.refused);
                return Ok(());
            }
            (Err(Error::Unsupported { .. }), _) | (_, Err(Error::Unsupported { .. })) => {
                Coverage::count(&coverage.refused);
                return Ok(());
            }
            (up, down) => (
                up.map_err(|error| error.to_string())?,
                down.map_err(|error| error.to_string())?,
            ),
        };
        coverage.count_plan(&up);
        let pairs = pairs(&from, &to, &renames);
        let mut database = self.filled(&from).await?;
        let plans = Plans {
            from: &from,
            to: &to,
            pairs: &pairs,
            up: &up,
            down: &down,
        };
        let result = self.round_trip(&mut database, &plans, coverage).await;
        database.close().await.unwrap();
        result.map_err(|error| {
            format!(
                "{error}\n--- up\n{}--- down\n{}",
                up.script(),
                down.script()
            )
        })
    }

    /// Opens a database with the rows that its own constraints allow.
    async fn filled(&self, from: &Schema) -> Result<SqliteConnection, String> {
        let mut database = memory().await;
        done(&mut database, &self.from).await;
        run(&mut database, "pragma foreign_keys = on").await?;
        for row in &self.rows {
            let _ = run(&mut database, row).await;
        }
        run(&mut database, "pragma foreign_keys = off").await?;
        ensure!(
            Schema::read(&mut database).await.unwrap() == *from,
            "it reads otherwise"
        );
        Ok(database)
    }

    /// Runs the up, the down and the up migration again.
    async fn round_trip(
        &self,
        database: &mut SqliteConnection,
        plans: &Plans<'_>,
        coverage: &Coverage,
    ) -> Result<(), String> {
        let Plans {
            pairs, up, down, ..
        } = *plans;
        let surviving = SurvivingColumns::new(pairs, up, down);
        let must = !surviving.may_fail;
        let survivors = surviving.read(database, |pair| pair.before, false).await;
        let sequences_before = sequences(database, pairs, |pair| pair.before).await;
        let violations = data::violations(database).await;
        if survivors.iter().any(|rows| !rows.is_empty()) {
            Coverage::count(&coverage.with_rows);
        }

        if !self.migrate_up(database, plans).await? {
            Coverage::count(&coverage.failed);
            return Ok(());
        }
        let found = sequences(database, pairs, |pair| pair.after).await;
        ensure!(
            found == sequences_before,
            "sequences: {found:?} instead of {sequences_before:?}"
        );
        Coverage::count(&coverage.up);

        if !migrate(database, &down.script(), must).await? {
            return Ok(());
        }
        reaches(database, plans.from, "down").await?;
        let back = surviving.read(database, |pair| pair.before, false).await;
        ensure!(back == survivors, "down: {back:?} instead of {survivors:?}");
        let found = sequences(database, pairs, |pair| pair.before).await;
        ensure!(
            found == sequences_before,
            "sequences: {found:?} instead of {sequences_before:?}"
        );
        if must && pairs.len() == plans.from.tables.len() && surviving.all {
            let found = data::violations(database).await;
            ensure!(
                found == violations,
                "foreign keys: {found:?} instead of {violations:?}"
            );
        }
        Coverage::count(&coverage.down);

        if !migrate(database, &up.script(), must).await? {
            return Ok(());
        }
        reaches(database, plans.to, "up again").await?;
        let again = surviving.read(database, |pair| pair.after, true).await;
        ensure!(
            again == survivors,
            "up again: {again:?} instead of {survivors:?}"
        );
        Coverage::count(&coverage.up_again);
        Ok(())
    }

    /// Runs the up migration. Returns `false` if it failed as expected, and changed nothing.
    async fn migrate_up(
        &self,
        database: &mut SqliteConnection,
        plans: &Plans<'_>,
    ) -> Result<bool, String> {
        let before = dump(database, plans.from).await;
        let mut expected = memory().await;
        done(&mut expected, &self.to_tables).await;
        let all = move_rows(database, &mut expected, plans.pairs).await;
        let moved = migrate(database, &plans.up.script(), all).await?;
        if moved {
            reaches(database, plans.to, "up").await?;
            let found = dump(database, plans.to).await;
            let wanted = dump(&mut expected, plans.to).await;
            ensure!(found == wanted, "up: {found:?} instead of {wanted:?}");
            let found = data::violations(database).await;
            let wanted = data::violations(&mut expected).await;
            ensure!(
                found == wanted,
                "foreign keys: {found:?} instead of {wanted:?}"
            );
        } else {
            let schema = Schema::read(database).await.unwrap();
            ensure!(
                schema == *plans.from,
                "a failed up migration changed the schema"
            );
            let found = dump(database, plans.from).await;
            ensure!(found == before, "a failed up migration changed rows");
        }
        expected.close().await.unwrap();
        Ok(moved)
    }
}

/// Two schemas, and the plans between them.
struct Plans<'a> {
    from: &'a Schema,
    to: &'a Schema,
    pairs: &'a [Pair<'a>],
    up: &'a Plan,
    down: &'a Plan,
}

/// Runs a script in a transaction, which is rolled back if the script fails.
async fn migrate(
    database: &mut SqliteConnection,
    script: &str,
    must: bool,
) -> Result<bool, String> {
    done(database, "begin immediate").await;
    let result = run(database, script).await;
    if result.is_ok() {
        done(database, "commit").await;
    } else {
        let _ = run(database, "rollback").await;
    }
    match result {
        Err(error) if must => Err(format!("it fails: {error}")),
        Ok(()) if !must => Ok(true),
        result => Ok(result.is_ok()),
    }
}

async fn reaches(
    database: &mut SqliteConnection,
    wanted: &Schema,
    step: &str,
) -> Result<(), String> {
    let found = Schema::read(database)
        .await
        .map_err(|error| error.to_string())?;
    ensure!(
        found == *wanted,
        "{step}: it is\n{}instead of\n{}",
        found.catalog().ddl(),
        wanted.catalog().ddl()
    );
    let wrong = data::integrity(database).await;
    ensure!(wrong.is_empty(), "{step}: {wrong:?}");
    Ok(())
}
