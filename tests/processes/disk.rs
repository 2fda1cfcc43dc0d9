//! Fills the disk of a running service: writes are rejected until space is free again.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use proto::user::v1::GetUserRequest;
use tonic::Code;

use crate::{
    create_user,
    namespace::{contained, database_on_small_disk},
    process::{Process, TestDir, within_timeout},
    program,
    refusal::assert_refused,
    users_at,
};

/// Starts a user service whose database is on a small file system in a private mount namespace.
/// Returns `None` if the kernel allows no such namespace.
fn start(dir: &TestDir, min_free: &str) -> Option<Process> {
    let mut service = dir.command(program("user-service"), &[]);
    let database = dir.path().join("disk/microblog.db");
    service
        .env("DATABASE_URL", format!("sqlite:{}", database.display()))
        .env("MIN_FREE_DISK_BYTES", min_free);
    let command = contained(dir, &["-m"], &database_on_small_disk(4_096), &service)?;
    Some(Process::start(command))
}

/// Fills the file system of the service with a file, and returns its path as seen from here.
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
async fn full_disk_rejects_writes_until_space_is_free_but_serves_reads() {
    // With a minimum, the service rejects writes before the disk is full. Without one, SQLite does.
    for min_free in ["1048576", "0"] {
        let dir = TestDir::migrated().await;
        let Some(mut service) = start(&dir, min_free) else {
            return;
        };
        let mut users = users_at(service.serving().await);
        let id = create_user(&mut users, "susan").await.unwrap().id;
        let filled = fill(&dir, &service);

        let mut refused = None;
        // The first writes may fit into space that SQLite has already allocated.
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
