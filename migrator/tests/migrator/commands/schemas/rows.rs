//! Changes that depend on the rows: what they may break is refused, or named in the script.

use super::{migrate, migrated, second, upgraded};

#[tokio::test]
async fn not_null_without_a_default_is_generated_with_a_caution() {
    for (before, after) in [
        (
            "create table t (id integer primary key, a text);",
            "create table t (id integer primary key, a text not null);",
        ),
        (
            "create table t (a text primary key, v text);",
            "create table t (a text primary key, v text) strict;",
        ),
    ] {
        let tree = upgraded(before, "insert into t (a) values ('x')").await;

        migrated(&tree, after);

        let (up, _) = second(&tree);
        let caution = "-- Fails if a row has NULL in a column that rejects it now: a.";
        assert!(up.contains(caution), "{up}");
        assert_eq!(tree.dir.query("select a from t").await, ["x"]);

        tree.done(&["downgrade"]);
        tree.dir.execute("insert into t (a) values (null)").await;
        let refused = tree.refused(&["upgrade"], 1);
        assert!(refused.contains("NOT NULL constraint failed"), "{refused}");
        assert_eq!(tree.run(&["check"]).code, 5);
    }
}

#[tokio::test]
async fn a_new_unique_column_with_a_shared_default_is_refused() {
    let before = "create table t (id integer primary key, n text);";
    for after in [
        "create table t (id integer primary key, n text, uid text not null unique default '');",
        "create table t (id integer primary key, n text, uid text unique default 'x');",
        "create table t (id integer primary key, n text, a int default 1, b int default (1 + 1),
                         unique (a, b));",
        "create table t (id integer primary key, n text, uid text default 'x');
         create unique index u on t (lower(uid));",
        "create table t (id integer, n text, k int not null default 1, primary key (k));",
    ] {
        let tree = upgraded(before, "insert into t (n) values ('a'), ('b')").await;

        let run = migrate(&tree, after);

        run.assert_refused(5);
        assert!(run.stderr.contains("would share its default"), "{run:?}");
    }
    for after in [
        "create table t (id integer primary key, n text, uid text unique);",
        "create table t (id integer primary key, n text, uid text default 'x', unique (n, uid));",
        "create table t (id integer primary key, n text, uid blob unique default (randomblob(16)));",
    ] {
        let tree = upgraded(before, "insert into t (n) values ('a'), ('b')").await;

        migrated(&tree, after);
    }
}

#[tokio::test]
async fn a_new_column_whose_check_rejects_its_default_is_refused() {
    let before = "create table t (id integer primary key);";
    for after in [
        "create table t (id integer primary key, a int check (a is not null));",
        "create table t (id integer primary key, a int default 1 check (a > 1));",
        "create table t (id integer primary key autoincrement, a int default 1 check (a > 1));",
        "create table t (id integer primary key autoincrement, a int,
                         constraint c check (a is not null));",
    ] {
        let tree = upgraded(before, "insert into t default values").await;

        let run = migrate(&tree, after);

        run.assert_refused(5);
        assert!(run.stderr.contains("M001 "), "{run:?}");
    }
}

#[tokio::test]
async fn a_down_migration_names_the_rows_on_which_it_fails() {
    for (before, after, head) in [
        (
            "create table t (id integer primary key, a text, b text,
                             check (a is not null or b is not null));",
            "create table t (id integer primary key);",
            "on rows of t whose a violates check (a is not null or b is not null)",
        ),
        (
            "create table t (id integer primary key, a text check (coalesce(a, '') <> ''));",
            "create table t (id integer primary key);",
            "on rows of t whose a violates check (coalesce(a, '') <> '')",
        ),
        (
            "create table t (id integer primary key, n int check (n > 1));",
            "create table t (id integer primary key, n int);",
            "if rows of t that were added since violate check (n > 1)",
        ),
        (
            "create table t (id integer primary key, n int unique);",
            "create table t (id integer primary key, n int);",
            "if rows of t that were added since share a key (n)",
        ),
        (
            "create table t (id integer primary key, n int); create unique index u on t (n);",
            "create table t (id integer primary key, n int);",
            "if rows of t that were added since share a key of index u",
        ),
        (
            "create table t (id integer primary key, n int references t (id));",
            "create table t (id integer primary key, n int);",
            "if rows of t that were added since refer to no row of t",
        ),
    ] {
        let tree = upgraded(before, "").await;

        migrated(&tree, after);

        let (_, down) = second(&tree);
        let head = format!("-- This down migration fails:\n--   {head}");
        assert!(down.contains(&head), "{down}");
        tree.done(&["downgrade", "--allow-data-loss"]);
    }
    let tree = upgraded(
        "create table t (id integer primary key, a text check (length(a) > 1));",
        "",
    )
    .await;
    migrated(&tree, "create table t (id integer primary key);");
    let (_, down) = second(&tree);
    assert!(!down.contains("fails"), "{down}");
}

#[tokio::test]
async fn rows_that_a_trigger_copies_do_not_forbid_a_unique_key() {
    let before = "create table a (id integer primary key, n int);
                  create table b (n int);
                  create trigger g after insert on a begin insert into b (n) values (new.n); end;";
    let tree = upgraded(before, "insert into a (n) values (1), (2)").await;

    migrated(&tree, &format!("{before} create unique index u on b (n);"));
}
