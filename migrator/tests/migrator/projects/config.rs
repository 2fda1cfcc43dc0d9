//! The file `migrator.toml`.

use super::{NOTES, Project, TAGS};

#[test]
fn the_file_names_owners_database_and_application() {
    let project = Project::with(&[
        ("z/schema.sql", NOTES),
        ("a/schema.sql", TAGS),
        ("examples/schema.sql", "?"),
        (
            "migrator.toml",
            "owners = [\"z\", \"./a/\"]\ndatabase = \"sqlite:var/notes.db\"\n\
             application_id = \"NOTE\" # in ASCII\n",
        ),
    ]);

    let said = project.done(&["migrate", "first", "--apply"]);
    let empty = project.done(&["migrate", "fill", "--empty"]);

    assert!(said.contains("as z/migrations/0001_first.up.sql"), "{said}");
    assert!(said.contains("as a/migrations/0002_first.up.sql"), "{said}");
    assert!(said.contains("Created notes/var/notes.db"), "{said}");
    assert!(
        empty.contains("as z/migrations/0003_fill.up.sql"),
        "{empty}"
    );
    assert_eq!(header_id(&project, "var/notes.db"), *b"NOTE");
}

/// Returns the application id in the header of a database.
fn header_id(project: &Project, database: &str) -> [u8; 4] {
    let bytes = std::fs::read(project.path(database)).unwrap();
    bytes[68..72].try_into().unwrap()
}

#[test]
fn an_application_id_may_be_a_number() {
    let project = Project::with(&[
        ("schema.sql", NOTES),
        ("migrator.toml", "application_id = 0xDEAD_BEEF\n"),
    ]);

    project.done(&["create"]);

    assert_eq!(header_id(&project, "data/app.db"), [0xDE, 0xAD, 0xBE, 0xEF]);
    project.done(&["status"]);
}

#[test]
fn the_default_application_is_not_the_microblog() {
    let project = Project::with(&[("schema.sql", NOTES)]);

    project.done(&["create"]);

    assert_eq!(header_id(&project, "data/app.db"), *b"MGRT");
}

#[test]
fn a_flag_takes_precedence_over_the_variable_and_the_file() {
    let project = Project::with(&[
        ("schema.sql", NOTES),
        ("migrator.toml", "database = \"sqlite:file.db\""),
    ]);
    let created = |variable: Option<&str>, flag: Option<&str>| {
        let mut command = project.program(&["create", "--project", "notes"]);
        command.args(flag.map(|url| format!("--database-url={url}")));
        if let Some(variable) = variable {
            command.env("DATABASE_URL", variable);
        }
        let run = crate::ProgramOutput::from(command.output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout.lines().next().unwrap().to_owned()
    };

    // The default of the microblog is a value like any other.
    let flag = created(Some("sqlite:variable.db"), Some("sqlite:data/microblog.db"));
    let variable = created(Some("sqlite:variable.db"), None);
    let file = created(None, None);
    project.write("migrator.toml", "");
    let default = created(None, None);

    assert_eq!(flag, "Created data/microblog.db");
    assert_eq!(variable, "Created variable.db");
    assert_eq!(file, "Created notes/file.db");
    assert_eq!(default, "Created notes/data/app.db");
}

#[test]
fn the_project_may_come_from_the_environment() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    let run = |directory: &str, arguments: &[&str]| {
        let mut command = project.program(arguments);
        command.env("MIGRATOR_PROJECT", directory);
        crate::ProgramOutput::from(command.output().unwrap())
    };

    let migrate = run("notes", &["migrate", "first", "--apply"]);
    let flag = run("nowhere", &["status", "--project", "notes"]);
    let nowhere = run("nowhere", &["status"]);
    let empty = run("", &["status"]);

    assert!(
        migrate.stdout.contains("Created notes/data/app.db"),
        "{migrate:?}"
    );
    assert_eq!(flag.code, 0, "{flag:?}");
    nowhere.assert_refused(78);
    empty.assert_refused(78);
}

#[test]
fn an_invalid_file_is_refused_with_its_line() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    for (text, why) in [
        (
            "\ncolour = 1\n",
            "notes/migrator.toml:2:1: unknown field `colour`, expected one of",
        ),
        (
            "owners = [\"..\"]",
            "notes/migrator.toml:1:10: the owner `..` is not a directory",
        ),
        ("\n\ndatabase = 1", "notes/migrator.toml:3:12: invalid type"),
        (
            "application_id = \"NOTES\"",
            "notes/migrator.toml:1:18: an application id is",
        ),
        ("owners = [", "notes/migrator.toml:1:"),
    ] {
        project.write("migrator.toml", text);

        for command in [
            &["upgrade"][..],
            &["migrate", "x"],
            &["release"],
            &["check"],
        ] {
            let refused = project.refused(command, 78);
            assert!(refused.contains(why), "{refused}");
        }
        let object = project.run(&["status", "--json"]).object();
        assert_eq!(object["error"]["reason"], "INVALID_PROJECT", "{object}");
        assert_eq!(object["error"]["file"], "notes/migrator.toml", "{object}");
    }
    assert_eq!(project.names(""), ["migrator.toml", "schema.sql"]);
}

#[test]
fn a_named_owner_must_exist() {
    let project = Project::with(&[
        ("schema.sql", NOTES),
        ("migrator.toml", "owners = [\"app\"]"),
    ]);

    let missing = project.refused(&["status"], 78);
    project.write("app/notes.txt", "");
    let without_schema = project.refused(&["status"], 78);

    for refused in [missing, without_schema] {
        assert_eq!(
            refused,
            "error: notes/migrator.toml names the owner `app`, but notes/app/schema.sql does not \
             exist"
        );
    }
}
