//! Both services under load, while the schema beneath them goes forth and back and what is
//! in the database is replaced: no call fails.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    assert_sound, assert_stored,
    load::{Acknowledged, Load, Told},
    post_service,
    process::{TestDir, run},
    program, user_service,
};

/// How many users there are at the beginning, each with a post.
const ROWS: i64 = 20_000;

/// How long the services' writes wait for another process: what `LOCK_TIMEOUT` is unless it is
/// set.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A change of each service's declaration for which its table is rebuilt.
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

/// What is added to the declaration of `users`, after its last column.
const COLUMN: (&str, &str) = (
    "check (revision >= 1)\n) strict;",
    "check (revision >= 1),\n    bio text not null default ''\n) strict;",
);

/// Copies both services' folders, without their sources, and gives the folder they are in.
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

/// Runs the migrator with the migrations of the tree. It must succeed.
async fn migrate(dir: &TestDir, arguments: &[&str]) -> String {
    let mut command = dir.command(program("migrator"), arguments);
    command.args(["--project", "tree"]).env_remove("LOG_FORMAT");
    let begun = Instant::now();
    let run = run(command).await;
    assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
    println!("{} took {:?}", arguments[0], begun.elapsed());
    run.stdout.join("\n")
}

/// A database with rows, at version 2.
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

/// Asserts that those of the acknowledged writes are stored that `counts` tells.
async fn assert_kept(
    dir: &TestDir,
    acknowledged: &[Vec<Acknowledged>; 2],
    counts: impl Fn(&Acknowledged) -> bool,
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

/// Prints how long calls took, and asserts that none failed or took as long as writes wait.
fn assert_nobody_noticed(told: &Told) {
    let mut longest = Duration::ZERO;
    for (kind, (took, calls)) in &told.calls {
        println!("{kind}: {calls} calls, the longest {took:?}");
        longest = longest.max(*took);
    }
    println!("the longest wait of a call: {longest:?}");
    assert_eq!(told.failures, [""; 0]);
    assert_eq!(told.calls.len(), 6);
    assert!(longest < LOCK_TIMEOUT, "{longest:?}");
}

#[tokio::test]
async fn nobody_notices_an_upgrade_a_downgrade_and_a_restore() {
    let dir = filled().await;
    let tree = copy_tree(&dir);
    let mut users = user_service(&dir);
    let users_address = users.serving().await;
    let mut posts = post_service(&dir, users_address, &[]);
    let load = Load::start(users_address, posts.serving().await, ROWS);
    load.goes_on().await;

    // An added column, and a table of each service that is rebuilt.
    edit(&tree, "user-service", COLUMN.0, COLUMN.1);
    migrate(&dir, &["migrate", "add bio"]).await;
    for (service, old, new) in REBUILDS {
        edit(&tree, service, old, new);
    }
    migrate(&dir, &["migrate", "longer"]).await;
    let upgraded = migrate(&dir, &["upgrade"]).await;
    load.goes_on().await;
    assert!(
        upgraded.ends_with("Current database version: 5"),
        "{upgraded}"
    );
    assert_kept(&dir, &load.acknowledged(), |_| true).await;

    // The services are content with a newer version at their start, too.
    let mut again = user_service(&dir);
    let again_address = again.serving().await;
    post_service(&dir, again_address, &[]).serving().await;

    let before_backup = Instant::now();
    migrate(&dir, &["backup", "tuesday.db"]).await;
    load.goes_on().await;
    let back = ["downgrade", "--to", "2", "--allow-data-loss"];
    let downgraded = migrate(&dir, &back).await;
    load.goes_on().await;
    assert!(
        downgraded.ends_with("Current database version: 2"),
        "{downgraded}"
    );
    assert_kept(&dir, &load.acknowledged(), |_| true).await;

    let restored = migrate(&dir, &["restore", "tuesday.db"]).await;
    let after_restore = Instant::now();
    load.goes_on().await;
    assert!(
        restored.ends_with("Current database version: 5"),
        "{restored}"
    );

    let told = load.end().await;
    assert_nobody_noticed(&told);
    // What was acknowledged between the backup and the restore is gone, and its ids may be
    // used again.
    let acknowledged = [told.users, told.posts];
    assert_kept(&dir, &acknowledged, |write| write.ended < before_backup).await;
    assert_kept(&dir, &acknowledged, |write| write.begun > after_restore).await;
    assert_sound(&dir).await;
}
