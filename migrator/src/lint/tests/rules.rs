//! Tests of M003, M004, M007, M008 and M010.

use super::{BACK, POSTS, USERS, codes, lint, project, with};
use crate::{lint::LintCode, project::RecordedStatement};

#[tokio::test]
async fn m003_an_object_of_another_service_is_not_touched() {
    for up in [
        "alter table users add column a text",
        "create index a on users (bio)",
        "create table a (b); insert into a select id from users",
        "create view a as select name from users",
        "create trigger a after insert on posts begin select name from users; end",
        "drop trigger users_named",
        "reindex users",
        "analyze users",
        "update sqlite_sequence set seq = 0 where name = 'users'",
        "create table _sqlx_a (b)",
    ] {
        let findings = lint(&with("posts", up, BACK)).await.unwrap();

        let [finding] = findings.as_slice() else {
            panic!("{up}: {findings:?}");
        };
        assert_eq!(finding.code, LintCode::Ownership, "{finding}");
        let whose = if up.contains("_sqlx_") {
            "the migrator"
        } else {
            "users"
        };
        assert!(
            finding
                .message
                .ends_with(&format!("which belongs to {whose}")),
            "{finding}"
        );
    }
    for up in [
        "create table a (b references users (id)); insert into a values (1)",
        "create index a on posts (user_id)",
        "create view a as select body from bodies",
    ] {
        let findings = lint(&with("posts", up, BACK)).await.unwrap();

        assert_eq!(findings, [], "{up}");
    }
}

#[tokio::test]
async fn m004_columns_are_named() {
    for up in [
        "create view a as select * from users",
        "create view a as select u.* from users u",
        "create view a as select 1, * from users",
        "create trigger a after insert on users begin select distinct * from users; end",
        "create table a (b); insert into a values (1) returning *",
    ] {
        assert_eq!(codes(up).await, [(LintCode::AllColumns, 1)], "{up}");
    }
    let up = "create view a as select count(*), max(id * 2), 2 * id from users";
    assert_eq!(codes(up).await, []);

    let mut project = project();
    project.owners[0].recorded.push(RecordedStatement {
        file: "users/.sqlx/query-0.json".into(),
        line: 3,
        query: "select * from users".into(),
    });
    let findings = lint(&project).await.unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (
            findings[0].code,
            findings[0].file.as_str(),
            findings[0].line
        ),
        (LintCode::AllColumns, "users/.sqlx/query-0.json", 3)
    );
}

#[tokio::test]
async fn m007_each_migration_has_a_down_script_or_a_reason() {
    let up = "create table a (b)";
    for back in ["", "-- nothing", "-- @irreversible"] {
        let findings = lint(&with("users", up, back)).await.unwrap();

        let [finding] = findings.as_slice() else {
            panic!("{back}: {findings:?}");
        };
        assert_eq!(finding.code, LintCode::Pair);
        assert_eq!(finding.file, "users/migrations/0003_x.down.sql");
    }
    for (up, back) in [("-- nothing", ""), (up, BACK)] {
        assert_eq!(lint(&with("users", up, back)).await.unwrap(), []);
    }
    for (missing, there) in [("up", "down"), ("down", "up")] {
        let mut project = with("users", up, "drop table a");
        let owner = &mut project.owners[0];
        owner
            .migrations
            .retain(|f| f.name != format!("0003_x.{missing}.sql"));

        let findings = lint(&project).await.unwrap();

        let [finding] = findings.as_slice() else {
            panic!("{missing}: {findings:?}");
        };
        assert_eq!(finding.code, LintCode::Pair);
        assert_eq!(finding.file, format!("users/migrations/0003_x.{there}.sql"));
        assert!(
            finding.message.contains(&format!("0003_x.{missing}.sql")),
            "{finding}"
        );
    }
}

#[tokio::test]
async fn m008_a_migration_contains_no_transaction_or_pragma() {
    for statement in [
        "begin",
        "COMMIT",
        "end",
        "rollback",
        "savepoint a",
        "release a",
        "pragma foreign_keys = on",
        "attach 'a' as b",
        "detach b",
        "vacuum",
        "create temp table a (b)",
        "create temporary view a as select 1",
        "create table temp.a (b)",
        "create virtual table a using dbstat",
    ] {
        let up = format!("create table c (d);\n{statement};");

        assert_eq!(codes(&up).await, [(LintCode::Forbidden, 2)], "{statement}");
    }
    let up = "create trigger a after insert on users begin select 'pragma'; end; reindex users";
    assert_eq!(codes(up).await, []);
}

#[tokio::test]
async fn m010_the_old_name_of_a_rename_exists() {
    let renamed = |column: &str, remark: &str| {
        let mut project = project();
        let declared = format!("{column} text -- {remark}\n)");
        project.owners[0].schema = USERS
            .replace("bio text)", &declared)
            .replace("set bio", &format!("set {column}"));
        project
    };
    for (column, remark) in [
        ("about", "@renamed from=boi"),
        ("about", "@renamed bio"),
        ("about", "@renamed from="),
    ] {
        let findings = lint(&renamed(column, remark)).await.unwrap();

        let [finding] = findings.as_slice() else {
            panic!("{remark}: {findings:?}");
        };
        assert_eq!((finding.code, finding.line), (LintCode::Renamed, 2));
        assert_eq!(finding.file, "users/schema.sql");
    }
    for (column, remark) in [
        ("about", "@renamed from=bio"),
        ("about", "@renamed  from=bio"),
        ("about", "why, @renamed, from=bio"),
        // The rename was already applied.
        ("bio", "@renamed from=about"),
    ] {
        assert_eq!(
            lint(&renamed(column, remark)).await.unwrap(),
            [],
            "{remark}"
        );
    }
    let mut project = project();
    project.owners[0].schema = USERS.replace("-- All of them.", "-- @renamed from=accounts");
    assert_eq!(lint(&project).await.unwrap(), []);
    project.owners[0].schema = USERS.replace("table users", "table members");
    project.owners[0].schema = project.owners[0]
        .schema
        .replace("on users", "on members")
        .replace("update users", "update members")
        .replace("-- All of them.", "-- @renamed from=users");
    project.owners[1].schema = POSTS.replace("references users", "references members");
    assert_eq!(lint(&project).await.unwrap(), []);
}
