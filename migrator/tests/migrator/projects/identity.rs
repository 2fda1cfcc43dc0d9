//! A database belongs to one application: neither the microblog nor another project touches it.

use std::fs;

use super::{NOTES, Project, TAGS};

#[test]
fn the_microblog_refuses_the_database_of_a_project() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    project.done(&["migrate", "first", "--apply"]);
    project.done(&["backup", "monday.db"]);
    let database = project.path("data/app.db");
    let before = fs::read(&database).unwrap();
    let microblog = |arguments: &[&str]| {
        let mut command = project.program(arguments);
        command.env("DATABASE_URL", format!("sqlite:{}", database.display()));
        crate::ProgramOutput::from(command.output().unwrap())
    };

    for (command, code) in [
        (&["upgrade"][..], 7),
        (&["downgrade"], 7),
        (&["status"], 7),
        (&["baseline", "1"], 7),
        (&["diff"], 7),
        (&["dump"], 7),
        (&["wait"], 7),
        (&["create"], 7),
        (&["backup"], 7),
        (&["restore", "monday.db"], 9),
    ] {
        let run = microblog(command);
        run.assert_refused(code);
        assert!(run.stderr.contains("of the microblog: "), "{run:?}");
        assert!(
            run.stderr.contains("application id is 0x4d475254"),
            "{run:?}"
        );
    }
    assert_eq!(fs::read(&database).unwrap(), before);
}

#[test]
fn a_project_refuses_the_database_of_the_microblog() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    project.done(&["migrate", "first"]);
    let microblog = crate::ProgramOutput::from(project.program(&["upgrade"]).output().unwrap());
    let path = project.0.0.path().join("data/microblog.db");
    let before = fs::read(&path).unwrap();
    let backup =
        crate::ProgramOutput::from(project.program(&["backup", "blog.db"]).output().unwrap());

    for (command, code) in [
        (&["upgrade"][..], 7),
        (&["status"], 7),
        (&["baseline", "1"], 7),
        (&["backup"], 7),
    ] {
        let arguments = [command, &["--database-url", "sqlite:data/microblog.db"]].concat();
        let refused = project.refused(&arguments, code);
        assert!(
            refused.contains(
                "data/microblog.db is not a database of this project: its application id is \
                 0x4d424c47"
            ),
            "{refused}"
        );
    }
    let restore = project.refused(&["restore", "blog.db"], 9);
    assert!(
        restore.contains("blog.db is not a backup of this project"),
        "{restore}"
    );
    assert_eq!((microblog.code, backup.code), (0, 0));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused_as_that_of_no_project() {
    let project = Project::with(&[
        ("schema.sql", NOTES),
        ("data/app.db", &"text ".repeat(1000)),
    ]);
    project.done(&["migrate", "first"]);

    for command in [&["upgrade"][..], &["status"], &["backup"]] {
        let refused = project.refused(command, 7);
        assert!(
            refused.contains("is not a database of this project"),
            "{refused}"
        );
    }
}

#[test]
fn two_projects_with_ids_of_their_own_refuse_each_other() {
    let project = Project::with(&[
        ("schema.sql", NOTES),
        ("migrator.toml", "application_id = 1"),
    ]);
    project.done(&["migrate", "first", "--apply"]);

    project.write("migrator.toml", "application_id = 2");
    let refused = project.refused(&["upgrade"], 7);

    assert!(
        refused.contains("application id is 0x00000001"),
        "{refused}"
    );
}

#[test]
fn a_history_of_another_project_is_refused() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    project.done(&["migrate", "first", "--apply"]);
    let other = Project::with(&[("schema.sql", TAGS)]);
    other.done(&["migrate", "first"]);
    let url = format!("sqlite:{}", project.path("data/app.db").display());

    let refused = other.refused(&["upgrade", "--database-url", &url], 6);

    assert!(refused.contains("0001"), "{refused}");
}

#[test]
fn an_id_that_the_application_set_itself_can_be_named() {
    let project = Project::with(&[
        ("schema.sql", NOTES),
        ("migrator.toml", "application_id = \"NOTE\""),
    ]);
    fs::create_dir(project.path("data")).unwrap();
    project.execute(
        "data/app.db",
        &format!("pragma application_id = 0x4E4F5445; {NOTES}"),
    );
    project.done(&["migrate", "first"]);

    project.done(&["baseline", "1"]);

    assert!(project.done(&["upgrade"]).starts_with("Nothing to do"));
}

#[test]
fn a_source_tree_of_the_microblog_is_the_microblog() {
    for further in ["user-service/more/schema.sql", "schema.sql"] {
        let project = Project::with(&[
            ("user-service/schema.sql", TAGS),
            ("post-service/schema.sql", NOTES),
            (further, ""),
        ]);

        let said = project.done(&["migrate", "first", "--apply"]);

        let output = project.program(&["status"]).output().unwrap();
        let run = crate::ProgramOutput::from(output);
        assert!(said.starts_with("New migration saved as user-service/migrations/0001"));
        assert!(said.contains("Created data/microblog.db"), "{said}");
        // The compiled-in migrations are others, but of the same application.
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.contains("changed"), "{run:?}");
    }
}
