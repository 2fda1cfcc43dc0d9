//! Decides the change of each table that both schemas have: none, ALTERs, or a rebuild.
//!
//! The ALTERs are tried on the model of the table. They are used only if the result equals the
//! table that is wanted.

use std::collections::BTreeMap;

use super::{
    affinity::{Affinity, affinity},
    renamed::RenamedSchema,
    renames::Renames,
    risks, row_copy,
};
use crate::{
    project::migrations::Direction,
    sql::{self, Token, TokenKind, name::Name},
    sqlite::schema::{Check, Column, Schema, Table},
};

/// The change of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableChange {
    None,
    /// The columns to add and then those to drop, each in a valid order.
    InPlace {
        add: Vec<Name>,
        drop: Vec<Name>,
    },
    Rebuild,
}

/// The up migration that a down migration reverts: its changes by the old table names, and the
/// renames of the down migration.
type UpPlan<'a> = (&'a BTreeMap<Name, TableChange>, &'a Renames);

/// Decides the change of each table that both schemas have.
pub(super) fn plan_all(
    renamed: &RenamedSchema,
    to: &Schema,
    direction: Direction,
    up: Option<UpPlan<'_>>,
) -> BTreeMap<Name, TableChange> {
    let mut changes = BTreeMap::new();
    for (name, before) in &renamed.schema.tables {
        let Some(after) = to.tables.get(name) else {
            continue;
        };
        let added_in_place = up.is_some_and(|(changes, renames)| {
            let back = renames.tables().find(|(_, new)| *new == name);
            let name = back.map_or(name, |(old, _)| old);
            matches!(changes.get(name), Some(TableChange::InPlace { .. }))
        });
        let unsure = renamed.unsure_tables.contains(name);
        // Equal text in the same schema has the same meaning, except for the quotes of a type.
        let same_types = || {
            let types = after.columns.iter().map(|column| &column.type_name);
            before
                .columns
                .iter()
                .map(|column| &column.type_name)
                .eq(types)
        };
        let same_text = !renamed.rewritten.contains(name)
            && sql::normalised(&before.sql) == sql::normalised(&after.sql)
            && same_types();
        let change = if !unsure && (before == after || same_text) {
            TableChange::None
        } else if unsure {
            TableChange::Rebuild
        } else {
            let attempt = AlterAttempt {
                to,
                after,
                direction,
                added_in_place,
            };
            attempt.run(before).unwrap_or(TableChange::Rebuild)
        };
        changes.insert(name.clone(), change);
    }
    changes
}

/// An attempt to change a table with ALTERs.
struct AlterAttempt<'a> {
    to: &'a Schema,
    after: &'a Table,
    direction: Direction,
    /// True if the dropped columns were added by ALTER, so that no comment precedes them.
    added_in_place: bool,
}

impl AlterAttempt<'_> {
    fn run(&self, before: &Table) -> Option<TableChange> {
        let mut table = before.clone();
        let new = |column: &&Column| before.column(&column.name).is_none();
        let mut waiting: Vec<_> = self.after.columns.iter().filter(new).collect();
        let mut add = Vec::new();
        while !waiting.is_empty() {
            let refers = |column: &Column, other: &Column| {
                other.name != column.name && other.name.is_in(&sql::normalised(&column.sql))
            };
            let ready = |column: &&Column| !waiting.iter().any(|other| refers(column, other));
            let column = waiting.remove(waiting.iter().position(ready)?);
            self.add(&mut table, column)?;
            add.push(column.name.clone());
        }
        let gone = |column: &&Column| self.after.column(&column.name).is_none();
        let gone = before.columns.iter().rev().filter(gone);
        let mut waiting: Vec<_> = gone.map(|column| column.name.clone()).collect();
        let mut drop = Vec::new();
        while !waiting.is_empty() {
            let (at, after) = waiting.iter().enumerate().find_map(|(at, name)| {
                let after = self.without(&table, name)?;
                Some((at, after))
            })?;
            table = after;
            drop.push(waiting.remove(at));
        }
        (table == *self.after).then_some(TableChange::InPlace { add, drop })
    }

    /// Adds a column, if SQLite can: each existing row must get a known value.
    fn add(&self, table: &mut Table, column: &Column) -> Option<()> {
        let alone = column.as_single_column_table()?;
        if alone.primary_key.is_some() || !alone.uniques.is_empty() {
            return None;
        }
        match (&column.generated, &column.default) {
            // SQLite computes a NOT NULL column for the existing rows, which a rebuild does too.
            (Some(generated), _) if generated.stored || column.not_null.is_some() => return None,
            (None, None) if column.not_null.is_some() => return None,
            (None, Some(default)) if !is_constant(default, affinity(self.after, column)) => {
                return None;
            }
            // Existing rows may need different values.
            (None, Some(_))
                if self.direction == Direction::Down
                    && row_copy::is_keyed(self.to, self.after, &column.name) =>
            {
                return None;
            }
            _ => {}
        }
        // ADD COLUMN would fail on any row, and a rebuild on some.
        let rejects_null = |check: &Check| risks::may_reject_null(&check.expression);
        if self.direction == Direction::Down
            && column.default.is_none()
            && alone.checks.iter().any(rejects_null)
        {
            return None;
        }
        if self.direction == Direction::Down
            && row_copy::is_in_computed_key(self.to, self.after, &column.name)
        {
            return None;
        }
        table.columns.push(column.clone());
        table.checks.extend(alone.checks);
        for mut key in alone.foreign_keys {
            if key.references.is_empty() {
                let same = self.after.foreign_keys.iter();
                let mut same = same.filter(|k| k.columns == key.columns && k.table == key.table);
                key.references = same.next().map(|k| k.references.clone())?;
            }
            table.foreign_keys.push(key);
        }
        Some(())
    }

    /// Returns the table without a column, if SQLite can drop it: only the column's own
    /// constraints
    /// may refer to it. Indexes on it are dropped before.
    fn without(&self, table: &Table, name: &Name) -> Option<Table> {
        let mut table = table.clone();
        let at = table
            .columns
            .iter()
            .position(|column| column.name == *name)?;
        let last = at + 1 == table.columns.len();
        if table.columns.len() == 1 || (last && !self.added_in_place && is_commented(&table, name))
        {
            return None;
        }
        let column = table.columns.remove(at);
        let alone = column.as_single_column_table()?;
        for check in &alone.checks {
            let own = |other: &Check| {
                other.name == check.name
                    && sql::normalised(&other.expression) == sql::normalised(&check.expression)
            };
            let at = table.checks.iter().position(own)?;
            table.checks.remove(at);
        }
        for _ in &alone.foreign_keys {
            let own = |key: &crate::sqlite::schema::ForeignKey| key.columns == [name.clone()];
            let at = table.foreign_keys.iter().position(own)?;
            table.foreign_keys.remove(at);
        }
        (!refers(&table, name)).then_some(table)
    }
}

/// Reports whether a constraint or a generated column of a table refers to a column.
fn refers(table: &Table, name: &Name) -> bool {
    let keys = table.primary_key.iter().chain(&table.uniques);
    let mut key_columns = keys.flat_map(|key| &key.columns);
    let mut generated = table.columns.iter().filter_map(|c| c.generated.as_ref());
    key_columns.any(|column| name.is_in(&column.expression))
        || table
            .checks
            .iter()
            .any(|check| name.is_in(&check.expression))
        || generated.any(|generated| name.is_in(&generated.expression))
        || table
            .foreign_keys
            .iter()
            .any(|key| key.columns.contains(name))
}

/// Reports whether a default is one constant, for existing rows and for new ones. For existing
/// rows SQLite uses the text of the default: `.5` in a text column is `'.5'` there, but `'0.5'`
/// in new rows.
fn is_constant(default: &str, affinity: Affinity) -> bool {
    let is_numeric = affinity != Affinity::Text;
    let is_number = |number: &Token<'_>| {
        number.kind == TokenKind::Number && (is_numeric || number.text.parse::<i64>().is_ok())
    };
    let tokens = sql::tokens(default);
    match tokens.as_slice() {
        [only] => {
            matches!(only.kind, TokenKind::Text | TokenKind::Blob)
                || is_number(only)
                || only.is("true")
                || only.is("false")
        }
        [sign, number] => (sign.is_symbol("-") || sign.is_symbol("+")) && is_number(number),
        _ => false,
    }
}

/// Reports whether a comment with a comma comes right before a column. To drop the last column,
/// SQLite cuts the text from the last comma before its name. It would cut inside the comment and
/// leave an unterminated declaration.
fn is_commented(table: &Table, name: &Name) -> bool {
    let mut comma = false;
    for token in sql::tokens(&table.sql) {
        match token.kind {
            TokenKind::Comment => comma |= token.text.contains(','),
            TokenKind::Symbol => comma &= !matches!(token.text, "," | "("),
            _ if token.is_name() && Name::new(&token.unquoted()) == *name && comma => return true,
            _ => {}
        }
    }
    false
}
