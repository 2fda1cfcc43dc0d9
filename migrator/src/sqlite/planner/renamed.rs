//! The schema that SQLite's renames produce.
//!
//! `ALTER TABLE … RENAME` also rewrites what refers to the table or column: keys, checks,
//! generated
//! columns, indexes, and the foreign keys of other tables. This module predicts the result, and
//! marks where the text alone does not tell. Views and triggers are left out, since those that
//! block a rename are dropped before.

use std::collections::{BTreeMap, BTreeSet};

use super::renames::Renames;
use crate::{
    sql::{self, TokenKind, name::Name},
    sqlite::schema::{Column, Index, KeyColumn, Schema, Table},
};

/// A schema after all renames.
pub(super) struct RenamedSchema {
    /// The schema under the new names. Its views and triggers are unchanged.
    pub(super) schema: Schema,
    /// The tables whose rewritten declaration cannot be predicted.
    pub(super) unsure_tables: BTreeSet<Name>,
    /// The indexes whose rewritten declaration cannot be predicted.
    pub(super) unsure_indexes: BTreeSet<Name>,
    /// The tables whose declaration is rewritten.
    pub(super) rewritten: BTreeSet<Name>,
}

impl RenamedSchema {
    pub(super) fn new(from: &Schema, renames: &Renames) -> Self {
        let mut after = Self {
            schema: Schema {
                views: from.views.clone(),
                triggers: from.triggers.clone(),
                ..Schema::default()
            },
            unsure_tables: BTreeSet::new(),
            unsure_indexes: BTreeSet::new(),
            rewritten: BTreeSet::new(),
        };
        for table in from.tables.values() {
            let mut rewriter = Rewriter::new(&table.name, renames);
            let table = rewriter.table(table, renames);
            if rewriter.unsure {
                after.unsure_tables.insert(table.name.clone());
            }
            if rewriter.changed {
                after.rewritten.insert(table.name.clone());
            }
            after.schema.tables.insert(table.name.clone(), table);
        }
        for index in from.indexes.values() {
            let mut rewriter = Rewriter::new(&index.table, renames);
            let index = rewriter.index(index);
            if rewriter.unsure {
                after.unsure_indexes.insert(index.name.clone());
            }
            after.schema.indexes.insert(index.name.clone(), index);
        }
        after
    }
}

/// Rewrites the names that are renamed, as seen from one table.
struct Rewriter {
    old_table: Name,
    table: Name,
    columns: BTreeMap<Name, Name>,
    /// True if a token is ambiguous: it may or may not be a renamed name.
    unsure: bool,
    changed: bool,
}

impl Rewriter {
    fn new(table: &Name, renames: &Renames) -> Self {
        let after = renames.table(table);
        Self {
            old_table: table.clone(),
            table: after.unwrap_or(table).clone(),
            columns: renames.columns_of(table),
            unsure: false,
            changed: after.is_some(),
        }
    }

    fn table(&mut self, table: &Table, renames: &Renames) -> Table {
        let mut after = table.clone();
        after.name = self.table.clone();
        for column in &mut after.columns {
            self.column(column);
        }
        let keys = after.primary_key.iter_mut().chain(&mut after.uniques);
        for column in keys.flat_map(|key| &mut key.columns) {
            self.key_column(column);
        }
        for check in &mut after.checks {
            check.expression = self.expression(&check.expression);
        }
        for key in &mut after.foreign_keys {
            for column in &mut key.columns {
                self.name(column);
            }
            let parent = renames.columns_of(&key.table);
            for column in &mut key.references {
                if let Some(new) = parent.get(column) {
                    *column = new.clone();
                    self.changed = true;
                }
            }
            if let Some(new) = renames.table(&key.table) {
                key.table = new.clone();
                self.changed = true;
            }
        }
        after
    }

    fn index(&mut self, index: &Index) -> Index {
        let mut after = index.clone();
        after.table = self.table.clone();
        for column in &mut after.columns {
            self.key_column(column);
        }
        after.condition = index.condition.as_ref().map(|text| self.expression(text));
        after
    }

    fn column(&mut self, column: &mut Column) {
        self.name(&mut column.name);
        if let Some(generated) = &mut column.generated {
            generated.expression = self.expression(&generated.expression);
        }
        // The text is only printed; its parts are rewritten above.
        let unsure = self.unsure;
        column.sql = self.text(&column.sql);
        self.unsure = unsure;
    }

    fn key_column(&mut self, column: &mut KeyColumn) {
        column.expression = self.expression(&column.expression);
    }

    fn name(&mut self, name: &mut Name) {
        if let Some(new) = self.columns.get(name) {
            *name = new.clone();
            self.changed = true;
        }
    }

    fn expression(&mut self, expression: &str) -> String {
        if self.columns.is_empty() && self.old_table == self.table {
            return expression.to_owned();
        }
        sql::normalised(&self.text(expression))
    }

    fn text(&mut self, text: &str) -> String {
        let tokens = sql::significant_tokens(text);
        let mut rewritten = String::new();
        let mut copied = 0;
        for (at, token) in tokens.iter().enumerate() {
            if !matches!(token.kind, TokenKind::Word | TokenKind::Quoted) {
                continue;
            }
            let name = Name::new(&token.unquoted());
            let before = at.checked_sub(1).and_then(|at| tokens.get(at));
            let after = tokens.get(at + 1);
            let new = if after.is_some_and(|after| after.is_symbol(".")) {
                (name == self.old_table).then_some(&self.table)
            } else {
                self.columns.get(&name)
            };
            let Some(new) = new else { continue };
            let function = after.is_some_and(|after| after.is_symbol("(")) && at > 0;
            let other = before.is_some_and(|before| before.is("collate") || before.is("as"));
            let keyword = token.kind == TokenKind::Word && sql::is_keyword(token.text);
            if function || other || keyword {
                self.unsure = true;
                continue;
            }
            rewritten.push_str(&text[copied..token.offset]);
            rewritten.push_str(&new.to_string());
            copied = token.end();
            self.changed = true;
        }
        rewritten.push_str(&text[copied..]);
        rewritten
    }
}
