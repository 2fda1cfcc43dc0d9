//! `--json`: one object on stdout for every command and every kind of error, and no other
//! output.

use std::fs;

use super::{POSTS, Tree, USERS};
use crate::TestDir;

#[tokio::test]
async fn every_command_prints_one_object() {
    let tree = Tree::new();
    let file = tree.dir.0.path().join("tuesday.db");
    let file = file.to_str().unwrap();

    for (arguments, key) in [
        (&["create"][..], "created"),
        (&["upgrade", "--to", "1"], "steps"),
        (&["migrate", "--check"], "migrations"),
        (&["migrate", "fill it", "--empty"], "migrations"),
        (&["upgrade", "--dry-run"], "dry_run"),
        (&["upgrade"], "backup"),
        (&["status"], "migrations"),
        (&["status", "--exit-code"], "migrations"),
        (&["diff"], "drift"),
        (&["dump"], "ddl"),
        (&["check"], "declared"),
        (&["wait"], "version"),
        (&["backup", file], "record"),
        (&["backup"], "pruned"),
        (&["backups"], "backups"),
        (&["downgrade", "--to", "1"], "losses"),
        (&["restore", file], "rescue"),
        (&["release"], "files"),
    ] {
        let object = tree.json(arguments, 0);

        assert_eq!(object["command"], arguments[0]);
        assert!(object["result"].get(key).is_some(), "{object}");
    }
    let dump = tree.done(&["dump"]);
    let copy = TestDir::new();
    copy.execute(&dump).await;
    let adopted = copy.run(&["baseline", "2", "--json"]).object();
    assert_eq!(adopted["result"]["adopted"][1]["name"], "create_posts");
}

#[tokio::test]
async fn an_upgrade_reports_each_statement_with_line_and_rows() {
    let tree = Tree::upgraded();
    tree.add_rows(3).await;
    tree.add(
        POSTS,
        "0003_shout",
        "-- Louder.\n\nupdate posts set body = upper(body);\n",
        "-- @irreversible nobody knows how it was\n",
    );

    let object = tree.json(&["upgrade"], 0);

    let step = &object["result"]["steps"][0];
    assert_eq!(step["migration"]["number"], 3);
    assert_eq!(step["migration"]["owner"], POSTS);
    let statement = &step["statements"][0];
    assert_eq!(statement["line"], 3);
    assert_eq!(statement["rows"], 3);
    assert_eq!(statement["sql"], "update posts set body = upper(body)");
    assert!(statement["elapsed_ms"].is_f64());
    assert_eq!(object["result"]["backup"]["record"]["version"], 2);
}

#[test]
fn an_sql_error_has_its_file_line_and_column() {
    for (service, up, reason, code, line, column) in [
        (
            POSTS,
            "-- Why.\nalter table posts\n    ad column n;",
            "FAILED_STATEMENT",
            1,
            3,
            5,
        ),
        (
            POSTS,
            "select 1;\n  alter table users add column n;",
            "OWNERSHIP",
            7,
            2,
            3,
        ),
        (
            USERS,
            "select 1;\nupdate posts set body = '';",
            "OWNERSHIP",
            7,
            2,
            1,
        ),
        (USERS, "drop table none;", "FAILED_STATEMENT", 1, 1, 1),
        (
            USERS,
            "select 1; attach 'other.db' as other;",
            "FORBIDDEN_STATEMENT",
            7,
            1,
            11,
        ),
    ] {
        let tree = Tree::upgraded();
        tree.add(service, "0003_wrong", up, "select 1;");

        let object = tree.json(&["upgrade"], code);
        let said = tree.refused(&["upgrade"], code);

        let error = &object["error"];
        let file = format!("{service}/migrations/0003_wrong.up.sql");
        assert_eq!(error["reason"], reason, "{error}");
        assert_eq!(error["file"], file, "{error}");
        assert_eq!(
            (&error["line"], &error["column"]),
            (&line.into(), &column.into()),
            "{up}"
        );
        assert_eq!(
            said,
            format!("error: {}", error["message"].as_str().unwrap())
        );
        assert!(
            said.contains(&format!("at {file}:{line}:{column}")),
            "{said}"
        );
        assert_eq!(tree.done(&["diff"]).lines().count(), 1);
        assert_eq!(tree.json(&["status"], 0)["result"]["version"], 2);
        assert!(!tree.backups().iter().any(|name| name.ends_with(".partial")));
    }
}

/// Creates a state that a command refuses.
type Make = fn(&Tree);

#[tokio::test]
async fn every_kind_of_error_is_one_object() {
    let nothing: Make = |_| ();
    let upgrade: Make = |tree| {
        tree.done(&["upgrade"]);
    };
    let text: Make = |tree| fs::write(tree.dir.path(), "no database at all\n".repeat(99)).unwrap();
    let folder: Make = |tree| fs::create_dir(tree.dir.path()).unwrap();
    let no_tree: Make = |tree| fs::remove_dir_all(tree.folder()).unwrap();
    let twice: Make = |tree| tree.add(USERS, "0002_again", "select 1;", "select 1;");
    let late: Make = |tree| {
        fs::remove_file(
            tree.folder()
                .join("user-service/migrations/0001_create_users.up.sql"),
        )
        .unwrap();
    };

    for (make, arguments, code, reason) in [
        (nothing, &["destroy"][..], 2, "USAGE"),
        (nothing, &["upgrade", "--to", "x"], 2, "USAGE"),
        (nothing, &["upgrade", "--to", "99"], 2, "UNKNOWN_TARGET"),
        (upgrade, &["upgrade", "--to", "1"], 2, "ABOVE_TARGET"),
        (twice, &["status"], 6, "INVALID_MIGRATIONS"),
        (late, &["upgrade"], 6, "INVALID_MIGRATIONS"),
        (text, &["upgrade"], 7, "FOREIGN_DATABASE"),
        (upgrade, &["restore", "/none.db"], 9, "BACKUP_MISSING"),
        (folder, &["upgrade"], 78, "UNUSABLE_FILE"),
        (no_tree, &["upgrade"], 78, "INVALID_PROJECT"),
        (nothing, &["downgrade"], 78, "NOTHING_TO_DOWNGRADE"),
        (nothing, &["status", "--lock-timeout", "x"], 78, "USAGE"),
        (nothing, &["status"], 75, "DATABASE_NOT_FOUND"),
        (nothing, &["wait", "--timeout", "0s"], 75, "BEHIND"),
        (nothing, &["backup"], 75, "DATABASE_NOT_FOUND"),
    ] {
        let tree = Tree::new();
        make(&tree);

        let object = tree.json(arguments, code);
        let said = tree.refused(arguments, code);

        let error = &object["error"];
        assert_eq!(error["reason"], reason, "{arguments:?}: {object}");
        assert_eq!(
            said,
            format!("error: {}", error["message"].as_str().unwrap())
        );
        assert_eq!(error.get("file"), None, "{object}");
    }
}

#[tokio::test]
async fn the_log_does_not_mix_with_the_object() {
    let tree = Tree::upgraded();
    tree.add_rows(1).await;

    for format in ["text", "json"] {
        let mut program = tree.program(&["backup", "--json"]);
        program.env("LOG_FORMAT", format).env("RUST_LOG", "trace");
        let output = program.output().unwrap();

        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.lines().count(), 1, "{format}: {said}");
        let object: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(object["command"], "backup");
    }
}
