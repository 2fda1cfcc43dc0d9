//! Whole scripts, as a reviewer sees them.

use super::scripts;

const USERS: &str = "create table users (
    -- The key, which is never used twice.
    id integer primary key autoincrement,
    name text not null
) strict;";

const ROWS: &str = "insert into users (name) values ('susan'), ('john')";

#[tokio::test]
async fn a_column_is_added_and_dropped_in_place() {
    let (up, down) = scripts(
        USERS,
        "create table users (
            id integer primary key autoincrement,
            name text not null,
            -- What people say about themselves, in short.
            -- @added
            bio text not null default '' check (length(bio) < 200)
        ) strict;",
        ROWS,
    )
    .await;

    assert_eq!(
        up,
        "\
-- What people say about themselves, in short.
alter table users add column bio text not null default '' check (length(bio) < 200);
"
    );
    assert_eq!(
        down,
        "\
-- This down migration destroys what was added since the up migration:
--   the values of users.bio

-- @destroys column users.bio
alter table users drop column bio;
"
    );
}

#[tokio::test]
async fn a_column_is_renamed_with_its_index_and_its_view() {
    let (up, down) = scripts(
        "create table t (a int, b int); create index i on t (a);
        create view v as select a from t; create view w as select b from t;",
        "create table t (
            -- Now it says what it is.
            -- @renamed from=a
            amount int,
            b int
        );
        create index i on t (amount);
        -- All amounts.
        create view v as select amount from t;
        create view w as select b from t;",
        "insert into t (a, b) values (1, 2)",
    )
    .await;

    assert_eq!(
        up,
        "\
-- Blocks a later step, or changes: recreated below.
drop view v;

-- Now it says what it is.
alter table t rename column a to amount;

-- All amounts.
create view v as select amount from t;
"
    );
    assert_eq!(
        down,
        "\
-- Blocks a later step, or changes: recreated below.
drop view v;

alter table t rename column amount to a;

create view v as select a from t;
"
    );
}

#[tokio::test]
async fn references_follow_a_renamed_table() {
    let (up, down) = scripts(
        "create table users (id integer primary key, name text);
        create table posts (user_id integer references users (id));",
        "-- Who may write.
        -- @renamed from=users
        create table accounts (id integer primary key, name text);
        create table posts (user_id integer references accounts (id));",
        "insert into users (id) values (7); insert into posts (user_id) values (7)",
    )
    .await;

    assert_eq!(
        up,
        "\
-- Who may write.
alter table users rename to accounts;
"
    );
    assert_eq!(
        down,
        "\
alter table accounts rename to users;
"
    );
}

#[tokio::test]
async fn an_index_is_created_and_dropped_alone() {
    let (up, down) = scripts(
        USERS,
        "create table users (id integer primary key autoincrement, name text not null) strict;
        -- Names are looked up.
        create unique index users_by_name on users (name);",
        ROWS,
    )
    .await;

    assert_eq!(
        up,
        "\
-- Names are looked up.
create unique index users_by_name on users (name);
"
    );
    assert_eq!(
        down,
        "\
drop index users_by_name;
"
    );
}

#[tokio::test]
async fn a_new_table_keeps_its_comments() {
    let (up, down) = scripts(
        USERS,
        "create table users (id integer primary key autoincrement, name text not null) strict;

        -- What people write.
        create table posts (
            -- Who wrote it.
            user_id integer not null references users (id) -- @added
        ) strict;
        create index posts_by_user on posts (user_id);",
        ROWS,
    )
    .await;

    assert_eq!(
        up,
        "\
-- What people write.
create table posts (
            -- Who wrote it.
            user_id integer not null references users (id)
        ) strict;

create index posts_by_user on posts (user_id);
"
    );
    assert_eq!(
        down,
        "\
-- This down migration destroys what was added since the up migration:
--   the rows of table posts

-- @destroys table posts
drop table posts;
"
    );
}

#[tokio::test]
async fn two_changes_become_separate_steps() {
    let (up, down) = scripts(
        USERS,
        "create table users (
            id integer primary key autoincrement,
            -- @renamed from=name
            nickname text not null,
            email text
        ) strict;
        create table tags (tag text primary key) without rowid;",
        ROWS,
    )
    .await;

    assert_eq!(
        up,
        "\
alter table users rename column name to nickname;

create table tags (tag text primary key) without rowid;

alter table users add column email text;
"
    );
    assert_eq!(
        down,
        "\
-- This down migration destroys what was added since the up migration:
--   the rows of table tags
--   the values of users.email

-- @destroys table tags
drop table tags;

alter table users rename column nickname to name;

-- @destroys column users.email
alter table users drop column email;
"
    );
}
