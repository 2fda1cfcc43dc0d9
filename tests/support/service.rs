//! Tests that each service passes as a process: settings, the wait for the database, subcommands
//! and the log.
//!
//! Each service compiles this module into one of its tests, which declares its
//! [`PROGRAM`](crate::PROGRAM).

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::Command,
};

use chassis::serving::health::v1::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use prost::Message;
use prost_types::FileDescriptorSet;

use crate::{
    PROGRAM,
    process::{Process, Run, TestDir, connect, execute, run, within_timeout},
};

/// The program of a service.
pub struct Program {
    /// Path of the executable.
    pub path: &'static str,
    /// Full name of the gRPC service.
    pub name: &'static str,
    /// Environment variable of the listen address.
    pub listen: &'static str,
    /// A table of the service, and a column that its statements read.
    pub column: (&'static str, &'static str),
}

pub fn command(dir: &TestDir, arguments: &[&str]) -> Command {
    dir.command(PROGRAM.path, arguments)
}

pub async fn run_with(dir: &TestDir, variable: &str, value: &str) -> Run {
    let mut command = command(dir, &[]);
    command.env(variable, value);
    run(command).await
}

pub fn start(dir: &TestDir) -> Process {
    Process::start(command(dir, &[]))
}

pub async fn healthcheck(dir: &TestDir, address: &str) -> Run {
    let mut command = command(dir, &["healthcheck"]);
    command.env(PROGRAM.listen, address);
    run(command).await
}

/// Returns the health of the service with the full name `service`.
pub async fn health(address: SocketAddr, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    let mut client = HealthClient::new(connect(address));
    let response = within_timeout(client.check(request)).await.unwrap();
    response.into_inner().status()
}

#[tokio::test]
async fn unknown_flag_exits_with_2() {
    let dir = TestDir::new();

    let run = run(command(&dir, &["--no-such-flag"])).await;

    run.assert_refused(2, &["--no-such-flag", "--help"]);
}

#[tokio::test]
async fn invalid_setting_is_named_in_one_line() {
    let dir = TestDir::new();

    for (variable, value, says) in [
        ("DATABASE_URL", "postgres://x", "sqlite:data/microblog.db"),
        ("DATABASE_URL", "sqlite:", "does not name a file"),
        (PROGRAM.listen, "nonsense", "--listen"),
        (
            "DATABASE_STARTUP_TIMEOUT",
            "soon",
            "--database-startup-timeout",
        ),
        ("CALL_TIMEOUT", "-1s", "--call-timeout"),
        ("WRITE_QUEUE_CAPACITY", "0", "--write-queue-capacity"),
        (
            "WRITE_QUEUE_CAPACITY",
            "18446744073709551615",
            "from 1 to 1000000",
        ),
        (
            "MAX_WRITE_BATCH",
            "18446744073709551615",
            "from 1 to 1000000",
        ),
        ("MAX_READ_CONNECTIONS", "5000000000", "from 1 to 1000000"),
        ("MAX_CONCURRENT_STREAMS", "0", "--max-concurrent-streams"),
        ("MAX_HEADER_BYTES", "0", "--max-header-bytes"),
        ("CALL_TIMEOUT", "0s", "too short"),
        ("LOCK_TIMEOUT", "300000000000y", "--lock-timeout"),
        ("DATABASE_STARTUP_TIMEOUT", "300days", "too long"),
        ("RUST_LOG", "a=b=c", "info,serving=debug"),
        ("LOG_FORMAT", "xml", "json"),
    ] {
        let run = run_with(&dir, variable, value).await;

        run.assert_refused(78, &[value, says]);
        assert_eq!(run.stdout.len() + run.stderr.len(), 1, "{variable}={value}");
    }
}

#[tokio::test]
async fn address_in_use_is_named_in_one_line() {
    let dir = TestDir::migrated().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let run = run_with(&dir, PROGRAM.listen, &address).await;

    run.assert_refused(78, &[&address, "in use", "another port"]);
}

#[tokio::test]
async fn help_shows_variable_and_default_of_each_setting() {
    let dir = TestDir::new();

    let help = run(command(&dir, &["--help"])).await;

    assert_eq!(help.code, Some(0), "{help:?}");
    let settings = help.stdout.join("\n");
    let settings: Vec<_> = settings
        .split("\n      --")
        .skip(1)
        .filter(|setting| !setting.starts_with("help") && !setting.starts_with("version"))
        .collect();
    assert!(settings.len() > 15, "{settings:?}");
    for setting in settings {
        assert!(setting.contains("[env: "), "--{setting}");
        assert!(setting.contains("[default: "), "--{setting}");
    }
}

#[tokio::test]
async fn missing_database_exits_with_75_after_the_timeout() {
    let dir = TestDir::new();

    let run = run_with(&dir, "DATABASE_STARTUP_TIMEOUT", "200ms").await;

    run.assert_refused(75, &["does not exist", "`migrator upgrade`"]);
    assert!(!dir.database().exists(), "the database was created");
}

#[tokio::test]
async fn outdated_database_exits_with_75_after_the_timeout() {
    let dir = TestDir::new();
    dir.migrator().create().await.unwrap();

    for version in [0, 1] {
        dir.migrator()
            .run(migrator::Run::upgrade_to(version))
            .await
            .ok();
        let run = run_with(&dir, "DATABASE_STARTUP_TIMEOUT", "200ms").await;

        let at = format!("is at version {version} and this service needs 2");
        run.assert_refused(75, &[&at, "`migrator upgrade`"]);
    }
}

#[tokio::test]
async fn waiting_service_logs_once_and_is_not_serving() {
    let dir = TestDir::new();
    let mut command = command(&dir, &[]);
    command.env("RUST_LOG", "info,serving=debug");
    let mut service = Process::start(command);
    let address = service.address_when("listening").await;
    service.wait_for_line("waiting for the database").await;

    let waiting = health(address, PROGRAM.name).await;
    let check = healthcheck(&dir, &address.to_string()).await;
    dir.migrator().run(migrator::Run::upgrade()).await.unwrap();
    service.serving().await;

    assert_eq!(waiting, ServingStatus::NotServing);
    check.assert_refused(1, &["NOT_SERVING"]);
    assert_eq!(health(address, "").await, ServingStatus::Serving);
    let lines = service.stdout_lines();
    let waits = lines.iter().filter(|line| line.contains("waiting"));
    assert_eq!(waits.count(), 1, "{lines:?}");
}

#[tokio::test]
async fn signal_ends_the_wait_for_the_database() {
    let dir = TestDir::new();
    let mut service = start(&dir);
    service.wait_for_line("waiting for the database").await;

    service.signal("TERM");

    assert_eq!(service.end().await.code, Some(0));
}

#[tokio::test]
async fn foreign_database_is_rejected_immediately_and_unchanged() {
    for script in [
        "create table notes (id integer primary key)",
        "pragma application_id = 7; create table notes (id integer primary key)",
    ] {
        let dir = TestDir::new();
        dir.execute(script).await;
        let before = fs::read(dir.database()).unwrap();

        let run = run_with(&dir, "DATABASE_STARTUP_TIMEOUT", "1h").await;

        run.assert_refused(78, &["is not a database of this system", "DATABASE_URL"]);
        assert!(
            before == fs::read(dir.database()).unwrap(),
            "the file changed"
        );
    }
}

#[tokio::test]
async fn file_of_another_format_is_rejected_immediately_and_unchanged() {
    let dir = TestDir::new();
    let text = "lorem ipsum ".repeat(1_000);
    fs::write(dir.database(), &text).unwrap();

    let run = run_with(&dir, "DATABASE_STARTUP_TIMEOUT", "1h").await;

    run.assert_refused(78, &["is not a database of this system"]);
    assert_eq!(fs::read_to_string(dir.database()).unwrap(), text);
}

/// Adds a migration of a future version to the history.
const NEWER: &str = "insert into _sqlx_migrations
    (version, description, success, checksum, execution_time) values (99, 'newer', 1, x'', 0)";

#[tokio::test]
async fn incompatible_newer_database_is_rejected_immediately() {
    let dir = TestDir::migrated().await;
    let (table, column) = PROGRAM.column;
    dir.execute(&format!(
        "alter table {table} rename column {column} to another; {NEWER}"
    ))
    .await;

    let run = run_with(&dir, "DATABASE_STARTUP_TIMEOUT", "1h").await;

    run.assert_refused(78, &[column, "as new as the database"]);
}

#[tokio::test]
async fn compatible_newer_database_is_served() {
    let dir = TestDir::migrated().await;
    let (table, _) = PROGRAM.column;
    dir.execute(&format!(
        "alter table {table} add column more text; {NEWER}"
    ))
    .await;

    let address = start(&dir).serving().await;

    assert_ne!(address.port(), 0);
}

#[tokio::test]
async fn health_check_of_a_serving_service_succeeds() {
    let dir = TestDir::migrated().await;
    let mut service = start(&dir);
    let address = service.serving().await.to_string();

    let check = healthcheck(&dir, &address).await;

    assert_eq!(check.code, Some(0), "{check:?}");
    assert_eq!(check.stderr, [""; 0]);
}

#[tokio::test]
async fn health_check_of_a_stopped_service_fails() {
    let dir = TestDir::migrated().await;
    let mut service = start(&dir);
    let address = service.serving().await.to_string();
    service.signal("TERM");
    service.end().await;

    let check = healthcheck(&dir, &address).await;

    check.assert_refused(1, &[&address, "is not serving"]);
}

#[test]
fn completions_print_a_script_without_a_database() {
    let dir = TestDir::new();

    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = command(&dir, &["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();

        assert!(output.status.success(), "{shell}");
        for word in ["healthcheck", "drain-timeout"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    let unknown = command(&dir, &["completions", "tcsh"]).output().unwrap();
    assert!(!unknown.status.success());
}

#[tokio::test]
async fn descriptor_set_contains_comments_and_imports() {
    let dir = TestDir::new();
    let output = command(&dir, &["descriptor"]).output().unwrap();

    let set = FileDescriptorSet::decode(output.stdout.as_slice()).unwrap();

    assert!(output.status.success());
    let (package, service) = PROGRAM.name.rsplit_once('.').unwrap();
    let file = set.file.iter().find(|file| file.package() == package);
    let file = file.expect("the contract is missing");
    assert!(file.service.iter().any(|s| s.name() == service));
    let info = file.source_code_info.as_ref().unwrap();
    let comments = info
        .location
        .iter()
        .filter(|location| location.leading_comments.is_some());
    // Each message, field, value and method has a comment.
    assert!(comments.count() > 50);
    for import in &file.dependency {
        assert!(set.file.iter().any(|file| file.name() == import));
    }
}

#[tokio::test]
async fn log_is_json_on_stdout_or_text_on_stderr() {
    let dir = TestDir::migrated().await;
    let mut json = start(&dir);
    json.serving().await;
    json.signal("TERM");
    let json = json.end().await;
    let mut text = command(&dir, &[]);
    text.env("LOG_FORMAT", "text")
        .env("DATABASE_STARTUP_TIMEOUT", "0s");
    text.env("DATABASE_URL", "sqlite:nowhere.db");

    let text = run(text).await;

    assert_eq!(json.stderr, [""; 0]);
    assert!(json.stdout.len() >= 2, "{json:?}");
    for line in &json.stdout {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for field in ["timestamp", "level", "message", "target"] {
            assert!(line[field].is_string(), "no {field} in {line}");
        }
    }
    assert_eq!((text.code, text.stdout.len()), (Some(75), 0), "{text:?}");
}

#[tokio::test]
async fn service_starts_while_another_process_holds_the_write_lock() {
    let dir = TestDir::migrated().await;
    let mut writer = dir.connection().await;
    execute(&mut writer, "begin immediate").await;

    let address = start(&dir).serving().await;

    assert_ne!(address.port(), 0);
}
