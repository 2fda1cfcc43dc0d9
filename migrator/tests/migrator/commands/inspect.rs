//! The commands that inspect a database: `status`, `diff`, `dump` and `wait`; and `baseline`.

use std::fs;

use serde_json::json;

use super::{Tree, USERS};
use crate::TestDir;

#[test]
fn status_exits_with_3_only_with_exit_code() {
    let tree = Tree::new();
    tree.done(&["upgrade", "--to", "1"]);

    let told = tree.done(&["status"]);
    let pending = tree.run(&["status", "--exit-code"]);
    tree.done(&["upgrade"]);
    let done = tree.run(&["status", "--exit-code"]);

    assert!(told.contains("post-service  pending"), "{told}");
    assert_eq!((pending.code, pending.stdout.as_str()), (3, told.as_str()));
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn status_exits_with_6_for_a_contradicting_history() {
    let tree = Tree::upgraded();
    let up = tree.migration(USERS, "0001_create_users.up.sql");
    let up = up.replace("between 1 and 64", "between 1 and 65");
    fs::write(
        tree.folder()
            .join("user-service/migrations/0001_create_users.up.sql"),
        up,
    )
    .unwrap();

    let run = tree.run(&["status", "--exit-code"]);

    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.stdout.contains("user-service  changed"), "{run:?}");
    assert!(tree.refused(&["upgrade"], 6).contains("was changed after"));
}

#[tokio::test]
async fn diff_reports_manual_changes_and_their_fix() {
    for (edit, difference, undo) in [
        (
            "create index by_hand on posts (create_time)",
            "index by_hand is unexpected",
            "drop index by_hand;",
        ),
        (
            "alter table posts add column by_hand integer",
            "table posts is different\n--   - by_hand integer",
            "alter table posts drop column by_hand;",
        ),
        (
            "drop index posts_by_user",
            "index posts_by_user is missing",
            "create index posts_by_user on posts",
        ),
        (
            "create table by_hand (id integer)",
            "table by_hand is unexpected",
            "drop table by_hand;",
        ),
        (
            "create trigger by_hand after insert on posts begin select 1; end",
            "trigger by_hand is unexpected",
            "drop trigger by_hand;",
        ),
    ] {
        let tree = Tree::upgraded();
        tree.dir.execute(edit).await;

        let run = tree.run(&["diff"]);
        let object = tree.json(&["diff"], 4);

        assert_eq!(run.code, 4, "{run:?}");
        let head = format!(
            "-- {} does not have the schema of version 2:\n--   {difference}\n\
             -- This would fix it:\n\n",
            tree.dir.path().display()
        );
        assert!(run.stdout.starts_with(&head), "{head}: {run:?}");
        assert!(run.stdout.contains(undo), "{undo}: {run:?}");
        assert_eq!(object["result"]["drift"], true);
        assert!(object["result"]["ddl"].as_str().unwrap().contains(undo));

        tree.dir.execute(&run.stdout).await;
        let back = tree.done(&["diff"]);
        assert!(back.ends_with("has the schema of version 2"), "{back}");
    }
}

#[tokio::test]
async fn a_difference_has_the_expected_and_the_actual_statement() {
    let tree = Tree::upgraded();
    let none = tree.json(&["diff"], 0);
    tree.dir
        .execute(
            "drop index posts_by_user;
             create index posts_by_user on posts (user_id);
             create view by_hand as select id from posts;
             alter table posts add column by_hand integer;",
        )
        .await;

    let object = tree.json(&["diff"], 4);

    assert_eq!(none["result"]["differences"], json!([]));
    assert_eq!(none["result"]["ddl"], "");
    let differences = object["result"]["differences"].as_array().unwrap();
    let [posts, index, view] = &differences[..] else {
        panic!("{object}");
    };
    assert_eq!(posts["object"], "table posts");
    let (expected, actual) = (&posts["expected"], &posts["actual"]);
    assert!(!expected.as_str().unwrap().contains("by_hand"), "{posts}");
    assert!(
        actual.as_str().unwrap().contains("by_hand integer"),
        "{posts}"
    );
    assert_eq!(
        *index,
        json!({
            "object": "index posts_by_user",
            "expected": "create index posts_by_user on posts (user_id, id)",
            "actual": "create index posts_by_user on posts (user_id)",
        })
    );
    assert_eq!(
        *view,
        json!({
            "object": "view by_hand",
            "expected": null,
            "actual": "create view by_hand as select id from posts",
        })
    );
}

#[tokio::test]
async fn a_dump_recreates_the_schema() {
    let tree = Tree::upgraded();

    let dump = tree.done(&["dump"]);
    let copy = TestDir::new();
    copy.execute(&dump).await;
    let adopted = copy.run(&["baseline", "2"]);
    let again = copy.run(&["dump"]);

    assert_eq!(adopted.code, 0, "{adopted:?}");
    assert_eq!(
        adopted.stdout,
        "Baselined 0001 create_users (user-service)\nBaselined 0002 create_posts (post-service)\n\
         Current database version: 2"
    );
    assert_eq!(again.stdout, dump);
    assert_eq!(copy.run(&["diff"]).code, 0);
}

#[tokio::test]
async fn baseline_accepts_only_the_schema_of_the_version() {
    let tree = Tree::upgraded();
    let dump = tree.done(&["dump"]);
    let other = TestDir::new();
    other.execute(&dump).await;
    other.execute("drop index posts_by_user").await;
    let before = fs::read(other.path()).unwrap();

    let drifted = other.run(&["baseline", "2"]);
    let unknown = other.run(&["baseline", "3"]);
    let adopted = tree.run(&["baseline", "2"]);
    let missing = TestDir::new().run(&["baseline", "2"]);

    for (run, code, says) in [
        (&drifted, 4, "differs from that of version 2"),
        (&unknown, 2, "migration 3 does not exist"),
        (&adopted, 6, "has a history and is at version 2"),
        (&missing, 75, "does not exist"),
    ] {
        run.assert_refused(code);
        assert!(run.stderr.contains(says), "{run:?}");
    }
    assert!(before == fs::read(other.path()).unwrap(), "it was changed");
}

#[test]
fn wait_ends_after_an_upgrade() {
    let tree = Tree::new();
    let mut waiting = tree.program(&["wait", "--timeout", "30s"]).spawn().unwrap();

    tree.done(&["upgrade", "--to", "1"]);
    let early = waiting.try_wait().unwrap();
    let first = tree.done(&["wait", "--version", "1"]);
    tree.done(&["upgrade"]);
    let run = crate::ProgramOutput::from(waiting.wait_with_output().unwrap());

    assert_eq!(early, None);
    assert_eq!(first, "Current database version: 1");
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "Current database version: 2")
    );
}

#[test]
fn a_timed_out_wait_exits_with_75() {
    let tree = Tree::new();

    let missing = tree.refused(&["wait", "--timeout", "50ms"], 75);
    tree.done(&["upgrade", "--to", "1"]);
    let behind = tree.refused(&["wait", "--timeout", "0s"], 75);

    assert!(missing.contains("does not exist after 50ms"), "{missing}");
    assert!(
        behind.contains("is at version 1 after 0s, instead of being at version 2"),
        "{behind}"
    );
    assert!(!tree.dir.0.path().join("backups").exists());
}
