//! A disk that fills up while a service runs.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use proto::user::v1::GetUserRequest;
use tonic::Code;

use crate::{
    create_user,
    namespace::{contained, on_a_disk_of},
    process::{Process, TestDir, within_timeout},
    program,
    refusal::assert_refused,
    users_at,
};

/// A user service whose database is on a small disk that only it sees.
fn start(dir: &TestDir, margin: &str) -> Option<Process> {
    let mut service = dir.command(program("user-service"), &[]);
    let database = dir.path().join("disk/microblog.db");
    service
        .env("DATABASE_URL", format!("sqlite:{}", database.display()))
        .env("MIN_FREE_DISK_BYTES", margin);
    let command = contained(dir, &["-m"], &on_a_disk_of(4_096), &service)?;
    Some(Process::start(command))
}

/// Fills that disk with a file, which is where this path leads.
fn fill(dir: &TestDir, service: &Process) -> PathBuf {
    let folder = dir.path();
    let file = Path::new("/proc")
        .join(service.id().to_string())
        .join("root")
        .join(folder.strip_prefix("/").unwrap())
        .join("disk/fill");
    let mut filled = File::create(&file).unwrap();
    while filled.write_all(&[0; 4096]).is_ok() {}
    file
}

#[tokio::test]
async fn on_a_full_disk_writes_are_refused_until_there_is_room_and_reads_go_on() {
    // Refused before the disk is full, and by SQLite when it is.
    for margin in ["1048576", "0"] {
        let dir = TestDir::migrated().await;
        let Some(mut service) = start(&dir, margin) else {
            return;
        };
        let mut users = users_at(service.serving().await);
        let id = create_user(&mut users, "susan").await.unwrap().id;
        let filled = fill(&dir, &service);

        let mut refused = None;
        // What SQLite has taken from the disk before may do for a few.
        for number in 0..10_000 {
            let created = within_timeout(create_user(&mut users, &format!("john{number}"))).await;
            refused = created.err();
            if refused.is_some() {
                break;
            }
        }
        service
            .wait_for_line("the disk of the database is full")
            .await;
        let read = within_timeout(users.get_user(GetUserRequest { id })).await;
        fs::remove_file(filled).unwrap();
        let again = within_timeout(create_user(&mut users, "mary")).await;
        service.wait_for_line("free disk space recovered").await;

        let refused = refused.unwrap();
        assert_refused(
            "microblog.user.v1",
            &refused,
            Code::Unavailable,
            "STORAGE_FULL",
        );
        assert!(refused.message().contains("full"), "{refused:?}");
        assert!(read.is_ok() && again.is_ok(), "{read:?} {again:?}");
        service.signal("TERM");
        assert_eq!(service.end().await.code, Some(0));
    }
}
