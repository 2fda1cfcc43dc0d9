//! The owners of a project: the directories that hold a `schema.sql`.

use std::{fs, os::unix::fs::symlink};

use super::{NOTES, Project, TAGS};

#[test]
fn two_directories_are_two_owners() {
    let project = Project::with(&[("notes/schema.sql", NOTES), ("tags/schema.sql", TAGS)]);

    let said = project.done(&["migrate", "first", "--apply"]);
    project.write("tags/migrations/0003_x.up.sql", "delete from notes;");
    project.write("tags/migrations/0003_x.down.sql", "-- @irreversible rows");
    let check = project.run(&["check"]);
    let upgrade = project.refused(&["upgrade"], 7);

    assert!(
        said.contains("as notes/migrations/0001_first.up.sql"),
        "{said}"
    );
    assert!(
        said.contains("as tags/migrations/0002_first.down.sql"),
        "{said}"
    );
    assert!(said.contains("Applied 0002 first (tags) in"), "{said}");
    assert_eq!(check.code, 5, "{check:?}");
    assert!(
        check
            .stdout
            .contains("tags/migrations/0003_x.up.sql:1:1: M003"),
        "{check:?}"
    );
    assert!(upgrade.contains("notes"), "{upgrade}");
}

#[test]
fn the_root_may_be_an_owner_beside_others() {
    let project = Project::with(&[("schema.sql", NOTES), ("sub/tags/schema.sql", TAGS)]);

    let said = project.done(&["migrate", "first", "--apply"]);

    assert!(said.contains("as migrations/0001_first.up.sql"), "{said}");
    assert!(
        said.contains("as sub/tags/migrations/0002_first.up.sql"),
        "{said}"
    );
    assert!(said.contains("Applied 0001 first in"), "{said}");
    assert!(said.contains("Applied 0002 first (sub/tags) in"), "{said}");
    project.done(&["check"]);
}

#[test]
fn an_owner_is_migrated_after_those_it_refers_to() {
    let tags = TAGS.replace(
        ") strict",
        ", note integer not null references notes (id) on delete restrict) strict",
    );
    let project = Project::with(&[("a/schema.sql", &tags), ("b/schema.sql", NOTES)]);

    let created = project.done(&["migrate", "first", "--apply"]);
    project.done(&["check"]);
    project.done(&["downgrade", "--to", "1"]);
    project.done(&["upgrade"]);
    project.write("a/schema.sql", "");
    project.write("b/schema.sql", "");
    let dropped = project.done(&["migrate", "drop", "--apply", "--allow-data-loss"]);

    assert!(
        created.contains("as b/migrations/0001_first.up.sql"),
        "{created}"
    );
    assert!(
        created.contains("as a/migrations/0002_first.up.sql"),
        "{created}"
    );
    assert!(
        dropped.contains("as a/migrations/0003_drop.up.sql"),
        "{dropped}"
    );
    assert!(
        dropped.contains("as b/migrations/0004_drop.up.sql"),
        "{dropped}"
    );
    assert_eq!(project.done(&["dump"]), "");
}

#[test]
fn build_output_dependencies_and_links_are_not_searched() {
    let project = Project::with(&[
        ("app/schema.sql", NOTES),
        (".hidden/schema.sql", "?"),
        ("target/package/schema.sql", "?"),
        ("web/node_modules/x/schema.sql", "?"),
        ("app/migrations/old/schema.sql", "?"),
    ]);
    // A loop, and a second path to the same owner.
    symlink(project.path(""), project.path("app/loop")).unwrap();
    symlink(project.path("app"), project.path("same")).unwrap();

    let said = project.done(&["migrate", "first"]);

    assert_eq!(said.matches("New migration").count(), 1, "{said}");
    assert!(
        said.contains("as app/migrations/0001_first.up.sql"),
        "{said}"
    );
}

#[test]
fn a_project_may_be_a_link_and_its_schema_too() {
    let project = Project::with(&[("shared.sql", NOTES)]);
    symlink("shared.sql", project.path("schema.sql")).unwrap();
    symlink(project.path(""), project.0.0.path().join("link")).unwrap();
    let run = |arguments: &[&str]| {
        let output = project
            .program(arguments)
            .args(["--project", "link"])
            .output();
        let run = crate::ProgramOutput::from(output.unwrap());
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout
    };

    let said = run(&["migrate", "first", "--apply"]);

    assert!(said.contains("Created link/data/app.db"), "{said}");
    assert_eq!(project.names("migrations").len(), 2);
}

#[test]
fn a_number_of_two_owners_is_refused_with_both_files() {
    let project = Project::with(&[("notes/schema.sql", NOTES), ("schema.sql", TAGS)]);
    for directory in ["migrations", "notes/migrations"] {
        project.write(&format!("{directory}/0001_x.up.sql"), "");
        project.write(&format!("{directory}/0001_x.down.sql"), "");
    }

    for command in ["upgrade", "status", "check", "release"] {
        let refused = project.refused(&[command], 6);

        assert!(
            refused.contains(
                "number 0001 is used by migrations/0001_x.up.sql and by \
                 notes/migrations/0001_x.up.sql"
            ),
            "{refused}"
        );
    }
    assert!(!fs::exists(project.path("data")).unwrap());
}

#[test]
fn a_table_that_two_owners_declare_is_refused() {
    let project = Project::with(&[("a/schema.sql", NOTES), ("b/schema.sql", NOTES)]);

    let refused = project.refused(&["migrate", "first"], 1);

    assert!(refused.contains("b/schema.sql:1:"), "{refused}");
    assert!(refused.contains("table notes already exists"), "{refused}");
}
