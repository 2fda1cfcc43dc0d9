//! Faults of the disk, the file system and the file: one clear line, the right exit code, and no
//! loss of data.

use std::{fs, os::unix::fs::FileExt, path::Path, process::Command};

use super::Tree;
use crate::ProgramOutput;

/// A change of a CHECK, which rebuilds the table of posts.
const LONGER: (&str, &str) = ("between 1 and 140", "between 1 and 280");

/// Creates a tree with rows in the database and a pending rebuild.
async fn behind(rows: u32) -> Tree {
    let tree = Tree::upgraded();
    tree.add_rows(rows).await;
    tree.edit(super::POSTS, LONGER.0, LONGER.1);
    tree.done(&["migrate", "longer"]);
    tree
}

impl Tree {
    /// Runs a command in its own mount namespace with the database in a folder `disk`, on which
    /// `mount` mounts a file system. Copies its final content to the folder `left`. Returns `None`
    /// without the permission to mount.
    fn on_disk(&self, mount: &str, arguments: &[&str]) -> Option<ProgramOutput> {
        let folder = self.dir.0.path();
        fs::create_dir_all(folder.join("disk")).unwrap();
        let options = ["-m", "-rm"].into_iter().find(|options| {
            let mut unshare = Command::new("unshare");
            unshare.args([options, "sh", "-ec", mount]).arg(folder);
            unshare.output().is_ok_and(|output| output.status.success())
        });
        let Some(options) = options else {
            println!("this machine lets nobody mount what others do not see");
            return None;
        };
        let script = format!(
            "set -e; {mount}; set +e; \"$@\"; code=$?
             rm -rf \"$0/left\"; cp -r \"$0/disk\" \"$0/left\"; exit $code"
        );
        let program = self.program(arguments);
        let mut unshare = Command::new("unshare");
        unshare
            .args([options, "sh", "-c", &script])
            .arg(folder)
            .arg(program.get_program())
            .args(program.get_args())
            .env(
                "DATABASE_URL",
                format!("sqlite:{}", folder.join("disk/microblog.db").display()),
            );
        Some(unshare.output().unwrap().into())
    }

    /// Returns the remaining database of the disk as another tree.
    fn left(&self) -> Self {
        let left = Self::new();
        let folder = self.dir.0.path().join("left");
        for name in super::names(&folder) {
            let file = folder.join(&name);
            if file.is_file() {
                fs::copy(file, left.dir.0.path().join(name)).unwrap();
            }
        }
        left
    }

    /// Asserts that the database is intact, at version 2, and has `rows` rows.
    async fn assert_unchanged(&self, rows: u32) {
        assert_eq!(self.counts().await, format!("{rows} {rows}"));
        assert_eq!(self.dir.query("pragma integrity_check").await, ["ok"]);
        let run = self.dir.run(&["diff"]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(
            run.stdout.ends_with("has the schema of version 2"),
            "{run:?}"
        );
    }
}

/// Returns the mount script for a disk of this size with the database on it.
fn small(kibibytes: u64) -> String {
    format!(
        "mount -t tmpfs -o size={kibibytes}k tmpfs \"$0/disk\"; cp \"$0\"/microblog.db \"$0/disk\""
    )
}

fn kibibytes(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len() / 1024
}

#[tokio::test]
async fn nothing_is_migrated_without_space_for_a_backup() {
    let tree = behind(20_000).await;
    let size = kibibytes(&tree.dir.path());

    for extra in [size / 2, size * 3 / 4] {
        let Some(run) = tree.on_disk(&small(size + extra), &["upgrade"]) else {
            return;
        };

        run.assert_refused(9);
        assert!(run.stderr.contains("there is no room for"), "{run:?}");
        tree.left().assert_unchanged(20_000).await;
        let backups = super::names(&tree.dir.0.path().join("left/backups"));
        assert_eq!(backups, [""; 0]);
    }
}

#[tokio::test]
async fn a_disk_full_during_a_migration_rolls_it_back() {
    let tree = behind(20_000).await;
    let size = kibibytes(&tree.dir.path());

    for (extra, backup) in [(200, false), (size / 6, false), (size + size / 6, true)] {
        let arguments = if backup {
            &["upgrade"][..]
        } else {
            &["upgrade", "--no-backup"]
        };
        let Some(run) = tree.on_disk(&small(size + extra), arguments) else {
            return;
        };

        run.assert_refused(1);
        assert!(run.stderr.contains("full"), "{run:?}");
        tree.left().assert_unchanged(20_000).await;
        let backups = super::names(&tree.dir.0.path().join("left/backups"));
        let partial = backups.iter().any(|name| name.contains("partial"));
        assert!(!partial, "{backups:?}");
    }
}

#[tokio::test]
async fn a_read_only_file_system_exits_with_78() {
    let tree = behind(10).await;
    let mount = "mount -t tmpfs tmpfs \"$0/disk\"; cp \"$0\"/microblog.db \"$0/disk\"
                 mount -o remount,ro \"$0/disk\"";

    for arguments in [
        &["upgrade"][..],
        &["upgrade", "--no-backup"],
        &["downgrade", "--allow-data-loss"],
        &["restore", "tuesday.db"],
    ] {
        let file = tree.dir.0.path().join("tuesday.db");
        if !file.exists() {
            tree.done(&["backup", file.to_str().unwrap()]);
        }
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| match *argument {
                "tuesday.db" => file.to_str().unwrap(),
                argument => argument,
            })
            .collect();
        let Some(run) = tree.on_disk(mount, &arguments) else {
            return;
        };

        run.assert_refused(78);
        assert!(run.stderr.contains("disk/microblog.db"), "{run:?}");
        tree.left().assert_unchanged(10).await;
    }
}

#[tokio::test]
async fn a_read_only_database_file_exits_with_78() {
    let tree = behind(10).await;
    let mount = "cp \"$0\"/microblog.db \"$0/disk\"
                 mount --bind \"$0/disk/microblog.db\" \"$0/disk/microblog.db\"
                 mount -o remount,ro,bind \"$0/disk/microblog.db\"";

    for arguments in [&["upgrade"][..], &["upgrade", "--no-backup"]] {
        let Some(run) = tree.on_disk(mount, arguments) else {
            return;
        };

        run.assert_refused(78);
        assert!(run.stderr.contains("disk/microblog.db"), "{run:?}");
        tree.left().assert_unchanged(10).await;
    }
}

/// Overwrites a part of the database file.
fn damage(tree: &Tree, from: u64, length: usize) {
    let file = fs::File::options().write(true).open(tree.dir.path());
    file.unwrap()
        .write_all_at(&vec![0xA5; length], from)
        .unwrap();
}

#[tokio::test]
async fn a_database_without_a_header_is_refused_and_restored() {
    let tree = behind(1_000).await;
    tree.done(&["backup"]);
    let backup = tree.newest_backup();
    damage(&tree, 0, 100);
    let damaged = fs::read(tree.dir.path()).unwrap();

    let upgrade = tree.refused(&["upgrade"], 7);
    let restore = tree.refused(&["restore", backup.to_str().unwrap()], 9);

    assert!(
        upgrade.contains("is not a database of the microblog"),
        "{upgrade}"
    );
    assert!(
        restore.contains("move it away with its -wal and -shm, and restore again"),
        "{restore}"
    );
    assert!(
        damaged == fs::read(tree.dir.path()).unwrap(),
        "it was changed"
    );
    fs::rename(tree.dir.path(), tree.dir.0.path().join("away.db")).unwrap();
    tree.done(&["restore", backup.to_str().unwrap()]);
    tree.assert_unchanged(1_000).await;
    tree.done(&["upgrade"]);
}

#[tokio::test]
async fn a_database_with_damaged_pages_is_refused_and_restored() {
    let tree = behind(20_000).await;
    tree.done(&["backup"]);
    let backup = tree.newest_backup();
    let middle = fs::metadata(tree.dir.path()).unwrap().len() / 2;
    damage(&tree, middle / 4096 * 4096, 40 * 4096);

    let with_backup = tree.refused(&["upgrade"], 9);
    let without = tree.run(&["upgrade", "--no-backup"]);
    let version = tree.json(&["status"], 0)["result"]["version"].clone();
    let restored = tree.done(&["restore", backup.to_str().unwrap()]);

    assert!(with_backup.contains("is damaged"), "{with_backup}");
    without.assert_refused(1);
    assert!(without.stderr.contains("malformed"), "{without:?}");
    assert_eq!(version, 2);
    assert!(restored.contains("Restored"), "{restored}");
    tree.assert_unchanged(20_000).await;
    tree.done(&["upgrade"]);
    assert_eq!(tree.counts().await, "20000 20000");
}

#[test]
fn a_missing_folder_is_created_only_for_a_database() {
    let tree = Tree::new();
    let path = tree.dir.0.path().join("a/b/microblog.db");
    let url = format!("sqlite:{}", path.display());
    let none = tree.dir.0.path().join("none");
    let none = none.to_str().unwrap();

    let created = tree.done(&["create", "--database-url", &url]);

    assert_eq!(
        created.lines().next(),
        Some(format!("Created {}", path.display()).as_str())
    );
    for command in ["upgrade", "status", "release"] {
        let run = tree.dir.run(&[command, "--project", none]);
        run.assert_refused(78);
        assert!(run.stderr.contains(none), "{run:?}");
    }
    let run = tree.dir.run(&["migrate", "x", "--project", none]);
    run.assert_refused(78);
    assert!(!tree.dir.path().exists());
}

#[test]
fn an_unwritable_folder_gets_no_migration_files() {
    let tree = Tree::new();
    tree.declare_column("bio text not null default ''");
    let folder = tree.folder();
    let script = format!(
        "mount --bind \"{0}\" \"{0}\"; mount -o remount,ro,bind \"{0}\"; \"$@\"",
        folder.display()
    );
    let program = tree.program(&["migrate", "add bio"]);
    let mut unshare = Command::new("unshare");
    let output = unshare
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .output();
    let Ok(output) = output else { return };
    let run = ProgramOutput::from(output);
    if run.stderr.contains("unshare") || run.stderr.contains("mount") {
        println!("this machine lets nobody mount what others do not see");
        return;
    }

    run.assert_refused(1);
    assert!(run.stderr.contains("0003_add_bio.up.sql"), "{run:?}");
    assert_eq!(tree.migrations(super::USERS).len(), 2);
}
