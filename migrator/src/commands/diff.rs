//! `diff`: the drift of the live schema.

use crate::{
    Migrator, error::Error, report::DriftReport, run::plan, scratch::Scratch, sqlite::planner,
};

impl Migrator {
    /// Compares the schema of the database with the schema of its version.
    ///
    /// # Errors
    ///
    /// Those of [`Migrator::dump`], and [`PlanError`](crate::PlanError) if the history contradicts
    /// the migrations.
    pub async fn diff(&self) -> Result<DriftReport, Error> {
        let (applied, live) = self.history_and_schema().await?;
        // If the history contradicts the migrations, the expected schema is unknown.
        plan::upgrade(&self.migrations, &applied, None)?;
        let version = plan::version(&applied);
        let expected = Scratch::replay(&self.migrations, version).await?.schema();
        let differences = expected.catalog().differences(&live.catalog());
        Ok(DriftReport {
            database: self.name(),
            version,
            drift: !differences.is_empty(),
            differences,
            ddl: planner::drift_fix(&live, &expected),
        })
    }
}
