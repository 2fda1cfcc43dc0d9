//! Decides independently of the migrator whether a declaration can be used, and whether a refusal
//! is right.

use sqlx::SqliteConnection;

use crate::sqlite::{
    planner::{
        Error,
        tests::{done, memory, rows, run},
    },
    schema::Schema,
};

/// The statements that use a table, a view or a trigger.
const USES: &str = "
    select 'explain select * from ' || name from (
        select type, '\"' || replace(name, '\"', '\"\"') || '\"' as name from sqlite_schema
    ) where type = 'view'
    union all
    select 'explain insert into ' || name || ' default values' from (
        select type, '\"' || replace(name, '\"', '\"\"') || '\"' as name from sqlite_schema
    ) where type = 'table'
    union all
    select 'explain delete from ' || name from (
        select type, '\"' || replace(name, '\"', '\"\"') || '\"' as name from sqlite_schema
    ) where type = 'table'
    union all
    select 'explain update ' || name || ' set ' || (
        select group_concat(c || ' = ' || c) from (
            select '\"' || replace(name, '\"', '\"\"') || '\"' as c, hidden
            from pragma_table_xinfo(raw)
        ) where hidden = 0
    ) from (
        select type, name as raw, '\"' || replace(name, '\"', '\"\"') || '\"' as name
        from sqlite_schema
    ) where type = 'table'
    union all
    select 'explain ' || event || ' ' || tbl || case event
        when 'insert into' then ' default values'
        when 'update' then ' set one = one'
        else ''
    end from (
        select '\"' || replace(s.tbl_name, '\"', '\"\"') || '\"' as tbl, s.sql, e.event
        from sqlite_schema s
        join (
            select 'insert into' as event, '%instead of insert%' as pattern
            union all select 'update', '%instead of update%'
            union all select 'delete from', '%instead of delete%'
        ) e on s.sql like e.pattern
        where s.type = 'trigger'
    )";

/// Returns the error of using an object of a declared schema, if one cannot be used.
pub(super) async fn unusable(schema: &str) -> Option<String> {
    let mut database = memory().await;
    done(&mut database, schema).await;
    first_error(&mut database).await
}

async fn first_error(database: &mut SqliteConnection) -> Option<String> {
    for statement in rows(database, USES).await {
        if let Err(error) = run(database, &statement).await {
            return Some(format!("{statement}: {error}"));
        }
    }
    let checked = run(database, "pragma foreign_key_check").await;
    checked.err()
}

/// Checks that a plan was refused for a reason that the schema has.
pub(super) fn right_refusal(error: &Error, to: &Schema) -> Result<(), String> {
    let column = |table, column| to.tables.get(table)?.column(column);
    let is_right = match error {
        Error::NotNullWithoutDefault {
            table,
            column: name,
        } => column(table, name).is_some_and(|column| column.default.is_none()),
        Error::SharedDefault {
            table,
            column: name,
        } => column(table, name).is_some_and(|column| column.default.is_some()),
        Error::Unsupported { .. } => true,
        _ => false,
    };
    if is_right {
        return Ok(());
    }
    Err(format!("refused: {error}"))
}
