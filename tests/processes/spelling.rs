//! Spellings of addresses: every program accepts and rejects the same ones.

use std::fs;

use crate::{
    create_post, create_user, post_service, posts_at,
    process::{Process, Run, TestDir, run},
    program, users_at,
};

/// The programs that open the database, each with its arguments.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("migrator", &["upgrade"]),
    ("microblog", &[]),
    ("user-service", &[]),
    ("post-service", &[]),
];

/// Returns the names of the files in a directory.
fn files(dir: &TestDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs a program with a variable to its end.
async fn run_with(dir: &TestDir, (name, arguments): (&str, &[&str]), set: (&str, &str)) -> Run {
    let mut command = dir.command(program(name), arguments);
    command
        .env("DATABASE_STARTUP_TIMEOUT", "0s")
        .env(set.0, set.1);
    run(command).await
}

#[tokio::test]
async fn every_program_rejects_the_same_database_urls_and_creates_nothing() {
    for (url, says) in [
        ("", "sqlite:data/microblog.db"),
        ("x.db", "sqlite:data/microblog.db"),
        ("postgres://x", "sqlite:data/microblog.db"),
        ("sqlite3:x.db", "sqlite:data/microblog.db"),
        ("sqlite:", "sqlite:data/microblog.db"),
        ("sqlite::memory:", "sqlite:data/microblog.db"),
        ("sqlite:file:x.db", "sqlite:data/microblog.db"),
        ("sqlite:x.db?mode=rwc", "sqlite:data/microblog.db"),
        ("sqlite:x%2edb", "sqlite:data/microblog.db"),
        ("sqlite:~/x.db", "sqlite:data/microblog.db"),
        ("sqlite:x/", "sqlite:data/microblog.db"),
        ("sqlite:/dev/null", "/dev/null is not a file"),
        ("sqlite:/dev", "/dev is not a file"),
    ] {
        for program in PROGRAMS {
            let dir = TestDir::new();

            let run = run_with(&dir, program, ("DATABASE_URL", url)).await;

            run.assert_refused(78, &[says]);
            assert_eq!(files(&dir), [""; 0], "{program:?} {url}");
        }
    }
}

#[tokio::test]
async fn every_program_opens_the_same_file_for_a_spelling() {
    for url in [
        "sqlite:x.db",
        "sqlite://x.db",
        " SQLITE:./x.db\n",
        "sqlite:a/../x.db",
    ] {
        let dir = TestDir::new();
        fs::create_dir(dir.path().join("a")).unwrap();

        let migrated = run_with(&dir, PROGRAMS[0], ("DATABASE_URL", url)).await;
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        for (name, arguments) in &PROGRAMS[1..] {
            let mut command = dir.command(program(name), arguments);
            command.env("DATABASE_URL", url);
            let mut process = Process::start(command);
            process.serving().await;
            process.signal("TERM");
            let ended = process.end().await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }

        assert_eq!(files(&dir), ["a", "x.db"], "{url:?}");
    }
}

#[tokio::test]
async fn every_program_rejects_the_same_listen_addresses() {
    for address in [
        ":50051",
        "*:50051",
        "50051",
        "users:50051",
        "unix:/run/x",
        "127.0.0.1",
    ] {
        for (program, variable) in [
            (PROGRAMS[1], "USER_SERVICE_LISTEN"),
            (PROGRAMS[1], "POST_SERVICE_LISTEN"),
            (PROGRAMS[2], "USER_SERVICE_LISTEN"),
            (PROGRAMS[3], "POST_SERVICE_LISTEN"),
        ] {
            let dir = TestDir::new();

            let run = run_with(&dir, program, (variable, address)).await;

            run.assert_refused(78, &[address, "127.0.0.1:50051"]);
            assert_eq!(files(&dir), [""; 0], "{program:?} {address}");
        }
    }
}

#[tokio::test]
async fn localhost_reaches_the_user_service() {
    let dir = TestDir::migrated().await;
    let mut command = dir.command(program("user-service"), &["--listen", "localhost:0"]);
    command.env_remove("USER_SERVICE_LISTEN");
    let mut users = Process::start(command);
    let address = users.serving().await;
    let susan = create_user(&mut users_at(address), "susan").await.unwrap();
    let url = format!("http://localhost:{}", address.port());

    let mut service = post_service(&dir, address, &[("USER_SERVICE_URL", &url)]);
    let mut posts = posts_at(service.serving().await);
    let post = create_post(&mut posts, susan.id, "first").await;
    let listen = format!("localhost:{}", address.port());
    let check = dir.command(
        program("user-service"),
        &["healthcheck", "--listen", &listen],
    );

    assert!(address.ip().is_loopback() && address.is_ipv4(), "{address}");
    assert_eq!(post.unwrap().author.unwrap().nickname, "susan");
    assert_eq!(run(check).await.code, Some(0));
}
