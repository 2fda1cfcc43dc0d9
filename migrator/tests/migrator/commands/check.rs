//! `check`: the checks of a change before it is applied.

use std::{fs, time::Instant};

use super::{POSTS, Tree, USERS};
use crate::LOCK_TIMEOUT;

const BIO: &str = "bio text not null default ''";

#[test]
fn a_valid_project_passes_with_and_without_a_database() {
    let tree = Tree::new();

    let without = tree.done(&["check"]);
    tree.done(&["upgrade"]);
    let with = tree.done(&["check"]);

    assert!(
        without.lines().all(|line| line.starts_with("ok ")),
        "{without}"
    );
    assert_eq!(with.lines().count(), without.lines().count() + 1);
    assert!(with.starts_with(&without), "{with}");
}

#[test]
fn a_generated_migration_passes() {
    let tree = Tree::new();
    tree.declare_column(BIO);
    tree.edit(POSTS, "between 1 and 140", "between 1 and 280");

    let before = tree.run(&["check"]);
    tree.done(&["migrate", "longer"]);
    let after = tree.done(&["check"]);

    assert_eq!(before.code, 3, "{before:?}");
    assert!(before.stdout.contains("table users"), "{before:?}");
    assert!(before.stdout.contains("table posts"), "{before:?}");
    assert!(after.lines().all(|line| line.starts_with("ok ")), "{after}");
}

#[test]
fn a_broken_rule_has_its_code_and_location() {
    let tree = Tree::new();
    tree.declare_column(BIO);
    tree.done(&["migrate", "add bio"]);
    tree.edit(USERS, &format!(",\n    {BIO}"), "");
    let up = "-- Nobody wrote one.\n\nalter table users drop column bio;\n";
    tree.add(
        USERS,
        "0004_drop_bio",
        up,
        &format!("alter table users add column {BIO};\n"),
    );

    let run = tree.run(&["check"]);
    let object = tree.json(&["check"], 5);

    assert_eq!(run.code, 5, "{run:?}");
    let dir = "user-service/migrations/0004_drop_bio.up.sql:3:1";
    assert!(run.stdout.contains(dir), "{run:?}");
    assert!(run.stdout.contains("M002"), "{run:?}");
    let finding = &object["result"]["lint"]["findings"][0];
    assert_eq!(finding["code"], "M002", "{finding}");
    assert_eq!(finding["line"], 3, "{finding}");
    assert_eq!(object["result"]["lint"]["ok"], false);
}

#[test]
fn a_broken_statement_of_a_service_is_named() {
    let tree = Tree::new();
    tree.edit(
        POSTS,
        "    body text",
        "    -- @renamed from=body\n    message text",
    );
    tree.edit(POSTS, "length(body)", "length(message)");
    tree.done(&["migrate", "rename body"]);

    let run = tree.run(&["check"]);

    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.stdout.contains("M005"), "{run:?}");
    assert!(run.stdout.contains("post-service/.sqlx/query-"), "{run:?}");
    assert!(run.stdout.contains("no such column: body"), "{run:?}");
}

#[test]
fn a_contradicting_history_is_found() {
    let tree = Tree::upgraded();
    let name = "0002_create_posts.up.sql";
    let up = tree.migration(POSTS, name).replace("140", "141");
    fs::write(tree.folder().join(POSTS).join("migrations").join(name), up).unwrap();

    let run = tree.run(&["check"]);

    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.stdout.contains("changed"), "{run:?}");
}

#[tokio::test]
async fn a_long_rebuild_is_found_on_a_copy() {
    let tree = Tree::upgraded();
    tree.add_rows(2_000).await;
    tree.edit(POSTS, "between 1 and 140", "between 1 and 280");
    tree.done(&["migrate", "longer"]);
    let before = fs::read(tree.dir.path()).unwrap();

    let patient = tree.done(&["check", "--longest-wait", "1h"]);
    let run = tree.run(&["check", "--longest-wait", "1ms"]);

    assert!(
        patient.lines().all(|line| line.starts_with("ok ")),
        "{patient}"
    );
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.stdout.contains("M006"), "{run:?}");
    assert!(
        before == fs::read(tree.dir.path()).unwrap(),
        "it was changed"
    );
    let left = super::names(tree.dir.0.path());
    assert_eq!(left, ["microblog.db", "tree"]);
}

#[test]
fn an_invalid_script_is_found_with_its_location() {
    let tree = Tree::new();
    tree.add(
        USERS,
        "0003_wrong",
        "select 1;\nalter table users ad column n;",
        "select 1;",
    );

    let run = tree.run(&["check"]);

    assert_ne!(run.code, 0, "{run:?}");
    let dir = "user-service/migrations/0003_wrong.up.sql:2:19";
    assert!(run.stdout.contains(dir), "{run:?}");
}

#[tokio::test]
async fn check_refuses_what_upgrade_refuses() {
    for (up, code, refusal) in [
        ("reindex users;", "M003", 7),
        ("analyze users;", "M003", 7),
        (
            "update sqlite_sequence set seq = 0 where name = 'users';",
            "M003",
            7,
        ),
        (
            "-- @destroys column posts.user_id\nupdate posts set user_id = 999;",
            "M000",
            1,
        ),
    ] {
        let tree = Tree::upgraded();
        tree.add_rows(1).await;
        let back = "-- @irreversible nobody knows how it was\n";
        tree.add(POSTS, "0003_refused", up, back);

        let check = tree.run(&["check"]);
        let upgrade = tree.run(&["upgrade"]);

        assert_eq!(upgrade.code, refusal, "{up}: {upgrade:?}");
        assert_eq!(check.code, 5, "{up}: {check:?}");
        let dir = "post-service/migrations/0003_refused.up.sql:";
        let told = |line: &str| line.contains(dir) && line.contains(code);
        assert!(check.stdout.lines().any(told), "{up}: {check:?}");
    }
}

#[test]
fn leftovers_of_a_killed_check_are_removed_by_the_next_command() {
    let tree = Tree::upgraded();
    tree.add(
        USERS,
        "0003_more",
        "create table more (id integer primary key) strict;",
        "-- @destroys table more\ndrop table more;",
    );
    let folder = tree.dir.0.path();
    for command in ["check", "backup", "upgrade"] {
        for end in ["", "-wal", "-shm"] {
            let left = format!("microblog-20261124T065018.123Z-v0002.db.partial{end}");
            fs::write(folder.join(left), "left").unwrap();
        }

        let run = tree.run(&[command]);

        let left = super::names(folder);
        assert!(
            !left.iter().any(|name| name.contains(".partial")),
            "{command}: {left:?}, {run:?}"
        );
    }
}

#[tokio::test]
async fn the_copy_of_a_killed_check_is_removed_by_the_next_command() {
    let tree = Tree::upgraded();
    tree.add_rows(20_000).await;
    tree.edit(POSTS, "between 1 and 140", "between 1 and 280");
    tree.done(&["migrate", "longer"]);
    let folder = tree.dir.0.path();
    let left = || {
        let mut names = super::names(folder);
        names.extend(tree.backups());
        names.retain(|name| name.contains(".partial"));
        names
    };

    for next in [
        &["check", "--longest-wait", "1h"][..],
        &["backup"],
        &["upgrade", "--no-backup"],
        &["downgrade", "--no-backup", "--to", "2"],
        &["check"],
    ] {
        if next == ["check"] {
            tree.done(&["upgrade", "--no-backup"]);
        }
        // A check copies only while migrations are pending.
        if next == ["check"] || next[0] == "downgrade" {
            let leftover = "microblog-20261124T065018.123Z-v0002.db.partial";
            fs::write(folder.join(leftover), "left").unwrap();
        } else {
            let mut check = tree.program(&["check"]).spawn().unwrap();
            let begun = Instant::now();
            while left().is_empty() {
                assert!(begun.elapsed() < LOCK_TIMEOUT, "it made no copy");
                assert!(check.try_wait().unwrap().is_none(), "it ended");
            }
            check.kill().unwrap();
            check.wait().unwrap();
        }
        assert!(!left().is_empty(), "{next:?}: nothing was left");

        tree.done(next);

        assert_eq!(left(), [""; 0], "{next:?}");
    }
}
