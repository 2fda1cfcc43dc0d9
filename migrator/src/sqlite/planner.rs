//! From one schema to another: the statements that lead there, and those that lead back.
//!
//! It knows what SQLite can change in place, and how a table is made anew where it cannot.
//! It knows no database: two schemas come in, text goes out. It guesses no rename; see
//! [`Renames`].
//!
//! A script goes: away with the triggers, views and indexes that differ or that are in
//! the way; away with the tables that go; renames, through which SQLite takes along what
//! refers to them; new tables; changes of tables, in place or by making them anew; and at
//! last the indexes, views and triggers. It is meant for a transaction in which foreign
//! keys are off and `legacy_alter_table` is off, and needs no PRAGMA.

mod dependents;
mod rebuild;
mod renamed;
mod renames;
mod row_copy;
mod script;
mod table_change;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

pub(crate) use self::renames::{Question, Renames};
use self::{
    dependents::Around,
    renamed::Renamed,
    script::{create_table, remarks},
    table_change::Change,
};
use crate::sqlite::schema::{Column, KeyColumn, Name, Schema, Table};

/// What to run, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// What a reader has to know first, as comments.
    pub(crate) head: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

/// Statements that belong together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// Why, as comments.
    pub(crate) comments: Vec<String>,
    /// The data that is gone after it.
    pub(crate) losses: Vec<Loss>,
    /// Why it may fail where there are rows. It is among the comments too.
    pub(crate) cautions: Vec<String>,
    /// Without semicolons.
    pub(crate) statements: Vec<String>,
}

impl Step {
    fn new(statements: Vec<String>) -> Self {
        Self {
            statements,
            ..Self::default()
        }
    }

    fn because(mut self, comments: Vec<String>) -> Self {
        self.comments = comments;
        self
    }

    fn losing(mut self, losses: Vec<Loss>) -> Self {
        self.losses = losses;
        self
    }
}

/// Data that a step destroys. Printed as it stands after `@destroys` in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A table with its rows.
    Table(Name),
    /// A column with its values.
    Column(Name, Name),
    /// Values as they are: another type, or an expression, makes others of them.
    Values(Name, Name),
    /// Which ids were in use once: those of deleted rows may be used again.
    Mark(Name),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => write!(f, "table {}", table.quoted()),
            Self::Column(table, column) => {
                write!(f, "column {}.{}", table.quoted(), column.quoted())
            }
            Self::Values(table, column) => {
                write!(f, "values {}.{}", table.quoted(), column.quoted())
            }
            Self::Mark(table) => write!(f, "autoincrement {}", table.quoted()),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Give it a default, or let it be empty.
    #[error(
        "column {table}.{column} is NOT NULL and has no default, so rows that have no value \
         for it cannot be kept: give it a constant default, or leave NOT NULL out"
    )]
    NotNullWithoutDefault {
        /// Its table.
        table: Name,
        /// The column.
        column: Name,
    },
    /// Say which it was, or take the directive away.
    #[error(
        "{new} is `@renamed from={old}`, and {why}: name what it was called before, or take \
         the directive away"
    )]
    LostDirective {
        /// What stands beside the directive, as `users` or `users.bio`.
        new: String,
        /// What the directive names.
        old: Name,
        /// Why that cannot be.
        why: &'static str,
    },
    /// Make the change in steps that SQLite can make.
    #[error("table {table} cannot be changed so: {why}")]
    Unsupported {
        /// The table.
        table: Name,
        /// What is in the way, and what to do.
        why: &'static str,
    },
    /// Say whether it is new.
    #[error("{0}: write `-- @renamed from=…` beside it, or `-- @added` if it is none of these")]
    Ambiguous(Question),
}

/// Which way a plan leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    /// Back: what is missing is made up.
    Down,
}

impl Plan {
    /// All the data that it destroys.
    pub(crate) fn losses(&self) -> impl Iterator<Item = &Loss> {
        self.steps.iter().flat_map(|step| &step.losses)
    }

    /// The text of a migration's file.
    pub(crate) fn script(&self) -> String {
        script::text(self)
    }
}

/// The way from one schema to another.
///
/// # Errors
///
/// [`Error::Ambiguous`] if `renames` leaves something open, and
/// [`Error::NotNullWithoutDefault`] if rows could not be kept.
pub(crate) fn plan(from: &Schema, to: &Schema, renames: &Renames) -> Result<Plan, Error> {
    if let Some(question) = renames.questions(from, to).into_iter().next() {
        return Err(Error::Ambiguous(question));
    }
    Planner::new(from, to, renames, Way::Up).plan()
}

/// The way back to `from` after the way from it to `to` was gone. What it cannot bring
/// back is empty, or made up where it has to be something; its head says so.
///
/// # Errors
///
/// As [`plan`].
pub(crate) fn plan_down(from: &Schema, to: &Schema, renames: &Renames) -> Result<Plan, Error> {
    let up = plan(from, to, renames)?;
    let back = renames.inverse();
    let mut down = Planner::new(to, from, &back, Way::Down).plan()?;
    down.head = script::head(&up, &down);
    Ok(down)
}

/// What brings a schema that drifted back to what it should be, as a script. What went is
/// made anew and empty, what came goes; nothing is taken for renamed.
pub(crate) fn repair(drifted: &Schema, expected: &Schema) -> String {
    let renames = Renames::default();
    let plan = Planner::new(drifted, expected, &renames, Way::Down).plan();
    plan.map_or_else(|error| format!("-- {error}\n"), |plan| plan.script())
}

/// What a plan is made from.
struct Planner<'a> {
    from: &'a Schema,
    to: &'a Schema,
    renames: &'a Renames,
    way: Way,
    /// `from` after the renames.
    before: Renamed,
    /// What is done with each table that both have.
    changes: BTreeMap<Name, Change>,
}

impl<'a> Planner<'a> {
    fn new(from: &'a Schema, to: &'a Schema, renames: &'a Renames, way: Way) -> Self {
        let before = Renamed::new(from, renames);
        let changes = match way {
            Way::Up => table_change::all(&before, to, way, None),
            Way::Down => {
                // How the tables got to be as they are.
                let inverse = renames.inverse();
                let up = table_change::all(&Renamed::new(to, &inverse), from, Way::Up, None);
                table_change::all(&before, to, way, Some((&up, renames)))
            }
        };
        Self {
            from,
            to,
            renames,
            way,
            before,
            changes,
        }
    }

    fn plan(&self) -> Result<Plan, Error> {
        self.check_renames()?;
        let around = Around::new(self);
        let mut steps = around.away(self);
        steps.extend(self.dropped_tables());
        steps.extend(self.renames());
        for table in self.new_tables() {
            let step = Step::new(vec![create_table(table, &table.name)]);
            steps.push(step.because(remarks(&table.remark)));
            steps.extend(around.indexes(self, Some(&table.name)));
        }
        for (name, change) in &self.changes {
            let (Some(before), Some(after)) = (
                self.before.schema.tables.get(name),
                self.to.tables.get(name),
            ) else {
                continue;
            };
            match change {
                Change::None => {}
                Change::InPlace { add, drop } => {
                    steps.extend(in_place(before, after, add, drop));
                }
                Change::Rebuild => {
                    steps.extend(rebuild::steps(self, before, after)?);
                    steps.extend(around.indexes(self, Some(name)));
                }
            }
        }
        steps.extend(around.indexes(self, None));
        steps.extend(around.again(self));
        steps.retain(|step| !step.statements.is_empty());
        Ok(Plan {
            head: Vec::new(),
            steps,
        })
    }

    /// SQLite loses track of such a column and fails, whatever the rename.
    fn check_renames(&self) -> Result<(), Error> {
        for (name, column, _) in self.renames.columns() {
            let Some(table) = self.from.tables.get(name).filter(|t| t.without_rowid) else {
                continue;
            };
            let is = |key: &KeyColumn| key.column() == *column;
            let key = table
                .primary_key
                .as_ref()
                .map_or(&[][..], |key| &key.columns);
            let integer = table
                .column(column)
                .is_some_and(|c| c.type_name == "integer");
            let unique = table.uniques.iter().flat_map(|key| &key.columns).any(is);
            if matches!(key, [only] if is(only)) && integer && unique {
                return Err(Error::Unsupported {
                    table: table.name.clone(),
                    why: "SQLite does not rename the INTEGER key of a WITHOUT ROWID table \
                          that a UNIQUE of it names: leave the UNIQUE out before",
                });
            }
        }
        Ok(())
    }

    /// The tables that go.
    fn gone_tables(&self) -> impl Iterator<Item = &Table> {
        let gone = |table: &&Table| {
            !self.to.tables.contains_key(&table.name) && self.renames.table(&table.name).is_none()
        };
        self.from.tables.values().filter(gone)
    }

    /// First those that refer to others.
    fn dropped_tables(&self) -> Vec<Step> {
        let mut gone = by_reference(self.gone_tables().collect());
        gone.reverse();
        let step = |table: &Table| {
            Step::new(vec![format!("drop table {}", table.name.quoted())])
                .losing(vec![Loss::Table(table.name.clone())])
        };
        gone.into_iter().map(step).collect()
    }

    /// The tables that come, first those to which others refer.
    fn new_tables(&self) -> Vec<&Table> {
        let new = |table: &&Table| !self.before.schema.tables.contains_key(&table.name);
        by_reference(self.to.tables.values().filter(new).collect())
    }

    fn renames(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (old, new) in self.renames.tables() {
            let Some(table) = self.to.tables.get(new) else {
                continue;
            };
            let before = self.from.tables.get(old).map_or(old, |table| &table.name);
            let (before, after) = (before.quoted(), table.name.quoted());
            let statement = format!("alter table {before} rename to {after}");
            steps.push(Step::new(vec![statement]).because(remarks(&table.remark)));
        }
        for (old_table, old, new) in self.renames.columns() {
            let new_table = self.renames.table(old_table).unwrap_or(old_table);
            let before = self.from.tables.get(old_table).and_then(|t| t.column(old));
            let after = self.to.tables.get(new_table);
            let (Some(before), Some(after)) = (before, after) else {
                continue;
            };
            let Some(column) = after.column(new) else {
                continue;
            };
            let statement = format!(
                "alter table {} rename column {} to {}",
                after.name.quoted(),
                before.name.quoted(),
                column.name.quoted()
            );
            steps.push(Step::new(vec![statement]).because(remarks(&column.remark)));
        }
        steps
    }

    /// Whether SQLite looks at all views and triggers on this way, as it does when
    /// something is renamed or a column goes, and fails if one refers to what is not
    /// there.
    fn checks_all(&self) -> bool {
        self.renames.tables().next().is_some()
            || self.renames.columns().next().is_some()
            || self.changes.values().any(|change| match change {
                Change::None => false,
                Change::InPlace { drop, .. } => !drop.is_empty(),
                Change::Rebuild => true,
            })
    }
}

/// The ALTERs of a table.
fn in_place(before: &Table, after: &Table, add: &[Name], drop: &[Name]) -> Vec<Step> {
    let table = after.name.quoted();
    let mut steps = Vec::new();
    for column in add.iter().filter_map(|name| after.column(name)) {
        let declared = script::column(column);
        let statement = format!("alter table {table} add column {declared}");
        steps.push(Step::new(vec![statement]).because(remarks(&column.remark)));
    }
    for Column { name, .. } in drop.iter().filter_map(|name| before.column(name)) {
        let statement = format!("alter table {table} drop column {}", name.quoted());
        let loss = Loss::Column(after.name.clone(), name.clone());
        steps.push(Step::new(vec![statement]).losing(vec![loss]));
    }
    steps
}

/// Tables in an order in which each comes after those that it refers to, as far as there
/// is one; else by name.
fn by_reference(mut waiting: Vec<&Table>) -> Vec<&Table> {
    let mut sorted = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let refers = |table: &Table, to: &Table| {
            table.name != to.name && table.foreign_keys.iter().any(|key| key.table == to.name)
        };
        let free = |table: &&Table| !waiting.iter().any(|other| refers(table, other));
        let at = waiting.iter().position(free).unwrap_or(0);
        sorted.push(waiting.remove(at));
    }
    sorted
}
