//! Moves, removes and replaces the files of a database while services use it. No write is
//! acknowledged that the file at the path does not have.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use chassis::serving::health::v1::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use proto::{
    post::v1::{ListPostsRequest, WatchPostsRequest},
    user::v1::{GetUserRequest, User, user_service_client::UserServiceClient},
};
use tokio::sync::mpsc::unbounded_channel;
use tonic::{Code, Status, transport::Channel};

use crate::{
    assert_sound, assert_stored, create_post, create_user, post_service, posts_at,
    process::{Process, TestDir, connect, within_timeout},
    program,
    refusal::assert_refused,
    user_service, users_at,
};

const USERS: &str = "microblog.user.v1";
const POSTS: &str = "microblog.post.v1";

/// The log line of a change of the files.
const REJECTING: &str = "rejecting all calls";

/// The log line of a checkpoint into the open database.
const SAVED: &str = "write-ahead log copied into the open database";

/// Number of concurrent callers.
const CALLERS: usize = 4;

/// Waits until the health of a server is `status`.
async fn wait_for_health(address: SocketAddr, status: ServingStatus) {
    let mut client = HealthClient::new(connect(address));
    let watch = client.watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    let changed = async { while watch.message().await.unwrap().unwrap().status() != status {} };
    within_timeout(changed).await;
}

#[track_caller]
fn assert_replaced<T: std::fmt::Debug>(domain: &str, result: Result<T, Status>) {
    let status = result.unwrap_err();
    assert_refused(domain, &status, Code::Unavailable, "DATABASE_REPLACED");
}

/// Asserts that the service rejects reads and writes, and that one line of its log names the file
/// and says `remedy`.
async fn assert_rejecting(service: &mut Process, address: SocketAddr, file: &Path, remedy: &str) {
    wait_for_health(address, ServingStatus::NotServing).await;
    let mut users = users_at(address);
    for name in ["late", "later"] {
        assert_replaced(USERS, create_user(&mut users, name).await);
    }
    let read = users.get_user(GetUserRequest { id: 1 }).await;
    assert_replaced(USERS, read);

    let line = service.wait_for_line(REJECTING).await;
    assert!(line.contains(r#""level":"ERROR""#), "{line}");
    assert!(line.contains(file.to_str().unwrap()), "{line}");
    assert!(line.contains(remedy), "{line}");
    let lines = service.stdout_lines();
    let lines = lines.iter().filter(|line| line.contains(REJECTING));
    assert_eq!(lines.count(), 1);
}

fn row(user: User) -> (i64, String) {
    (user.id, user.nickname)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Starts a user service with one user.
async fn start(dir: &TestDir) -> (Process, UserServiceClient<Channel>, SocketAddr, User) {
    let mut service = user_service(dir);
    let address = service.serving().await;
    let mut users = users_at(address);
    let susan = create_user(&mut users, "susan").await.unwrap();
    (service, users, address, susan)
}

#[tokio::test]
async fn a_write_into_a_moved_database_fails_until_the_file_is_back() {
    let dir = TestDir::migrated().await;
    let (mut service, mut users, address, susan) = start(&dir).await;
    let away = beside(&dir.database(), ".away");

    fs::rename(dir.database(), &away).unwrap();
    let first = create_user(&mut users, "john").await;
    let read = users.get_user(GetUserRequest { id: susan.id }).await;
    assert_rejecting(&mut service, address, &dir.database(), "move it back").await;
    service.wait_for_line(SAVED).await;
    fs::rename(&away, dir.database()).unwrap();
    wait_for_health(address, ServingStatus::Serving).await;
    let mary = create_user(&mut users, "mary").await.unwrap();

    assert_replaced(USERS, first);
    // The first failed write makes later calls fail, without waiting for the next check.
    assert_replaced(USERS, read);
    service.wait_for_line("the database is back").await;
    assert_stored(&dir, "users", "nickname", &[row(susan), row(mary)]).await;
    assert_sound(&dir).await;
}

#[tokio::test]
async fn a_removed_database_or_directory_is_reported_without_a_call() {
    for directory in [false, true] {
        let dir = TestDir::new();
        let data = dir.path().join("data");
        let database = data.join("microblog.db");
        let variable = format!("sqlite:{}", database.display());
        let with_database = |name: &str, arguments: &[&str]| {
            let mut command = dir.command(program(name), arguments);
            command.env("DATABASE_URL", &variable);
            command
        };
        let mut migrator = Process::start(with_database("migrator", &["upgrade"]));
        migrator.wait_for_line("Current database version").await;
        let mut service = Process::start(with_database("user-service", &[]));
        let address = service.serving().await;

        if directory {
            fs::rename(&data, dir.path().join("renamed")).unwrap();
        } else {
            fs::remove_file(&database).unwrap();
        }

        assert_rejecting(&mut service, address, &database, "restore a backup").await;
        service.signal("TERM");
        assert_eq!(service.end().await.code, Some(0));
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_a_removed_log() {
    for suffixes in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let dir = TestDir::migrated().await;
        let (mut service, mut users, address, susan) = start(&dir).await;
        let john = create_user(&mut users, "john").await.unwrap();

        for suffix in suffixes {
            fs::remove_file(beside(&dir.database(), suffix)).unwrap();
        }
        let refused = create_user(&mut users, "mary").await;
        let file = beside(&dir.database(), suffixes[0]);
        assert_rejecting(&mut service, address, &file, "stop all services").await;
        if suffixes[0] == "-wal" {
            service.wait_for_line(SAVED).await;
        }
        service.signal("KILL");
        service.end().await;

        assert_replaced(USERS, refused);
        assert_stored(&dir, "users", "nickname", &[row(susan), row(john)]).await;
        assert_sound(&dir).await;
        let mut service = user_service(&dir);
        let again = create_user(&mut users_at(service.serving().await), "again").await;
        assert!(again.is_ok(), "{again:?}");
    }
}

#[tokio::test]
async fn a_redirected_link_is_reported_and_followed_after_a_restart() {
    let dir = TestDir::new();
    let (old, new) = (TestDir::migrated().await, TestDir::migrated().await);
    symlink(old.database(), dir.database()).unwrap();
    let (mut service, mut users, address, susan) = start(&dir).await;

    let link = dir.path().join("link");
    symlink(new.database(), &link).unwrap();
    fs::rename(&link, dir.database()).unwrap();
    let refused = create_user(&mut users, "john").await;
    assert_rejecting(&mut service, address, &dir.database(), "stop all services").await;
    service.signal("TERM");
    let code = service.end().await.code;
    let mut service = user_service(&dir);
    let mary = create_user(&mut users_at(service.serving().await), "mary").await;

    assert_replaced(USERS, refused);
    assert_eq!(code, Some(0));
    assert_stored(&old, "users", "nickname", &[row(susan)]).await;
    assert_stored(&new, "users", "nickname", &[row(mary.unwrap())]).await;
    assert_sound(&new).await;
}

#[tokio::test]
async fn a_replaced_database_is_used_after_a_restart_without_the_old_log() {
    let (dir, other) = (TestDir::migrated().await, TestDir::migrated().await);
    let (mut service, mut users, address, susan) = start(&dir).await;
    let mut posts = post_service(&dir, address, &[]);
    let posts_address = posts.serving().await;
    let mut post_client = posts_at(posts_address);
    create_post(&mut post_client, susan.id, "old")
        .await
        .unwrap();

    fs::rename(other.database(), dir.database()).unwrap();
    let refused = create_user(&mut users, "john").await;
    assert_rejecting(&mut service, address, &dir.database(), "stop all services").await;
    posts.wait_for_line(REJECTING).await;
    let read = post_client.list_posts(ListPostsRequest::default()).await;
    service.signal("TERM");
    let code = service.end().await.code;
    // The post service still runs, and must not share the index of the old log.
    let mut service = user_service(&dir);
    let mary = create_user(&mut users_at(service.serving().await), "mary").await;

    assert_replaced(USERS, refused);
    assert_replaced(POSTS, read);
    assert_eq!(code, Some(0));
    assert_eq!(dir.query("select nickname from users").await, ["mary"]);
    assert_eq!(dir.query("select body from posts").await, [""; 0]);
    assert_stored(&dir, "users", "nickname", &[row(mary.unwrap())]).await;
    assert_sound(&dir).await;
}

#[tokio::test]
async fn a_moved_database_has_all_acknowledged_writes() {
    let dir = TestDir::migrated().await;
    let (mut service, _, address, _) = start(&dir).await;
    let (sender, mut acked) = unbounded_channel();
    for caller in 0..CALLERS {
        let acked = sender.clone();
        tokio::spawn(async move {
            let mut users = users_at(address);
            for n in 0.. {
                match create_user(&mut users, &format!("user{caller}-{n}")).await {
                    Ok(user) => acked.send(row(user)).unwrap(),
                    Err(status) => return assert_replaced::<()>(USERS, Err(status)),
                }
            }
        });
    }
    drop(sender);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 100 {
        within_timeout(acked.recv_many(&mut acknowledged, 100)).await;
    }

    // Without its log, as by `mv microblog.db elsewhere`.
    let moved = TestDir::new();
    fs::rename(dir.database(), moved.database()).unwrap();
    while within_timeout(acked.recv_many(&mut acknowledged, 100)).await > 0 {}
    service.wait_for_line(SAVED).await;
    service.signal("KILL");
    service.end().await;

    assert_stored(&moved, "users", "nickname", &acknowledged).await;
    assert_sound(&moved).await;
    let log = fs::metadata(beside(&dir.database(), "-wal")).unwrap();
    assert_eq!(log.len(), 0, "the log would be applied to another database");
}

#[tokio::test]
async fn a_watch_of_posts_ends_when_the_database_is_moved() {
    let dir = TestDir::migrated().await;
    let mut service = user_service(&dir);
    let users_address = service.serving().await;
    let mut posts = post_service(&dir, users_address, &[]);
    let mut posts = posts_at(posts.serving().await);
    let watch = posts.watch_posts(WatchPostsRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();

    fs::rename(dir.database(), beside(&dir.database(), ".away")).unwrap();
    let ended = within_timeout(watch.message()).await;

    assert_replaced(POSTS, ended);
    let again = posts.watch_posts(WatchPostsRequest::default()).await;
    assert_replaced(POSTS, again.map(drop));
}

#[tokio::test]
async fn both_services_of_one_process_report_a_removed_database() {
    let dir = TestDir::new();
    let command = dir.command(program("microblog"), &[]);
    let mut system = Process::start(command);
    let serving = |lines: &[String], service: &str| {
        let line = lines
            .iter()
            .find(|line| line.contains(r#""message":"serving""#) && line.contains(service))?;
        let (_, rest) = line.split_once(r#""address":""#)?;
        rest.split('"').next()?.parse::<SocketAddr>().ok()
    };
    let (users, posts) = within_timeout(async {
        loop {
            system.serving().await;
            let lines = system.stdout_lines();
            let found = serving(&lines, USERS).zip(serving(&lines, POSTS));
            match found {
                Some(addresses) => return addresses,
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;

    fs::remove_file(dir.database()).unwrap();

    for address in [users, posts] {
        wait_for_health(address, ServingStatus::NotServing).await;
    }
    assert_replaced(USERS, create_user(&mut users_at(users), "susan").await);
    assert_replaced(POSTS, create_post(&mut posts_at(posts), 1, "x").await);
}

#[tokio::test]
async fn the_migrator_creates_no_database_beside_the_log_of_a_missing_one() {
    let dir = TestDir::migrated().await;
    let (_service, ..) = start(&dir).await;
    fs::remove_file(dir.database()).unwrap();

    let run = crate::process::run(dir.command(program("migrator"), &["upgrade"])).await;

    assert_eq!(run.code, Some(78), "{run:?}");
    let line = run.stderr.join("\n");
    assert!(line.contains("microblog.db-wal is left of it"), "{line}");
    assert!(!dir.database().exists());
}
