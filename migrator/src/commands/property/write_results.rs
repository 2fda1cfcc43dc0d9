//! Executes the writes of a case in the migrated database, and in one with the declared schema.

use std::collections::BTreeSet;

use sqlx::SqliteConnection;

use super::{
    coverage::Coverage,
    data::{self, dump},
    expectation::{ensure, same},
    round_trip::RoundTrip,
};
use crate::{
    sql::{self, name::Name, operation::created_object},
    sqlite::{
        planner::tests::{done, memory, rows, run},
        schema::Schema,
    },
};

/// The texts of errors that a schema causes, not its rows.
const ERRORS_OF_SCHEMAS: [&str; 3] = ["no such ", "values were supplied", "has no column"];

impl RoundTrip<'_> {
    /// Executes the writes, which must have the same results as in a database with the declared
    /// schema and the same rows.
    pub(super) async fn write(&self) -> Result<(), String> {
        let to = self.plans.to;
        let mut expected = self.declared().await;
        let migrated = &mut self.database.connect().await;
        for database in [&mut *migrated, &mut expected] {
            run(database, "pragma foreign_keys = on").await?;
        }
        let is_defined = are_results_defined(to);
        for write in &self.case.writes {
            let found = run(migrated, write).await;
            let wanted = run(&mut expected, write).await;
            // Which of several violated constraints SQLite names depends on their order.
            ensure!(
                found.is_ok() == wanted.is_ok() || !is_defined,
                "{write}: {found:?} instead of {wanted:?}"
            );
            if let Err(error) = &found {
                let is_broken = ERRORS_OF_SCHEMAS.iter().any(|text| error.contains(text));
                ensure!(!is_broken, "{write}: {error}");
            } else {
                Coverage::count(&self.coverage.writes);
            }
        }
        if is_defined {
            let found = dump(migrated, to).await;
            same(
                &found,
                &dump(&mut expected, to).await,
                "rows after the writes",
            )?;
        }
        run(migrated, "pragma foreign_keys = off").await
    }

    /// Creates a database with the declared schema and the rows of the migrated one.
    async fn declared(&self) -> SqliteConnection {
        let mut expected = memory().await;
        self.create(&mut expected, &self.case.to_tables, "'table', 'index'")
            .await;
        data::copy(&self.database.path(), &mut expected, self.plans.to).await;
        self.create(&mut expected, &self.case.to_bodies, "'view', 'trigger'")
            .await;
        expected
    }

    /// Creates the objects of a script in the order of the migrated database, on which results
    /// depend. SQLite fires the triggers of a table, and checks the references to it, in the reverse
    /// order of their creation. In one order it misses a violation: an insert into a table with ON
    /// CONFLICT REPLACE and a reference to itself with ON DELETE SET NULL then stores a reference to
    /// no row. If a table that was created before it refers to it too, SQLite rejects the insert.
    async fn create(&self, expected: &mut SqliteConnection, script: &str, kinds: &str) {
        let order =
            format!("select name from sqlite_schema where type in ({kinds}) order by rowid");
        let order = rows(&mut self.database.connect().await, &order).await;
        let position = |text: &str| {
            let (_, created) = created_object(text)?;
            order.iter().position(|name| Name::new(name) == created)
        };
        let mut statements = sql::statements(script);
        statements.sort_by_key(|statement| position(statement.text));
        for statement in statements {
            done(expected, statement.text).await;
        }
    }
}

/// Reports whether the schema defines the results of writes. SQLite does not define the order of
/// several triggers of a table.
fn are_results_defined(schema: &Schema) -> bool {
    let triggers = schema.triggers.values();
    let mut tables = BTreeSet::new();
    triggers
        .into_iter()
        .all(|trigger| tables.insert(&trigger.table))
}
