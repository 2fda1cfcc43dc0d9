//! Declarations that SQLite accepts, and rejects when they are used.

use super::{declare, migrate, migrated, project, upgraded};

const TABLES: &str = "create table t (id integer primary key, a int);
create table l (x int);
";

/// Declares an object that cannot be used on line 3 of a schema.
#[track_caller]
fn assert_unusable(object: &str, why: &str) {
    let tree = project(&format!("{TABLES}{object}"));

    let refused = tree.refused(&["migrate", "first"], 1);
    let checked = tree.run(&["check"]);

    let location = "user-service/schema.sql:3:";
    assert!(
        refused.contains(location) && refused.contains(why),
        "{refused}"
    );
    assert_eq!(checked.code, 5, "{checked:?}");
    assert!(checked.stdout.contains(location), "{checked:?}");
    assert!(checked.stdout.contains(": M011 "), "{checked:?}");
    assert!(checked.stdout.contains(why), "{checked:?}");
    assert!(tree.migrations(super::USERS).is_empty());
}

#[test]
fn a_foreign_key_to_no_unique_key_is_refused() {
    for (references, why) in [
        ("t (a)", "foreign key mismatch"),
        ("l", "foreign key mismatch"),
        ("t (nope)", "foreign key mismatch"),
        (
            "nowhere (id)",
            "c.k refers to nowhere, which is not declared",
        ),
    ] {
        assert_unusable(
            &format!("create table c (k int references {references});"),
            why,
        );
    }
    assert_unusable(
        "create table c (k int references l (x)); create unique index i on l (x) where x > 1;",
        "foreign key mismatch",
    );
}

#[test]
fn a_view_that_selects_nothing_known_is_refused() {
    for (body, why) in [
        ("select nope from t", "no such column: nope"),
        ("select id from nowhere", "no such table: main.nowhere"),
        ("select nope(id) as n from t", "no such function: nope"),
    ] {
        assert_unusable(&format!("create view v as {body};"), why);
    }
}

#[test]
fn a_trigger_that_cannot_fire_is_refused() {
    for (event, body, why) in [
        (
            "after insert on t",
            "insert into nowhere values (1)",
            "no such table: main.nowhere",
        ),
        (
            "after update of a on t",
            "insert into l values (1, 2)",
            "table l has 1 columns",
        ),
        (
            "before delete on t",
            "update l set y = 1",
            "no such column: y",
        ),
        (
            "after insert on t",
            "select new.nope",
            "no such column: new.nope",
        ),
    ] {
        assert_unusable(&format!("create trigger g {event} begin {body}; end;"), why);
    }
    assert_unusable(
        "create view v as select id from t; \
         create trigger g instead of update on v begin insert into l values (new.nope); end;",
        "no such column: new.nope",
    );
}

#[tokio::test]
async fn a_trigger_that_fires_is_accepted() {
    let tree = upgraded(
        &format!(
            "{TABLES}create view v as select id, a from t;
             create trigger g after update of a on t begin insert into l values (new.a); end;
             create trigger h instead of insert on v begin insert into t (a) values (new.a); end;
             create trigger i after insert on l begin delete from t where id = new.x; end;"
        ),
        "insert into v (a) values (1)",
    )
    .await;

    tree.done(&["check"]);
}

#[tokio::test]
async fn a_change_that_breaks_a_trigger_or_a_key_is_refused() {
    for (before, after, why) in [
        (
            "create trigger g after update on t begin insert into l values (new.a); end;",
            "create table t (id integer primary key, a int);
             create table l (x int, y int);
             create trigger g after update on t begin insert into l values (new.a); end;",
            "the trigger g at user-service/schema.sql:3:",
        ),
        (
            "create table p (id integer primary key, k text unique);
             create table c (k text references p (k));",
            "create table t (id integer primary key, a int);
             create table l (x int);
             create table p (id integer primary key, k text);
             create table c (k text references p (k));",
            "the table c at user-service/schema.sql:4:",
        ),
    ] {
        let tree = upgraded(&format!("{TABLES}{before}"), "insert into l values (1)").await;

        let run = migrate(&tree, after);

        run.assert_refused(1);
        assert!(run.stderr.contains(why), "{run:?}");
    }
}

#[tokio::test]
async fn a_script_that_breaks_a_trigger_is_found() {
    let trigger = "create trigger g after update on t begin insert into l values (new.a); end;";
    let tree = upgraded(&format!("{TABLES}{trigger}"), "insert into l values (1)").await;
    tree.add(
        super::USERS,
        "0002_y",
        "alter table l add column y int;",
        "-- @destroys column l.y\nalter table l drop column y;",
    );
    declare(
        &tree,
        &format!("{}{trigger}", TABLES.replace("(x int)", "(x int, y int)")),
    );

    let checked = tree.run(&["check"]);

    assert_eq!(checked.code, 5, "{checked:?}");
    let finding = "0002_y.up.sql:1:1: M009 the trigger g no longer works: \
                   table l has 2 columns but 1 values were supplied";
    assert!(checked.stdout.contains(finding), "{checked:?}");
}

#[tokio::test]
async fn rows_that_would_share_a_value_of_a_unique_key_are_found() {
    let tree = upgraded(
        "create table t (id integer primary key);",
        "insert into t default values",
    )
    .await;
    tree.add(
        super::USERS,
        "0002_uid",
        "alter table t add column uid text not null default '';\ncreate unique index u on t (uid);",
        "drop index u;\n-- @destroys column t.uid\nalter table t drop column uid;",
    );
    declare(
        &tree,
        "create table t (id integer primary key, uid text not null default '');
         create unique index u on t (uid);",
    );

    let checked = tree.run(&["check"]);

    assert_eq!(checked.code, 5, "{checked:?}");
    let finding =
        "0002_uid.up.sql:2:1: M001 tables with two rows reject it: UNIQUE constraint failed";
    assert!(checked.stdout.contains(finding), "{checked:?}");
}

#[tokio::test]
async fn triggers_and_columns_do_not_multiply_the_time() {
    let columns = (0..40).map(|n| format!(", c{n} integer"));
    let columns = columns.collect::<Vec<_>>().concat();
    let triggers = (0..40).map(|n| {
        format!(
            "create trigger g{n} after update on item begin
                 insert into log (what) values (new.c0 || {n}); delete from log where what = {n};
             end;\n"
        )
    });
    let triggers = triggers.collect::<Vec<_>>().concat();
    let tree = project(&format!(
        "create table log (id integer primary key, what text);
         create table item (id integer primary key{columns});\n{triggers}"
    ));
    let began = std::time::Instant::now();

    tree.done(&["migrate", "first"]);
    tree.done(&["check"]);
    tree.done(&["upgrade"]);

    // Each of them took 4 to 11 s when each column was updated by a statement of its own.
    let elapsed = began.elapsed();
    assert!(elapsed.as_secs() < 6, "{elapsed:?}");
    migrated(
        &tree,
        "create table log (id integer primary key, what text);",
    );
}
