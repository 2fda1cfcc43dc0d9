//! Concurrent migrators, and migrators beside a writer.

use std::{process::Child, time::Duration};

use database::settings::DatabaseUrl;
use migrator::{DatabaseError, Error, Migrator, Project, Run};

use crate::{ProgramOutput, TestDir, execute};

/// The number of concurrent migrators, as in the restart of a scaled deployment.
const MIGRATORS: usize = 8;

/// The number of repetitions, for rare races.
const ROUNDS: usize = 50;

/// Starts all commands, then waits for all.
fn run_concurrently(dir: &TestDir, commands: [&str; MIGRATORS]) -> Vec<ProgramOutput> {
    let children: Vec<Child> = commands
        .iter()
        .map(|command| dir.program(&[command]).spawn().unwrap())
        .collect();
    children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().into())
        .collect()
}

fn count(runs: &[ProgramOutput], text: &str) -> usize {
    runs.iter()
        .map(|run| run.stdout.matches(text).count())
        .sum()
}

async fn assert_sound(dir: &TestDir) {
    assert_eq!(dir.query("pragma integrity_check").await, ["ok"]);
    assert!(dir.query("pragma foreign_key_check").await.is_empty());
    assert_eq!(dir.query("pragma journal_mode").await, ["wal"]);
}

#[tokio::test]
async fn concurrent_upgrades_apply_each_migration_once() {
    for _ in 0..ROUNDS {
        let dir = TestDir::new();

        let runs = run_concurrently(&dir, ["upgrade"; MIGRATORS]);

        for run in &runs {
            assert_eq!(run.code, 0, "{run:?}");
            assert_eq!(run.last_line(), "Current database version: 2");
        }
        for text in ["Created", "Applied 0001", "Applied 0002"] {
            assert_eq!(count(&runs, text), 1, "{text}: {runs:?}");
        }
        assert_sound(&dir).await;
    }
}

#[tokio::test]
async fn concurrent_creates_upgrades_and_reads_succeed() {
    for _ in 0..ROUNDS {
        let dir = TestDir::new();
        let commands = [
            "create", "upgrade", "create", "upgrade", "create", "upgrade", "create", "upgrade",
        ];

        let runs = run_concurrently(&dir, commands);

        assert!(runs.iter().all(|run| run.code == 0), "{runs:?}");
        assert_eq!(count(&runs, "Created"), 1, "{runs:?}");

        let commands = [
            "status",
            "downgrade",
            "status",
            "upgrade",
            "status",
            "upgrade",
            "status",
            "create",
        ];
        let runs = run_concurrently(&dir, commands);

        assert!(runs.iter().all(|run| run.code == 0), "{runs:?}");
        assert_sound(&dir).await;
    }
}

#[tokio::test]
async fn a_lock_that_is_never_released_exits_with_75() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade_to(1)).await.unwrap();
    let mut writer = dir.connect().await;
    execute(&mut writer, "begin immediate").await;

    let run = dir.run(&["upgrade", "--lock-timeout", "200ms"]);

    assert_eq!(run.code, 75, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(
        run.stderr
            .contains("was locked by another process for 200ms"),
        "{run:?}"
    );
}

#[tokio::test]
async fn a_lock_does_not_block_reads() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let mut writer = dir.connect().await;
    execute(&mut writer, "begin immediate").await;

    for command in ["status", "create"] {
        let run = dir.run(&[command, "--lock-timeout", "0s"]);

        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(run.last_line(), "Current database version: 2");
    }
}

#[tokio::test]
async fn a_run_waits_for_a_lock() {
    let dir = TestDir::new();
    let migrator = dir.migrator();
    migrator.create().await.unwrap();
    let mut writer = dir.connect().await;
    execute(&mut writer, "begin immediate").await;

    let mut upgrade = Box::pin(migrator.run(Run::upgrade()));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut upgrade).await;
    execute(&mut writer, "commit").await;
    let report = upgrade.await.unwrap();

    assert!(early.is_err(), "it did not wait");
    assert_eq!(report.version, 2);
}

#[tokio::test]
async fn a_run_waits_for_a_lock_before_wal_is_enabled() {
    let dir = TestDir::new();
    let mut writer = dir.connect().await;
    execute(&mut writer, "begin exclusive").await;
    let url = DatabaseUrl::from_path(dir.path());
    let short = Duration::from_millis(100);
    let migrator = Migrator::with_migrations(
        &url,
        short,
        Project::embedded().unwrap().migrations().unwrap(),
    );

    let locked = migrator.create().await.unwrap_err();
    execute(&mut writer, "rollback").await;
    let report = migrator.create().await.unwrap();

    assert!(
        matches!(locked.cause(), Error::Database(DatabaseError::Locked(limit)) if *limit == short),
        "{locked}"
    );
    assert!(report.created);
}
