//! Signals, also to the first process of a container, and scheduled backups, which only a signal
//! ends.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{Duration, Instant},
};

use migrator::Run;
use serde_json::Value;

use crate::TestDir;

/// A running program.
struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdout }
    }

    /// Waits for the next line on stdout.
    fn line(&mut self) -> String {
        self.stdout.next().unwrap().unwrap()
    }

    /// Waits for a line that contains `text`.
    fn line_with(&mut self, text: &str) {
        while !self.line().contains(text) {}
    }

    /// Returns the exit code, and the time until the exit.
    fn end(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let code = self.child.wait().unwrap().code();
        (code, begun.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the program with a JSON log on stdout.
fn logging(dir: &TestDir, arguments: &[&str]) -> Command {
    let mut program = dir.program(arguments);
    program.env("LOG_FORMAT", "json").env("RUST_LOG", "debug");
    program
}

fn signal(process: u32, name: &str) {
    // The builtin of the shell: not every machine has a program `kill`.
    let sent = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$1""#, name])
        .arg(process.to_string())
        .status();
    assert!(sent.unwrap().success());
}

fn backups(dir: &TestDir) -> usize {
    let Ok(files) = fs::read_dir(dir.0.path().join("backups")) else {
        return 0;
    };
    let databases = files.map(|file| file.unwrap().path()).filter(|path| {
        let extension = path.extension();
        extension.is_some_and(|extension| extension == "db")
    });
    databases.count()
}

/// The bound for reactions that must be immediate.
const AT_ONCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn scheduled_backups_run_until_a_signal_and_keep_the_newest() {
    for (name, count) in [("TERM", 4), ("INT", 2), ("HUP", 1), ("QUIT", 1)] {
        let dir = TestDir::new();
        dir.migrator().run(Run::upgrade()).await.unwrap();
        let mut process =
            Process::start(dir.program(&["backup", "--every", "10ms", "--keep", "2", "--json"]));

        for _ in 0..count {
            let said: Value = serde_json::from_str(&process.line()).unwrap();
            assert_eq!(said["command"], "backup");
            assert_eq!(said["exit_code"], 0);
            assert!(said["result"]["path"].is_string(), "{said}");
        }
        signal(process.child.id(), name);
        let (code, took) = process.end();

        assert_eq!(code, Some(0), "{name}");
        assert!(took < AT_ONCE, "{took:?}");
        // A process that was killed by a signal has no exit code.
        assert!((1..=2).contains(&backups(&dir)), "{}", backups(&dir));
    }
}

#[tokio::test]
async fn a_signal_ends_the_pause_between_two_backups() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let mut process = Process::start(dir.program(&["backup", "--every", "1h"]));

    let said = process.line();
    signal(process.child.id(), "TERM");
    let (code, took) = process.end();

    assert!(said.starts_with("Backed up version 2"), "{said}");
    assert_eq!(code, Some(0));
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(backups(&dir), 1);
}

#[tokio::test]
async fn the_first_backup_waits_for_the_database() {
    let dir = TestDir::new();
    let mut process = Process::start(logging(&dir, &["backup", "--every", "1h"]));
    process.line_with("waiting for the database");

    dir.migrator().run(Run::upgrade()).await.unwrap();

    process.line_with("Backed up version 2");
}

#[tokio::test]
async fn a_failed_backup_is_reported_and_the_schedule_continues() {
    let dir = TestDir::new();
    dir.migrator().run(Run::upgrade()).await.unwrap();
    let folder = dir.0.path().join("backups");
    fs::write(&folder, "in the way").unwrap();
    let mut process = Process::start(dir.program(&["backup", "--every", "10ms", "--json"]));

    let failed: Value = serde_json::from_str(&process.line()).unwrap();
    fs::remove_file(&folder).unwrap();
    let made = loop {
        let said: Value = serde_json::from_str(&process.line()).unwrap();
        if said["error"].is_null() {
            break said;
        }
    };

    assert_eq!(failed["exit_code"], 9, "{failed}");
    assert!(made["result"]["path"].is_string(), "{made}");
}

#[test]
fn an_interval_and_a_file_exclude_each_other() {
    let dir = TestDir::new();

    let run = dir.run(&["backup", "--every", "1h", "one.db"]);

    assert_eq!(run.code, 2, "{run:?}");
}

/// Returns the only child of a process.
fn child_of(process: u32) -> u32 {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap();
    children.trim().parse().unwrap()
}

#[test]
fn a_signal_ends_the_first_process_of_a_container() {
    let dir = TestDir::new();
    let alone = ["--pid", "--fork", "--kill-child"];
    let own = [&[][..], &["-r"]].into_iter().find(|own| {
        let tried = Command::new("unshare")
            .args(*own)
            .args(alone)
            .arg("true")
            .output();
        tried.is_ok_and(|output| output.status.success())
    });
    let Some(own) = own else {
        println!("skipped: this machine makes no namespaces for us");
        return;
    };

    for (arguments, name, code) in [
        (&["backup", "--every", "1h"][..], "TERM", 0),
        (&["backup", "--every", "1h"], "INT", 0),
        (&["wait", "--timeout", "1h"], "TERM", 143),
        (&["wait", "--timeout", "1h"], "INT", 130),
    ] {
        let inner = logging(&dir, arguments);
        let mut command = Command::new("unshare");
        command
            .args(own)
            .args(alone)
            .arg(inner.get_program())
            .args(inner.get_args());
        command.envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        command.stdout(std::process::Stdio::piped());
        let mut process = Process::start(command);
        process.line_with("waiting for the database");

        signal(child_of(process.child.id()), name);
        let (ended, took) = process.end();

        assert_eq!(ended, Some(code), "{arguments:?} {name}");
        assert!(took < AT_ONCE, "{took:?}");
    }
}
