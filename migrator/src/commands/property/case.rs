//! A case: two schemas, rows of the first one, writes to the second one, and the answers to the
//! questions about renames.

use std::{collections::BTreeMap, fmt};

use super::{
    model::{Model, Table},
    random::{self, changed},
    random_source::RandomSource,
    rows, writes,
};
use crate::{
    sql::name::Name,
    sqlite::{
        planner::{self, Question, QuestionKind, Renames},
        schema::Schema,
    },
};

/// A pair of random schemas, rows of the first one, and writes to the second one.
pub(super) struct Case {
    /// True if the second schema is a changed first one.
    pub(super) is_related: bool,
    pub(super) from: String,
    pub(super) to: String,
    /// The tables and indexes of `to`.
    pub(super) to_tables: String,
    /// The views and triggers of `to`.
    pub(super) to_bodies: String,
    pub(super) rows: Vec<String>,
    pub(super) writes: Vec<String>,
    renamed: Renamed,
}

/// The renames from one schema to the other.
#[derive(Default)]
struct Renamed {
    /// Old table names by new ones.
    tables: BTreeMap<Name, Name>,
    /// Old column names by the new names of the table and the column.
    columns: BTreeMap<(Name, Name), Name>,
}

impl Renamed {
    fn new(from: &Model, to: &Model) -> Self {
        let mut renamed = Self::default();
        for before in &from.tables {
            if let Some(after) = to.table(before.id) {
                renamed.add(before, after, to);
            }
        }
        renamed
    }

    fn add(&mut self, before: &Table, after: &Table, to: &Model) {
        let (old, new) = (Name::new(&before.name), Name::new(&after.name));
        if old != new {
            // If the old name is in use again, that table is the successor.
            let mut tables = to.tables.iter();
            if tables.any(|table| Name::new(&table.name) == old) {
                return;
            }
            self.tables.insert(new.clone(), old);
        }
        for column in &before.columns {
            let old = Name::new(&column.name);
            let is_taken = after.columns.iter().any(|c| Name::new(&c.name) == old);
            if let Some(now) = after.column(column.id)
                && !is_taken
            {
                let key = (new.clone(), Name::new(&now.name));
                self.columns.insert(key, old);
            }
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, .. } = self;
        let (rows, writes) = (self.rows.join(";\n"), self.writes.join(";\n"));
        write!(
            f,
            "--- from\n{from}--- to\n{to}--- rows\n{rows}\n--- writes\n{writes}\n"
        )
    }
}

impl Case {
    pub(super) fn new(random: &mut RandomSource, is_related: bool) -> Self {
        let from = random::schema(random);
        let (to, renamed) = if is_related {
            let to = changed(&from, random);
            let renamed = Renamed::new(&from, &to);
            (to, renamed)
        } else {
            (random::schema(random), Renamed::default())
        };
        Self {
            is_related,
            from: from.script(),
            to: to.script(),
            to_tables: to.tables_script(),
            to_bodies: to.bodies_script(),
            rows: rows::rows(&from, random),
            writes: writes::writes(&to, random),
            renamed,
        }
    }

    /// Answers a question as the author of the change would.
    pub(super) fn answer(&self, question: &Question) -> Option<&Name> {
        let key = (question.table.clone(), question.new.clone());
        let old = match question.kind {
            QuestionKind::Table => self.renamed.tables.get(&question.new),
            QuestionKind::Column => self.renamed.columns.get(&key),
        };
        old.filter(|old| question.candidates.contains(old))
    }

    /// Returns the renames, with questions answered.
    pub(super) fn renames(&self, from: &Schema, to: &Schema) -> Result<Renames, planner::Error> {
        let (mut renames, mut open) = Renames::find(from, to)?;
        while let Some(question) = open.first() {
            open = renames.resolve(from, to, question, self.answer(question).cloned())?;
        }
        Ok(renames)
    }
}
