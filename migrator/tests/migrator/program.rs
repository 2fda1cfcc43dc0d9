//! The commands: last lines, exit codes and files.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::TestDir;

#[test]
fn a_database_is_upgraded_and_downgraded_again() {
    let dir = TestDir::new();

    for (arguments, says, version) in [
        (&["create"][..], &["Created"][..], 0),
        (&["status"], &["0001    create_users", "pending"], 0),
        (
            &["upgrade", "--to", "1"],
            &["Applied 0001 create_users (user-service) in "],
            1,
        ),
        (
            &["status"],
            &["user-service  applied", "post-service  pending"],
            1,
        ),
        (
            &["upgrade"],
            &["Applied 0002 create_posts (post-service) in "],
            2,
        ),
        (&["upgrade"], &["Nothing to do"], 2),
        (
            &["downgrade"],
            &["Reverted 0002 create_posts (post-service) in "],
            1,
        ),
        (&["upgrade", "--to", "2"], &["Applied 0002"], 2),
        (
            &["downgrade", "--to", "0"],
            &["Reverted 0002", "Reverted 0001"],
            0,
        ),
        (&["downgrade"], &["Nothing to do"], 0),
        (&["downgrade", "--to", "0"], &["Nothing to do"], 0),
    ] {
        let run = dir.run(arguments);

        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        for text in says {
            assert!(run.stdout.contains(text), "{arguments:?}: {run:?}");
        }
        assert_eq!(
            run.last_line(),
            format!("Current database version: {version}")
        );
        assert_eq!(run.stderr, "", "{arguments:?}");
    }
}

#[test]
fn an_upgrade_creates_a_missing_database_and_its_folder() {
    let dir = TestDir::new();
    let path = dir.0.path().join("a/b/microblog.db");
    let url = format!("sqlite:{}", path.display());

    let run = dir.run(&["upgrade", "--database-url", &url]);

    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[0], format!("Created {}", path.display()));
    assert!(lines[1].starts_with("Applied 0001 ") && lines[2].starts_with("Applied 0002 "));
    assert_eq!(run.last_line(), "Current database version: 2");
    assert!(path.exists());
}

#[test]
fn a_new_database_is_accessible_to_its_owner_only() {
    let dir = TestDir::new();

    dir.run(&["create"]);

    let mode = fs::metadata(dir.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}

#[tokio::test]
async fn a_new_database_has_wal_and_an_application_id() {
    let dir = TestDir::new();

    dir.run(&["create"]);

    assert_eq!(dir.query("pragma journal_mode").await, ["wal"]);
    let id = dir
        .query("select application_id || '' from pragma_application_id")
        .await;
    assert_eq!(id, [database::sqlite::APPLICATION_ID.to_string()]);
}

#[test]
fn no_wal_file_is_left_beside_the_database() {
    let dir = TestDir::new();

    dir.run(&["upgrade"]);

    let mut files: Vec<_> = fs::read_dir(dir.0.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["microblog.db"]);
}

#[test]
fn a_second_create_changes_nothing() {
    let dir = TestDir::new();
    dir.run(&["upgrade"]);
    let before = fs::read(dir.path()).unwrap();

    let run = dir.run(&["create"]);

    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.starts_with("Nothing to do"), "{run:?}");
    assert_eq!(run.last_line(), "Current database version: 2");
    assert!(
        before == fs::read(dir.path()).unwrap(),
        "the file was changed"
    );
}

#[test]
fn create_accepts_an_empty_file() {
    let dir = TestDir::new();
    fs::write(dir.path(), "").unwrap();

    let run = dir.run(&["create"]);

    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.starts_with("Created"), "{run:?}");
    assert_eq!(
        dir.run(&["status"]).last_line(),
        "Current database version: 0"
    );
}

#[test]
fn status_of_a_missing_database_names_create() {
    let dir = TestDir::new();

    for make in [
        |_: &TestDir| (),
        |dir: &TestDir| fs::write(dir.path(), "").unwrap(),
    ] {
        make(&dir);
        let run = dir.run(&["status"]);

        assert_eq!(run.code, 75, "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        assert!(run.stderr.contains("`migrator create`"), "{run:?}");
    }
}

#[test]
fn status_creates_nothing() {
    let dir = TestDir::new();

    dir.run(&["status"]);

    assert!(!dir.path().exists());
}

#[test]
fn a_missing_database_cannot_be_downgraded() {
    let dir = TestDir::new();

    let run = dir.run(&["downgrade"]);

    assert_eq!(run.code, 78, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(!dir.path().exists());
}

#[test]
fn an_unknown_version_is_refused_and_creates_nothing() {
    let dir = TestDir::new();

    for command in ["upgrade", "downgrade"] {
        let run = dir.run(&[command, "--to", "99"]);

        assert_eq!(run.code, 2, "{run:?}");
        assert_eq!(
            run.stderr,
            "error: migration 99 does not exist; the known ones are 1, 2"
        );
        assert!(!dir.path().exists());
    }
}

#[test]
fn a_target_in_the_other_direction_is_refused() {
    let dir = TestDir::new();
    dir.run(&["upgrade", "--to", "2"]);

    let back = dir.run(&["upgrade", "--to", "1"]);
    dir.run(&["downgrade", "--to", "1"]);
    let forth = dir.run(&["downgrade", "--to", "2"]);

    assert_eq!((back.code, forth.code), (2, 2));
    assert!(
        back.stderr.contains("`migrator downgrade --to 1`"),
        "{back:?}"
    );
    assert!(
        forth.stderr.contains("`migrator upgrade --to 2`"),
        "{forth:?}"
    );
}

#[test]
fn every_command_has_help_with_examples() {
    let dir = TestDir::new();

    for arguments in [
        &["--help"][..],
        &["create", "--help"],
        &["upgrade", "--help"],
        &["downgrade", "--help"],
        &["status", "--help"],
    ] {
        let run = dir.run(arguments);

        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.contains("Examples:\n  "), "{run:?}");
    }
}

#[test]
fn completions_need_no_project_and_no_database() {
    let dir = TestDir::new();

    for (shell, expected) in [
        ("bash", "complete -F _migrator"),
        ("zsh", "#compdef migrator"),
        ("fish", "complete -c migrator"),
        ("elvish", "edit:completion:arg-completer[migrator]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let run = dir.run(&["completions", shell]);

        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.contains(expected), "{shell}");
        assert!(run.stdout.contains("allow-data-loss"), "{shell}");
    }
    assert!(!dir.path().exists());
    let unknown = dir.run(&["completions", "tcsh"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}
