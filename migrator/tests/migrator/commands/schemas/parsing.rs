//! Valid declarations in unusual spellings, and statements that declare nothing.

use super::{migrated, project, second, upgraded};

#[tokio::test]
async fn a_type_is_read_as_sqlite_shows_it() {
    for (declared, shown) in [
        (
            "a varchar( 64 ), b decimal ( 10 , 2 )",
            "varchar(64)|decimal(10,2)",
        ),
        ("a varchar[10], b [two words]", "varchar[10]|two words"),
        (
            "a /* of */ double -- twice\n precision, b 'quoted'",
            "double precision|quoted",
        ),
        (
            "a \"varchar(10)\" not null, b int( -1 )",
            "varchar(10)|int(-1)",
        ),
    ] {
        let tree = project(&format!(
            "create table t (id integer primary key, {declared});"
        ));

        tree.done(&["migrate", "first"]);
        tree.done(&["check"]);
        tree.done(&["upgrade"]);

        let dump = tree.done(&["dump"]);
        for shown in shown.split('|') {
            assert!(dump.contains(shown), "{dump}");
        }
        tree.dir.execute("drop table t").await;
        tree.dir.execute(&dump).await;
        assert_eq!(tree.done(&["dump"]), dump);
    }
}

#[test]
fn a_constraint_name_without_a_constraint_is_ignored() {
    let tree = project(
        "create table t (a int constraint foo, b int constraint x constraint y not null,
                         constraint z, constraint w check (a > b) constraint v);",
    );

    tree.done(&["migrate", "first"]);
    tree.done(&["check"]);
    tree.done(&["upgrade"]);

    assert_eq!(
        tree.done(&["dump"]),
        "create table t (\n    a int,\n    b int constraint y not null,\n    \
         constraint w check (a > b)\n);"
    );
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let tree = project(
        "\u{feff}create table t (id integer primary key);\ncreate table u (id integer primary key);\n",
    );

    tree.done(&["migrate", "first"]);
    tree.done(&["check"]);
    tree.done(&["upgrade"]);

    let dump = tree.done(&["dump"]);
    assert!(dump.contains("create table t ("), "{dump}");
    assert!(dump.contains("create table u ("), "{dump}");
}

#[test]
fn a_statement_that_declares_nothing_is_refused_with_its_line() {
    for (statement, why) in [
        ("insert into t values (1, 'x');", "it changes rows"),
        ("update t set a = 1;", "it changes rows"),
        ("create table x as select 1 as a;", "it copies rows"),
        ("create temp table x (a);", "it declares a temporary object"),
        (
            "create temp trigger g after insert on t begin select 1; end;",
            "it declares a temporary object",
        ),
        ("create table _migrator_x (a);", "its name is reserved"),
        ("alter table t add column b;", "it declares no table"),
    ] {
        let tree = project(&format!(
            "pragma foreign_keys = on;\ncreate table t (id integer primary key, a text);\n{statement}"
        ));

        for command in [&["migrate", "first"][..], &["check"]] {
            let refused = tree.refused(command, 1);

            let expected = format!(
                "error: the statement at user-service/schema.sql:3:1 cannot be in schema.sql: {why}"
            );
            assert!(refused.starts_with(&expected), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_changed_text_in_double_quotes_changes_the_schema() {
    let table = |check: &str, default: &str| {
        format!(
            "create table t (id integer primary key, \"s\" text check (\"s\" in ({check}))
                             default {default}, u text as (\"s\" || {check}));
             create index i on t (lower(\"s\" || {check})) where \"s\" <> {default};
             create view v as select \"s\" as \"name\", {check} as y from \"t\" x
                              where \"x\".\"s\" <> {default} and \"name\" <> {check};
             create trigger g after update of \"s\" on \"t\" when new.\"s\" = {check}
             begin insert into \"t\" (\"s\") values ({check}); end;"
        )
    };
    let tree = upgraded(&table("\"New\"", "\"New\""), "").await;
    let before = tree.done(&["dump"]);

    migrated(&tree, &table("\"NEW\"", "\"NEW\""));
    let after = tree.done(&["dump"]);
    tree.dir.execute("insert into t default values").await;

    assert_eq!(after, before.replace("'New'", "'NEW'"));
    assert_eq!(before.matches("'New'").count(), 10, "{before}");
    assert!(!before.contains('"'), "{before}");
    assert_eq!(tree.dir.query("select s from t").await, ["NEW"]);
    tree.dir.execute("delete from t").await;
    tree.done(&["downgrade", "--allow-data-loss"]);
    assert_eq!(tree.done(&["dump"]), before);
    let (up, _) = second(&tree);
    assert!(up.contains("'NEW'"), "{up}");
}

#[tokio::test]
async fn a_dumped_text_in_double_quotes_has_its_meaning() {
    let tree = project(
        "create table t (id integer primary key, s text check (s in (\"New\", \"It's\")));",
    );
    tree.done(&["migrate", "first"]);
    tree.done(&["upgrade"]);

    let dump = tree.done(&["dump"]);

    assert!(dump.contains("check (s in ('New', 'It''s'))"), "{dump}");
    tree.dir.execute("drop table t").await;
    tree.dir.execute(&dump).await;
    assert_eq!(tree.done(&["diff"]).lines().count(), 1);
}
