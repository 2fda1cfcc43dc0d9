//! A migration may touch only the objects of its owner, which SQLite enforces.

use migrator::{Direction, Error, ExecuteError, Run};

use crate::{TestDir, migrations, owned_migrations};

/// The objects of two owners, each created by a migration.
const USERS: (&str, &str, &str) = (
    "users",
    "create table users (id integer primary key autoincrement, name text);
     create index users_by_name on users (name);
     create view names as select name from users;
     create trigger users_are_named after insert on users begin
         update users set name = 'nobody' where id = new.id and name is null;
     end;
     insert into users (name) values ('susan'), (null);",
    "drop view names; drop table users;",
);
const POSTS: (&str, &str, &str) = (
    "posts",
    "create table posts (id integer primary key, user_id integer references users (id));
     insert into posts values (1, 1)",
    "drop table posts",
);

/// Runs a third migration of `owner` on a database with rows.
async fn run_third(owner: &str, script: &str) -> Result<(), Error> {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(owned_migrations(&[USERS, POSTS, (owner, script, "")]));
    migrator.run(Run::upgrade_to(2)).await.unwrap();

    let result = migrator.run(Run::upgrade()).await;

    let version = if result.is_ok() { "3" } else { "2" };
    let versions = dir
        .query("select max(version) || '' from _sqlx_migrations")
        .await;
    assert_eq!(versions, [version], "{script}");
    assert_eq!(dir.query("pragma integrity_check").await, ["ok"]);
    result.map(|_| ())
}

#[tokio::test]
async fn an_object_of_another_owner_cannot_be_touched() {
    for (script, deed) in [
        ("select name from users", "read users.name"),
        ("select count(*) from users", "read users"),
        ("SELECT 1 FROM Users", "read users"),
        ("select name from names", "read users.name"),
        ("insert into users (name) values ('a')", "insert into users"),
        ("update users set name = 'a'", "update users.name"),
        ("delete from users", "delete from users"),
        ("alter table users add column b", "alter users"),
        ("alter table users drop column name", "alter users"),
        ("alter table users rename to people", "alter users"),
        ("alter table users rename column name to b", "alter users"),
        ("drop table users", "drop the table users"),
        ("drop view names", "drop the view names"),
        ("drop index users_by_name", "drop an index of users"),
        ("drop trigger users_are_named", "drop a trigger of users"),
        ("create index a on users (id)", "create an index on users"),
        (
            "create trigger a after insert on users begin select 1; end",
            "create a trigger on users",
        ),
        (
            "create trigger a after insert on posts begin delete from users; end",
            "delete from users",
        ),
        (
            "create trigger a after update of user_id on posts begin select id from users; end",
            "read users.id",
        ),
        (
            "create trigger a before delete on posts begin insert into users (id) values (9); end",
            "insert into users",
        ),
        (
            "create trigger a after insert on posts begin
                 delete from later; delete from users;
             end",
            "name users",
        ),
        ("create view a as select name from users", "read users.name"),
        (
            "create view a as select p.id from posts p, users",
            "read users",
        ),
        ("create table a as select id from users", "read users.id"),
        (
            "insert into posts (user_id) select id from users",
            "read users.id",
        ),
        (
            "update posts set user_id = (select max(id) from users)",
            "read users.id",
        ),
        (
            "create table if not exists users (id)",
            "create the table users",
        ),
        ("reindex users_by_name", "reindex users_by_name"),
        ("analyze users", "analyze users"),
    ] {
        let script = format!("create table first (id);\n  {script};");

        let error = run_third("posts", &script).await.unwrap_err();

        let location = error.location().unwrap();
        assert_eq!(location.file, "posts/migrations/0003_step.up.sql");
        assert_eq!(
            (location.line, location.column),
            (2, 3),
            "{script}: {error}"
        );
        assert_eq!((error.exit_code(), error.reason()), (7, "OWNERSHIP"));
        let told = format!(
            "a migration of posts may not {deed}, at {location}: that is for a migration of users \
             to do; nothing was changed"
        );
        assert!(
            error.line().eq_ignore_ascii_case(&told),
            "{script}: {error}"
        );
    }
}

#[tokio::test]
async fn an_object_of_another_owner_cannot_be_touched_indirectly() {
    for script in [
        "delete from posts where user_id not in users",
        "update posts set user_id = u.id from users u",
        "insert into posts (id) select 9 where exists (select 1 from users)",
        "insert into posts (id) values (1) on conflict (id) do update set user_id =
             (select max(id) from users)",
        "delete from posts returning (select count(*) from users)",
        "with u as (select id from users) select 1 from u",
        "select count(*) from main.users",
        "values ((select id from users))",
        "explain select id from users",
        "create view a as with u as (select id from users) select id from u",
        "create view a (b) as select exists (select 1 from users)",
        "create view a as select 1 from names",
        "create view if not exists a as select id from posts union select id from \"USERS\"",
        "create trigger a instead of insert on names begin select 1; end",
        "create trigger a after insert on posts when exists (select 1 from users)
         begin select 1; end",
        "create trigger a after delete on posts begin
             insert into posts (id) select id from users;
         end",
        "create view a as select id from posts;
         create trigger b instead of insert on a begin delete from users; end",
        "create view a as select id from posts;
         create trigger b instead of delete on a begin delete from users; end",
        "alter table posts rename to a;
         create trigger b after update on a begin update users set name = ''; end",
        "create table a (id);
         create trigger b after insert on a begin delete from users; end;
         insert into a values (1)",
    ] {
        let result = run_third("posts", script).await;

        let told = result.as_ref().map_err(Error::line);
        assert!(
            matches!(result.as_ref().map_err(Error::cause), Err(Error::Execute(ExecuteError::Ownership { whose, .. })) if whose == "users"),
            "{script}: {told:?}"
        );
    }
}

#[tokio::test]
async fn an_object_of_the_migrator_cannot_be_touched() {
    for script in [
        "select version from _sqlx_migrations",
        "delete from _sqlx_migrations",
        "update _migrator_tokens set up = down",
        "drop table _sqlx_migrations",
        "create index a on _migrator_tokens (up)",
        "create table _migrator_more (id)",
    ] {
        let error = run_third("users", script).await.unwrap_err();

        assert!(
            matches!(error.cause(), Error::Execute(ExecuteError::Ownership { whose, .. }) if whose == "migrator"),
            "{script}: {error}"
        );
    }
}

#[tokio::test]
async fn a_statement_outside_the_run_is_forbidden() {
    for script in [
        "attach database ':memory:' as other",
        "detach database main",
        "pragma foreign_keys = on",
        "pragma user_version = 7",
        "pragma writable_schema = on",
        "select foreign_keys from pragma_foreign_keys",
        "create temporary table a (id)",
        "create temp view a as select 1",
        "create virtual table a using fts5(b)",
        "select load_extension('a')",
        "savepoint a",
        "release migration",
        "rollback; begin; savepoint migration",
        "commit",
        "vacuum",
    ] {
        let error = run_third("users", script).await.unwrap_err();

        let exit_code = error.exit_code();
        assert!(exit_code == 7 || script == "vacuum", "{script}: {error}");
    }
}

#[tokio::test]
async fn an_owner_may_change_its_own_objects() {
    for (owner, script) in [
        (
            "posts",
            "create table likes (id, user_id references users (id))",
        ),
        (
            "posts",
            "alter table posts add column title text check (title <> '')",
        ),
        (
            "posts",
            "alter table posts add column title text not null default ''",
        ),
        (
            "posts",
            "alter table posts rename to articles; insert into articles values (2, 1)",
        ),
        ("posts", "alter table posts rename column user_id to author"),
        ("posts", "alter table posts drop column user_id"),
        ("posts", "drop table posts; create table posts (id)"),
        ("posts", "analyze posts; reindex posts"),
        (
            "posts",
            "create view recent as select id from posts order by id desc",
        ),
        (
            "posts",
            "create trigger a after insert on posts begin
                 delete from posts where id = new.id - 10;
                 select case when new.id < 0 then raise(abort, 'no') end;
             end",
        ),
        (
            "posts",
            "create trigger a after insert on posts begin delete from later; end;
             create table later (id)",
        ),
        (
            "posts",
            "create view a as select id from posts;
             create trigger b instead of update on a begin
                 update posts set id = new.id where id = old.id;
             end;
             update a set id = id + 1",
        ),
        (
            "posts",
            "create table new_posts (id integer primary key, user_id references users (id));
             insert into new_posts select id, user_id from posts;
             drop table posts;
             alter table new_posts rename to posts;",
        ),
        (
            "posts",
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < 9)
             insert into posts (id) select i + 100 from n",
        ),
        ("users", "alter table users rename to people"),
        ("users", "alter table users rename column name to nickname"),
        (
            "users",
            "alter table users add column role integer not null default 0",
        ),
        ("users", "drop view names"),
        (
            "users",
            "drop view names;
             create table new_users (id integer primary key autoincrement, name text not null);
             insert into new_users select id, name from users;
             update sqlite_sequence
                set seq = (select seq from sqlite_sequence where name = 'users')
              where name = 'new_users';
             drop table users;
             alter table new_users rename to users;",
        ),
    ] {
        let result = run_third(owner, script).await;

        assert!(result.is_ok(), "{script}: {}", result.unwrap_err().line());
    }
}

#[tokio::test]
async fn a_renamed_or_rebuilt_table_keeps_its_owner() {
    for change in [
        "drop view names; alter table users rename to people",
        "drop view names; create table people (id integer primary key, name);
         insert into people select id, name from users; drop table users",
    ] {
        let dir = TestDir::new();
        let migrator = dir.migrator_with(owned_migrations(&[
            USERS,
            ("users", change, ""),
            ("posts", "delete from people", ""),
        ]));

        let error = migrator.run(Run::upgrade()).await.unwrap_err();

        assert!(
            matches!(error.cause(), Error::Execute(ExecuteError::Ownership { whose, .. }) if whose == "users"),
            "{change}: {error}"
        );
    }
}

#[tokio::test]
async fn a_free_name_belongs_to_its_next_creator() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(owned_migrations(&[
        USERS,
        ("users", "drop view names; drop table users", ""),
        ("posts", "create table users (id)", "drop table users"),
        ("posts", "insert into users values (1)", ""),
    ]));

    let report = migrator.run(Run::upgrade()).await.unwrap();

    assert_eq!(report.version, 4);
}

#[tokio::test]
async fn a_down_script_obeys_the_ownership_rule() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(owned_migrations(&[
        USERS,
        (
            "posts",
            "create table posts (id)",
            "drop table posts; drop table users",
        ),
    ]));
    migrator.run(Run::upgrade()).await.unwrap();

    let error = migrator.run(migrator::Run::downgrade()).await.unwrap_err();

    let location = error.location().unwrap();
    assert_eq!(location.file, "posts/migrations/0002_step.down.sql");
    assert_eq!(location.column, 19);
    assert!(
        matches!(
            error.cause(),
            Error::Execute(ExecuteError::Ownership { .. })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn the_ownership_rule_ends_with_the_script() {
    // The migrator itself writes the history in the same transaction after the script.
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id)", "drop table a"),
        ("create table b (id)", "drop table b"),
    ]));

    let report = migrator.run(Run::upgrade()).await.unwrap();

    assert!(
        report
            .steps
            .iter()
            .all(|step| step.direction == Direction::Up)
    );
    assert_eq!(
        dir.query("select count(*) || '' from _migrator_tokens")
            .await,
        ["2"]
    );
}

#[tokio::test]
async fn a_sequence_of_another_owner_cannot_be_changed() {
    for script in [
        "select 1;\n  delete from sqlite_sequence where name = 'users'",
        "select 1;\n  update \"SQLITE_SEQUENCE\" set seq = 0",
    ] {
        let error = run_third("posts", script).await.unwrap_err();

        let Error::Execute(ExecuteError::Ownership {
            location, whose, ..
        }) = error.cause()
        else {
            panic!("{script}: {error}");
        };
        assert_eq!((whose.as_str(), location.line), ("users", 2), "{script}");
        let own = run_third("users", script).await;
        assert!(own.is_ok(), "{script}: {own:?}");
    }
}
