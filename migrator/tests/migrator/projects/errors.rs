//! Projects that cannot be read: one line, an exit code, and no file is made.

use std::{fs, os::unix::fs::symlink};

use rustix::fs::{CWD, FileType, Mode};

use super::{NOTES, Project};

/// The commands that read a project, each with its arguments.
const COMMANDS: [&[&str]; 6] = [
    &["create"],
    &["upgrade"],
    &["status"],
    &["check"],
    &["migrate", "x"],
    &["release"],
];

/// Asserts that each command refuses the project with this text, and makes no file.
#[track_caller]
fn assert_unreadable(project: &Project, text: &str) {
    let before = project.names("");
    for command in COMMANDS {
        let refused = project.refused(command, 78);

        assert!(refused.contains(text), "{command:?}: {refused}");
    }
    let object = project.run(&["status", "--json"]).object();
    assert_eq!(object["error"]["reason"], "INVALID_PROJECT", "{object}");
    assert_eq!(project.names(""), before);
}

#[test]
fn a_project_without_a_schema_is_refused() {
    let project = Project::with(&[("readme.txt", ""), ("target/schema.sql", NOTES)]);

    assert_unreadable(&project, "no directory of notes holds a schema.sql");
}

#[test]
fn a_missing_project_or_a_file_is_refused() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    for (directory, why) in [
        ("nowhere", "nowhere"),
        ("notes/schema.sql", "notes/schema.sql"),
    ] {
        let output = project
            .program(&["status", "--project", directory])
            .output();

        let run = crate::ProgramOutput::from(output.unwrap());
        run.assert_refused(78);
        assert!(run.stderr.contains(why), "{run:?}");
    }
}

#[test]
fn a_schema_that_is_no_regular_file_is_refused() {
    let project = Project::with(&[("app/notes.txt", "")]);
    let schema = project.path("app/schema.sql");
    let text = "notes/app/schema.sql cannot be read";

    fs::create_dir(&schema).unwrap();
    assert_unreadable(&project, text);
    fs::remove_dir(&schema).unwrap();

    rustix::fs::mknodat(CWD, &schema, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert_unreadable(&project, text);
    fs::remove_file(&schema).unwrap();

    for target in ["/dev/zero", "schema.sql", "/nowhere"] {
        symlink(target, &schema).unwrap();
        assert_unreadable(&project, text);
        fs::remove_file(&schema).unwrap();
    }

    fs::write(&schema, b"-- \xFF").unwrap();
    assert_unreadable(&project, text);
}

#[test]
fn other_files_of_the_wrong_kind_are_refused() {
    for (file, text) in [
        ("migrator.toml", "notes/migrator.toml cannot be read"),
        ("released.json", "notes/released.json cannot be read"),
        (
            "migrations/0001_x.up.sql",
            "notes/migrations/0001_x.up.sql cannot be read",
        ),
        (
            ".sqlx/query-1.json",
            "notes/.sqlx/query-1.json cannot be read",
        ),
    ] {
        let project = Project::with(&[("schema.sql", NOTES)]);
        fs::create_dir_all(project.path(file)).unwrap();

        for command in ["status", "upgrade"] {
            let refused = project.refused(&[command], 78);

            assert!(refused.contains(text), "{refused}");
        }
        assert!(!project.path("data").exists());
    }
}

#[test]
fn a_file_instead_of_the_migrations_is_refused() {
    let project = Project::with(&[("schema.sql", NOTES), ("migrations", "")]);

    assert_unreadable(&project, "notes/migrations cannot be read");
}

#[test]
fn an_unreadable_file_or_directory_is_refused() {
    if rustix::process::geteuid().is_root() {
        println!("root reads every file");
        return;
    }
    let project = Project::with(&[("schema.sql", NOTES), ("other/x", "")]);
    let forbid = |path: &str, mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(project.path(path), mode).unwrap();
    };

    forbid("other", 0o000);
    assert_unreadable(&project, "notes/other cannot be read");
    forbid("other", 0o700);
    forbid("schema.sql", 0o000);
    assert_unreadable(&project, "notes/schema.sql cannot be read");
}

#[test]
fn a_directory_that_changes_while_it_is_searched_is_no_error() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    let done = std::sync::atomic::AtomicBool::new(false);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for number in 0..50 {
                    let directory = project.path(&format!("cache/{number}"));
                    fs::create_dir_all(directory).unwrap();
                }
                fs::remove_dir_all(project.path("cache")).unwrap();
            }
        });
        let runs: Vec<_> = (0..20)
            .map(|_| project.run(&["wait", "--version", "0", "--timeout", "0s"]))
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);

        for run in runs {
            // The database does not exist, and the project was read.
            assert_eq!(run.code, 75, "{run:?}");
        }
    });
}
