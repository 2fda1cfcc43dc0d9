use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::Schema;
use crate::{sql::name::Name, state::error::DatabaseError};

async fn schema(script: &str) -> Schema {
    try_schema(script).await.unwrap()
}

async fn try_schema(script: &str) -> Result<Schema, DatabaseError> {
    let mut memory = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(&mut memory)
        .await
        .unwrap_or_else(|error| panic!("{script}: {error}"));
    let mut schema = Schema::read(&mut memory).await?;
    schema.annotate(script);
    Ok(schema)
}

/// Declarations that use every clause of SQLite's grammar.
const SAMPLES: [&str; 16] = [
    include_str!("../../../../user-service/schema.sql"),
    include_str!("../../../../post-service/schema.sql"),
    "create table a (id integer primary key desc, b)",
    "create table a (id integer, primary key (id desc))",
    "create table a (id integer, primary key (id autoincrement))",
    "create table a (a int, b int, primary key (a, b desc)) without rowid, strict",
    "create table \"a b\" (\"c d\" long  type(1, 2) default 'it''s' not null on conflict ignore)",
    "create table a (b int constraint c check (b > 0) constraint d unique on conflict replace,
                     constraint e check (b < 10) unique (b collate nocase))",
    "create table a (id integer primary key, b references a on delete cascade on update set null
                     deferrable initially deferred,
                     c not null references x (y) match full not deferrable initially immediate)",
    "create table a (b, c as (b + 1) stored, d generated always as (b || 'x') virtual)",
    "create table a (b default -1, c default (1 + 2), d default current_timestamp, e default +.5,
                     f default true, g default x'00', h default null, i default (null), j text default Abc,
                     k text default \"It's\")",
    "create table a (a int, b any, primary key (a, b)) strict; create table b (id integer primary key) strict",
    "create table a (\"größe\" text primary key, \"it's\" unique, \"order\" references a (\"größe\"))",
    "create table a (b text collate nocase); create index c on a (b, lower(b) collate rtrim desc)
        where b is not null and b <> '';
     create unique index d on a (b collate binary)",
    "create table a (b); create view v (x) as select b from a;
     create trigger t update of b on a when new.b > 1 begin update a set b = 1; select 2; end;
     create trigger u instead of insert on v for each row begin select raise(abort, 'no'); end",
    "create temp table gone (a); create table kept as select 1 as a, 'x' as b",
];

#[tokio::test]
async fn printed_ddl_parses_to_an_equal_schema() {
    for sample in SAMPLES {
        let declared = schema(sample).await;

        let made = schema(&declared.catalog().ddl()).await;

        assert_eq!(declared.catalog().ddl(), made.catalog().ddl(), "{sample}");
        assert_eq!(declared.catalog().hash(), made.catalog().hash(), "{sample}");
        assert!(!declared.tables.is_empty(), "{sample}");
    }
}

#[tokio::test]
async fn order_and_spelling_do_not_affect_equality() {
    for (a, b) in [
        (
            "create table a (b text not null unique, c integer check (c > 0) references b (d))",
            "CREATE TABLE [A] (\"C\" INTEGER, `b` TEXT NOT NULL, -- why\n
             foreign key (c) references B(d), check ((C>0)), unique (b))",
        ),
        (
            "create table a (id integer primary key, b default 1)",
            "create table a (b default (1), id integer, primary key (id))",
        ),
        (
            "create table a (id integer primary key); create table b (a references a)",
            "create table b (a references a (id)); create table a (id integer primary key)",
        ),
        (
            "create table a (b collate binary, unique (b), unique (b collate binary))",
            "create table a (b unique)",
        ),
        (
            "create table a (b); create trigger t update on a begin select 1; end",
            "create table a (b); create trigger T before UPDATE on a for each row begin select 1; end",
        ),
        (
            "create table a (b text collate nocase); create index c on a (b asc)",
            "create table a (b text collate NOCASE); create index c on a (b collate nocase)",
        ),
    ] {
        assert_eq!(schema(a).await, schema(b).await, "{a}");
    }
}

#[tokio::test]
async fn properties_hidden_by_pragmas_affect_equality() {
    let plain = "create table a (id integer primary key, b text, c text)";
    for other in [
        "create table a (id integer primary key autoincrement, b text, c text)",
        "create table a (id integer primary key, b text check (b <> ''), c text)",
        "create table a (id integer primary key, b text, c text, constraint d check (1))",
        "create table a (id integer primary key, b text collate nocase, c text)",
        "create table a (id integer primary key, b text, c text as (b))",
        "create table a (id integer primary key on conflict replace, b text, c text)",
        "create table a (id integer primary key desc, b text, c text)",
        "create table a (id integer primary key, b text, c text) strict",
        "create table a (id integer primary key, b text, c text) without rowid",
        "create table a (id integer primary key, b text, c text not null)",
        "create table a (id integer primary key, b text, c text default 'x')",
        "create table a (id integer primary key, b text, c varchar)",
        "create table a (id integer primary key, b text, c text unique)",
        "create table a (id integer primary key, b text, c text references a)",
        "create table a (id integer primary key, b text, c text); create index i on a (b)",
        "create table a (id integer primary key, b text, c text); create view v as select b from a",
    ] {
        assert_ne!(schema(plain).await, schema(other).await, "{other}");
    }
    for (a, b) in [
        (
            "(b references a)",
            "(b references a deferrable initially deferred)",
        ),
        ("(b references a)", "(b references a on delete restrict)"),
        ("(b as (c) virtual, c)", "(b as (c) stored, c)"),
        ("(b, c, check (b > c))", "(b, c, check (b > 'c'))"),
        (
            "(b, c, constraint x check (b))",
            "(b, c, constraint y check (b))",
        ),
        ("(b, c, unique (b, c))", "(b, c, unique (c, b))"),
        (
            "(b); create index i on a (b) where b",
            "(b); create index i on a (b)",
        ),
        (
            "(b); create index i on a (b)",
            "(b); create unique index i on a (b)",
        ),
        (
            "(b); create index i on a (b)",
            "(b); create index i on a (b desc)",
        ),
    ] {
        let (a, b) = (format!("create table a {a}"), format!("create table a {b}"));
        assert_ne!(schema(&a).await, schema(&b).await, "{b}");
    }
}

#[tokio::test]
async fn comments_are_assigned_to_the_adjacent_object() {
    let script = "-- The accounts.
        -- @renamed from=users
        create table accounts ( -- all of them
            -- What people see.
            -- @renamed from=name
            nickname text, -- in any script
            about text, -- @renamed from=bio
            /* @added */ email text,
            check (email <> nickname) -- @renamed from=nothing
        )";

    let schema = schema(script).await;

    let table = &schema.tables[&Name::new("accounts")];
    let from = |column: usize| {
        let from = table.columns[column].directives.renamed_from.as_ref();
        from.map(Name::folded)
    };
    assert_eq!(table.directives.renamed_from, Some(Name::new("users")));
    assert_eq!(
        table.directives.lines,
        ["-- The accounts.", "        -- @renamed from=users"]
    );
    assert_eq!(
        [from(0), from(1), from(2)],
        [Some("name"), Some("bio"), None]
    );
    assert!(table.columns[2].directives.added && !table.columns[1].directives.added);
    assert_eq!(
        table.columns[0].directives.lines,
        ["-- What people see.", "-- @renamed from=name"]
    );
    assert_eq!(table.columns[0].sql, "nickname text");
}

#[tokio::test]
async fn litestream_tables_are_not_part_of_the_schema() {
    let schema = try_schema(
        "create table a (b);
         create table _litestream_seq (id integer primary key, seq integer);
         create table _litestream_lock (id integer);",
    );

    let schema = schema.await.unwrap();

    assert!(schema.tables.keys().eq([&Name::new("a")]));
}

#[tokio::test]
async fn an_unsupported_declaration_is_an_error() {
    let error = try_schema("create virtual table a using dbstat").await;

    assert!(
        matches!(error, Err(DatabaseError::Unsupported { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_view_in_double_quotes_is_a_name_in_another_view() {
    let views = |quoted: &str| {
        format!(
            "create table a (b); create view \"the view\" as select b from a;
             create view v as select * from {quoted};"
        )
    };

    let double = schema(&views("\"the view\"")).await;

    assert_eq!(double, schema(&views("[the view]")).await);
}

#[tokio::test]
async fn a_column_with_the_name_of_a_table_does_not_make_a_text_a_name() {
    let view = |text: &str| {
        format!(
            "create table a (kind); create table b (a);
             create view v as select a as x, {text} as y from b;"
        )
    };

    let double = schema(&view("\"kind\"")).await;

    assert_eq!(double, schema(&view("'kind'")).await);
}
