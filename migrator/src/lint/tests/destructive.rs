//! Tests of the rules for tables with rows: M001, M002 and M009.

use super::{BACK, REBUILD, codes, found, lint, with};
use crate::lint::LintCode;

#[tokio::test]
async fn m001_a_column_that_rows_reject_is_found() {
    for column in [
        "a text not null default current_timestamp",
        "a text default (random())",
        "a text default '' check (a <> '')",
        "a text generated always as (name || bio) check (a <> 'x') not null",
    ] {
        let up = format!("alter table users add column {column};");

        assert_eq!(codes(&up).await, [(LintCode::AddedColumn, 1)], "{column}");
    }
    // An INSERT of the previous release omits the column, too.
    assert_eq!(
        codes("alter table users add a text not null").await,
        [(LintCode::AddedColumn, 1), (LintCode::Release, 1)]
    );
    for up in [
        "alter table users add column a text not null default ''",
        "alter table users add column a text",
        "alter table users add column a integer default (1) check (a <> id or id is null)",
        "create table a (b); alter table a add column c text not null",
    ] {
        assert_eq!(codes(up).await, [], "{up}");
    }
}

#[tokio::test]
async fn m002_a_destructive_change_needs_its_directive() {
    for (what, statement) in [
        ("column users.bio", "alter table users drop column bio"),
        ("rows users", "delete from users where id > 5"),
        ("rows users", "with a as (select 1) delete from users"),
        ("column users.bio", "update users set bio = ''"),
    ] {
        let mut project = with("users", statement, BACK);
        project.owners[0].released.statements.clear();
        let mut unmarked = lint(&project).await.unwrap();
        // The trigger no longer works without the column.
        unmarked.retain(|finding| finding.code != LintCode::Rebuild);
        let elsewhere = format!("-- @destroys {what}\n\ncreate table a (b);\n{statement}");
        let marked = format!("create table a (b);\n-- It is.\n-- @destroys {what}\n{statement}");

        assert_eq!(unmarked.len(), 1, "{statement}: {unmarked:?}");
        assert_eq!(unmarked[0].code, LintCode::Destroyed);
        assert!(codes(&elsewhere).await.contains(&(LintCode::Destroyed, 4)));
        let marked = codes(&marked).await;
        assert!(!marked.iter().any(|(code, _)| *code == LintCode::Destroyed));
    }
    for up in [
        "create table a (b); insert into a values (1); delete from a; drop table a",
        "update users set bio = '' where bio is null",
        "alter table users add a text; update users set a = name",
        "create trigger t after insert on users begin delete from users where id < 5; end",
        "drop index users_by_name",
    ] {
        assert_eq!(codes(up).await, [], "{up}");
    }
}

#[tokio::test]
async fn m002_a_down_migration_needs_directives() {
    let down = "drop table a";

    let unmarked = lint(&with("users", "create table a (b)", down)).await;
    let marked = format!("-- @destroys table a\n{down}");
    let marked = lint(&with("users", "create table a (b)", &marked)).await;

    let [finding] = &unmarked.unwrap()[..] else {
        panic!("one is found");
    };
    assert_eq!(finding.file, "users/migrations/0003_x.down.sql");
    assert_eq!(finding.code, LintCode::Destroyed);
    assert_eq!(marked.unwrap(), []);
}

#[tokio::test]
async fn m002_a_rebuild_destroys_data_that_it_does_not_copy() {
    for (copied, instead, what) in [
        (
            "select id, name, bio",
            "select id, name, ''",
            "column users.bio",
        ),
        (
            "bio from users",
            "bio from users where id > 1",
            "rows users",
        ),
        (
            "insert into new_users (id, name, bio) select id, name, bio from users;",
            "select 1;",
            "rows users",
        ),
    ] {
        let up = REBUILD.replace(copied, instead);
        assert_ne!(up, REBUILD);
        let marked = up.replace("drop table", &format!("-- @destroys {what}\ndrop table"));
        let above_another = format!("-- @destroys {what}\n{up}");

        let unmarked = found(&up).await;

        let [finding] = unmarked.as_slice() else {
            panic!("{instead}: {unmarked:?}");
        };
        assert_eq!(finding.code, LintCode::Destroyed);
        assert!(finding.message.starts_with(what), "{finding}");
        assert_eq!(codes(&marked).await, [], "{instead}");
        assert_eq!(codes(&above_another).await, [], "{instead}");
    }
    assert_eq!(codes(REBUILD).await, []);
}

#[tokio::test]
async fn m002_a_dropped_and_recreated_table_is_destroyed() {
    let up = "drop table users; create table users (id integer primary key, name, bio)";

    assert_eq!(codes(up).await, [(LintCode::Destroyed, 1)]);
}

#[tokio::test]
async fn m009_a_rebuild_keeps_dependent_objects() {
    let sequence = REBUILD.find("update sqlite_sequence").unwrap();
    let drop = REBUILD.find("drop table users").unwrap();
    let without_mark = REBUILD.replace(&REBUILD[sequence..drop], "");
    let index = "create index users_by_name on users (name);\n";
    let trigger = &REBUILD[REBUILD.find("create trigger").unwrap()..];
    let away = REBUILD
        .replace(
            "create table new_users",
            "alter table users rename to old; create table users",
        )
        .replace("alter table new_users rename to users;", "")
        .replace("into new_users", "into users")
        .replace("from users", "from old")
        .replace("drop table users", "drop table old")
        .replace("'users'", "'old'")
        .replace("'new_users'", "'users'");
    for (up, what) in [
        (without_mark.as_str(), "may be assigned again"),
        (
            &REBUILD.replace(index, ""),
            "the index users_by_name is dropped",
        ),
        (
            &REBUILD.replace(trigger, ""),
            "the trigger users_named is dropped",
        ),
        (&away, "posts.user_id now refers to the missing table old"),
    ] {
        let findings = found(up).await;

        let [finding] = findings.as_slice() else {
            panic!("{what}: {findings:?}");
        };
        assert_eq!(finding.code, LintCode::Rebuild);
        assert!(finding.message.contains(what), "{finding}");
    }
    let meant = format!("drop index users_by_name;{}", REBUILD.replace(index, ""));
    assert_eq!(codes(&meant).await, []);
}

#[tokio::test]
async fn m009_a_view_keeps_working() {
    let up = "-- @destroys table posts\ndrop table posts;";
    let mut project = with("posts", up, BACK);
    project.owners[1].released.statements.clear();

    let findings = lint(&project).await.unwrap();

    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].code, findings[0].line), (LintCode::Rebuild, 2));
    assert!(
        findings[0].message.contains("view bodies"),
        "{}",
        findings[0]
    );
}

#[tokio::test]
async fn m001_a_computed_key_that_other_rows_satisfy_is_no_finding() {
    for up in [
        "create unique index a on users (length(name))",
        "alter table users add column a as (name is null); create unique index b on users (a)",
    ] {
        assert_eq!(codes(up).await, [], "{up}");
    }
}
