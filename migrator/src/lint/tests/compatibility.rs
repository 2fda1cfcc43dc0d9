//! What the programs meet that run meanwhile: M005 and M006.

use std::time::Duration;

use database::settings::DatabaseUrl;
use tempfile::TempDir;

use super::{BACK, REBUILD, codes, found, lint, with};
use crate::{
    Migrator, Upgrade,
    commands::lock_time::measure,
    lint::{Code, Error},
    project::{Released, migrations::Migrations},
};

#[tokio::test]
async fn m005_the_release_before_runs_on() {
    let dropped = "create table a (b);\n-- @destroys column users.bio\nalter table users drop bio;";
    let needed = REBUILD
        .replace(
            "name text not null,",
            "name text not null, a text not null,",
        )
        .replace(
            "(id, name, bio) select id, name,",
            "(id, name, a, bio) select id, name, name,",
        );
    for (up, line, statement) in [
        (dropped, 3, "select name, bio from users"),
        (
            "alter table users rename name to nick",
            1,
            "insert into users",
        ),
        (&needed, 8, "insert into users (name)"),
    ] {
        let findings = found(up).await;

        let broken = findings.iter().filter(|f| f.code == Code::Release);
        let first = broken
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{findings:?}"));
        assert_eq!(first.line, line, "{findings:?}");
        assert!(first.message.contains(statement), "{first}");
        assert!(
            first.message.contains("users released at version 2"),
            "{first}"
        );
    }
    assert_eq!(codes(REBUILD).await, [], "it is there again in the end");
}

#[tokio::test]
async fn m005_what_did_not_work_in_its_own_release_cannot_break() {
    let up = "-- @destroys column users.bio\nalter table users drop bio;";
    let mut project = with("users", up, BACK);
    project.owners[0].released.statements = vec!["select bio, none from users".into()];
    let never = lint(&project).await.unwrap();
    project.owners[0].released = Released {
        version: 3,
        statements: vec!["select bio from users".into()],
    };
    let later = lint(&project).await.unwrap();

    assert_eq!((never, later), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn m006_a_run_that_holds_the_lock_for_too_long_is_found_on_a_copy() {
    let (folder, database) = database().await;
    let before = std::fs::read(&database).unwrap();
    let migrations = Migrations::from_files(SLOW).unwrap();

    let long = measure(&database, None, &migrations, Duration::from_secs(3600)).await;
    let short = measure(&database, None, &migrations, Duration::ZERO).await;

    let (long, short) = (long.unwrap(), short.unwrap());
    assert_eq!(long.findings, []);
    assert_eq!(long.scripts.len(), 1);
    assert_eq!(short.findings.len(), 1);
    assert_eq!(short.findings[0].code, Code::Slow);
    assert_eq!(short.findings[0].file, "users/migrations/0002_more.up.sql");
    assert_eq!(std::fs::read(&database).unwrap(), before);
    assert_eq!(files(&folder), ["microblog.db"]);
}

#[tokio::test]
async fn m006_the_copy_goes_though_a_script_fails_or_the_place_is_wrong() {
    let (folder, database) = database().await;
    let mut files_of = SLOW;
    files_of[2].2 = "insert into none values (1)";
    let migrations = Migrations::from_files(files_of).unwrap();
    let elsewhere = TempDir::new().unwrap();

    let refused = measure(
        &database,
        Some(elsewhere.path()),
        &migrations,
        Duration::ZERO,
    )
    .await;
    let nowhere = folder.path().join("none");
    let no_place = measure(&database, Some(&nowhere), &migrations, Duration::ZERO).await;

    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert!(matches!(no_place, Err(Error::Copy { .. })), "{no_place:?}");
    assert_eq!(files(&folder), ["microblog.db"]);
    assert_eq!(files(&elsewhere), Vec::<String>::new());
}

/// Two migrations, the second of which writes a lot.
const SLOW: [(&str, &str, &str); 4] = [
    ("users", "0001_create.up.sql", "create table a (b)"),
    ("users", "0001_create.down.sql", "drop table a"),
    (
        "users",
        "0002_more.up.sql",
        "insert into a
         with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000)
         select i from n",
    ),
    ("users", "0002_more.down.sql", "delete from a"),
];

/// A database at version 1.
async fn database() -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("microblog.db");
    let migrations = Migrations::from_files(SLOW).unwrap();
    let url = DatabaseUrl::from_path(&path);
    let migrator = Migrator::with_migrations(&url, Duration::from_secs(30), migrations);
    migrator.upgrade(Upgrade::to(1)).await.unwrap();
    (folder, path)
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
