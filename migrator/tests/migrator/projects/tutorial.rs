//! A project of one directory, from its first migration to a restore, with every command.

use super::{NOTES, Project, TAGS};

/// Replaces durations, sizes and times, which differ in each run.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let is_measured = line.ends_with(" ms") || line.starts_with("Backed up");
        let words = line.split(' ').map(|word| {
            let digits = word.chars().filter(char::is_ascii_digit).count();
            match word {
                _ if digits >= 14 && word.contains("app-") => "BACKUP",
                _ if digits >= 14 => "TIME",
                _ if is_measured
                    && digits > 0
                    && digits == word.len()
                    && !word.starts_with("00") =>
                {
                    "N"
                }
                _ => word,
            }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Project {
    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        without_times(&self.done(arguments))
    }
}

#[test]
fn a_project_of_one_directory_is_migrated_and_restored() {
    let project = Project::with(&[("schema.sql", NOTES)]);

    assert_eq!(
        project.says(&["migrate", "first"]),
        "New migration saved as migrations/0001_first.up.sql
      and its down script as migrations/0001_first.down.sql"
    );
    assert_eq!(
        project.says(&["upgrade"]),
        "Created notes/data/app.db\nApplied 0001 first in N ms\nCurrent database version: 1"
    );
    project.execute("data/app.db", "insert into notes (body) values ('one')");
    project.write("schema.sql", &format!("{NOTES}{TAGS}"));
    assert!(
        project
            .run(&["check"])
            .stdout
            .contains("table tags is missing")
    );
    project.says(&["migrate", "second"]);
    assert_eq!(project.says(&["check"]).matches("ok    ").count(), 6);
    assert!(
        project
            .says(&["upgrade", "--dry-run"])
            .contains("create table tags"),
        "a dry run shows the statements"
    );
    assert_eq!(
        project.says(&["upgrade"]),
        "Backed up version 1, N bytes, to BACKUP
Applied 0002 second in N ms
Current database version: 2"
    );
    assert_eq!(project.says(&["wait"]), "Current database version: 2");
    assert!(
        project
            .says(&["downgrade"])
            .contains("Reverted 0002 second in N ms")
    );
    let backup = project.path("monday.db");
    let backup = backup.to_str().unwrap();
    project.says(&["backup", backup]);
    project.execute("data/app.db", "delete from notes");
    project.says(&["restore", backup]);
    assert!(
        project
            .refused(&["downgrade"], 7)
            .contains("would lose table notes (1 row)")
    );

    let status = project.says(&["status"]);
    assert!(
        status.starts_with("Database: notes/data/app.db\n"),
        "{status}"
    );
    assert!(
        status.contains("0001    first   .      applied"),
        "{status}"
    );
    assert!(
        status.contains("0002    second  .      pending"),
        "{status}"
    );
    assert_eq!(
        project.says(&["diff"]),
        "notes/data/app.db has the schema of version 1"
    );
    assert!(project.says(&["dump"]).starts_with("create table notes ("));
    assert_eq!(project.says(&["backups"]).matches("verified").count(), 3);
    assert!(project.says(&["create"]).starts_with("Nothing to do"));
}

#[test]
fn an_existing_database_is_baselined() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    let database = project.path("app.db");
    let url = format!("sqlite:{}", database.display());
    let url = ["--database-url", &url];
    let run = |arguments: &[&str]| project.done(&[arguments, &url].concat());
    super::sqlite(
        &database,
        &format!("{NOTES} insert into notes (body) values ('old')"),
    );
    run(&["migrate", "first"]);

    let refused = project.refused(&[&["upgrade"][..], &url].concat(), 7);
    let baselined = run(&["baseline", "1"]);
    project.write("schema.sql", &format!("{NOTES}{TAGS}"));
    run(&["migrate", "second", "--apply"]);

    assert!(
        refused.contains("`migrator baseline` records one"),
        "{refused}"
    );
    assert_eq!(
        baselined,
        "Baselined 0001 first\nCurrent database version: 1"
    );
    assert!(run(&["status"]).ends_with("Current database version: 2"));
    let lost = project.refused(&[&["downgrade", "--to", "0"][..], &url].concat(), 7);
    assert!(lost.contains("table notes (1 row)"), "{lost}");
}

#[test]
fn an_empty_migration_belongs_to_the_only_owner() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    project.done(&["migrate", "first"]);

    let said = project.done(&["migrate", "fill it", "--empty"]);
    let same = project.done(&["migrate", "more", "--empty", "--owner", "."]);
    let unknown = project.refused(&["migrate", "x", "--empty", "--owner", "zoo"], 2);

    assert!(said.contains("as migrations/0002_fill_it.up.sql"), "{said}");
    assert!(same.contains("as migrations/0003_more.up.sql"), "{same}");
    assert!(unknown.contains("unknown owner zoo; name ."), "{unknown}");
    assert_eq!(project.names("migrations").len(), 6);
}

#[test]
fn migrate_and_release_use_the_working_directory_by_default() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    let run = |arguments: &[&str]| {
        let mut command = project.program(arguments);
        command.current_dir(project.path(""));
        let run = crate::ProgramOutput::from(command.output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout
    };

    let applied = run(&["migrate", "first", "--apply"]);
    let released = run(&["release"]);

    assert!(applied.contains("Created data/app.db\n"), "{applied}");
    assert_eq!(
        released,
        "Recorded the statements of version 1 in released.json"
    );
}

#[test]
fn a_migration_that_is_checked_but_not_written_creates_no_directory() {
    let project = Project::with(&[("schema.sql", NOTES)]);

    let missing = project.run(&["migrate", "--check"]);

    assert_eq!(missing.code, 3, "{missing:?}");
    assert_eq!(project.names(""), ["schema.sql"]);
}

#[test]
fn a_backup_schedule_waits_for_the_database_of_the_project() {
    let project = Project::with(&[("schema.sql", NOTES)]);
    project.done(&["migrate", "first", "--apply"]);
    let mut schedule = project.program(&["backup", "--every", "1h", "--project", "notes"]);

    let mut schedule = schedule.spawn().unwrap();
    let mut line = String::new();
    let stdout = schedule.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    schedule.kill().unwrap();
    schedule.wait().unwrap();

    assert!(line.contains("to notes/data/backups/app-"), "{line}");
}
