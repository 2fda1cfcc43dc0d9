//! What an operator sees: the commands, their last lines and their exit codes.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::Place;

#[test]
fn a_database_goes_from_nothing_to_the_newest_version_and_back() {
    let place = Place::new();

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
        let run = place.run(arguments);

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
    let place = Place::new();
    let path = place.0.path().join("a/b/microblog.db");
    let url = format!("sqlite:{}", path.display());

    let run = place.run(&["upgrade", "--database-url", &url]);

    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[0], format!("Created {}", path.display()));
    assert!(lines[1].starts_with("Applied 0001 ") && lines[2].starts_with("Applied 0002 "));
    assert_eq!(run.last_line(), "Current database version: 2");
    assert!(path.exists());
}

#[test]
fn a_new_database_is_its_owners_only() {
    let place = Place::new();

    place.run(&["create"]);

    let mode = fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}

#[tokio::test]
async fn a_new_database_has_a_write_ahead_log_and_says_whose_it_is() {
    let place = Place::new();

    place.run(&["create"]);

    assert_eq!(place.query("pragma journal_mode").await, ["wal"]);
    let id = place
        .query("select application_id || '' from pragma_application_id")
        .await;
    assert_eq!(id, [database::sqlite::APPLICATION_ID.to_string()]);
}

#[test]
fn no_log_is_left_beside_the_database() {
    let place = Place::new();

    place.run(&["upgrade"]);

    let mut files: Vec<_> = fs::read_dir(place.0.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["microblog.db"]);
}

#[test]
fn creating_a_database_again_changes_nothing() {
    let place = Place::new();
    place.run(&["upgrade"]);
    let before = fs::read(place.path()).unwrap();

    let run = place.run(&["create"]);

    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.starts_with("Nothing to do"), "{run:?}");
    assert_eq!(run.last_line(), "Current database version: 2");
    assert!(
        before == fs::read(place.path()).unwrap(),
        "the file was changed"
    );
}

#[test]
fn an_empty_file_is_created_into() {
    let place = Place::new();
    fs::write(place.path(), "").unwrap();

    let run = place.run(&["create"]);

    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.starts_with("Created"), "{run:?}");
    assert_eq!(
        place.run(&["status"]).last_line(),
        "Current database version: 0"
    );
}

#[test]
fn the_status_of_a_missing_database_says_how_to_create_it() {
    let place = Place::new();

    for make in [
        |_: &Place| (),
        |place: &Place| fs::write(place.path(), "").unwrap(),
    ] {
        make(&place);
        let run = place.run(&["status"]);

        assert_eq!(run.code, 75, "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        assert!(run.stderr.contains("`migrator create`"), "{run:?}");
    }
}

#[test]
fn a_status_creates_nothing() {
    let place = Place::new();

    place.run(&["status"]);

    assert!(!place.path().exists());
}

#[test]
fn a_missing_database_cannot_be_downgraded() {
    let place = Place::new();

    let run = place.run(&["downgrade"]);

    assert_eq!(run.code, 78, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(!place.path().exists());
}

#[test]
fn a_number_that_no_migration_has_is_refused_and_creates_nothing() {
    let place = Place::new();

    for command in ["upgrade", "downgrade"] {
        let run = place.run(&[command, "--to", "99"]);

        assert_eq!(run.code, 2, "{run:?}");
        assert_eq!(
            run.stderr,
            "error: there is no migration 99; there are 1, 2"
        );
        assert!(!place.path().exists());
    }
}

#[test]
fn an_upgrade_does_not_go_back_and_a_downgrade_does_not_go_forth() {
    let place = Place::new();
    place.run(&["upgrade", "--to", "2"]);

    let back = place.run(&["upgrade", "--to", "1"]);
    place.run(&["downgrade", "--to", "1"]);
    let forth = place.run(&["downgrade", "--to", "2"]);

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
    let place = Place::new();

    for arguments in [
        &["--help"][..],
        &["create", "--help"],
        &["upgrade", "--help"],
        &["downgrade", "--help"],
        &["status", "--help"],
    ] {
        let run = place.run(arguments);

        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.contains("Examples:\n  "), "{run:?}");
    }
}

#[test]
fn completions_need_no_project_and_no_database() {
    let place = Place::new();

    for (shell, expected) in [
        ("bash", "complete -F _migrator"),
        ("zsh", "#compdef migrator"),
        ("fish", "complete -c migrator"),
        ("elvish", "edit:completion:arg-completer[migrator]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let run = place.run(&["completions", shell]);

        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.contains(expected), "{run:?}");
        assert!(run.stdout.contains("--allow-data-loss"), "{run:?}");
    }
    assert!(!place.path().exists());
    let unknown = place.run(&["completions", "tcsh"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}
