//! A downgrade that loses data is refused, unless the caller allows it.

use migrator::{DataLoss, Error, Run, RunError};

use crate::{TestDir, migrations};

const ALLOWED: Run = Run {
    allow_data_loss: true,
    ..Run::downgrade()
};

fn loss(table: &str, column: Option<&str>, rows: i64) -> DataLoss {
    DataLoss {
        table: table.into(),
        column: column.map(Into::into),
        rows,
    }
}

/// Returns the losses for which a downgrade from 2 to 1 is refused after `rows` were written.
async fn losses((up, down): (&str, &str), rows: &str) -> Vec<DataLoss> {
    let dir = TestDir::new();
    let first = "create table a (id integer primary key, b text not null default 'x')";
    let migrator = dir.migrator_with(migrations(&[(first, "drop table a"), (up, down)]));
    migrator.run(Run::upgrade()).await.unwrap();
    dir.execute(rows).await;

    let losses = match migrator.run(Run::downgrade()).await {
        Ok(report) => {
            assert!(report.losses.is_empty());
            return Vec::new();
        }
        Err(error) => match error.cause() {
            Error::Run(RunError::DataLoss { losses }) => losses.clone(),
            other => panic!("{other}"),
        },
    };
    let status = migrator.status().await.unwrap();
    assert_eq!(status.version, 2);
    let allowed = migrator.run(ALLOWED).await.unwrap();
    assert_eq!((allowed.version, &allowed.losses), (1, &losses));
    losses
}

#[tokio::test]
async fn a_table_with_rows_is_not_dropped() {
    let step = ("create table c (id)", "drop table c");

    assert_eq!(losses(step, "").await, []);
    assert_eq!(
        losses(step, "insert into c values (1), (2)").await,
        [loss("c", None, 2)]
    );
}

#[tokio::test]
async fn a_column_with_values_is_not_dropped() {
    let step = (
        "alter table a add column c text; alter table a add column d integer not null default 7",
        "alter table a drop column c; alter table a drop column d",
    );

    for (rows, expected) in [
        ("", &[][..]),
        ("insert into a (id) values (1), (2)", &[]),
        (
            "insert into a (id, c) values (1, ''), (2, null)",
            &[loss("a", Some("c"), 1)],
        ),
        (
            "insert into a (id, c, d) values (1, 'c', 8), (2, 'd', 7)",
            &[loss("a", Some("c"), 2), loss("a", Some("d"), 1)],
        ),
    ] {
        assert_eq!(losses(step, rows).await, expected, "{rows}");
    }
}

#[tokio::test]
async fn a_rebuild_without_a_column_loses_it() {
    let step = (
        "alter table a add column c text",
        "create table new_a (id integer primary key, b text not null default 'x');
         insert into new_a select id, b from a;
         drop table a;
         alter table new_a rename to a;",
    );

    assert_eq!(
        losses(step, "insert into a values (1, 'y', null)").await,
        []
    );
    assert_eq!(
        losses(step, "insert into a values (1, 'x', 'c')").await,
        [loss("a", Some("c"), 1)]
    );
}

#[tokio::test]
async fn a_rebuild_without_a_copy_loses_the_rows() {
    for (up, down) in [
        (
            "",
            "drop table a;
             create table a (id integer primary key, b text not null default 'x')",
        ),
        (
            "alter table a rename to c",
            "create table new_a (id integer primary key, b text not null default 'x');
             insert into new_a select id, b from c where id = 1;
             drop table c; alter table new_a rename to a",
        ),
        ("", "delete from a where id > 1"),
    ] {
        let table = if up.is_empty() { "a" } else { "c" };
        let rows = format!("insert into {table} values (1, 'y'), (2, 'y')");

        assert_eq!(losses((up, down), "").await, [], "{down}");
        let lost = losses((up, down), &rows).await;
        assert!(
            matches!(lost.as_slice(), [DataLoss { table: t, rows: 1.., .. }] if t == table),
            "{down}: {lost:?}"
        );
    }
}

#[tokio::test]
async fn a_renamed_object_is_not_lost() {
    for step in [
        ("alter table a rename to c", "alter table c rename to a"),
        (
            "alter table a rename column b to c",
            "alter table a rename column c to b",
        ),
        (
            "alter table a rename to c; alter table c rename b to d",
            "alter table main.\"C\" rename \"d\" to b; alter table c rename to a",
        ),
    ] {
        let rows = format!(
            "insert into {} values (1, 'y')",
            if step.0.contains("to c;") || step.0.contains("a rename to c") {
                "c"
            } else {
                "a"
            }
        );

        assert_eq!(losses(step, &rows).await, [], "{step:?}");
    }
}

#[tokio::test]
async fn the_losses_of_all_steps_are_reported_together() {
    let dir = TestDir::new();
    let migrator = dir.migrator();
    migrator.run(Run::upgrade()).await.unwrap();
    dir.execute(
        "insert into users (nickname, nickname_key, email, email_key, role, create_time,
                                update_time, revision)
             values ('a', 'a', 'a@b', 'a@b', 0, 1, 1, 1);
             insert into posts (body, create_time, update_time, revision, user_id)
             values ('a', 1, 1, 1, 1), ('b', 1, 1, 1, 1);",
    )
    .await;

    let run = dir.run(&["downgrade", "--to", "0"]);
    let allowed = dir.run(&["downgrade", "--to", "0", "--allow-data-loss"]);

    assert_eq!(run.code, 7, "{run:?}");
    assert_eq!(
        run.stderr,
        "error: the downgrade would lose table posts (2 rows), table users (1 row); \
         --allow-data-loss downgrades anyway; nothing was changed"
    );
    assert_eq!(allowed.code, 0, "{allowed:?}");
    assert!(
        allowed.stdout.contains("Lost table posts (2 rows)\n"),
        "{allowed:?}"
    );
}

#[tokio::test]
async fn an_irreversible_migration_is_not_reverted() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id)", "drop table a"),
        (
            "update a set id = 1",
            "-- @irreversible the ids are not kept",
        ),
    ]));
    migrator.run(Run::upgrade()).await.unwrap();

    let error = migrator.run(Run::downgrade_to(0)).await.unwrap_err();
    let allowed = migrator.run(ALLOWED).await.unwrap();

    assert_eq!((error.exit_code(), error.reason()), (7, "IRREVERSIBLE"));
    assert!(
        error
            .to_string()
            .starts_with("migration 0002 step is irreversible (the ids are not kept)"),
        "{error}"
    );
    assert_eq!(allowed.version, 1);
}

#[tokio::test]
async fn a_down_script_to_another_schema_is_rolled_back() {
    for (down, leads) in [
        ("select 1", false),
        ("alter table a drop column b", false),
        ("-- @irreversible nobody needs it\nselect 1", true),
    ] {
        let dir = TestDir::new();
        let step = ("alter table a add column c text", down);
        let first = (
            "create table a (id integer primary key, b text)",
            "drop table a",
        );
        let migrator = dir.migrator_with(migrations(&[first, step]));
        migrator.run(Run::upgrade()).await.unwrap();

        let result = migrator.run(ALLOWED).await;

        assert_eq!(result.is_ok(), leads, "{down}: {result:?}");
        if let Err(error) = result {
            assert!(
                matches!(
                    error.cause(),
                    Error::Run(RunError::NotReached { version: 1, .. })
                ),
                "{error}"
            );
            assert_eq!(migrator.status().await.unwrap().version, 2);
            assert!(!migrator.diff().await.unwrap().drift);
        }
    }
}

#[tokio::test]
async fn a_rebuild_does_not_lose_undeclared_objects() {
    let dir = TestDir::new();
    let rebuild = "create table new_a (id integer primary key, b text not null);
                   insert into new_a select id, b from a;
                   drop table a; alter table new_a rename to a";
    let back = rebuild.replace(" not null", "");
    let first = (
        "create table a (id integer primary key, b text)",
        "drop table a",
    );
    let migrator = dir.migrator_with(migrations(&[first, (rebuild, &back)]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();
    dir.execute("alter table a add column secret text; insert into a values (1, 'x', 'keep')")
        .await;

    let error = migrator.run(Run::upgrade()).await.unwrap_err();

    assert!(
        matches!(
            error.cause(),
            Error::Run(RunError::Drift { version: 1, .. })
        ),
        "{error}"
    );
    assert_eq!(dir.query("select secret from a").await, ["keep"]);
}
