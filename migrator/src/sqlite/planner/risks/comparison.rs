//! Compares a table before and after a down migration: which of its constraints may reject rows
//! that the table allowed before.

use crate::{
    sql::name::Name,
    sqlite::{
        planner::{
            affinity::affinity,
            row_copy::{is_needed, is_rowid},
        },
        schema::{Column, ForeignKey, KeyColumn, Schema, Table},
    },
};

/// A table before and after a down migration, with both schemas. All names are those of before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison<'a> {
    pub(super) from: &'a Schema,
    pub(super) to: &'a Schema,
    pub(super) before: &'a Table,
    pub(super) after: &'a Table,
}

impl<'a> Comparison<'a> {
    /// Returns the constraints that rows which were added since the up migration may violate, one
    /// line each.
    pub(super) fn violations(self) -> Vec<String> {
        let types = self.rejected_values();
        let checks = self.checks();
        let keys = self.keys();
        types
            .into_iter()
            .chain(checks)
            .chain(keys)
            .chain(self.indexes())
            .chain(self.foreign_keys())
            .map(|violation| {
                let table = self.after.name.quoted();
                format!("if rows of {table} that were added since {violation}")
            })
            .chain(self.lost_parents())
            .collect()
    }

    /// Returns the columns whose type, or whose NOT NULL, rejects values.
    fn rejected_values(self) -> Vec<String> {
        let mut found = Vec::new();
        for is in &self.after.columns {
            let was = self.before.column(&is.name);
            let name = is.name.quoted();
            if self.type_rejects(was, is) {
                found.push(format!(
                    "have a value in {name} that its type {} rejects",
                    is.type_name
                ));
            }
            let is_same = was.is_some_and(|was| was.not_null.is_some() && self.keeps(&is.name));
            if is.generated.is_some() && is.not_null.is_some() && !is_same {
                found.push(format!("compute NULL for {name}"));
            }
        }
        found
    }

    /// Reports whether the type of a column rejects values of before. Only STRICT tables and the
    /// rowid check types.
    fn type_rejects(self, was: Option<&Column>, is: &Column) -> bool {
        let is_alias = is_rowid(self.after, is);
        if !is_alias && (!self.after.strict || is.type_name == "any") {
            return false;
        }
        let Some(was) = was else {
            return is.generated.is_some();
        };
        let computes_same = was.generated.as_ref().map(|g| &g.expression)
            == is.generated.as_ref().map(|g| &g.expression)
            && self.keeps_sources(is);
        if is.generated.is_some() && !computes_same {
            return true;
        }
        if is_rowid(self.before, was) {
            return !fits("integer", &is.type_name);
        }
        !self.before.strict || !fits(&was.type_name, &is.type_name)
    }

    fn checks(self) -> Vec<String> {
        let checks = self.after.checks.iter().filter(|check| {
            let mut old = self.before.checks.iter();
            let is_kept = old.any(|old| old.expression == check.expression)
                && self.keeps_all(&check.expression);
            let mut columns = self.columns(&check.expression);
            !is_kept && columns.any(|column| self.has_old_values(column))
        });
        checks
            .map(|check| format!("violate check ({})", check.expression))
            .collect()
    }

    fn keys(self) -> Vec<String> {
        let keys = self.after.primary_key.iter().chain(&self.after.uniques);
        let keys = keys.filter(|key| self.may_share(&key.columns, None));
        keys.map(|key| {
            let columns: Vec<_> = key.columns.iter().map(ToString::to_string).collect();
            format!("share a key ({})", columns.join(", "))
        })
        .collect()
    }

    fn indexes(self) -> Vec<String> {
        let indexes = self.to.indexes.values().filter(|index| {
            index.unique
                && index.table == self.after.name
                && self.may_share(&index.columns, index.condition.as_deref())
        });
        indexes
            .map(|index| format!("share a key of index {}", index.name.quoted()))
            .collect()
    }

    /// Reports whether rows that were different in each unique key of before may share this one.
    fn may_share(self, key: &[KeyColumn], condition: Option<&str>) -> bool {
        // Such a column comes back as NULL or with values that are unique.
        let is_new = |part: &KeyColumn| {
            let column = self.after.column(&part.column());
            column.is_some_and(|c| c.generated.is_none() && self.before.column(&c.name).is_none())
        };
        if key.iter().any(is_new) {
            return false;
        }
        let covers = |old: &[KeyColumn], old_condition: Option<&str>| {
            old.iter().all(|part| key.contains(part))
                && (old_condition.is_none() || old_condition == condition)
        };
        let old = self.before.primary_key.iter().chain(&self.before.uniques);
        let indexes = self.from.indexes.values();
        let mut indexes = indexes.filter(|index| index.unique && index.table == self.before.name);
        let is_covered = old.into_iter().any(|old| covers(&old.columns, None))
            || indexes.any(|index| covers(&index.columns, index.condition.as_deref()));
        let mut parts = key.iter().map(|part| part.expression.as_str());
        !(is_covered
            && parts.all(|part| self.keeps_all(part))
            && condition.is_none_or(|condition| self.keeps_all(condition)))
    }

    fn foreign_keys(self) -> Vec<String> {
        let keys = self.after.foreign_keys.iter();
        let keys = keys.filter(|key| self.may_dangle(key));
        keys.map(|key| format!("refer to no row of {}", key.table.quoted()))
            .collect()
    }

    /// Returns the references to tables that come back without rows.
    fn lost_parents(self) -> Vec<String> {
        let table = self.after.name.quoted();
        let keys = self.after.foreign_keys.iter();
        let keys = keys.filter(|key| {
            let comes_back = !self.from.tables.contains_key(&key.table);
            comes_back && !key.columns.iter().any(|name| self.becomes_null(name))
        });
        keys.map(|key| {
            let parent = key.table.quoted();
            format!("if rows of {table} refer to rows of {parent}, which are lost")
        })
        .collect()
    }

    /// Reports whether a column comes back as NULL.
    fn becomes_null(self, name: &Name) -> bool {
        self.after.column(name).is_some_and(|column| {
            self.before.column(name).is_none()
                && column.generated.is_none()
                && column.default.is_none()
                && !is_needed(self.after, column)
        })
    }

    /// Reports whether a foreign key to a table that both schemas have may refer to a missing row.
    fn may_dangle(self, key: &ForeignKey) -> bool {
        // A reference with a NULL is not checked.
        if key.columns.iter().any(|name| self.becomes_null(name)) {
            return false;
        }
        let same = |old: &ForeignKey| {
            old.columns == key.columns && old.table == key.table && old.references == key.references
        };
        let tables = (
            self.from.tables.get(&key.table),
            self.to.tables.get(&key.table),
        );
        let (Some(before), Some(after)) = tables else {
            return false;
        };
        let parent = Self {
            before,
            after,
            ..self
        };
        !(self.before.foreign_keys.iter().any(same)
            && key.columns.iter().all(|column| self.keeps(column))
            && key.references.iter().all(|column| parent.keeps(column)))
    }

    /// Returns the columns of the table that an expression names.
    fn columns(self, expression: &str) -> impl Iterator<Item = &'a Column> {
        let columns = self.after.columns.iter();
        columns.filter(move |column| column.name.is_in(expression))
    }

    /// Reports whether a column holds values of before, or values computed from them.
    fn has_old_values(self, column: &Column) -> bool {
        match &column.generated {
            None => self.before.column(&column.name).is_some(),
            Some(generated) => {
                let mut sources = self.columns(&generated.expression);
                sources.any(|source| {
                    source.name != column.name && self.before.column(&source.name).is_some()
                })
            }
        }
    }

    /// Reports whether all columns that an expression names keep their values and their meaning.
    fn keeps_all(self, expression: &str) -> bool {
        self.columns(expression)
            .all(|column| self.keeps(&column.name))
    }

    fn keeps_sources(self, column: &Column) -> bool {
        let Some(generated) = &column.generated else {
            return true;
        };
        let mut sources = self.columns(&generated.expression);
        sources.all(|source| source.name == column.name || self.keeps(&source.name))
    }

    /// Reports whether a column keeps its values, and SQLite compares them as before.
    fn keeps(self, name: &Name) -> bool {
        let (Some(was), Some(is)) = (self.before.column(name), self.after.column(name)) else {
            return false;
        };
        let expression = |column: &Column| column.generated.as_ref().map(|g| g.expression.clone());
        let is_filled = is_needed(self.after, is) && !is_needed(self.before, was);
        let is_numbered = is_rowid(self.after, is) && !is_rowid(self.before, was);
        affinity(self.before, was) == affinity(self.after, is)
            && was.collation == is.collation
            && expression(was) == expression(is)
            && self.keeps_sources(is)
            && !is_filled
            && !is_numbered
    }
}

/// Reports whether a STRICT column of a type accepts all values of another type.
fn fits(from: &str, to: &str) -> bool {
    match from {
        "int" | "integer" => ["int", "integer", "real", "text", "any"].contains(&to),
        "real" => ["real", "text", "any"].contains(&to),
        _ => from == to || to == "any",
    }
}
