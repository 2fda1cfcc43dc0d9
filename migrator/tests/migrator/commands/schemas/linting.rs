//! Scripts that `migrate` generates and the lint accepts, and declarations without a finding.

use super::{migrate, migrated, project, second, upgraded};

#[tokio::test]
async fn a_renamed_and_rebuilt_table_keeps_its_rows() {
    let tree = upgraded(
        "create table t (id integer primary key autoincrement, a text);
         create index i on t (a);",
        "insert into t (a) values ('x')",
    )
    .await;

    migrated(
        &tree,
        "-- @renamed from=t
         create table z (id integer primary key autoincrement, a text default 'q');
         create index i on z (a);",
    );

    assert_eq!(tree.dir.query("select a from z").await, ["x"]);
    tree.done(&["downgrade"]);
    assert_eq!(tree.dir.query("select a from t").await, ["x"]);
}

#[tokio::test]
async fn a_column_that_becomes_generated_loses_its_values_as_marked() {
    let tree = upgraded(
        "create table t (id integer primary key, a int, b int);",
        "insert into t (a, b) values (1, 5)",
    )
    .await;

    migrated(
        &tree,
        "create table t (id integer primary key, a int, b int generated always as (a * 2) virtual);",
    );

    assert!(second(&tree).0.contains("-- @destroys values t.b"));
    assert_eq!(tree.dir.query("select cast(b as text) from t").await, ["2"]);
}

#[tokio::test]
async fn a_column_whose_check_names_the_key_can_be_added() {
    let tree = upgraded(
        "create table t (id integer primary key, n int not null default 1);",
        "insert into t default values",
    )
    .await;

    migrated(
        &tree,
        "create table t (id integer primary key, n int not null default 1,
                         up integer check (id is not up) references t (id),
                         m int check (m is not null or n is not null));",
    );

    tree.done(&["downgrade", "--allow-data-loss"]);
}

#[test]
fn a_star_in_exists_selects_no_column() {
    let tree = project(
        "create table t (id integer primary key, a int);
         create view v as select id from t where exists (select * from t x where x.a = t.id)
                              and not exists(select * from t x where x.a = 1);",
    );

    tree.done(&["migrate", "first"]);
    tree.done(&["check"]);
}

#[tokio::test]
async fn a_stored_column_keeps_the_values_of_a_virtual_one() {
    let tree = upgraded(
        "create table t (id integer primary key, a int, b int as (a * 2) virtual);",
        "insert into t (a) values (1)",
    )
    .await;

    super::declare(
        &tree,
        "create table t (id integer primary key, a int, b int as (a * 2) stored);",
    );
    tree.done(&["migrate", "second"]);
    tree.done(&["check"]);
    tree.done(&["upgrade"]);

    assert_eq!(tree.dir.query("select cast(b as text) from t").await, ["2"]);
    tree.done(&["downgrade"]);
    let run = migrate(
        &tree,
        "create table t (id integer primary key, a int, b int as (a * 3) stored);",
    );
    assert_eq!(run.code, 0, "{run:?}");
}

#[tokio::test]
async fn a_column_named_like_a_keyword_is_renamed_in_place() {
    let tree = upgraded(
        "create table t (id integer primary key, key text check (key <> ''), action int);
         create index i on t (key, action) where action > 1;",
        "insert into t (key, action) values ('x', 2)",
    )
    .await;

    migrated(
        &tree,
        "create table t (id integer primary key,
                         -- @renamed from=key
                         akey text check (akey <> ''),
                         -- @renamed from=action
                         deed int);
         create index i on t (akey, deed) where deed > 1;",
    );

    let (up, down) = second(&tree);
    for script in [&up, &down] {
        assert!(!script.contains("create table"), "{script}");
        assert!(!script.contains("create index"), "{script}");
    }
    assert!(
        up.contains("alter table t rename column \"key\" to akey;"),
        "{up}"
    );
    tree.done(&["downgrade"]);
    assert_eq!(tree.dir.query("select key from t").await, ["x"]);
}
