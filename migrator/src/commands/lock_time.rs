//! Measures how long an upgrade holds the write lock, by upgrading a copy of the database (M006).
//! Knows no SQL.

use std::{path::Path, time::Duration};

use crate::{
    Migrator, Run,
    error::{Error, run::RunError},
    lint::{Finding, LintCode},
    project::migrations::{Direction, Migration, Migrations},
    report::{RunReport, StepReport, progress::Progress},
    sql::location::SourceLocation,
    sqlite::{
        execute::{ExecuteError, StatementFailure},
        guard::Denial,
        result_code::ResultCode,
    },
    state::error::DatabaseError,
};

impl Migrator {
    /// Upgrades a copy of the database, including the backup. Returns a finding if the upgrade is
    /// refused, or if it held the write lock for longer than `limit`. Only reads the database
    /// itself; writers wait during the copy.
    ///
    /// # Errors
    ///
    /// [`Error`], in particular if the disk lacks space for the copy.
    pub(crate) async fn lock_time(&self, limit: Duration) -> Result<Vec<Finding>, Error> {
        // The progress of the copy would be mistaken for that of the database.
        let progress = Progress::noop();
        let copy = self
            .backups
            .trial_copy(self.lock_timeout, &progress)
            .await?;
        let migrator = Self {
            database: copy.path().to_owned(),
            backups: copy.backups(),
            progress,
            ..self.clone()
        };
        match migrator.run(Run::upgrade()).await {
            Ok(report) => Ok(too_long(&report, &self.migrations, limit)),
            Err(error) => self
                .refused(error, copy.path())
                .map(|finding| vec![finding]),
        }
    }

    /// Returns the finding for an upgrade of the copy that was refused.
    ///
    /// # Errors
    ///
    /// The error itself, if its cause is neither the migrations nor the schema.
    fn refused(&self, error: Error, copy: &Path) -> Result<Finding, Error> {
        let error = error.into_cause();
        let remedy = match error {
            Error::Execute(ExecuteError::Ownership {
                location,
                operation,
                whose,
                ..
            }) => {
                return Ok(Finding::denied(
                    &location,
                    &Denial::NotOwned { operation, whose },
                ));
            }
            Error::Execute(ExecuteError::Forbidden {
                location,
                operation,
            }) => {
                return Ok(Finding::denied(&location, &Denial::Forbidden(operation)));
            }
            Error::Execute(ExecuteError::Script {
                location, source, ..
            }) => {
                return Ok(Finding::refused(&StatementFailure { location, source }));
            }
            Error::Run(RunError::Orphan { .. }) => "correct the rows that violate a foreign key",
            Error::Run(RunError::NotReached { .. }) => "correct the script",
            // Invalid SQL that SQLite accepts at first, such as a reference to a column without a key.
            Error::Database(DatabaseError::Failed(ref source))
                if ResultCode::from(source) == ResultCode::Error =>
            {
                "correct the script"
            }
            Error::Run(RunError::Drift { .. }) => "fix the drift, see `migrator diff`",
            error => return Err(error),
        };
        // The error names the copy.
        let text = error.line().replace(
            &copy.display().to_string(),
            &self.database.display().to_string(),
        );
        let newest = self.migrations.iter().last();
        Ok(Finding::new(
            LintCode::Refused,
            &start_of_up_script(newest),
            format!("a copy of the database cannot be upgraded: {text}"),
            remedy.into(),
        ))
    }
}

/// M006: returns a finding for each script above the limit, otherwise for the slowest one.
fn too_long(report: &RunReport, known: &Migrations, limit: Duration) -> Vec<Finding> {
    let locked = report.locked;
    if locked <= limit {
        return Vec::new();
    }
    let longest = report.steps.iter().map(|step| step.elapsed).max();
    let from = longest.unwrap_or_default().min(limit);
    let slow = report.steps.iter().filter(|step| step.elapsed >= from);
    let scripts: Duration = report.steps.iter().map(|step| step.elapsed).sum();
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let (cause, remedy) = if scripts <= limit && report.backup.is_some() {
        (
            ", including the backup",
            "make the backup before with `migrator backup`, and upgrade with --no-backup; or ",
        )
    } else {
        ("", "")
    };
    let finding = |step: &StepReport| {
        Finding::new(
            LintCode::Slow,
            &start_of_up_script(known.get(step.migration.number)),
            format!(
                "it takes {} on a copy, and the run holds the write lock for {}{cause}; \
                 services wait {}",
                seconds(step.elapsed),
                seconds(locked),
                seconds(limit)
            ),
            format!("{remedy}upgrade while the services are stopped, or let them wait longer"),
        )
    };
    slow.map(finding).collect()
}

/// Returns the start of the up script of a migration.
fn start_of_up_script(migration: Option<&Migration>) -> SourceLocation {
    let file = migration.map_or_else(String::new, |known| known.file(Direction::Up));
    SourceLocation::start_of(&file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use database::settings::DatabaseUrl;
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn m006_a_long_lock_is_found_on_a_copy() {
        let (folder, migrator) = database(SLOW).await;
        let before = fs::read(folder.path().join("microblog.db")).unwrap();

        let long = migrator.lock_time(Duration::from_hours(1)).await.unwrap();
        let short = migrator.lock_time(Duration::ZERO).await.unwrap();

        assert_eq!(long, []);
        assert_eq!(short.len(), 1);
        assert_eq!(short[0].code, LintCode::Slow);
        assert_eq!(short[0].file, "users/migrations/0002_more.up.sql");
        let after = fs::read(folder.path().join("microblog.db")).unwrap();
        assert_eq!(before, after);
        assert_eq!(files(&folder), ["microblog.db"]);
    }

    #[tokio::test]
    async fn m006_names_the_backup_if_the_scripts_are_fast() {
        for no_backup in [false, true] {
            let (_folder, migrator) = database(SLOW).await;
            let upgrade = Run {
                no_backup,
                ..Run::upgrade()
            };
            let mut report = migrator.run(upgrade).await.unwrap();
            report.locked = Duration::from_hours(2);

            let found = too_long(&report, &migrator.migrations, Duration::from_hours(1));

            let [finding] = found.as_slice() else {
                panic!("{found:?}");
            };
            assert_ne!(finding.message.contains("backup"), no_backup, "{finding}");
            assert_ne!(
                finding.remedy.contains("--no-backup"),
                no_backup,
                "{finding}"
            );
        }
    }

    #[tokio::test]
    async fn m006_a_copy_that_cannot_be_upgraded_is_removed() {
        for (up, error) in [
            ("insert into none values (1)", "no such table: none"),
            (
                "create table p (k); create table c (d references p (k))",
                "foreign key mismatch",
            ),
        ] {
            let mut wrong = SLOW;
            wrong[2].2 = up;
            let (folder, migrator) = database(wrong).await;

            let found = migrator.lock_time(Duration::ZERO).await.unwrap();

            assert_eq!(found[0].code, LintCode::Refused, "{found:?}");
            assert_eq!((found.len(), found[0].line), (1, 1));
            assert!(found[0].message.contains(error), "{found:?}");
            assert_eq!(files(&folder), ["microblog.db"]);
        }
    }

    /// Two migrations; the second one writes many rows.
    const SLOW: [(&str, &str, &str); 4] = [
        ("users", "0001_create.up.sql", "create table a (b)"),
        ("users", "0001_create.down.sql", "drop table a"),
        (
            "users",
            "0002_more.up.sql",
            "insert into a
             with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000)
             select i from n",
        ),
        ("users", "0002_more.down.sql", "delete from a"),
    ];

    /// Creates a database at version 1 of these migrations.
    async fn database(files: [(&str, &str, &str); 4]) -> (TempDir, Migrator) {
        let folder = TempDir::new().unwrap();
        let url = DatabaseUrl::from_path(folder.path().join("microblog.db"));
        let migrations = Migrations::from_files(files).unwrap();
        let migrator = Migrator::with_migrations(&url, Duration::from_secs(30), migrations);
        migrator.run(Run::upgrade_to(1)).await.unwrap();
        (folder, migrator)
    }

    fn files(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
