//! Upgrades, downgrades, backs up and restores the database of both services under load. No call
//! may fail.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    assert_sound, assert_stored,
    load::{Acked, AckedWrite, Load},
    post_service,
    process::{TestDir, run},
    program, user_service,
};

/// Number of users at the start, each with one post.
const ROWS: i64 = 20_000;

/// The default of `LOCK_TIMEOUT`: the time that a write waits for the lock of another process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// For each service, a change of its `schema.sql` that makes the migration rebuild the table.
const REBUILDS: [(&str, &str, &str); 2] = [
    (
        "user-service",
        "length(email) between 3 and 120",
        "length(email) between 3 and 121",
    ),
    (
        "post-service",
        "length(body) between 1 and 140",
        "length(body) between 1 and 141",
    ),
];

/// The end of the declaration of `users`, and the same with another column.
const COLUMN: (&str, &str) = (
    "check (revision >= 1)\n) strict;",
    "check (revision >= 1),\n    bio text not null default ''\n) strict;",
);

/// Copies the migrations and declarations of both services to a directory, and returns its path.
fn copy_tree(dir: &TestDir) -> PathBuf {
    let tree = dir.path().join("tree");
    for service in ["user-service", "post-service"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(service);
        for part in ["migrations", ".sqlx"] {
            let into = tree.join(service).join(part);
            fs::create_dir_all(&into).unwrap();
            for file in fs::read_dir(from.join(part)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), into.join(file.file_name())).unwrap();
            }
        }
        for part in ["schema.sql", "released.json"] {
            fs::copy(from.join(part), tree.join(service).join(part)).unwrap();
        }
    }
    tree
}

fn edit(tree: &Path, service: &str, old: &str, new: &str) {
    let file = tree.join(service).join("schema.sql");
    let text = fs::read_to_string(&file).unwrap();
    let (before, after) = text.split_once(old).unwrap();
    fs::write(file, format!("{before}{new}{after}")).unwrap();
}

/// Runs the migrator with the migrations of the tree. Panics if it fails.
async fn migrate(dir: &TestDir, arguments: &[&str]) -> String {
    let mut command = dir.command(program("migrator"), arguments);
    command.args(["--project", "tree"]).env_remove("LOG_FORMAT");
    let start = Instant::now();
    let run = run(command).await;
    assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
    println!("{} took {:?}", arguments[0], start.elapsed());
    run.stdout.join("\n")
}

/// Creates a database at version 2 that holds `ROWS` users and posts.
async fn filled() -> TestDir {
    let dir = TestDir::migrated().await;
    dir.execute(&format!(
        "begin;
             insert into users (nickname, nickname_key, email, email_key, role,
                                create_time, update_time, revision)
             with recursive n (i) as (values (1) union all select i + 1 from n where i < {ROWS})
             select 'user' || i, 'user' || i, 'user' || i || '@example.com',
                    'user' || i || '@example.com', 0, i, i, 1
             from n;
             insert into posts (body, create_time, update_time, revision, user_id)
             select 'post of ' || nickname, id, id, 1, id from users;
             commit;"
    ))
    .await;
    dir
}

/// Asserts that the acknowledged writes which `counts` selects are stored.
async fn assert_kept(
    dir: &TestDir,
    acknowledged: &[Vec<AckedWrite>; 2],
    counts: impl Fn(&AckedWrite) -> bool,
) {
    let tables = [("users", "nickname"), ("posts", "body")];
    for ((table, column), acknowledged) in tables.into_iter().zip(acknowledged) {
        let counted = acknowledged.iter().filter(|write| counts(write));
        let rows: Vec<_> = counted
            .map(|write| (write.id, write.text.clone()))
            .collect();
        assert!(!rows.is_empty(), "nothing was written to {table}");
        assert_stored(dir, table, column, &rows).await;
    }
}

/// Prints the longest duration of each method. Asserts that no call failed or took `LOCK_TIMEOUT`.
fn assert_no_failures(acked: &Acked) {
    let mut longest = Duration::ZERO;
    for (kind, (took, calls)) in &acked.calls {
        println!("{kind}: {calls} calls, longest {took:?}");
        longest = longest.max(*took);
    }
    println!("longest call: {longest:?}");
    assert_eq!(acked.failures, [""; 0]);
    assert_eq!(acked.calls.len(), 6);
    assert!(longest < LOCK_TIMEOUT, "{longest:?}");
}

#[tokio::test]
async fn no_call_fails_during_upgrade_downgrade_and_restore() {
    let dir = filled().await;
    let tree = copy_tree(&dir);
    let mut users = user_service(&dir);
    let users_address = users.serving().await;
    let mut posts = post_service(&dir, users_address, &[]);
    let load = Load::start(users_address, posts.serving().await, ROWS);
    load.wait_for_progress().await;

    // The first migration adds a column. The second rebuilds a table of each service.
    edit(&tree, "user-service", COLUMN.0, COLUMN.1);
    migrate(&dir, &["migrate", "add bio"]).await;
    for (service, old, new) in REBUILDS {
        edit(&tree, service, old, new);
    }
    migrate(&dir, &["migrate", "longer"]).await;
    let upgraded = migrate(&dir, &["upgrade"]).await;
    load.wait_for_progress().await;
    assert!(
        upgraded.ends_with("Current database version: 5"),
        "{upgraded}"
    );
    assert_kept(&dir, &load.acknowledged(), |_| true).await;

    // Services also start on a newer schema version.
    let mut again = user_service(&dir);
    let again_address = again.serving().await;
    post_service(&dir, again_address, &[]).serving().await;

    let before_backup = Instant::now();
    migrate(&dir, &["backup", "tuesday.db"]).await;
    load.wait_for_progress().await;
    let back = ["downgrade", "--to", "2", "--allow-data-loss"];
    let downgraded = migrate(&dir, &back).await;
    load.wait_for_progress().await;
    assert!(
        downgraded.ends_with("Current database version: 2"),
        "{downgraded}"
    );
    assert_kept(&dir, &load.acknowledged(), |_| true).await;

    let restored = migrate(&dir, &["restore", "tuesday.db"]).await;
    let after_restore = Instant::now();
    load.wait_for_progress().await;
    assert!(
        restored.ends_with("Current database version: 5"),
        "{restored}"
    );

    let acked = load.stop().await;
    assert_no_failures(&acked);
    // Writes acknowledged between the backup and the restore are lost, and their ids may be
    // assigned again.
    let acknowledged = [acked.users, acked.posts];
    assert_kept(&dir, &acknowledged, |write| write.end < before_backup).await;
    assert_kept(&dir, &acknowledged, |write| write.start > after_restore).await;
    assert_sound(&dir).await;
}
