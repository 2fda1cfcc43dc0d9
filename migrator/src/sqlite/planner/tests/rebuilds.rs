//! Whole scripts that rebuild a table, as a reviewer sees them.

use super::scripts;

const CHECK_UP: &str = "\
-- Blocks a later step, or changes: recreated below.
drop trigger named;
drop trigger posted;
drop view names;

-- SQLite cannot make this change to users in place: it is rebuilt, and its rows are copied.
create table new_users (
            -- The key, which is never used twice.
            id integer primary key autoincrement,
            -- What people see.
            name text not null check (name <> '')
        );

insert into new_users (id, name)
select id, name
from users;

-- Fails the migration unless the new table has as many rows as the old one.
select iif(
    (select count(*) from new_users) = (select count(*) from users),
    'all rows were copied',
    json('not all rows were copied')
);

-- Keeps the AUTOINCREMENT sequence: ids of deleted rows are not reused.
delete from sqlite_sequence
where name = 'new_users';
insert into sqlite_sequence (name, seq)
select 'new_users', seq
from sqlite_sequence
where name = 'users';

drop table users;

alter table new_users rename to users;

-- In the order of names.
create index users_by_name on users (name);

create view names as select name from users;

create trigger named after update on users begin select 1; end;

create trigger posted after insert on posts begin
            update users set name = name || '!' where id = new.user_id;
        end;
";

const CHECK_DOWN: &str = "\
-- Blocks a later step, or changes: recreated below.
drop trigger named;
drop trigger posted;
drop view names;

-- SQLite cannot make this change to users in place: it is rebuilt, and its rows are copied.
create table new_users (id integer primary key autoincrement, name text not null);

insert into new_users (id, name)
select id, name
from users;

-- Fails the migration unless the new table has as many rows as the old one.
select iif(
    (select count(*) from new_users) = (select count(*) from users),
    'all rows were copied',
    json('not all rows were copied')
);

-- Keeps the AUTOINCREMENT sequence: ids of deleted rows are not reused.
delete from sqlite_sequence
where name = 'new_users';
insert into sqlite_sequence (name, seq)
select 'new_users', seq
from sqlite_sequence
where name = 'users';

drop table users;

alter table new_users rename to users;

create index users_by_name on users (name);

create view names as select name from users;

create trigger named after update on users begin select 1; end;

create trigger posted after insert on posts begin
            update users set name = name || '!' where id = new.user_id;
        end;
";

#[tokio::test]
async fn a_new_check_rebuilds_the_table_and_its_dependents() {
    let (up, down) = scripts(
        "create table users (id integer primary key autoincrement, name text not null);
        create index users_by_name on users (name);
        create view names as select name from users;
        create trigger named after update on users begin select 1; end;
        create table posts (user_id integer not null references users (id));
        create trigger posted after insert on posts begin
            update users set name = name || '!' where id = new.user_id;
        end;",
        "create table users (
            -- The key, which is never used twice.
            id integer primary key autoincrement,
            -- What people see.
            name text not null check (name <> '')
        );
        -- In the order of names.
        create index users_by_name on users (name);
        create view names as select name from users;
        create trigger named after update on users begin select 1; end;
        create table posts (user_id integer not null references users (id));
        create trigger posted after insert on posts begin
            update users set name = name || '!' where id = new.user_id;
        end;",
        "insert into users (name) values ('susan'); insert into posts (user_id) values (1)",
    )
    .await;

    assert_eq!(up, CHECK_UP);
    assert_eq!(down, CHECK_DOWN);
}

#[tokio::test]
async fn the_down_script_names_data_that_it_cannot_restore() {
    let (up, down) = scripts(
        "create table users (id integer primary key, name text not null unique, bio text); create table tags (tag text)",
        "create table users (id integer primary key)",
        "insert into users (id, name) values (1, 'susan'), (2, 'john')",
    )
    .await;

    assert_eq!(
        up,
        "\
-- @destroys table tags
drop table tags;

-- SQLite cannot make this change to users in place: it is rebuilt, and its rows are copied.
create table new_users (id integer primary key);

insert into new_users (id)
select id
from users;

-- Fails the migration unless the new table has as many rows as the old one.
select iif(
    (select count(*) from new_users) = (select count(*) from users),
    'all rows were copied',
    json('not all rows were copied')
);

-- @destroys column users.name
-- @destroys column users.bio
drop table users;

alter table new_users rename to users;
"
    );
    assert_eq!(
        down,
        "\
-- This down migration cannot restore what the up migration destroyed:
--   the rows of table tags
--   the values of users.name
--   the values of users.bio

create table tags (tag text);

-- SQLite cannot make this change to users in place: it is rebuilt, and its rows are copied.
-- Placeholders, since the values were not kept: name.
create table new_users (id integer primary key, name text not null unique, bio text);

insert into new_users (id, name)
select id, cast(rowid as text)
from users;

-- Fails the migration unless the new table has as many rows as the old one.
select iif(
    (select count(*) from new_users) = (select count(*) from users),
    'all rows were copied',
    json('not all rows were copied')
);

drop table users;

alter table new_users rename to users;
"
    );
}

#[tokio::test]
async fn rows_without_a_rowid_value_are_copied_last() {
    let from = "create table t (id int, a text)";
    let rows = "insert into t (id, a) values (2, 'a'), (null, 'b'), (1, 'c'), (3, 'd')";

    let (up, _) = scripts(
        from,
        "create table t (id integer primary key, a text)",
        rows,
    )
    .await;

    assert!(
        up.contains("\nfrom t\norder by id is null, rowid;\n"),
        "{up}"
    );
    assert!(up.contains("-- @destroys values t.id\n"), "{up}");
}
