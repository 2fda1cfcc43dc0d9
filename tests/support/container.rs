//! Tests a service as the process of a container: settings from files, its volume, its health
//! check, and its signals as process 1.
//!
//! Tests that need root or user namespaces are skipped with a printed line where neither is
//! available.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    PROGRAM,
    namespace::{contained, database_on_small_disk},
    process::{Process, Run, TestDir, run, signal, within_timeout},
    service::{command, healthcheck, run_with, start},
};

/// The user of the images.
const NONROOT: u32 = 65532;

/// Upper bound of a health check: its own limit of 1 s, and the start of a process on a machine
/// that runs other tests.
const HEALTH_BOUND: Duration = Duration::from_millis(1_900);

#[tokio::test]
async fn setting_is_read_from_a_file() {
    let dir = TestDir::migrated().await;
    let file = dir.path().join("url");
    fs::write(&file, format!("sqlite:{}\n", dir.database().display())).unwrap();
    let mut command = command(&dir, &[]);
    // An image sets the variable to an empty value.
    command
        .env("DATABASE_URL", "")
        .env("DATABASE_URL_FILE", &file);

    let address = Process::start(command).serving().await;

    assert_ne!(address.port(), 0);
}

#[tokio::test]
async fn unusable_setting_file_is_named_in_one_line() {
    let dir = TestDir::new();
    let url = dir.path().join("url");
    fs::write(&url, "postgres://secret").unwrap();
    let url = url.to_str().unwrap();

    for (remove, file, says) in [
        ("", url, &["DATABASE_URL and DATABASE_URL_FILE"][..]),
        (
            "DATABASE_URL",
            "/nowhere/at/all",
            &["DATABASE_URL_FILE", "/nowhere/at/all", "No such file"],
        ),
        (
            "DATABASE_URL",
            url,
            &["DATABASE_URL_FILE", url, "sqlite:data/microblog.db"],
        ),
    ] {
        let mut command = command(&dir, &[]);
        command.env("DATABASE_URL_FILE", file).env_remove(remove);
        let run = run(command).await;

        run.assert_refused(78, says);
        assert!(!format!("{run:?}").contains("secret"), "{run:?}");
    }
}

#[tokio::test]
async fn content_of_a_setting_file_is_never_printed() {
    let dir = TestDir::new();
    let file = dir.path().join("value");

    for (variable, secret) in [
        ("DATABASE_URL", "sqlite:/nowhere/secret.db"),
        ("DATABASE_URL", "sqlite:secret.db"),
        ("DATABASE_URL", "sqlite:/nowhere/secret/blog.db"),
        ("DATABASE_URL", "sqlite:/dev/null/secret/blog.db"),
        ("DATABASE_URL", "postgres://user:secret@host/secret"),
        (PROGRAM.listen, "192.0.2.1:7777"),
        (PROGRAM.listen, "secret:7777"),
        ("DRAIN_TIMEOUT", "5secrets"),
        ("MAX_MESSAGE_BYTES", "7777777777"),
        ("CORS_ALLOWED_ORIGINS", "secret://x"),
        ("LOG_FORMAT", "secret"),
        ("RUST_LOG", "secret=secret=secret"),
    ] {
        fs::write(&file, secret).unwrap();
        for arguments in [&[][..], &["--help"], &["healthcheck"]] {
            let mut command = command(&dir, arguments);
            command
                .env("DATABASE_STARTUP_TIMEOUT", "100ms")
                .env("RUST_LOG", "debug")
                .env(variable, "")
                .env(format!("{variable}_FILE"), &file);
            let run = run(command).await;

            let printed = format!("{run:?}");
            // Not a shorter number, which a time may contain.
            let secrets = ["secret", "192.0.2.1", "7777777777"];
            let hidden = secrets.iter().all(|secret| !printed.contains(secret));
            assert!(hidden, "{variable}={secret} {arguments:?}: {run:?}");
        }
    }
}

#[tokio::test]
async fn password_in_a_database_url_is_never_shown() {
    let dir = TestDir::new();

    for url in ["postgres://user:secret@host/db", "sqlite:x.db?key=secret"] {
        for (arguments, code) in [(&["--database-url", url][..], 78), (&["--help"], 0)] {
            let mut command = command(&dir, arguments);
            command.env("DATABASE_URL", url);
            let run = run(command).await;

            assert_eq!(run.code, Some(code), "{run:?}");
            assert!(!format!("{run:?}").contains("secret"), "{run:?}");
        }
    }
}

#[tokio::test]
async fn help_mentions_setting_files() {
    let dir = TestDir::new();

    let help = run(command(&dir, &["--help"])).await;

    assert!(help.stdout.join("\n").contains("X_FILE"), "{help:?}");
}

#[tokio::test]
async fn startup_error_is_json_if_the_log_format_is() {
    let dir = TestDir::new();
    let mut text = command(&dir, &[]);
    text.env("LOG_FORMAT", "text")
        .env("DATABASE_STARTUP_TIMEOUT", "0s");
    let mut flag = command(&dir, &["--log-format", "json", "--no-such-flag"]);
    flag.env_remove("LOG_FORMAT");

    let waited = run_with(&dir, "DATABASE_STARTUP_TIMEOUT", "0s").await;
    let setting = run_with(&dir, "DATABASE_STARTUP_TIMEOUT", "soon").await;
    // The error is logged even if the log is off.
    let mut silent = command(&dir, &[]);
    silent
        .env("RUST_LOG", "off")
        .env("DATABASE_STARTUP_TIMEOUT", "0s");
    let silent = run(silent).await;
    let (text, flag) = (run(text).await, run(flag).await);

    for (run, code) in [(waited, 75), (setting, 78), (flag, 2)] {
        run.assert_refused(code, &[]);
        assert_eq!(run.stderr, [""; 0]);
    }
    assert_eq!(silent.stdout.len(), 1, "{silent:?}");
    text.assert_refused(75, &["does not exist"]);
    assert_eq!(text.stdout, [""; 0]);
}

/// Runs the service as the user of the images. Returns `None` if the test cannot change its user.
async fn as_another_user(dir: &TestDir) -> Option<Run> {
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    if fs::metadata(dir.path()).unwrap().uid() != 0 {
        println!("skipped: changing the user needs root");
        return None;
    }
    let mut command = command(dir, &[]);
    command
        .uid(NONROOT)
        .gid(NONROOT)
        .env("DATABASE_STARTUP_TIMEOUT", "0s");
    match command.spawn() {
        Ok(mut child) => {
            child.kill().unwrap();
            child.wait().unwrap();
            Some(run(command).await)
        }
        Err(error) => {
            println!(
                "skipped: uid {NONROOT} cannot run {}: {error}",
                PROGRAM.path
            );
            None
        }
    }
}

#[tokio::test]
async fn volume_of_another_user_is_rejected_with_a_remedy() {
    let dir = TestDir::migrated().await;
    let Some(empty) = as_another_user(&TestDir::new()).await else {
        return;
    };
    let folder = as_another_user(&dir).await.unwrap();
    chown(dir.path(), Some(NONROOT), None).unwrap();
    let file = as_another_user(&dir).await;
    chown(dir.database(), Some(NONROOT), None).unwrap();
    fs::set_permissions(dir.database(), Permissions::from_mode(0o400)).unwrap();
    let mode = as_another_user(&dir).await;

    let says = ["uid 0", "uid 65532", "`chown -R 65532 /"];
    empty.assert_refused(78, &says);
    folder.assert_refused(78, &says);
    folder.assert_refused(78, &[dir.path().to_str().unwrap()]);
    if let (Some(file), Some(mode)) = (file, mode) {
        file.assert_refused(78, &says);
        file.assert_refused(78, &[dir.database().to_str().unwrap()]);
        mode.assert_refused(78, &["mode 0400", "uid 65532", "`chmod u+rwX"]);
    }
}

/// Returns the command of a service whose database is on the mounted disk.
fn on_small_disk(dir: &TestDir) -> Command {
    let mut command = command(dir, &[]);
    let database = dir.path().join("disk/microblog.db");
    command.env("DATABASE_URL", format!("sqlite:{}", database.display()));
    command
}

#[tokio::test]
async fn read_only_volume_is_rejected_with_a_remedy() {
    let dir = TestDir::migrated().await;
    let script = database_on_small_disk(4_096) + " && mount -o remount,ro \"$0/disk\"";
    let Some(command) = contained(&dir, &["-m"], &script, &on_small_disk(&dir)) else {
        return;
    };

    let run = run(command).await;

    run.assert_refused(78, &["mounted read-only", "mount it for writing"]);
}

#[tokio::test]
async fn full_volume_exits_with_75_after_the_startup_timeout() {
    let dir = TestDir::migrated().await;
    let script =
        database_on_small_disk(4_096) + "; head -c 8m /dev/zero 2>&- > \"$0/disk/fill\"; true";
    let mut service = on_small_disk(&dir);
    service.env("DATABASE_STARTUP_TIMEOUT", "200ms");
    let Some(command) = contained(&dir, &["-m"], &script, &service) else {
        return;
    };

    let run = run(command).await;

    run.assert_refused(75, &["is full, with 0 bytes left", "make room"]);
}

/// Runs a health check, and returns its result and its duration.
async fn timed_healthcheck(address: &str) -> (Run, Duration) {
    let dir = TestDir::new();
    let start = Instant::now();
    let run = healthcheck(&dir, address).await;
    (run, start.elapsed())
}

#[tokio::test]
async fn health_check_of_a_frozen_service_fails_within_its_timeout() {
    let dir = TestDir::migrated().await;
    let mut service = start(&dir);
    let address = service.serving().await.to_string();

    service.signal("STOP");
    let (frozen, took) = timed_healthcheck(&address).await;
    service.signal("CONT");
    let (thawed, _) = timed_healthcheck(&address).await;

    frozen.assert_refused(1, &["no response within 1s"]);
    assert!(took < HEALTH_BOUND, "{took:?}");
    assert_eq!(thawed.code, Some(0), "{thawed:?}");
}

#[tokio::test]
async fn health_check_of_a_silent_listener_fails_within_its_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let accepted = std::thread::spawn(move || silent.accept());

    let (run, took) = timed_healthcheck(&address).await;

    run.assert_refused(1, &["no response within 1s"]);
    assert!(took < HEALTH_BOUND, "{took:?}");
    assert!(accepted.join().unwrap().is_ok());
}

#[tokio::test]
async fn health_check_of_a_closed_port_fails_immediately() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap().to_string();
    drop(gone);

    let (run, took) = timed_healthcheck(&address).await;

    run.assert_refused(1, &["is not serving"]);
    assert!(took < HEALTH_BOUND, "{took:?}");
}

/// Returns the id of the only child of a process.
fn child_of(process: u32) -> u32 {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap();
    children.trim().parse().unwrap()
}

#[tokio::test]
async fn service_as_process_1_ends_on_a_signal() {
    let (empty, migrated) = (TestDir::new(), TestDir::migrated().await);

    for (dir, says) in [(&empty, "waiting for the database"), (&migrated, "serving")] {
        for name in ["TERM", "INT"] {
            let alone = ["--pid", "--fork", "--kill-child"];
            let test = "test $$ = 1";
            let Some(command) = contained(dir, &alone, test, &command(dir, &[])) else {
                return;
            };
            let mut service = Process::start(command);
            service.wait_for_line(says).await;
            let start = Instant::now();

            signal(child_of(service.id()), name);
            let run = within_timeout(service.end()).await;

            assert_eq!(run.code, Some(0), "{run:?}");
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{:?}",
                start.elapsed()
            );
        }
    }
}
