//! The commands `backup`, `backups` and `restore`, and the automatic backups of runs.

use std::fs;

use super::Tree;
use crate::ProgramOutput;

const BIO: &str = "bio text not null default ''";

/// Creates a database with rows, and with one pending migration.
async fn behind() -> Tree {
    let tree = Tree::upgraded();
    tree.add_rows(5).await;
    tree.declare_column(BIO);
    tree.done(&["migrate", "add bio"]);
    tree
}

#[tokio::test]
async fn a_run_makes_a_backup_that_restore_brings_back() {
    let tree = behind().await;
    let before = tree.done(&["dump"]);

    let upgraded = tree.done(&["upgrade"]);
    let after = tree.done(&["dump"]);
    let backup = tree.newest_backup();
    tree.dir.execute("delete from posts").await;
    let restored = tree.done(&["restore", backup.to_str().unwrap()]);

    let first = upgraded.lines().next().unwrap();
    assert!(first.starts_with("Backed up version 2, "), "{upgraded}");
    assert!(
        first.ends_with(&format!("to {}", backup.display())),
        "{upgraded}"
    );
    assert_ne!(after, before);
    let lines: Vec<_> = restored.lines().collect();
    assert!(lines[0].starts_with("Backed up version 3, "), "{restored}");
    assert!(lines[1].starts_with("Restored "), "{restored}");
    assert_eq!(lines[2..], ["Current database version: 2"]);
    assert_eq!(tree.done(&["dump"]), before);
    assert_eq!(tree.counts().await, "5 5");
    tree.done(&["upgrade"]);
    assert_eq!(tree.done(&["dump"]), after);
}

#[tokio::test]
async fn path_in_a_setting_file_is_never_printed() {
    let tree = Tree::new();
    let folder = tree.dir.0.path().join("secret");
    let setting = tree.dir.0.path().join("url");
    let [database, missing] =
        ["blog.db", "backups/missing.db"].map(|name| folder.join(name).display().to_string());
    fs::create_dir(&folder).unwrap();

    for url in [
        format!("sqlite:{database}"),
        "sqlite:secret/blog.db".to_owned(),
    ] {
        fs::write(&setting, url).unwrap();
        for arguments in [
            &["upgrade"][..],
            &["downgrade", "--to", "1"],
            &["backup"],
            &["backups"],
            &["backup", &database],
            &["restore", &missing],
            &["status"],
        ] {
            for json in [&[][..], &["--json"]] {
                let mut program = tree.program(&[arguments, json].concat());
                program
                    .current_dir(tree.dir.0.path())
                    .env_remove("DATABASE_URL")
                    .env("DATABASE_URL_FILE", &setting)
                    .env("RUST_LOG", "debug");
                let run = ProgramOutput::from(program.output().unwrap());

                let printed = format!("{}\n{}", run.stdout, run.stderr);
                assert!(!printed.contains("secret"), "{arguments:?}: {printed}");
                if arguments == ["backup"] {
                    let shown = "[DATABASE_URL_FILE]/../backups/blog-";
                    assert!(printed.contains(shown), "{printed}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_run_without_changes_or_rejected_makes_no_backup() {
    let tree = Tree::upgraded();
    tree.add_rows(1).await;

    tree.done(&["upgrade"]);
    tree.refused(&["downgrade"], 7);
    tree.refused(&["upgrade", "--to", "1"], 2);

    assert_eq!(tree.backups(), [""; 0]);
}

#[tokio::test]
async fn no_backup_creates_no_directory() {
    let tree = behind().await;

    let said = tree.done(&["upgrade", "--no-backup"]);
    tree.done(&["downgrade", "--no-backup"]);

    assert!(said.starts_with("Applied 0003"), "{said}");
    assert!(!tree.dir.0.path().join("backups").exists());
}

#[tokio::test]
async fn a_dry_run_reports_everything_and_changes_no_byte() {
    let tree = behind().await;
    let bytes = || fs::read(tree.dir.path()).unwrap();
    let before = bytes();

    let up = tree.done(&["upgrade", "--dry-run"]);
    let after_up = bytes();
    let back = tree.done(&["downgrade", "--dry-run", "--allow-data-loss"]);
    let after_back = bytes();
    tree.refused(&["downgrade", "--dry-run"], 7);

    assert!(before == after_up && before == after_back, "it was changed");
    let lines: Vec<_> = up.lines().collect();
    assert!(lines[0].starts_with("Dry run: "), "{up}");
    assert!(
        lines[1].starts_with("Applied 0003 add_bio (user-service) in "),
        "{up}"
    );
    assert!(up.contains("alter table users add column bio"), "{up}");
    assert!(up.contains("    -- 0 rows, "), "{up}");
    assert!(
        up.ends_with("The database would be at version 3\nCurrent database version: 2"),
        "{up}"
    );
    assert!(back.contains("Lost table posts (5 rows)"), "{back}");
    assert!(back.ends_with("Current database version: 2"), "{back}");
    assert!(!tree.dir.0.path().join("backups").exists());
}

#[test]
fn a_dry_run_creates_no_database() {
    let tree = Tree::new();

    let said = tree.done(&["upgrade", "--dry-run"]);

    assert!(said.contains("Applied 0002 create_posts"), "{said}");
    assert!(!tree.dir.path().exists());
}

#[tokio::test]
async fn backups_are_listed_and_the_newest_are_kept() {
    let tree = Tree::upgraded();
    tree.add_rows(2).await;

    let none = tree.done(&["backups"]);
    for _ in 0..4 {
        tree.done(&["backup", "--keep", "3"]);
    }
    let listed = tree.done(&["backups"]);
    let object = tree.json(&["backups"], 0);
    for _ in 0..3 {
        tree.done(&["backup"]);
    }

    let folder = tree.dir.0.path().join("backups");
    assert_eq!(none, format!("No backups in {}", folder.display()));
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines[0], format!("Backups in {}:", folder.display()));
    assert_eq!(lines.len(), 3 + 3, "{listed}");
    let newest = tree.json(&["backups"], 0);
    assert_eq!(newest["result"]["backups"].as_array().unwrap().len(), 5);
    let backups = object["result"]["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 3);
    for backup in backups {
        assert_eq!(backup["state"], "verified");
        assert_eq!(backup["version"], 2);
        assert_eq!(backup["why"], "on demand");
    }
    assert!(
        tree.refused(&["backups", "--keep", "0"], 78)
            .contains("--keep")
    );
}

#[tokio::test]
async fn backup_dir_sets_the_directory() {
    let tree = behind().await;
    let folder = tree.dir.0.path().join("elsewhere");

    let said = tree.done(&["upgrade", "--backup-folder", folder.to_str().unwrap()]);
    tree.done(&["downgrade", "--backup-folder", "beside"]);

    assert!(said.contains(folder.to_str().unwrap()), "{said}");
    assert_eq!(super::names(&folder).len(), 2);
    assert_eq!(super::names(&tree.dir.0.path().join("beside")).len(), 2);
    assert!(!tree.dir.0.path().join("backups").exists());
}

#[tokio::test]
async fn a_backup_to_a_named_file_never_overwrites_it() {
    let tree = Tree::upgraded();
    tree.add_rows(2).await;
    let file = tree.dir.0.path().join("tuesday.db");
    let file = file.to_str().unwrap();

    let said = tree.done(&["backup", file]);
    let before = fs::read(file).unwrap();
    let again = tree.refused(&["backup", file], 9);
    tree.dir.execute("delete from posts").await;
    tree.done(&["restore", file]);

    assert!(said.ends_with(file), "{said}");
    assert!(again.contains("a backup never overwrites one"), "{again}");
    assert!(before == fs::read(file).unwrap(), "it was changed");
    assert_eq!(tree.counts().await, "2 2");
}

#[tokio::test]
async fn a_file_without_a_backup_is_not_restored() {
    let tree = Tree::upgraded();
    tree.add_rows(2).await;
    tree.done(&["backup"]);
    let folder = tree.dir.0.path();
    let text = folder.join("text.db");
    fs::write(
        &text,
        "this is not a database, but long enough for a file header",
    )
    .unwrap();
    let short = tree.newest_backup();
    let length = fs::metadata(&short).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&short)
        .and_then(|file| file.set_len(length / 2))
        .unwrap();

    for (file, says) in [
        (folder.join("none.db"), "there is no file"),
        (text, "is not a backup of the microblog"),
        (short, "is damaged"),
        (tree.dir.path(), "is the database itself"),
    ] {
        let refused = tree.refused(&["restore", file.to_str().unwrap()], 9);

        assert!(refused.contains(says), "{refused}");
        assert_eq!(tree.counts().await, "2 2");
    }
}
