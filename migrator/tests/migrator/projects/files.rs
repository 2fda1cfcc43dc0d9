//! The optional files of a project, and files of other tools beside them.

use super::{NOTES, Project, TAGS};

#[test]
fn other_files_beside_the_migrations_are_ignored() {
    let project = Project::with(&[
        ("schema.sql", NOTES),
        ("schema.postgres.sql", "create table notes (id bigserial)"),
        ("migrations/README.md", "# Notes"),
        ("migrations/.gitkeep", ""),
        ("migrations/0001_first.up.postgres.sql", "?"),
        ("migrations/0001_first.postgres.down.sql", "?"),
        ("migrations/0009_later.up.sql~", "?"),
        ("migrations/postgres/0001_first.up.sql", "?"),
    ]);

    let said = project.done(&["migrate", "first", "--apply"]);
    let again = project.done(&["migrate", "again"]);

    assert!(said.contains("as migrations/0001_first.up.sql"), "{said}");
    assert!(again.starts_with("Nothing to do"), "{again}");
    project.done(&["check"]);
}

#[test]
fn a_misnamed_migration_is_refused() {
    let project = Project::with(&[("schema.sql", NOTES), ("migrations/first.up.sql", "")]);

    for command in ["upgrade", "check"] {
        let refused = project.refused(&[command], 6);

        assert!(
            refused.contains("migrations/first.up.sql is not a text file named like 0001_"),
            "{refused}"
        );
    }
}

#[test]
fn recorded_statements_are_checked_if_there_are_any() {
    let project = Project::with(&[("schema.sql", &format!("{NOTES}{TAGS}"))]);
    project.done(&["migrate", "first"]);
    let query =
        |engine: &str, query: &str| format!(r#"{{"db_name": "{engine}", "query": "{query}"}}"#);
    project.write(
        ".sqlx/query-1.json",
        &query("SQLite", "select name from tags"),
    );
    project.write(".sqlx/query-2.json", &query("PostgreSQL", "select now()"));
    project.write(".sqlx/README", "?");

    project.done(&["check"]);
    project.done(&["release"]);
    project.write("schema.sql", NOTES);
    project.done(&["migrate", "drop", "--allow-data-loss"]);
    let broken = project.run(&["check"]);

    let released = project.read("released.json");
    assert!(released.contains("select name from tags"), "{released}");
    assert!(!released.contains("now()"), "{released}");
    assert_eq!(broken.code, 5, "{broken:?}");
    assert!(broken.stdout.contains("M005"), "{broken:?}");
    assert!(
        broken
            .stdout
            .contains(".sqlx/query-1.json: no such table: tags"),
        "{broken:?}"
    );
}

#[test]
fn a_release_without_recorded_statements_is_empty() {
    let project = Project::with(&[("a/schema.sql", NOTES), ("b/schema.sql", TAGS)]);
    project.done(&["migrate", "first"]);

    let said = project.done(&["release"]);
    project.done(&["check"]);

    assert_eq!(
        said,
        "Recorded the statements of version 2 in notes/a/released.json
Recorded the statements of version 2 in notes/b/released.json"
    );
}
