//! `diff`: how the schema differs from the one that its version should have.

use crate::{
    Migrator, error::Error, report::DriftReport, run::plan, scratch::Scratch, sqlite::planner,
};

impl Migrator {
    /// How the schema of the database differs from that of its version.
    ///
    /// # Errors
    ///
    /// As of [`Migrator::dump`], and [`PlanError::Newer`](crate::PlanError::Newer) if these migrations do not tell what
    /// its version should be.
    pub async fn diff(&self) -> Result<DriftReport, Error> {
        let (applied, live) = self.history_and_schema().await?;
        // A history that does not fit tells nothing of what there should be.
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
