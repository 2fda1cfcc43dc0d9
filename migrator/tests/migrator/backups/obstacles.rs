//! Files in the way of a backup that are not its own: nothing is followed, opened, waited for or
//! removed, and each command ends.

use std::{
    fs::{self, FileType},
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use migrator::Run;
use rustix::fs::{CWD, Mode};

use super::disk::namespace;
use crate::{ProgramOutput, TestDir};

/// The time after which a command counts as waiting.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The content of the file to which links lead.
const TARGET: &str = "of another program";

/// A kind of file that is not a regular one.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    Directory,
    Fifo,
    Socket,
    Link,
    LinkToDirectory,
    DanglingLink,
}

const OBSTACLES: [Obstacle; 6] = [
    Obstacle::Directory,
    Obstacle::Fifo,
    Obstacle::Socket,
    Obstacle::Link,
    Obstacle::LinkToDirectory,
    Obstacle::DanglingLink,
];

/// The ends of the names of a backup and of the files beside it.
const ENDS: [&str; 7] = [
    "",
    ".partial",
    ".json",
    ".json.partial",
    ".partial-journal",
    ".partial-wal",
    ".partial-shm",
];

impl Obstacle {
    /// Makes the obstacle. `target` is a file of another program.
    fn make(self, path: &Path, target: &Path) {
        match self {
            Self::Directory => fs::create_dir(path).unwrap(),
            Self::Fifo => {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            }
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::Link => symlink(target, path).unwrap(),
            Self::LinkToDirectory => symlink(target.parent().unwrap(), path).unwrap(),
            Self::DanglingLink => symlink("/nowhere/at/all", path).unwrap(),
        }
    }
}

impl TestDir {
    /// Creates the file of another program.
    fn target(&self) -> PathBuf {
        let folder = self.0.path().join("other");
        fs::create_dir_all(&folder).unwrap();
        let target = folder.join("target");
        fs::write(&target, TARGET).unwrap();
        target
    }

    fn assert_target_untouched(&self) {
        let target = self.0.path().join("other/target");
        assert_eq!(fs::read_to_string(&target).unwrap(), TARGET);
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }
}

fn kind(path: &Path) -> FileType {
    path.symlink_metadata().unwrap().file_type()
}

/// Runs a command to its end, and kills one that waits.
fn run_limited(mut command: Command) -> ProgramOutput {
    let mut child: Child = command.spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > TIME_LIMIT {
            child.kill().unwrap();
            panic!("it did not end: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap().into()
}

#[tokio::test]
async fn an_obstacle_beside_a_named_backup_is_an_error() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let target = dir.target();

    for obstacle in OBSTACLES {
        for end in ENDS {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("mine.db");
            let path = folder.path().join(format!("mine.db{end}"));
            obstacle.make(&path, &target);
            let before = kind(&path);

            let run = run_limited(dir.program(&["backup", file.to_str().unwrap()]));

            let case = format!("{obstacle:?} at {end}: {run:?}");
            assert_eq!(run.code, 9, "{case}");
            assert_eq!(run.stderr.lines().count(), 1, "{case}");
            assert!(run.stderr.contains(&path.display().to_string()), "{case}");
            assert_eq!(kind(&path), before, "{case}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{case}");
            dir.assert_target_untouched();
        }
    }
}

#[tokio::test]
async fn obstacles_in_the_directory_affect_no_command() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade_to(1)).await.unwrap();
    let target = dir.target();
    let mut obstacles = Vec::new();
    for folder in [dir.0.path().to_owned(), dir.backup_dir()] {
        fs::create_dir_all(&folder).unwrap();
        for year in [2000, 2099] {
            for (number, obstacle) in OBSTACLES.into_iter().enumerate() {
                for (second, end) in ENDS.into_iter().enumerate() {
                    let time = format!("{year}0101T0000{second:02}.00{number}Z");
                    let path = folder.join(format!("microblog-{time}-v0001.db{end}"));
                    obstacle.make(&path, &target);
                    obstacles.push((path.clone(), kind(&path)));
                }
            }
        }
    }
    let run = |arguments: &[&str]| {
        let mut command = dir.program(arguments);
        command.env("RUST_LOG", "error");
        let run = run_limited(command);
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        run.stdout
    };

    run(&["check"]);
    for _ in 0..3 {
        run(&["backup", "--keep", "2"]);
    }
    let backup = dir.backups().list().unwrap().backups.remove(0);
    run(&["upgrade", "--keep", "2"]);
    run(&["restore", "--keep", "2", backup.path.to_str().unwrap()]);
    let listed = run(&["backups"]);

    // A heading of three lines, the two newest, and the restored one.
    assert_eq!(listed.lines().count(), 3 + 3, "{listed}");
    assert_eq!(listed.matches("verified").count(), 3, "{listed}");
    for (path, before) in obstacles {
        assert_eq!(kind(&path), before, "{}", path.display());
    }
    dir.assert_target_untouched();
}

#[tokio::test]
async fn a_manifest_that_is_not_a_regular_file_is_not_read() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let target = dir.target();

    for obstacle in OBSTACLES {
        let backup = dir.back_up().await.unwrap();
        let manifest = super::manifest_path(&backup.path);
        fs::remove_file(&manifest).unwrap();
        obstacle.make(&manifest, &target);

        let listed = run_limited(dir.program(&["backups"]));
        let restored = run_limited(dir.program(&["restore", backup.path.to_str().unwrap()]));

        assert_eq!(listed.code, 0, "{obstacle:?}: {listed:?}");
        assert!(listed.stdout.contains("no manifest"), "{listed:?}");
        assert_eq!(restored.code, 9, "{obstacle:?}: {restored:?}");
        assert_eq!(restored.stderr.lines().count(), 1, "{restored:?}");
    }
    dir.assert_target_untouched();
}

#[tokio::test]
async fn a_restore_refuses_what_is_no_regular_file() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let target = dir.target();
    let before = fs::read(dir.path()).unwrap();
    fs::create_dir_all(dir.backup_dir()).unwrap();
    let mut named = vec![PathBuf::from("/dev/null"), PathBuf::from("/dev/tty")];
    for folder in [dir.0.path().to_owned(), dir.backup_dir()] {
        for (number, obstacle) in OBSTACLES.into_iter().enumerate() {
            let path = folder.join(format!("microblog-20260101T000000.00{number}Z-v0001.db"));
            obstacle.make(&path, &target);
            let link = folder.join(format!("link{number}"));
            symlink(&path, &link).unwrap();
            named.extend([path, link]);
        }
    }

    for file in named {
        let run = run_limited(dir.program(&["restore", file.to_str().unwrap()]));

        assert_eq!(run.code, 9, "{}: {run:?}", file.display());
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        // A link elsewhere leads to a file, which is no backup.
        let shown = [&file, &target].map(|path| run.stderr.contains(path.to_str().unwrap()));
        assert!(shown.contains(&true), "{run:?}");
        let in_backups = file.starts_with(dir.backup_dir()) && file.is_symlink();
        assert_eq!(
            run.stderr.contains("a symbolic link in"),
            in_backups,
            "{run:?}"
        );
    }
    assert_eq!(fs::read(dir.path()).unwrap(), before);
    dir.assert_target_untouched();
}

#[tokio::test]
async fn a_restore_follows_no_link_in_the_backup_directory() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let backup = other.path().join("mine.db");
    dir.migrator().back_up(Some(&backup)).await.unwrap();
    fs::create_dir_all(dir.backup_dir().join("sub")).unwrap();
    let link = |from: &str, to: &Path| {
        let from = dir.0.path().join(from);
        symlink(to, &from).unwrap();
        from
    };
    let inside = link("backups/link.db", &backup);

    for named in [
        inside.clone(),
        link("backups/sub/link.db", &backup),
        link("backups/to_folder", other.path()).join("mine.db"),
        dir.0.path().join("other/../backups/link.db"),
        // A link elsewhere that leads through the backup directory.
        link("elsewhere.db", &inside),
        link("relative.db", Path::new("backups/link.db")),
        link("to_backups", &dir.backup_dir()).join("link.db"),
    ] {
        fs::create_dir_all(dir.0.path().join("other")).unwrap();
        let run = run_limited(dir.program(&["restore", named.to_str().unwrap()]));

        assert_eq!(run.code, 9, "{}: {run:?}", named.display());
        assert!(
            run.stderr.contains("a symbolic link in the backup"),
            "{run:?}"
        );
    }
}

#[tokio::test]
async fn a_restore_follows_a_link_to_a_backup_elsewhere() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let backup = dir.back_up().await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let named = other.path().join("latest.db");
    symlink(&backup.path, &named).unwrap();

    let restored = run_limited(dir.program(&["restore", named.to_str().unwrap()]));
    // The manifest of the target is compared, not one beside the link.
    let manifest = super::manifest_path(&backup.path);
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(&backup.manifest.sha256, "00")).unwrap();
    let damaged = run_limited(dir.program(&["restore", named.to_str().unwrap()]));

    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(restored.stdout.contains("latest.db"), "{restored:?}");
    assert_eq!(damaged.code, 9, "{damaged:?}");
    assert!(damaged.stderr.contains("SHA-256 differs"), "{damaged:?}");
}

#[tokio::test]
async fn a_leftover_that_cannot_be_removed_is_an_error() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let file = dir.0.path().join("mine.db");
    // A mount can be opened and locked, but not removed, not even by root.
    let mount = "touch \"$0/mine.db.partial\" && mount --bind /etc/hostname \"$0/mine.db.partial\"";
    let Some(options) = namespace(dir.0.path(), mount) else {
        return;
    };
    let program = dir.program(&["backup", file.to_str().unwrap()]);
    let mut command = Command::new("unshare");
    command
        .args([options, "sh", "-c", &format!("{mount} && exec \"$@\"")])
        .arg(dir.0.path())
        .arg(program.get_program())
        .args(program.get_args())
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());

    let run = run_limited(command);

    assert_eq!(run.code, 9, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(
        run.stderr.contains("mine.db.partial is in the way"),
        "{run:?}"
    );
}
