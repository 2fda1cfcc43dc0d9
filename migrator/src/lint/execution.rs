//! Executes the migrations of a project on a scratch database. Knows no SQL.

use sqlx::SqliteConnection;

use super::{compatibility::Compatibility, finding::Finding, rows, script::ParsedMigration};
use crate::{
    error::Error,
    project::{Project, migrations::Direction},
    scratch::{RoundTrip, Scratch},
    sqlite::guard::Policy,
};

/// The executed migrations of a project, in order.
#[derive(Debug)]
pub(crate) struct ExecutedScripts<'a> {
    pub(crate) trips: Vec<RoundTrip<'a>>,
    /// The database after the last executed migration.
    pub(crate) scratch: Scratch,
    /// The findings of M005.
    pub(super) incompatible: Vec<Finding>,
    /// The findings of M001 in tables with rows.
    pub(super) rejected_rows: Vec<Finding>,
}

impl<'a> ExecutedScripts<'a> {
    /// Applies, reverts and reapplies each migration, until one cannot be applied.
    ///
    /// # Errors
    ///
    /// [`Error`], except for a failing script.
    pub(crate) async fn run(
        project: &Project,
        steps: &[ParsedMigration<'a>],
    ) -> Result<Self, Error> {
        let mut scratch = Scratch::new().await?;
        let mut compatibility = Compatibility::new(project);
        let mut trips = Vec::new();
        let mut incompatible = Vec::new();
        let mut rejected_rows = Vec::new();
        for step in steps {
            let on_rows = scratch.try_on_rows(step.migration).await?;
            let (migration, policy) = (step.migration, Policy::Record);
            compatibility.start_migration(&mut scratch, step).await?;
            let observe = async |connection: &mut SqliteConnection, at: usize| {
                compatibility.observe(connection, at).await
            };
            let trip = if step.is_reversible() {
                scratch.round_trip(migration, policy, observe).await?
            } else {
                let up = scratch.apply(migration, Direction::Up, policy, observe);
                RoundTrip::from(up.await?)
            };
            let is_applied = trip.up.failure.is_none();
            if let Some(failure) = on_rows.filter(|_| is_applied) {
                rejected_rows.extend(rows::rejection(&failure, &trip.up.before, &trip.up.after));
            }
            if is_applied {
                incompatible.extend(compatibility.finish_migration(step));
            }
            let reapplied = trip.reapplied.as_ref();
            let fails_again = reapplied.is_some_and(|run| run.failure.is_some());
            trips.push(trip);
            if !is_applied || fails_again {
                break;
            }
        }
        Ok(Self {
            trips,
            scratch,
            incompatible,
            rejected_rows,
        })
    }
}
