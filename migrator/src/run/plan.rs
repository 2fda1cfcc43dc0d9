//! Compares the history with the migrations, and plans the migrations of a run. Knows no SQL.

use std::time::Duration;

use crate::{
    error::exit::Exit,
    project::migrations::{Migration, Migrations},
    state::{database_name::DatabaseName, history::AppliedMigration},
};

/// The history, the migrations or the target contradict each other.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Name an existing version.
    #[error("migration {number} does not exist; the known ones are {known}")]
    UnknownTarget {
        /// The requested version.
        number: i64,
        /// The existing versions, separated by commas.
        known: String,
    },
    /// Downgrade instead.
    #[error(
        "the database is at version {current}, above {target}; \
         `migrator downgrade --to {target}` downgrades it"
    )]
    AboveTarget {
        /// The requested version.
        target: i64,
        /// The version of the database.
        current: i64,
    },
    /// Upgrade instead.
    #[error(
        "the database is at version {current}, below {target}; \
         `migrator upgrade --to {target}` upgrades it"
    )]
    BelowTarget {
        /// The requested version.
        target: i64,
        /// The version of the database.
        current: i64,
    },
    /// Use the newer migrator.
    #[error(
        "the database was upgraded by a newer migrator: it is at version {found}, and this \
         migrator knows {newest} at most; use the newer migrator"
    )]
    Newer {
        /// The newest migration in the history.
        found: i64,
        /// The newest migration of this program.
        newest: i64,
    },
    /// Use the migrator that applied the migration.
    #[error(
        "migration {number:04} {name} was applied to this database, but this migrator lacks it; \
         use the migrator that applied it"
    )]
    Unknown {
        /// The number of the migration.
        number: i64,
        /// The name in the history.
        name: String,
    },
    /// Restore the applied file, and write a new migration.
    #[error(
        "migration {number:04} {name} was changed after it was applied; \
         restore its file, and put the change into a new migration"
    )]
    Changed {
        /// The number of the migration.
        number: i64,
        /// The name of the migration.
        name: String,
    },
    /// Give the migration a higher number, or downgrade below it.
    #[error(
        "migration {number:04} {name} is pending, but the newer {applied:04} is applied; \
         give it a number above {applied:04}, or downgrade below it first"
    )]
    OutOfOrder {
        /// The number of the pending migration.
        number: i64,
        /// The name of the migration.
        name: String,
        /// The newest applied migration.
        applied: i64,
    },
    /// Restore a backup, or the row of the history.
    #[error(
        "the history lacks migration {number:04} {name}, although the newer {applied:04} is \
         applied and the schema is not that of the recorded migrations; restore a backup, or its \
         row of _sqlx_migrations"
    )]
    Hole {
        /// The number of the missing migration.
        number: i64,
        /// The name of the missing migration.
        name: String,
        /// The newest applied migration.
        applied: i64,
    },
    /// Revert the unfinished changes by hand.
    #[error(
        "migration {number:04} {name} was started by another tool and did not succeed; \
         restore a backup, or revert its changes by hand and delete its row of _sqlx_migrations"
    )]
    Failed {
        /// The number of the migration.
        number: i64,
        /// The name of the migration.
        name: String,
    },
    /// Upgrade instead: the database has a history.
    #[error(
        "{database} already has a history and is at version {version}; `migrator upgrade` upgrades it"
    )]
    AlreadyBaselined {
        /// The database.
        database: DatabaseName,
        /// The version of the database.
        version: i64,
    },
    /// Wait longer, or upgrade the database.
    #[error(
        "{database} {} after {}, instead of being at version {wanted}; `migrator upgrade` upgrades it",
        match version { Some(version) => format!("is at version {version}"), None => "does not exist".into() },
        humantime::format_duration(*waited)
    )]
    Behind {
        /// The database.
        database: DatabaseName,
        /// The version of the database, or `None` if it does not exist.
        version: Option<i64>,
        /// The awaited version.
        wanted: i64,
        /// The duration of the wait.
        waited: Duration,
    },
}

impl PlanError {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::UnknownTarget { .. } => (Exit::Usage, "UNKNOWN_TARGET"),
            Self::AboveTarget { .. } => (Exit::Usage, "ABOVE_TARGET"),
            Self::BelowTarget { .. } => (Exit::Usage, "BELOW_TARGET"),
            Self::Newer { .. } => (Exit::History, "NEWER_DATABASE"),
            Self::Unknown { .. } => (Exit::History, "UNKNOWN_MIGRATION"),
            Self::Changed { .. } => (Exit::History, "CHANGED_MIGRATION"),
            Self::OutOfOrder { .. } => (Exit::History, "OUT_OF_ORDER"),
            Self::Hole { .. } => (Exit::History, "INCOMPLETE_HISTORY"),
            Self::Failed { .. } => (Exit::History, "FAILED_MIGRATION"),
            Self::AlreadyBaselined { .. } => (Exit::History, "ALREADY_BASELINED"),
            Self::Behind { .. } => (Exit::TryAgain, "BEHIND"),
        }
    }
}

/// Returns the version of a database: the number of the newest successful migration in its history,
/// or 0.
pub(crate) fn version(applied: &[AppliedMigration]) -> i64 {
    let newest = applied.iter().rev().find(|applied| applied.success);
    newest.map_or(0, |newest| newest.number)
}

/// Refuses a target that is neither a migration nor 0, the empty database.
pub(crate) fn check_target(known: &Migrations, target: i64) -> Result<(), PlanError> {
    if target == 0 || known.get(target).is_some() {
        return Ok(());
    }
    let numbers: Vec<_> = known
        .iter()
        .map(|migration| migration.number().to_string())
        .collect();
    Err(PlanError::UnknownTarget {
        number: target,
        known: numbers.join(", "),
    })
}

/// Returns the migrations to apply, in order, up to `target` or the newest.
pub(crate) fn upgrade<'a>(
    known: &'a Migrations,
    applied: &[AppliedMigration],
    target: Option<i64>,
) -> Result<Vec<&'a Migration>, PlanError> {
    check_history(known, applied)?;
    let current = version(applied);
    if let Some(skipped) = skipped(known, applied) {
        return Err(PlanError::OutOfOrder {
            number: skipped.number(),
            name: skipped.name().to_owned(),
            applied: current,
        });
    }
    let target = target.unwrap_or_else(|| known.newest());
    if target < current {
        return Err(PlanError::AboveTarget { target, current });
    }
    let between = current + 1..=target;
    Ok(known
        .iter()
        .filter(|migration| between.contains(&migration.number()))
        .collect())
}

/// Returns the migrations to revert, in order, down to `target` or the previous version.
///
/// Accepts a migration that is out of order: downgrading below it is the remedy.
pub(crate) fn downgrade<'a>(
    known: &'a Migrations,
    applied: &[AppliedMigration],
    target: Option<i64>,
) -> Result<Vec<&'a Migration>, PlanError> {
    check_history(known, applied)?;
    let current = version(applied);
    let one_back = applied
        .iter()
        .rev()
        .nth(1)
        .map_or(0, |previous| previous.number);
    let target = target.unwrap_or(one_back);
    if target > current {
        return Err(PlanError::BelowTarget { target, current });
    }
    let newer = applied
        .iter()
        .rev()
        .filter(|applied| applied.number > target);
    // The history was checked: each row has a known migration.
    Ok(newer
        .filter_map(|applied| known.get(applied.number))
        .collect())
}

/// Returns the first migration below the version that the history does not record.
fn skipped<'a>(known: &'a Migrations, applied: &[AppliedMigration]) -> Option<&'a Migration> {
    let current = version(applied);
    let pending = |number| applied.iter().all(|applied| applied.number != number);
    known
        .iter()
        .find(|migration| migration.number() < current && pending(migration.number()))
}

/// Returns the error for a history with a hole, if it has one. The caller has found that the
/// schema is not that of the recorded migrations.
pub(crate) fn hole(known: &Migrations, applied: &[AppliedMigration]) -> Option<PlanError> {
    let skipped = skipped(known, applied)?;
    Some(PlanError::Hole {
        number: skipped.number(),
        name: skipped.name().to_owned(),
        applied: version(applied),
    })
}

/// Refuses a history that contradicts the migrations.
fn check_history(known: &Migrations, applied: &[AppliedMigration]) -> Result<(), PlanError> {
    if let Some(failed) = applied.iter().find(|applied| !applied.success) {
        return Err(PlanError::Failed {
            number: failed.number,
            name: failed.name.clone(),
        });
    }
    let (found, newest) = (version(applied), known.newest());
    if found > newest {
        return Err(PlanError::Newer { found, newest });
    }
    for applied in applied {
        let Some(migration) = known.get(applied.number) else {
            return Err(PlanError::Unknown {
                number: applied.number,
                name: applied.name.clone(),
            });
        };
        if !applied.matches(migration) {
            return Err(PlanError::Changed {
                number: applied.number,
                name: migration.name().to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns migrations with these numbers.
    fn known(numbers: &[i64]) -> Migrations {
        let files: Vec<_> = numbers
            .iter()
            .flat_map(|number| {
                ["up", "down"].map(|direction| format!("{number:04}_step.{direction}.sql"))
            })
            .collect();
        Migrations::from_files(files.iter().map(|file| ("users", file.as_str(), ""))).unwrap()
    }

    /// Returns the history of these migrations of [`known`].
    fn applied(numbers: &[i64]) -> Vec<AppliedMigration> {
        let checksum = known(&[1]).get(1).unwrap().checksum();
        let row = |number: &i64| AppliedMigration {
            number: *number,
            name: "step".into(),
            checksum: checksum.clone(),
            token_hash: None,
            success: true,
            applied_at: None,
            execution_time: None,
        };
        numbers.iter().map(row).collect()
    }

    fn numbers(plan: &[&Migration]) -> Vec<i64> {
        plan.iter().map(|migration| migration.number()).collect()
    }

    #[test]
    fn an_upgrade_applies_pending_migrations_up_to_the_target() {
        for (history, target, expected) in [
            (&[][..], None, &[1, 2, 3][..]),
            (&[], Some(2), &[1, 2]),
            (&[], Some(0), &[]),
            (&[1, 2], None, &[3]),
            (&[1, 2], Some(2), &[]),
            (&[1, 2, 3], None, &[]),
        ] {
            let known = known(&[1, 2, 3]);

            let plan = upgrade(&known, &applied(history), target).unwrap();

            assert_eq!(numbers(&plan), expected, "{history:?} to {target:?}");
        }
    }

    #[test]
    fn a_downgrade_reverts_the_newest_first() {
        for (history, target, expected) in [
            (&[1, 2, 3][..], None, &[3][..]),
            (&[1, 2, 3], Some(1), &[3, 2]),
            (&[1, 2, 3], Some(0), &[3, 2, 1]),
            (&[1, 2, 3], Some(3), &[]),
            (&[1], None, &[1]),
            (&[], None, &[]),
            (&[], Some(0), &[]),
            // Downgrading below a migration out of order is its only remedy.
            (&[1, 3], None, &[3]),
        ] {
            let known = known(&[1, 2, 3]);

            let plan = downgrade(&known, &applied(history), target).unwrap();

            assert_eq!(numbers(&plan), expected, "{history:?} to {target:?}");
        }
    }

    #[test]
    fn a_target_on_the_other_side_names_the_other_command() {
        let known = known(&[1, 2]);

        let above = upgrade(&known, &applied(&[1, 2]), Some(1))
            .unwrap_err()
            .to_string();
        let below = downgrade(&known, &applied(&[1]), Some(2))
            .unwrap_err()
            .to_string();

        assert!(above.contains("migrator downgrade --to 1"), "{above}");
        assert!(below.contains("migrator upgrade --to 2"), "{below}");
    }

    #[test]
    fn an_unknown_target_is_refused_with_the_known_ones() {
        let refusal = check_target(&known(&[1, 2]), 7).unwrap_err().to_string();

        assert_eq!(
            refusal,
            "migration 7 does not exist; the known ones are 1, 2"
        );
    }

    #[test]
    fn a_migration_that_was_skipped_stops_an_upgrade() {
        let refusal = upgrade(&known(&[1, 2, 3]), &applied(&[1, 3]), None).unwrap_err();

        assert!(
            matches!(
                refusal,
                PlanError::OutOfOrder {
                    number: 2,
                    applied: 3,
                    ..
                }
            ),
            "{refusal}"
        );
    }

    #[test]
    fn a_history_of_other_migrations_is_refused() {
        for plan in [upgrade, downgrade] {
            let newer = plan(&known(&[1, 2]), &applied(&[1, 2, 3]), None).unwrap_err();
            let unknown = plan(&known(&[1, 3]), &applied(&[1, 2]), None).unwrap_err();
            let mut edited = applied(&[1]);
            edited[0].checksum = vec![0];
            let changed = plan(&known(&[1, 2]), &edited, None).unwrap_err();

            assert!(
                matches!(
                    newer,
                    PlanError::Newer {
                        found: 3,
                        newest: 2
                    }
                ),
                "{newer}"
            );
            assert!(
                matches!(unknown, PlanError::Unknown { number: 2, .. }),
                "{unknown}"
            );
            assert!(
                matches!(changed, PlanError::Changed { number: 1, .. }),
                "{changed}"
            );
        }
    }
}
