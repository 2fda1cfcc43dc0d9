//! A generated schema of the size of a large real one.

use std::fmt::Write as _;

/// The tables, views and triggers of a schema of the scale 1.
const TABLES: usize = 40;
const VIEWS: usize = 45;
const TRIGGERS: usize = 60;

/// Returns a schema of `scale` × 40 tables, 45 views and 60 triggers. In another `version`, each
/// tenth table has another default, which rebuilds it.
pub(crate) fn schema(scale: usize, version: usize) -> String {
    let tables = TABLES * scale;
    let mut schema = String::new();
    for table in 0..tables {
        let parent = table.saturating_sub(1);
        let default = if table % 10 == 0 { version } else { 0 };
        let _ = writeln!(
            schema,
            "-- The items of group {table}.
create table item{table} (
    id integer primary key,
    name text not null check (length(name) <= 100),
    kind text not null default 'plain' check (kind in ('plain', 'special')),
    amount integer not null default {default},
    parent integer references item{parent} (id) on delete cascade,
    note text collate nocase
);
create index item{table}_by_parent on item{table} (parent);"
        );
    }
    for view in 0..VIEWS * scale {
        let (item, parent) = (view % tables, (view + 1) % tables);
        let source = if view < tables {
            format!(
                "select i.id, i.name, p.name as parent_name
    from item{item} i left join item{parent} p on p.id = i.parent"
            )
        } else {
            format!("select id, name, parent_name from view{item} where name <> ''")
        };
        let _ = writeln!(schema, "create view view{view} as\n    {source};");
    }
    for trigger in 0..TRIGGERS * scale {
        let (item, other) = (trigger % tables, (trigger + 1) % tables);
        let event = ["update of name", "insert", "delete"][trigger % 3];
        let row = if event == "delete" { "old" } else { "new" };
        let _ = writeln!(
            schema,
            "create trigger trigger{trigger} after {event} on item{item} when {row}.kind = 'special'
begin
    update item{other} set amount = amount + 1 where id = {row}.parent;
end;"
        );
    }
    schema
}
