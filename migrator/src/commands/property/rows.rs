//! Random rows.

use super::{
    model::{Column, Model, Reference, Table, quote},
    random_source::RandomSource,
};

/// Returns statements that insert rows, some of which may fail.
pub(super) fn rows(model: &Model, random: &mut RandomSource) -> Vec<String> {
    let mut statements = Vec::new();
    for _ in 0..2 {
        for table in &model.tables {
            for _ in 0..random.below(4) {
                statements.push(row(model, table, random));
            }
        }
    }
    for table in model.tables.iter().filter(|t| t.autoincrement) {
        let (name, key) = (quote(&table.name), quote(&table.columns[0].name));
        if random.one_in(2) {
            statements.push(format!(
                "delete from {name} where {key} in (select max({key}) from {name})"
            ));
        }
    }
    statements
}

pub(super) fn row(model: &Model, table: &Table, random: &mut RandomSource) -> String {
    let mut names = Vec::new();
    let mut values = Vec::new();
    for column in table.columns.iter().filter(|c| c.generated.is_none()) {
        let by_itself = table.has_alias() && table.key == [column.id];
        if (by_itself || !column.default.is_empty()) && random.one_in(3) {
            continue;
        }
        names.push(quote(&column.name));
        let at = |r: &Reference| r.columns.iter().position(|c| *c == column.id);
        let reference = table.references.iter().find_map(|r| Some((r, at(r)?)));
        if let Some((reference, at)) = reference
            && !random.one_in(5)
        {
            let parent = model.table(reference.table).unwrap();
            let key = parent.column(parent.key[at]).unwrap();
            values.push(format!(
                "(select {} from {} order by 1 limit 1)",
                quote(&key.name),
                quote(&parent.name)
            ));
            continue;
        }
        values.push(value(column, random));
    }
    if names.is_empty() {
        return format!("insert into {} default values", quote(&table.name));
    }
    format!(
        "insert into {} ({}) values ({})",
        quote(&table.name),
        names.join(", "),
        values.join(", ")
    )
}

/// Returns a value for a column, as a literal.
pub(super) fn value(column: &Column, random: &mut RandomSource) -> String {
    match column.type_name {
        _ if column.not_null.is_empty() && random.one_in(5) => "null".to_owned(),
        "integer" | "int" => random.below(50).to_string(),
        "text" => random
            .pick(&["'a'", "'B '", "'b'", "'it''s'", "'007'", "''"])
            .to_owned(),
        "real" => format!("{}.5", random.below(50)),
        "blob" => random.pick(&["x'00'", "x'7a01'"]).to_owned(),
        _ => random
            .pick(&[
                "1",
                "2",
                "'a'",
                "'x'",
                "1.5",
                "x'00'",
                "9007199254740993",
                "'7'",
            ])
            .to_owned(),
    }
}
