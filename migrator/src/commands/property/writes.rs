//! Random writes to every table and to every view with a trigger.

use super::{
    model::{Model, quote},
    random_source::RandomSource,
    rows::{row, value},
};

/// Returns statements that insert, update and delete rows, some of which may fail.
pub(super) fn writes(model: &Model, random: &mut RandomSource) -> Vec<String> {
    let mut writes = Vec::new();
    for table in &model.tables {
        let name = quote(&table.name);
        writes.push(row(model, table, random));
        let plain: Vec<_> = table
            .columns
            .iter()
            .filter(|c| c.generated.is_none())
            .collect();
        let column = random.pick(&plain);
        let (set, new) = (quote(&column.name), value(column, random));
        writes.push(format!("update {name} set {set} = {new}"));
        let column = random.pick(&plain);
        let (by, old) = (quote(&column.name), value(column, random));
        writes.push(match random.below(4) {
            0 => format!("delete from {name}"),
            1 => format!("update {name} set {by} = {by}"),
            _ => format!("delete from {name} where {by} is {old}"),
        });
    }
    for trigger in model.triggers.iter().filter(|t| t.text.contains("{v}")) {
        let view = quote(&trigger.view);
        for (event, write) in [
            ("insert", format!("insert into {view} default values")),
            ("update", format!("update {view} set one = 'new'")),
            ("delete", format!("delete from {view}")),
        ] {
            if trigger.text.contains(&format!("instead of {event}")) {
                writes.push(write);
            }
        }
    }
    writes
}
