//! Random schemas, and random changes of them.

use super::model::{Column, Constraint, Id, Model, Object, Reference, STRICT, Table};
use super::{
    pools::{
        ACTIONS, CHECKS, COLUMNS, CONFLICTS, GENERATED, INDEX, INDEXES, TABLES, TRIGGER, TRIGGERS,
        TYPES, VIEW, VIEWS,
    },
    random_source::RandomSource,
};

fn fresh(random: &mut RandomSource, pool: &[&str], taken: &[String]) -> Option<String> {
    let free = |name: &&&str| !taken.iter().any(|t| t.eq_ignore_ascii_case(name));
    let free: Vec<_> = pool.iter().filter(free).collect();
    (!free.is_empty()).then(|| (*random.pick(&free)).to_string())
}

/// Returns the names that tables, indexes and views share.
fn taken(model: &Model) -> Vec<String> {
    let indexes = model
        .tables
        .iter()
        .flat_map(|t| &t.indexes)
        .map(|i| &i.name);
    let views = model.views.iter().map(|v| &v.name);
    let tables = model.tables.iter().map(|t| &t.name);
    tables.chain(views).chain(indexes).cloned().collect()
}

pub(super) fn schema(random: &mut RandomSource) -> Model {
    let mut model = Model {
        style: random.below(30),
        ..Model::default()
    };
    for _ in 0..=random.below(3) {
        add_table(&mut model, random);
    }
    for _ in 0..random.below(9) {
        change_around(&mut model, random);
    }
    model.clean();
    model
}

fn add_table(model: &mut Model, random: &mut RandomSource) {
    let Some(name) = fresh(random, &TABLES, &taken(model)) else {
        return;
    };
    let mut table = Table {
        id: model.id(),
        name,
        columns: Vec::new(),
        key: Vec::new(),
        autoincrement: false,
        strict: random.one_in(3),
        without_rowid: false,
        uniques: Vec::new(),
        checks: Vec::new(),
        references: Vec::new(),
        indexes: Vec::new(),
    };
    for _ in 0..=random.below(4) {
        add_column(model, &mut table, random);
    }
    let first = &mut table.columns[0];
    match random.below(6) {
        0 => {}
        1 | 2 => {
            first.type_name = "integer";
            first.not_null = "";
            first.default = "";
            table.key = vec![first.id];
            table.autoincrement = random.one_in(2);
        }
        3 => table.key = vec![first.id],
        _ => {
            table.key = table.columns.iter().take(2).map(|c| c.id).collect();
            table.without_rowid = random.one_in(2);
        }
    }
    model.tables.push(table);
    let last = model.tables.len() - 1;
    for _ in 0..random.below(4) {
        change_constraint(model, last, random);
    }
    model.clean();
}

fn default_of(type_name: &str, random: &mut RandomSource) -> &'static str {
    match type_name {
        "integer" | "int" => random.pick(&["", "1", "-1", "(1 + 2)", "null", "true"]),
        "text" | "varchar(10)" => {
            random.pick(&["", "'a'", "''", "'it''s'", "current_timestamp", "«Text»"])
        }
        "real" => random.pick(&["", "1.5", "+.5", "(2)"]),
        "blob" => random.pick(&["", "x'00'"]),
        _ => random.pick(&["", "7", "'a'", "(abs(-3))", "x'01'"]),
    }
}

fn add_column(model: &mut Model, table: &mut Table, random: &mut RandomSource) {
    let names: Vec<_> = table.columns.iter().map(|c| c.name.clone()).collect();
    let Some(name) = fresh(random, &COLUMNS, &names) else {
        return;
    };
    let type_name = if table.strict {
        random.pick(&STRICT)
    } else {
        random.pick(&TYPES)
    };
    let default = default_of(type_name, random);
    let not_null = if default.is_empty() && !random.one_in(6) {
        ""
    } else {
        random.pick(&["", "", " not null", " constraint n not null"])
    };
    let base = table
        .columns
        .iter()
        .find(|c| c.generated.is_none())
        .map(|c| c.id);
    table.columns.push(Column {
        id: model.id(),
        name,
        type_name,
        not_null,
        default,
        collation: random.pick(&[
            "",
            "",
            "",
            " collate nocase",
            " collate rtrim",
            " collate binary",
        ]),
        generated: base
            .filter(|_| random.one_in(6))
            .map(|base| (base, random.pick(&GENERATED))),
    });
}

fn some_columns(table: &Table, random: &mut RandomSource) -> Vec<Id> {
    let a = random.pick(&table.columns).id;
    let b = random.pick(&table.columns).id;
    if a == b || random.one_in(2) {
        vec![a]
    } else {
        vec![a, b]
    }
}

/// Adds or removes a constraint.
fn change_constraint(model: &mut Model, at: usize, random: &mut RandomSource) {
    let parent = random.pick(&model.tables);
    let table = &mut model.tables[at];
    let columns = some_columns(table, random);
    let inline = random.one_in(2);
    let removes = random.one_in(3);
    match random.below(3) {
        0 if removes => drop(table.checks.pop()),
        1 if removes => drop(table.uniques.pop()),
        2 if removes => drop(table.references.pop()),
        0 => table.checks.push(Constraint {
            columns,
            text: random.pick(&CHECKS),
            inline,
        }),
        1 => {
            let same = |u: &Constraint| u.columns == columns;
            if !table.uniques.iter().any(same) && table.key != columns {
                table.uniques.push(Constraint {
                    columns,
                    text: random.pick(&CONFLICTS),
                    inline,
                });
            }
        }
        _ => table.references.push(Reference {
            columns,
            table: parent.id,
            text: random.pick(&ACTIONS),
            inline,
            implicit: random.one_in(2),
        }),
    }
}

/// Adds or removes an index, a view or a trigger.
fn change_around(model: &mut Model, random: &mut RandomSource) {
    let names = taken(model);
    let table = random.pick(&model.tables);
    let other = random.pick(&model.tables);
    let mut object = Object {
        name: String::new(),
        text: "",
        table: table.id,
        columns: some_columns(&table, random),
        other: (other.id, random.pick(&other.columns).id),
        view: String::new(),
    };
    if !model.views.is_empty() {
        object.view = random.pick(&model.views).name;
    }
    let removes = random.one_in(4);
    let kind = random.below(4);
    let (pool, texts) = match kind {
        0 => (&INDEXES[..], &INDEX[..]),
        1 => (&VIEWS[..], &VIEW[..]),
        _ => (&TRIGGERS[..], &TRIGGER[..]),
    };
    object.text = random.pick(texts);
    // SQLite takes an index that names a column twice for the key that a reference means.
    if object.columns.len() == 1 && object.text.ends_with("({a}, {b})") {
        object.text = "create unique index {n} on {t} ({a})";
    }
    let triggers: Vec<_> = model.triggers.iter().map(|t| t.name.clone()).collect();
    let Some(name) = fresh(random, pool, if kind > 1 { &triggers } else { &names }) else {
        return;
    };
    object.name = name;
    let owner = model
        .tables
        .iter()
        .position(|t| t.id == table.id)
        .unwrap_or(0);
    match kind {
        0 if removes => drop(model.tables[owner].indexes.pop()),
        1 if removes => drop(model.views.pop()),
        2 | 3 if removes => drop(model.triggers.pop()),
        0 => model.tables[owner].indexes.push(object),
        1 => model.views.push(object),
        _ => model.triggers.push(object),
    }
    model.clean();
}

/// Returns a schema with a few random changes. Its new names do not occur in `before`, so that a
/// rename is unambiguous.
pub(super) fn changed(before: &Model, random: &mut RandomSource) -> Model {
    let mut model = before.clone();
    for _ in 0..=random.below(4) {
        change(&mut model, before, random);
        model.clean();
    }
    if random.one_in(4) {
        model.style = random.below(30);
    }
    model
}

fn change(model: &mut Model, before: &Model, random: &mut RandomSource) {
    let what = random.below(17);
    if model.tables.is_empty() || what == 0 {
        return add_table(model, random);
    }
    let at = random.below(model.tables.len());
    let mut table = model.tables[at].clone();
    let column = random.below(table.columns.len());
    let in_key = table.key.contains(&table.columns[column].id);
    match what {
        1 | 2 => add_column(model, &mut table, random),
        3 if table.columns.len() > 1
            && table
                .columns
                .iter()
                .filter(|c| c.generated.is_none())
                .count()
                > 1 =>
        {
            table.columns.remove(column);
        }
        4 | 5 => {
            let was = before.tables.iter().find(|t| t.id == table.id);
            let columns = table
                .columns
                .iter()
                .chain(was.iter().flat_map(|t| &t.columns));
            let names: Vec<_> = columns.map(|c| c.name.clone()).collect();
            if let Some(name) = fresh(random, &COLUMNS, &names) {
                table.columns[column].name = name;
            }
        }
        6 => {
            let names: Vec<_> = taken(model).into_iter().chain(taken(before)).collect();
            if let Some(name) = fresh(random, &TABLES, &names) {
                table.name = name;
            }
        }
        7 => table.columns[column].type_name = random.pick(&STRICT),
        8 => table.columns[column].default = default_of(table.columns[column].type_name, random),
        9 if !in_key => {
            let nullable = table.columns[column].not_null.is_empty();
            table.columns[column].not_null = if nullable { " not null" } else { "" };
        }
        10 => table.columns[column].collation = random.pick(&["", " collate nocase"]),
        11 => table.strict = !table.strict,
        12 if table.has_alias() => table.autoincrement = !table.autoincrement,
        12 => table.without_rowid = !table.without_rowid,
        13 => {
            model.tables.remove(at);
            if model.tables.is_empty() {
                add_table(model, random);
            }
            return;
        }
        14 => table.columns.rotate_left(column),
        15 => return change_constraint(model, at, random),
        _ => return change_around(model, random),
    }
    model.tables[at] = table;
}
