//! Changes that SQLite rejects, does silently, or allows only while a table is empty.

use super::{database, declared, done, plans, rows, run, scripts};
use crate::sql::{destructive_change::DestructiveChange, name::Name};
use crate::sqlite::{
    planner::{Error, Renames, plan, plan_down},
    schema::Schema,
};

const USERS: &str = "create table users (id integer primary key, name text)";
const ROW: &str = "insert into users (name) values ('susan')";

async fn refused(to: &str) -> Error {
    let (from, to) = (declared(USERS).await, declared(to).await);
    let (renames, _) = Renames::find(&from, &to).unwrap();
    plan(&from, &to, &renames).unwrap_err()
}

#[tokio::test]
async fn not_null_without_a_constant_default_needs_an_empty_table() {
    let add = "alter table users add column bio text not null";
    let mut empty = database(USERS).await;
    let mut used = database(&format!("{USERS}; {ROW}")).await;

    done(&mut empty, add).await;
    let error = run(&mut used, add).await.unwrap_err();
    assert!(
        error.contains("Cannot add a NOT NULL column with default value NULL"),
        "{error}"
    );
    for to in [
        "create table users (id integer primary key, name text, bio text not null)",
        "create table users (id integer primary key, name text, bio text not null default null)",
        "create table users (id integer, name text, bio text, primary key (bio)) without rowid",
    ] {
        let error = refused(to).await;
        assert!(
            matches!(error, Error::NotNullWithoutDefault { .. }),
            "{to}: {error}"
        );
    }
}

#[tokio::test]
async fn a_computed_default_needs_an_empty_table() {
    for default in ["current_timestamp", "(abs(-3))"] {
        let add = format!("alter table users add column at text not null default {default}");
        let mut empty = database(USERS).await;
        let mut used = database(&format!("{USERS}; {ROW}")).await;
        done(&mut empty, &add).await;
        let error = run(&mut used, &add).await.unwrap_err();
        assert!(
            error.contains("Cannot add a column with non-constant default"),
            "{error}"
        );

        let to = format!(
            "create table users (id integer primary key, name text, at text not null default {default})"
        );
        let (up, _) = scripts(USERS, &to, ROW).await;

        assert!(up.contains("create table new_users"), "{up}");
    }
}

#[tokio::test]
async fn a_default_is_equal_in_old_and_new_rows() {
    let from = "create table t (id integer primary key)";
    let values = "select count(distinct quote(d) || typeof(d)) || ' ' || count(*) from t";
    let insert = "insert into t (id) values (null)";
    for (declared, with_alter) in [
        ("text default '.5'", true),
        ("text default 7", true),
        ("text default -7", true),
        ("text default .5", false),
        ("text default +.5", false),
        ("text default -1e3", false),
        ("text default true", true),
        ("text default 9223372036854775808", false),
        ("any default 1.0", true),
        ("blob default 1.0", true),
        ("default 1e3", true),
        ("blob default x'31'", true),
        ("real default .5", true),
        ("int default true", true),
    ] {
        let mut added = database(&format!("{from}; {insert}")).await;
        let add = format!("alter table t add column d {declared}; {insert}");
        done(&mut added, &add).await;
        let is_same = rows(&mut added, values).await == ["1 2"];
        let to = format!("create table t (id integer primary key, d {declared})");
        let (up, _) = plans(from, &to).await;
        let up = up.script();
        let mut planned = database(&format!("{from}; {insert}")).await;

        done(&mut planned, &format!("{up}; {insert}")).await;

        assert_eq!(rows(&mut planned, values).await, ["1 2"], "{declared}");
        assert_eq!(is_same, with_alter, "what SQLite does: {declared}");
        assert_eq!(up.contains("add column"), with_alter, "{up}");
    }
}

#[tokio::test]
async fn a_computed_real_value_is_copied_as_real() {
    let from = "create table t (id integer primary key, r real as (id) virtual)";
    let to = "create table t (id integer primary key, r blob)";
    let rows_before = "insert into t (id) values (1), (2)";
    let mut copied = database(&format!("{from}; {rows_before}; create table c (r blob)")).await;
    let mut planned = database(&format!("{from}; {rows_before}")).await;
    let (up, _) = plans(from, to).await;

    done(&mut copied, "insert into c select r from t").await;
    done(&mut planned, &up.script()).await;

    let read = rows(&mut copied, "select quote(r) from t").await;
    assert_eq!(read, ["1.0", "2.0"]);
    let by_sqlite = rows(&mut copied, "select quote(r) from c").await;
    assert_eq!(by_sqlite, ["1", "2"], "what SQLite does");
    assert_eq!(rows(&mut planned, "select quote(r) from t").await, read);
}

#[tokio::test]
async fn columns_that_sqlite_cannot_drop_need_a_rebuild() {
    for (with, without) in [
        (
            "create table t (a int, b int primary key)",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int unique)",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int, unique (a, b))",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int, check (b > 0))",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int, c as (b + 1))",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int, foreign key (b) references t (a))",
            "create table t (a int)",
        ),
        (
            "create table t (a int, -- one, two\n b int)",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int); create index i on t (b)",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int); create index i on t (a) where b",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int); create index i on t (a + b)",
            "create table t (a int); create index i on t (a)",
        ),
        (
            "create table t (a int, b int); create view v as select b from t",
            "create table t (a int)",
        ),
        (
            "create table t (a int, b int); create view v as select * from t",
            "create table t (a int); create view v as select * from t",
        ),
        (
            "create table t (a int, b int); create trigger u insert on t begin select new.b; end",
            "create table t (a int)",
        ),
        (
            "create table s (a int); create table t (a int, b int); create trigger u insert on s begin update t set b = 1; end",
            "create table s (a int); create table t (a int)",
        ),
    ] {
        let row = "insert into t (a, b) values (1, 1)";
        let mut by_hand = database(with).await;
        let generated = with.contains("c as");
        let dropped = run(&mut by_hand, "alter table t drop column b").await;
        // SQLite does not parse the bodies of these far enough to reject them.
        let lets = with.contains("select *") || with.contains("set b");
        assert_eq!(dropped.is_ok(), lets, "{with}");

        let (up, down) = scripts(with, without, row).await;

        assert!(up.contains("-- @destroys column t.b\n"), "{up}");
        assert!(!down.contains("@destroys"), "{down}");
        assert_eq!(generated, up.contains("-- @destroys column t.c\n"), "{up}");
    }
}

#[tokio::test]
async fn references_follow_a_table_that_is_renamed_away() {
    let schema = "create table users (id integer primary key, name text);
         create table posts (user_id integer references users (id));
         create view names as select name from users;";
    let mut by_hand = database(schema).await;
    done(&mut by_hand, "alter table users rename to old_users").await;
    let moved = rows(
        &mut by_hand,
        "select sql from sqlite_schema where name <> 'old_users'",
    )
    .await;
    assert!(
        moved.iter().all(|sql| sql.contains("old_users")),
        "{moved:?}"
    );

    let changed = schema.replace("name text", "name text unique");
    let (up, down) = scripts(
        schema,
        &changed,
        "insert into users default values; insert into posts (user_id) values (1)",
    )
    .await;

    for script in [up, down] {
        let (create, rest) = script.split_once("create table new_users").unwrap();
        assert!(create.contains("drop view names;"), "{script}");
        assert!(
            rest.contains("drop table users;\n\nalter table new_users rename to users;"),
            "{script}"
        );
        assert!(!script.contains("posts"), "{script}");
    }
}

#[tokio::test]
async fn dependents_of_a_dropped_table_are_recreated() {
    let schema = "create table users (id integer primary key, name text);
         create index by_name on users (name);
         create view names as select name from users;
         create view more_names as select name from names;
         create trigger named insert on users begin select 1; end;
         create trigger of_view instead of insert on more_names begin select 1; end;
         create table other (a int);
         create trigger of_other insert on other begin delete from users; end;
         create view of_other as select a from other;";
    let mut by_hand = database(schema).await;
    done(&mut by_hand, "drop table users").await;
    let left =
        "select name from sqlite_schema where type in ('index', 'trigger') and tbl_name = 'users'";
    assert!(rows(&mut by_hand, left).await.is_empty());

    let changed = schema.replace("name text", "name text check (name <> '')");
    let (up, _) = scripts(schema, &changed, ROW).await;

    for name in [
        "index by_name",
        "view names",
        "view more_names",
        "trigger named",
        "trigger of_view",
        "trigger of_other",
    ] {
        assert!(up.contains(&format!("create {name}")), "{name} in {up}");
    }
    assert!(!up.contains("view of_other"), "{up}");
}

#[tokio::test]
async fn a_rebuild_keeps_the_autoincrement_sequence() {
    let schema = "create table users (id integer primary key autoincrement, name text)";
    let changed = "create table Users (id integer primary key autoincrement, name text unique)";
    let (up, down) = plans(schema, changed).await;
    for (written, expected) in [
        ("", &[][..]),
        (
            "insert into users (id) values (7), (9); delete from users where id = 9",
            &["9"],
        ),
        (
            "insert into users (id) values (9); delete from users",
            &["9"],
        ),
    ] {
        let mut database = database(schema).await;
        done(&mut database, written).await;

        for script in [up.script(), down.script(), up.script()] {
            done(&mut database, &script).await;

            let sequence = "select cast(seq as text) from sqlite_sequence";
            assert_eq!(rows(&mut database, sequence).await, expected, "{script}");
        }
        done(&mut database, "insert into users (name) values ('next')").await;
        let next = rows(
            &mut database,
            "select cast(id as text) from users where name = 'next'",
        )
        .await;
        assert_eq!(next, [if expected.is_empty() { "1" } else { "10" }]);
    }

    let without = "create table users (id integer primary key, name text)";
    let (up, down) = plans(schema, without).await;
    assert_eq!(
        up.losses().collect::<Vec<_>>(),
        [&DestructiveChange::Sequence(Name::new("users"))]
    );
    assert!(
        up.script()
            .contains("-- @destroys autoincrement users\ndrop table users;")
    );
    assert_eq!(down.losses().count(), 0);
}

#[tokio::test]
async fn column_order_is_not_a_difference() {
    let added = database(&format!("{USERS}; alter table users add column bio text")).await;
    let mut added = added;
    let added = Schema::read(&mut added).await.unwrap();
    let fresh = declared("create table users (bio text, id integer primary key, name text)").await;

    let plan = plan(&added, &fresh, &Renames::default()).unwrap();

    assert!(plan.steps.is_empty(), "{}", plan.script());
}

#[tokio::test]
async fn properties_hidden_by_pragmas_are_changes() {
    let from = "create table a (id integer primary key, b text collate nocase check (b <> ''),
                    c as (b || 'x'), d int unique on conflict ignore,
                    e references a (id) deferrable initially deferred,
                    constraint f check (d > 0));
                create index i on a (b) where d is not null";
    for (before, after) in [
        ("key,", "key autoincrement,"),
        ("nocase", "rtrim"),
        ("(b <> '')", "(b <> ' ')"),
        ("|| 'x'", "|| 'y'"),
        (" on conflict ignore", ""),
        (" deferrable initially deferred", ""),
        ("constraint f", "constraint g"),
        ("is not null", "is null"),
    ] {
        let to = from.replace(before, after);

        let (up, down) = scripts(from, &to, "insert into a (b, d) values ('b', 1)").await;

        assert!(!up.is_empty() && !down.is_empty(), "{after}");
    }
}

#[tokio::test]
async fn uncopied_rows_fail_the_script() {
    let from = "create table t (a int)";
    let to = "create table t (a int unique on conflict replace)";
    let (up, _) = plans(from, to).await;
    let mut database = database(from).await;
    done(&mut database, "insert into t (a) values (1), (1); begin").await;

    let error = run(&mut database, &up.script()).await.unwrap_err();

    assert!(error.contains("malformed JSON"), "{error}");
    done(&mut database, "rollback").await;
    assert_eq!(
        rows(&mut database, "select cast(count(*) as text) from t").await,
        ["2"]
    );
}

#[tokio::test]
async fn placeholders_are_unique_under_a_unique_key() {
    let from = "create table t (a int, code text not null unique, n int not null check (n > 0))";
    let to = "create table t (a int)";
    let (before, after) = (declared(from).await, declared(to).await);
    let down = plan_down(&before, &after, &Renames::default()).unwrap();
    let mut database = database(&format!("{to}; insert into t (a) values (5), (6)")).await;

    let script = down.script();
    let error = run(&mut database, &script).await.unwrap_err();

    assert!(error.contains("CHECK constraint failed: n > 0"), "{error}");
    assert!(
        script.contains("-- Placeholders, since the values were not kept: code, n."),
        "{script}"
    );
    assert!(
        script.contains("-- Fails on rows whose n violates check (n > 0)."),
        "{script}"
    );
    assert!(
        script.contains("select rowid, a, cast(rowid as text), 0\n"),
        "{script}"
    );
}

#[tokio::test]
async fn an_unsupported_rename_is_rejected() {
    let from = "create table t (id integer primary key, a text, unique (id, a)) without rowid";
    let to = "create table t (
        -- @renamed from=id
        number integer primary key, a text, unique (number, a)) without rowid";
    let mut by_hand = database(from).await;
    let error = run(&mut by_hand, "alter table t rename column id to number").await;
    assert!(error.unwrap_err().contains("error in table t after rename"));

    let (before, after) = (declared(from).await, declared(to).await);
    let (renames, _) = Renames::find(&before, &after).unwrap();
    let error = plan(&before, &after, &renames).unwrap_err();

    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn a_new_trigger_of_a_recreated_view_is_dropped_by_its_name() {
    let view = "create view v as select name from users;";
    let from = format!("{USERS}; {view}");
    let to = format!(
        "create table users (id integer primary key, name text default 'x'); {view}
         create trigger g instead of insert on v begin select 1; end;"
    );

    let (_, down) = scripts(&from, &to, ROW).await;

    // Without it, the lint would take the trigger for lost.
    assert!(down.contains("drop trigger g;"), "{down}");
}

#[tokio::test]
async fn a_type_in_other_quotes_is_another_type() {
    let from = "create table a (b varchar[10])";
    let to = "create table a (b varchar`10`)";

    let (up, _) = scripts(from, to, "insert into a values (1)").await;

    assert!(up.contains("varchar`10`"), "{up}");
}

#[tokio::test]
async fn a_down_script_names_each_constraint_that_rows_may_violate() {
    for (from, to, risk) in [
        (
            "create table a (b integer) strict",
            "create table a (b any) strict",
            "if rows of a that were added since have a value in b that its type integer rejects",
        ),
        (
            "create table a (b integer primary key, c)",
            "create table a (b text primary key, c)",
            "if rows of a that were added since have a value in b that its type integer rejects",
        ),
        (
            "create table a (b numeric unique, c)",
            "create table a (b text unique, c)",
            "if rows of a that were added since share a key (b)",
        ),
        (
            "create table a (b text check (b > 1), c)",
            "create table a (b integer check (b > 1), c)",
            "if rows of a that were added since violate check (b > 1)",
        ),
        (
            "create table a (b, c as (b + 1) not null)",
            "create table a (b, c as (b + 2) not null)",
            "if rows of a that were added since compute NULL for c",
        ),
        (
            "create table p (id integer primary key); create table a (b references p (id), c)",
            "create table a (b, c)",
            "if rows of a refer to rows of p, which are lost",
        ),
    ] {
        let (_, down) = plans(from, to).await;

        let head = down.head.join("\n");
        assert!(head.contains("-- This down migration fails:"), "{head}");
        assert!(head.contains(risk), "{head}");
    }
}

#[tokio::test]
async fn a_down_script_names_no_constraint_that_both_schemas_have() {
    let table = "create table p (id integer primary key, u text unique);
                 create table a (id integer primary key, b text check (b > 'a') references p (u),
                                 c int, unique (b, c)";

    let (_, down) = plans(&format!("{table});"), &format!("{table}, check (c > 1));")).await;

    assert!(!down.head.join("\n").contains("fails"), "{:?}", down.head);
}

#[tokio::test]
async fn a_generated_column_that_rejects_null_is_not_added_in_place() {
    let from = "create table a (b text, c as (b || 'x') not null)";

    let (_, down) = scripts(
        from,
        "create table a (b text)",
        "insert into a values ('x')",
    )
    .await;

    assert!(down.contains("create table new_a"), "{down}");
}
