//! Schemas that a test generates and changes, and their text. References use the ids of tables
//! and columns, so that they survive renames.

use std::{collections::BTreeMap, fmt::Write as _};

use super::spelling::spelled;

/// The id of a table or a column.
pub(super) type Id = u32;

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) tables: Vec<Table>,
    pub(super) views: Vec<Object>,
    pub(super) triggers: Vec<Object>,
    /// The next id.
    pub(super) next: Id,
    /// The spelling: capital keywords, comments and so on.
    pub(super) style: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) id: Id,
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) key: Vec<Id>,
    pub(super) autoincrement: bool,
    pub(super) strict: bool,
    pub(super) without_rowid: bool,
    pub(super) uniques: Vec<Constraint>,
    pub(super) checks: Vec<Constraint>,
    pub(super) references: Vec<Reference>,
    pub(super) indexes: Vec<Object>,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) id: Id,
    pub(super) name: String,
    pub(super) type_name: &'static str,
    /// Empty if the column allows NULL.
    pub(super) not_null: &'static str,
    pub(super) default: &'static str,
    pub(super) collation: &'static str,
    /// The source column of a generated column, and its expression.
    pub(super) generated: Option<(Id, &'static str)>,
}

/// A constraint with placeholders: `{a}` and `{b}` for columns, `{t}` for the table.
#[derive(Clone, Debug)]
pub(super) struct Constraint {
    pub(super) columns: Vec<Id>,
    pub(super) text: &'static str,
    pub(super) inline: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) columns: Vec<Id>,
    pub(super) table: Id,
    pub(super) text: &'static str,
    pub(super) inline: bool,
    pub(super) implicit: bool,
}

/// An index, a view or a trigger. Its placeholders are `{t}`, `{a}` and `{b}` for a table and its
/// columns, `{u}` and `{c}` for another one, and `{v}` for a view. `{w}` stands for a value of each
/// column of `{u}`, and `«…»` for a text in double quotes.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) text: &'static str,
    pub(super) table: Id,
    pub(super) columns: Vec<Id>,
    pub(super) other: (Id, Id),
    pub(super) view: String,
}

/// Quotes a name, except for some, among them keywords of other statements.
pub(super) fn quote(name: &str) -> String {
    if ["name", "posts", "Key", "text", "value", "Tags", "v", "i"].contains(&name) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Table {
    pub(super) fn column(&self, id: Id) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    fn names(&self, ids: &[Id]) -> Option<Vec<String>> {
        ids.iter()
            .map(|id| Some(quote(&self.column(*id)?.name)))
            .collect()
    }

    /// Reports whether the key is an alias of the rowid.
    pub(super) fn has_alias(&self) -> bool {
        let [key] = self.key.as_slice() else {
            return false;
        };
        !self.without_rowid && self.column(*key).is_some_and(|c| c.type_name == "integer")
    }
}

impl Model {
    pub(super) fn table(&self, id: Id) -> Option<&Table> {
        self.tables.iter().find(|table| table.id == id)
    }

    pub(super) fn id(&mut self) -> Id {
        self.next += 1;
        self.next
    }

    /// Removes references to missing objects, and invalid ones.
    pub(super) fn clean(&mut self) {
        for table in &mut self.tables {
            let there: Vec<_> = table.columns.iter().map(|c| c.id).collect();
            for column in &mut table.columns {
                column.generated = column.generated.filter(|(base, _)| there.contains(base));
                if table.strict && !STRICT.contains(&column.type_name) {
                    column.type_name = "any";
                }
            }
            let plain = |id: &Id| {
                table
                    .columns
                    .iter()
                    .any(|c| c.id == *id && c.generated.is_none())
            };
            table.key.retain(plain);
            table.uniques.retain(|u| u.columns.iter().all(plain));
            table
                .checks
                .retain(|u| u.columns.iter().all(|id| there.contains(id)));
            table.references.retain(|u| u.columns.iter().all(plain));
            table
                .indexes
                .retain(|u| u.columns.iter().all(|id| there.contains(id)));
            table.without_rowid &= !table.key.is_empty();
            table.autoincrement &= table.has_alias();
        }
        let keys: BTreeMap<Id, usize> = self.tables.iter().map(|t| (t.id, t.key.len())).collect();
        for table in &mut self.tables {
            let fits = |r: &Reference| keys.get(&r.table) == Some(&r.columns.len());
            table.references.retain(fits);
        }
        loop {
            let before = self.views.len() + self.triggers.len();
            let seen = self.clone();
            self.views.retain(|view| seen.text_of(view).is_some());
            self.triggers
                .retain(|trigger| seen.text_of(trigger).is_some());
            if before == self.views.len() + self.triggers.len() {
                break;
            }
        }
    }

    /// Returns the text of a view, a trigger or an index, or `None` if its references are missing.
    pub(super) fn text_of(&self, object: &Object) -> Option<String> {
        let mut text = object.text.replace("{n}", &quote(&object.name));
        if text.contains("{u}") {
            let table = self.table(object.other.0)?;
            let column = table.column(object.other.1)?;
            let writes = text.contains("({c})") || text.contains("set {c}");
            if writes && column.generated.is_some() {
                return None;
            }
            text = text.replace("{u}", &quote(&table.name));
            text = text.replace("{c}", &quote(&column.name));
            let plain = table.columns.iter().filter(|c| c.generated.is_none());
            let values = vec!["old.{a}"; plain.count()].join(", ");
            text = text.replace("{w}", &values);
        }
        if text.contains("{t}") {
            let table = self.table(object.table)?;
            let names = table.names(&object.columns)?;
            text = text.replace("{t}", &quote(&table.name));
            text = text.replace("{a}", &names[0]).replace("{b}", names.last()?);
        }
        if text.contains("{v}") {
            let view = self.views.iter().find(|view| view.name == object.view)?;
            let names_one = ["{v}.one", "new.one", "old.one", "of one"];
            let names_one = names_one.iter().any(|one| text.contains(one));
            if names_one && !view.text.contains("(one") {
                return None;
            }
            text = text.replace("{v}", &quote(&object.view));
        }
        Some(text)
    }

    /// Returns the script of all objects.
    pub(super) fn script(&self) -> String {
        self.tables_script() + &self.bodies_script()
    }

    /// Returns the script of the tables and their indexes.
    pub(super) fn tables_script(&self) -> String {
        let tables: String = self.tables.iter().map(|t| self.table_text(t)).collect();
        let indexes = self.tables.iter().flat_map(|table| &table.indexes);
        let texts: Vec<_> = indexes
            .map(|index| self.text_of(index).unwrap() + ";\n")
            .collect();
        spelled(&(tables + &texts.concat()), self.style)
    }

    /// Returns the script of the views and triggers.
    pub(super) fn bodies_script(&self) -> String {
        let mut script = String::new();
        for object in self.views.iter().chain(&self.triggers) {
            let _ = writeln!(script, "{};", self.text_of(object).unwrap());
        }
        spelled(&script, self.style)
    }

    fn table_text(&self, table: &Table) -> String {
        let mut parts: Vec<String> = table
            .columns
            .iter()
            .map(|c| self.column_text(table, c))
            .collect();
        let list = |ids: &[Id]| table.names(ids).unwrap().join(", ");
        if !table.key.is_empty() && !table.autoincrement && !self.style.is_multiple_of(3) {
            parts.push(format!("primary key ({})", list(&table.key)));
        } else if table.key.len() > 1 {
            parts.push(format!("constraint pk primary key ({})", list(&table.key)));
        }
        for unique in table
            .uniques
            .iter()
            .filter(|u| !u.inline || u.columns.len() > 1)
        {
            parts.push(format!("unique ({}){}", list(&unique.columns), unique.text));
        }
        for check in table.checks.iter().filter(|check| !check.inline) {
            parts.push(check_text(table, check));
        }
        for key in table
            .references
            .iter()
            .filter(|r| !r.inline || r.columns.len() > 1)
        {
            let text = self.reference_text(key);
            parts.push(format!("foreign key ({}) {text}", list(&key.columns)));
        }
        let mut options = Vec::new();
        options.extend(table.strict.then_some(" strict"));
        options.extend(table.without_rowid.then_some(" without rowid"));
        let separator = if self.style.is_multiple_of(2) {
            ",\n  "
        } else {
            ", -- this, and that\n  /* x, */ "
        };
        let head = if self.style % 5 == 1 {
            "CREATE TABLE IF NOT EXISTS"
        } else {
            "create table"
        };
        let name = quote(&table.name);
        format!(
            "{head} {name} (\n  {}\n){};\n",
            parts.join(separator),
            options.join(",")
        )
    }

    fn column_text(&self, table: &Table, column: &Column) -> String {
        let mut text = format!("{} {}", quote(&column.name), column.type_name);
        if table.key == [column.id] && (table.autoincrement || self.style.is_multiple_of(3)) {
            text += " primary key";
            text += if table.autoincrement {
                " autoincrement"
            } else {
                ""
            };
        }
        text += column.not_null;
        if let Some((base, how)) = column.generated {
            let base = table.names(&[base]).unwrap();
            text += &how.replace("{a}", &base[0]);
        } else if !column.default.is_empty() {
            let _ = write!(text, " default {}", column.default);
        }
        text += column.collation;
        let own = |ids: &[Id], inline: bool| inline && ids == [column.id];
        for unique in table.uniques.iter().filter(|u| own(&u.columns, u.inline)) {
            let _ = write!(text, " unique{}", unique.text);
        }
        for check in table
            .checks
            .iter()
            .filter(|c| c.inline && c.columns[0] == column.id)
        {
            let _ = write!(text, " {}", check_text(table, check));
        }
        for key in table
            .references
            .iter()
            .filter(|r| own(&r.columns, r.inline))
        {
            let _ = write!(text, " {}", self.reference_text(key));
        }
        text
    }

    fn reference_text(&self, key: &Reference) -> String {
        let table = self.table(key.table).unwrap();
        let mut text = format!("references {}", quote(&table.name));
        if !key.implicit {
            let _ = write!(text, " ({})", table.names(&table.key).unwrap().join(", "));
        }
        text + key.text
    }
}

fn check_text(table: &Table, check: &Constraint) -> String {
    let names = table.names(&check.columns).unwrap();
    check
        .text
        .replace("{t}", &quote(&table.name))
        .replace("{a}", &names[0])
        .replace("{b}", names.last().unwrap())
}

pub(super) const STRICT: [&str; 6] = ["integer", "text", "blob", "real", "any", "int"];
