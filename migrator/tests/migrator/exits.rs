//! The exit codes, and one line on stderr for each failure.

use std::fs;

use migrator::Run;

use crate::{ProgramOutput, TestDir, execute};

fn assert_exits(run: &ProgramOutput, code: i32, says: &str) {
    assert_eq!(run.code, code, "{says}: {run:?}");
    assert!(run.stderr.contains(says), "{says}: {run:?}");
    if code == 0 {
        assert_eq!(run.stderr, "");
    } else {
        assert_eq!(run.stdout, "", "{says}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        assert!(run.stderr.starts_with("error: "), "{run:?}");
    }
}

#[tokio::test]
async fn drift_exits_with_4_and_changes_nothing() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade_to(1)).await.unwrap();
    dir.execute("create table posts (id)").await;

    let run = dir.run(&["upgrade"]);

    assert_exits(&run, 4, "differs from that of version 1 in table posts");
    assert_exits(&dir.run(&["downgrade"]), 4, "`migrator diff` prints");
    assert_eq!(
        dir.query("select name from sqlite_schema where name = 'posts'")
            .await,
        ["posts"]
    );
}

#[test]
fn an_invalid_command_line_exits_with_2() {
    let dir = TestDir::new();
    dir.run(&["upgrade"]);

    for (arguments, says) in [
        (&["destroy"][..], "destroy"),
        (&["upgrade", "--never"], "--never"),
        (&["upgrade", "--to", "99"], "migration 99 does not exist"),
        (&["upgrade", "--to", "1"], "above 1"),
    ] {
        assert_exits(&dir.run(arguments), 2, says);
    }
}

#[tokio::test]
async fn a_contradicting_history_exits_with_6() {
    for (edit, says) in [
        (
            "update _sqlx_migrations set checksum = x'00'; delete from _migrator_tokens",
            "was changed after it was applied",
        ),
        (
            "update _sqlx_migrations set version = 99 where version = 2",
            "was upgraded by a newer migrator",
        ),
        (
            "delete from _sqlx_migrations where version = 1",
            "is pending, but the newer 0002 is applied",
        ),
        (
            "update _sqlx_migrations set success = 0 where version = 2",
            "was started by another tool and did not succeed",
        ),
    ] {
        let dir = TestDir::new();
        dir.migrator().run(Run::upgrade()).await.unwrap();
        dir.execute(edit).await;

        assert_exits(&dir.run(&["upgrade"]), 6, says);
    }
}

#[tokio::test]
async fn a_refused_run_exits_with_7() {
    let foreign = TestDir::new();
    foreign.execute("create table notes (id)").await;
    let full = TestDir::new();
    full.migrator().run(Run::upgrade()).await.unwrap();
    full.execute(
        "insert into post_requests (request_id, fingerprint, result, create_time)
         values (zeroblob(16), zeroblob(32), '', 1)",
    )
    .await;

    assert_exits(
        &foreign.run(&["upgrade"]),
        7,
        "is not a database of the microblog",
    );
    assert_exits(
        &full.run(&["downgrade"]),
        7,
        "would lose table post_requests (1 row)",
    );
}

#[test]
fn an_invalid_setting_exits_with_78() {
    let dir = TestDir::new();
    fs::create_dir(dir.path()).unwrap();
    let url = format!("postgres:{}", dir.path().display());

    assert_exits(&dir.run(&["upgrade"]), 78, "is not a file");
    assert_exits(
        &dir.run(&["upgrade", "--database-url", &url]),
        78,
        "--database-url",
    );
}

#[tokio::test]
async fn a_temporary_failure_exits_with_75() {
    let dir = TestDir::new();

    assert_exits(&dir.run(&["status"]), 75, "does not exist");

    dir.migrator().run(Run::upgrade_to(1)).await.unwrap();
    let mut writer = dir.connect().await;
    execute(&mut writer, "begin immediate").await;
    assert_exits(
        &dir.run(&["upgrade", "--lock-timeout", "0s"]),
        75,
        "was locked by another process",
    );
}

#[test]
fn a_successful_command_exits_with_0() {
    let dir = TestDir::new();

    for command in ["create", "upgrade", "status", "downgrade"] {
        assert_exits(&dir.run(&[command]), 0, "");
    }
}
