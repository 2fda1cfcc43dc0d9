//! What holds for every service as a process, whatever it serves: its settings, its wait
//! for the database, its subcommands, its log, and its end.
//!
//! It is compiled into a test of each service, which says which [`PROGRAM`](crate::PROGRAM)
//! it is.

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
    process::{Place, Process, Run, connect, execute, run, soon},
};

/// A service as a program.
pub struct Program {
    /// The file.
    pub path: &'static str,
    /// The full name of the gRPC service.
    pub name: &'static str,
    /// The variable with the address to listen on.
    pub listen: &'static str,
    /// A table of its own, with a column that its statements read.
    pub column: (&'static str, &'static str),
}

pub fn command(place: &Place, arguments: &[&str]) -> Command {
    place.command(PROGRAM.path, arguments)
}

pub async fn run_with(place: &Place, variable: &str, value: &str) -> Run {
    let mut command = command(place, &[]);
    command.env(variable, value);
    run(command).await
}

pub fn start(place: &Place) -> Process {
    Process::start(command(place, &[]))
}

pub async fn healthcheck(place: &Place, address: &str) -> Run {
    let mut command = command(place, &["healthcheck"]);
    command.env(PROGRAM.listen, address);
    run(command).await
}

/// The health of the service with the full name `service`.
pub async fn health(address: SocketAddr, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    let mut client = HealthClient::new(connect(address));
    let response = soon(client.check(request)).await.unwrap();
    response.into_inner().status()
}

#[tokio::test]
async fn an_unknown_flag_is_a_misuse_of_the_command_line() {
    let place = Place::new();

    let run = run(command(&place, &["--no-such-flag"])).await;

    run.assert_refused(2, &["--no-such-flag", "--help"]);
}

#[tokio::test]
async fn a_setting_that_cannot_work_is_named_in_one_line() {
    let place = Place::new();

    for (variable, value, says) in [
        ("DATABASE_URL", "postgres://x", "sqlite:data/microblog.db"),
        ("DATABASE_URL", "sqlite:", "names no file"),
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
        let run = run_with(&place, variable, value).await;

        run.assert_refused(78, &[value, says]);
        assert_eq!(run.stdout.len() + run.stderr.len(), 1, "{variable}={value}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_in_one_line() {
    let place = Place::migrated().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let run = run_with(&place, PROGRAM.listen, &address).await;

    run.assert_refused(78, &[&address, "taken", "another port"]);
}

#[tokio::test]
async fn every_setting_has_a_variable_and_a_default() {
    let place = Place::new();

    let help = run(command(&place, &["--help"])).await;

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
async fn a_database_that_is_not_there_in_time_ends_it_with_75() {
    let place = Place::new();

    let run = run_with(&place, "DATABASE_STARTUP_TIMEOUT", "200ms").await;

    run.assert_refused(75, &["there is no file", "`migrator upgrade`"]);
    assert!(!place.database().exists(), "it was created");
}

#[tokio::test]
async fn a_database_that_is_not_migrated_in_time_ends_it_with_75() {
    let place = Place::new();
    place.migrator().create().await.unwrap();

    for version in [0, 1] {
        place
            .migrator()
            .run(migrator::Run::upgrade_to(version))
            .await
            .ok();
        let run = run_with(&place, "DATABASE_STARTUP_TIMEOUT", "200ms").await;

        let at = format!("is at version {version} and this service needs 2");
        run.assert_refused(75, &[&at, "`migrator upgrade`"]);
    }
}

#[tokio::test]
async fn while_it_waits_for_the_database_it_says_so_once_and_is_not_serving() {
    let place = Place::new();
    let mut command = command(&place, &[]);
    command.env("RUST_LOG", "info,serving=debug");
    let mut service = Process::start(command);
    let address = service.address_when("listening").await;
    service.says("waiting for the database").await;

    let meanwhile = health(address, PROGRAM.name).await;
    let check = healthcheck(&place, &address.to_string()).await;
    place
        .migrator()
        .run(migrator::Run::upgrade())
        .await
        .unwrap();
    service.serving().await;

    assert_eq!(meanwhile, ServingStatus::NotServing);
    check.assert_refused(1, &["NOT_SERVING"]);
    assert_eq!(health(address, "").await, ServingStatus::Serving);
    let said = service.said();
    let waits = said.iter().filter(|line| line.contains("waiting"));
    assert_eq!(waits.count(), 1, "{said:?}");
}

#[tokio::test]
async fn a_wait_for_the_database_ends_with_a_signal() {
    let place = Place::new();
    let mut service = start(&place);
    service.says("waiting for the database").await;

    service.signal("TERM");

    assert_eq!(service.end().await.code, Some(0));
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_at_once_and_left_alone() {
    for script in [
        "create table notes (id integer primary key)",
        "pragma application_id = 7; create table notes (id integer primary key)",
    ] {
        let place = Place::new();
        place.execute(script).await;
        let before = fs::read(place.database()).unwrap();

        let run = run_with(&place, "DATABASE_STARTUP_TIMEOUT", "1h").await;

        run.assert_refused(78, &["is not a database of this system", "DATABASE_URL"]);
        assert!(before == fs::read(place.database()).unwrap(), "it changed");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_at_once_and_left_alone() {
    let place = Place::new();
    let text = "lorem ipsum ".repeat(1_000);
    fs::write(place.database(), &text).unwrap();

    let run = run_with(&place, "DATABASE_STARTUP_TIMEOUT", "1h").await;

    run.assert_refused(78, &["is not a database of this system"]);
    assert_eq!(fs::read_to_string(place.database()).unwrap(), text);
}

/// What a migration of the future would leave in the history.
const NEWER: &str = "insert into _sqlx_migrations
    (version, description, success, checksum, execution_time) values (99, 'newer', 1, x'', 0)";

#[tokio::test]
async fn a_newer_database_on_which_its_statements_do_not_run_is_refused_at_once() {
    let place = Place::migrated().await;
    let (table, column) = PROGRAM.column;
    place
        .execute(&format!(
            "alter table {table} rename column {column} to another; {NEWER}"
        ))
        .await;

    let run = run_with(&place, "DATABASE_STARTUP_TIMEOUT", "1h").await;

    run.assert_refused(78, &[column, "as new as the database"]);
}

#[tokio::test]
async fn a_newer_database_on_which_its_statements_run_is_served() {
    let place = Place::migrated().await;
    let (table, _) = PROGRAM.column;
    place
        .execute(&format!(
            "alter table {table} add column more text; {NEWER}"
        ))
        .await;

    let address = start(&place).serving().await;

    assert_ne!(address.port(), 0);
}

#[tokio::test]
async fn a_health_check_succeeds_where_the_service_serves() {
    let place = Place::migrated().await;
    let mut service = start(&place);
    let address = service.serving().await.to_string();

    let check = healthcheck(&place, &address).await;

    assert_eq!(check.code, Some(0), "{check:?}");
    assert_eq!(check.stderr, [""; 0]);
}

#[tokio::test]
async fn a_health_check_fails_where_nobody_serves() {
    let place = Place::migrated().await;
    let mut service = start(&place);
    let address = service.serving().await.to_string();
    service.signal("TERM");
    service.end().await;

    let check = healthcheck(&place, &address).await;

    check.assert_refused(1, &[&address, "is not serving"]);
}

#[tokio::test]
async fn the_descriptor_set_has_the_comments_and_the_imports_of_the_contract() {
    let place = Place::new();
    let output = command(&place, &["descriptor"]).output().unwrap();

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
        .filter(|place| place.leading_comments.is_some());
    // Every message, field, value and method has one.
    assert!(comments.count() > 50);
    for import in &file.dependency {
        assert!(set.file.iter().any(|file| file.name() == import));
    }
}

#[tokio::test]
async fn the_log_is_json_on_standard_output_or_text_on_standard_error() {
    let place = Place::migrated().await;
    let mut json = start(&place);
    json.serving().await;
    json.signal("TERM");
    let json = json.end().await;
    let mut text = command(&place, &[]);
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
async fn after_a_signal_it_waits_for_no_open_stream() {
    let place = Place::migrated().await;
    let mut service = start(&place);
    let address = service.serving().await;
    let mut watch = HealthClient::new(connect(address))
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let first = watch.message().await.unwrap().unwrap();

    service.signal("TERM");
    let second = soon(watch.message()).await.unwrap().unwrap();
    let run = service.end().await;

    assert_eq!(first.status(), ServingStatus::Serving);
    assert_eq!(second.status(), ServingStatus::NotServing);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::migrated().await;
        let mut command = command(&place, &[]);
        command.env("DRAIN_DELAY", "1h");
        let mut service = Process::start(command);
        let address = service.serving().await;
        let mut watch = HealthClient::new(connect(address))
            .watch(HealthCheckRequest::default())
            .await
            .unwrap()
            .into_inner();
        watch.message().await.unwrap();
        service.signal("TERM");
        service.says("draining").await;

        service.signal(signal);

        assert_eq!(service.end().await.code, Some(code));
    }
}

#[tokio::test]
async fn it_leaves_no_log_beside_the_database_when_it_ends() {
    let place = Place::migrated().await;
    let mut service = start(&place);
    service.serving().await;

    service.signal("INT");
    let run = service.end().await;

    assert_eq!(run.code, Some(0), "{run:?}");
    let mut files: Vec<_> = fs::read_dir(place.folder())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["microblog.db"]);
    assert_eq!(place.query("pragma integrity_check").await, ["ok"]);
}

#[tokio::test]
async fn a_database_that_is_locked_by_another_process_does_not_keep_it_from_serving() {
    let place = Place::migrated().await;
    let mut writer = place.connection().await;
    execute(&mut writer, "begin immediate").await;

    let address = start(&place).serving().await;

    assert_ne!(address.port(), 0);
}
