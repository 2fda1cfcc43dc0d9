//! Full disks and killed processes. Each case runs in a child process: this test binary with one
//! ignored test.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use migrator::{
    Progress, Run,
    backup::{BackupState, Backups, DEFAULT_KEEP},
};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use super::{COUNTS, KNOWN, query_in};
use crate::{LOCK_TIMEOUT, TestDir, query_texts};

/// The child's task: `back_up`, or the file to restore.
const DO: &str = "MIGRATOR_TEST_DO";
/// The path of the child's database.
const DATABASE: &str = "MIGRATOR_TEST_DATABASE";
/// The number of the event at which the child kills itself, and a delay in microseconds.
const KILL: &str = "MIGRATOR_TEST_KILL";
/// The number of the event at which the child fills the disk, and the bytes that it leaves.
const FILL: &str = "MIGRATOR_TEST_FILL";

/// The child's output after a success.
const DONE: &str = "It is done.";

/// Returns the command that runs the child.
fn child(database: &Path, what: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(DATABASE, database).env(DO, what).args([
        "--exact",
        "backups::disk::run_in_a_child_process",
        "--ignored",
        "--nocapture",
    ]);
    command
}

#[tokio::test]
#[ignore = "other tests run it as a child process"]
async fn run_in_a_child_process() {
    let Ok(database) = std::env::var(DATABASE) else {
        return;
    };
    let database = PathBuf::from(database);
    let backups = Backups::new(database.clone(), None, DEFAULT_KEEP);
    let what = std::env::var(DO).unwrap();
    let kill = std::env::var(KILL).ok().map(|kill| pair(&kill));
    let fill = std::env::var(FILL).ok().map(|fill| pair(&fill));
    // An open connection, as the services have, keeps the log and its index on the disk.
    let service = SqliteConnectOptions::new().filename(&database);
    let mut service = service.connect().await.unwrap();
    query_texts(&mut service, COUNTS).await;
    let events = AtomicU64::new(0);
    let progress = Progress::new(move |_| {
        let events = events.fetch_add(1, Ordering::AcqRel);
        match (kill, fill) {
            (Some((event, micros)), _) if event == events => kill_after(micros),
            (_, Some((event, leave))) if event == events => fill_disk(&database, leave),
            _ => {}
        }
    });

    let result = if what == "back_up" {
        let made = backups.back_up(None, "on demand", LOCK_TIMEOUT, &progress);
        made.await.map(drop)
    } else {
        let restored = backups.restore(Path::new(&what), &KNOWN, LOCK_TIMEOUT, &progress);
        restored.await.map(drop)
    };

    match result {
        Ok(()) => println!("{DONE}"),
        Err(error) => println!("{} {}: {error}", error.exit_code(), error.reason()),
    }
}

fn pair(text: &str) -> (u64, u64) {
    let (one, other) = text.split_once(' ').unwrap();
    (one.parse().unwrap(), other.parse().unwrap())
}

/// Kills this process after a delay.
fn kill_after(micros: u64) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_micros(micros));
        let id = std::process::id().to_string();
        Command::new("kill").args(["-9", &id]).status().unwrap();
    });
}

/// Fills the disk of the database, and leaves this many bytes.
fn fill_disk(database: &Path, leave: u64) {
    let mut file = fs::File::create(database.with_file_name("in the way")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(leave)).unwrap();
}

/// Runs a child whose database is on a disk of this size, with `fill` as in [`FILL`]. Copies the
/// files that are left to the directory `left`. Returns `None` if the test runs neither as root
/// nor on a kernel with unprivileged mount namespaces.
fn on_small_disk(dir: &TestDir, kibibytes: u64, what: &str, fill: Option<&str>) -> Option<String> {
    let folder = dir.0.path();
    fs::create_dir_all(folder.join("disk")).unwrap();
    let mount = format!("mount -t tmpfs -o size={kibibytes}k tmpfs \"$0/disk\"");
    let options = namespace(folder, &mount)?;
    let script = format!(
        "{mount} && cp \"$0\"/microblog.db \"$0/disk\" && \"$@\"
         rm -rf \"$0/left\"; cp -r \"$0/disk\" \"$0/left\""
    );
    let mut child = child(&folder.join("disk/microblog.db"), what);
    child.envs(fill.map(|fill| (FILL, fill)));
    let mut unshare = Command::new("unshare");
    unshare.args([options, "sh", "-c", &script]).arg(folder);
    Some(text(&run_behind(unshare, &child)))
}

/// Returns the command that makes a mount visible to one process only, if this machine has one.
pub(super) fn namespace(folder: &Path, mount: &str) -> Option<&'static str> {
    let options = ["-m", "-rm"].into_iter().find(|options| {
        let mut unshare = Command::new("unshare");
        unshare.args([options, "sh", "-c", mount]).arg(folder);
        unshare.output().is_ok_and(|output| output.status.success())
    });
    if options.is_none() {
        println!("skipped: neither root nor unprivileged mount namespaces");
    }
    options
}

/// Runs a child whose files may not exceed this size.
fn with_short_files(dir: &TestDir, kibibytes: u64, what: &str) -> String {
    // The limit is in blocks of 512 bytes. Without the signal, a write returns an error.
    let script = format!("trap '' XFSZ; ulimit -f {}; \"$@\"", kibibytes * 2);
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]);
    text(&run_behind(shell, &child(&dir.path(), what)))
}

/// Runs a command with another one as its last arguments.
fn run_behind(mut command: Command, other: &Command) -> Output {
    command.arg(other.get_program()).args(other.get_args());
    for (name, value) in other.get_envs() {
        command.env(name, value.unwrap());
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the row counts of a database that a process has left.
async fn state(database: &Path) -> String {
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await.unwrap();
    let sound = query_texts(&mut connection, "pragma integrity_check").await;
    assert_eq!(sound, ["ok"]);
    query_texts(&mut connection, COUNTS).await.remove(0)
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn kibibytes(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len() / 1024
}

#[tokio::test]
async fn a_full_disk_fails_a_backup_without_leftovers() {
    let dir = TestDir::with_rows(2_000).await;
    let size = kibibytes(&dir.path());
    let half = size * 1024 / 2;

    for (disk, fill, says) in [
        // The size is known before the copy.
        (size + size / 2, None, "9 DISK_FULL: there is no room for "),
        // The disk fills up during the copy, or when only the manifest is missing. The first event
        // is the begin of the copy; the last but one is the begin of the verification.
        (
            size * 3,
            Some(format!("0 {half}")),
            "9 DISK_FULL: the disk filled up ",
        ),
        (
            size * 3,
            Some("2 0".into()),
            "9 DISK_FULL: the disk filled up ",
        ),
    ] {
        let Some(said) = on_small_disk(&dir, disk, "back_up", fill.as_deref()) else {
            return;
        };

        assert!(said.contains(says), "{fill:?}: {said}");
        let left = dir.0.path().join("left");
        assert_eq!(state(&left.join("microblog.db")).await, "2000 2000");
        assert!(names(&left.join("backups")).is_empty(), "{fill:?}: {said}");
    }
}

#[tokio::test]
async fn a_full_disk_fails_a_restore_without_changes() {
    let dir = TestDir::with_rows(2_000).await;
    let backup = dir.back_up().await.unwrap();
    dir.add_rows(1).await;
    let size = kibibytes(&dir.path());
    let file = backup.path.to_str().unwrap();

    let mut cases = vec![(size + size / 2, None, "there is no room for ")];
    // The disk fills up when the database is copied, or when the pages of the backup are, with
    // more room each time.
    for event in [2, 5] {
        cases.extend((0..4).map(|quarters| {
            let leave = size * 1024 * quarters / 4;
            (size * 4, Some(format!("{event} {leave}")), "9 DISK_FULL: ")
        }));
    }
    for (disk, fill, says) in cases {
        let Some(said) = on_small_disk(&dir, disk, file, fill.as_deref()) else {
            return;
        };

        assert!(said.contains(says), "{fill:?}: {said}");
        let left = dir.0.path().join("left");
        assert_eq!(state(&left.join("microblog.db")).await, "2001 2001");
        let names = names(&left.join("backups"));
        assert!(
            !names.iter().any(|name| name.contains("partial")),
            "{names:?}"
        );
    }
}

#[tokio::test]
async fn a_check_asks_for_room_before_it_copies() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade_to(1)).await.unwrap();
    dir.execute(
        "insert into user_requests (request_id, fingerprint, result, create_time)
         with recursive n (i) as (values (1) union all select i + 1 from n where i < 500)
         select randomblob(16), randomblob(32), hex(randomblob(2000)), i from n",
    )
    .await;
    let size = kibibytes(&dir.path());
    fs::create_dir(dir.0.path().join("disk")).unwrap();

    // The database, its copy and the log of the upgrade; the backup of the copy has no room.
    for (disk, code) in [(size * 3 + size / 2, 9), (size * 6, 0)] {
        let folder = dir.0.path();
        let mount = format!("mount -t tmpfs -o size={disk}k tmpfs \"$0/disk\"");
        let Some(options) = namespace(folder, &mount) else {
            return;
        };
        let script = format!("{mount} && cp \"$0\"/microblog.db \"$0/disk\" && exec \"$@\"");
        let mut unshare = Command::new("unshare");
        unshare.args([options, "sh", "-c", &script]).arg(folder);
        let mut check = dir.program(&["check", "--longest-wait", "1h"]);
        let database = folder.join("disk/microblog.db");
        check.env("DATABASE_URL", format!("sqlite:{}", database.display()));

        let output = run_behind(unshare, &check);

        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(said.contains("there is no room for "), code == 9, "{said}");
    }
}

#[tokio::test]
async fn a_read_only_directory_fails_a_backup() {
    let dir = TestDir::with_rows(10).await;
    let folder = dir.0.path();
    fs::create_dir(folder.join("backups")).unwrap();
    let mount = "mount -t tmpfs -o ro tmpfs \"$0/backups\"";
    let Some(options) = namespace(folder, mount) else {
        return;
    };

    let mut unshare = Command::new("unshare");
    let script = format!("{mount} && \"$@\"");
    unshare.args([options, "sh", "-c", &script]).arg(folder);
    let said = text(&run_behind(unshare, &child(&dir.path(), "back_up")));

    let says = format!(
        "9 BACKUP_FOLDER: the folder of backups {}",
        folder.display()
    );
    assert!(said.contains(&says), "{said}");
    assert_eq!(dir.counts().await, "10 10");
}

#[tokio::test]
async fn a_file_size_limit_fails_a_backup_without_leftovers() {
    let dir = TestDir::with_rows(2_000).await;
    let backup = dir.back_up().await.unwrap();
    dir.add_rows(1).await;
    let before = dir.names();
    let half = kibibytes(&backup.path) / 2;

    for what in ["back_up", backup.path.to_str().unwrap()] {
        let said = with_short_files(&dir, half, what);

        assert!(said.contains("9 "), "{said}");
        assert!(!said.contains(DONE), "{said}");
        assert_eq!(dir.counts().await, "2001 2001");
        assert_eq!(dir.names(), before);
    }
}

#[tokio::test]
async fn a_killed_backup_leaves_no_visible_backup() {
    let dir = TestDir::with_rows(2_000).await;

    for event in 0..4 {
        let mut child = child(&dir.path(), "back_up");
        child.env(KILL, format!("{event} 0")).output().unwrap();
    }
    let backup = dir.back_up().await.unwrap();

    let listing = dir.backups().list().unwrap();
    assert_eq!(listing.backups[0].path, backup.path);
    for backup in &listing.backups {
        assert_eq!(backup.state, BackupState::Verified);
        assert_eq!(query_in(&backup.path, COUNTS).await, ["2000 2000"]);
    }
    assert_eq!(
        dir.names().len(),
        2 * listing.backups.len(),
        "{:?}",
        dir.names()
    );
}

#[tokio::test]
async fn a_killed_restore_is_atomic() {
    let dir = TestDir::with_rows(6_000).await;
    let backup = dir.back_up().await.unwrap();
    let mut ends = BTreeMap::<bool, u32>::new();

    for round in 0..30_u64 {
        dir.add_rows(1).await;
        let before = dir.counts().await;
        let mut child = child(&dir.path(), backup.path.to_str().unwrap());
        // Each event, and moments around the commit.
        let kill = format!("{} {}", round % 15, round * 300);
        let output = child.env(KILL, kill).output().unwrap();

        let after = state(&dir.path()).await;
        let done = after == "6000 6000";
        assert!(done || after == before, "round {round}: {after}");
        assert!(done || !text(&output).contains(DONE), "round {round}");
        if done {
            let pre_restore = &dir.backups().list().unwrap().backups[0];
            assert_eq!(query_in(&pre_restore.path, COUNTS).await, [before]);
        }
        *ends.entry(done).or_default() += 1;
    }

    println!("restored or not: {ends:?}");
    dir.restore(&backup.path).await.unwrap();
    assert!(!dir.names().iter().any(|name| name.contains("partial")));
}
