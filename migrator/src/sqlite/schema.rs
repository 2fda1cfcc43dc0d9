//! The model of a schema: tables, indexes, views and triggers, compared by their meaning.
//!
//! Two schemas are equal if SQLite behaves the same with both. The order of columns and
//! constraints, letter case, white space, comments and quotes do not count. Neither does it count
//! whether a constraint belongs to a column or to the table.

mod ddl;
mod parse;
mod quoted_text;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::sql::{
    self,
    directives::Directives,
    name::{Name, ObjectKind},
};

/// The declared objects of a database, without the internal ones of SQLite and the migrator.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schema {
    pub(crate) tables: BTreeMap<Name, Table>,
    pub(crate) indexes: BTreeMap<Name, Index>,
    pub(crate) views: BTreeMap<Name, View>,
    pub(crate) triggers: BTreeMap<Name, Trigger>,
}

impl Schema {
    /// Reports whether the object exists.
    pub(crate) fn has(&self, kind: ObjectKind, name: &Name) -> bool {
        match kind {
            ObjectKind::Table => self.tables.contains_key(name),
            ObjectKind::Index => self.indexes.contains_key(name),
            ObjectKind::View => self.views.contains_key(name),
            ObjectKind::Trigger => self.triggers.contains_key(name),
        }
    }

    /// Returns the names of the tables, indexes and views, which all have owners.
    pub(crate) fn owned_names(&self) -> impl Iterator<Item = &str> {
        let tables = self.tables.keys();
        let names = tables.chain(self.indexes.keys()).chain(self.views.keys());
        names.map(Name::spelled)
    }
}

/// A table with all its constraints, including those declared at columns.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: Name,
    pub(crate) columns: Vec<Column>,
    pub(crate) primary_key: Option<Key>,
    pub(crate) uniques: Vec<Key>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
    pub(crate) checks: Vec<Check>,
    pub(crate) strict: bool,
    pub(crate) without_rowid: bool,
    /// The statement as SQLite stores it, with its inner comments.
    pub(crate) sql: String,
    /// The comments before the table and on its first line, with their directives.
    pub(crate) directives: Directives,
}

impl Table {
    /// Returns the column of that name.
    pub(crate) fn column(&self, name: &Name) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == *name)
    }

    /// Reports whether the table is declared AUTOINCREMENT, so that its ids are never reused.
    pub(crate) fn autoincrement(&self) -> bool {
        self.primary_key
            .as_ref()
            .is_some_and(|key| key.autoincrement)
    }

    /// Returns the column that is an alias of the rowid: the only column of the primary key, if
    /// its
    /// type is INTEGER.
    pub(crate) fn rowid_alias(&self) -> Option<&Column> {
        let key = self.primary_key.as_ref().filter(|_| !self.without_rowid)?;
        let [only] = key.columns.as_slice() else {
            return None;
        };
        let column = self.column(&only.column())?;
        (column.type_name == "integer" && !only.descending).then_some(column)
    }
}

/// A column, without the constraints that are part of [`Table`].
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: Name,
    /// In lower case; empty for a column without a type.
    pub(crate) type_name: String,
    pub(crate) not_null: Option<NotNull>,
    /// A normalised expression, without outer parentheses.
    pub(crate) default: Option<String>,
    /// `None` for BINARY.
    pub(crate) collation: Option<Name>,
    pub(crate) generated: Option<Generated>,
    /// The declaration, from the name to the last constraint.
    pub(crate) sql: String,
    /// The comments at the column, with their directives.
    pub(crate) directives: Directives,
}

/// A NOT NULL constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotNull {
    pub(crate) name: Option<Name>,
    pub(crate) conflict: ConflictResolution,
}

/// The expression of a generated column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    /// A normalised expression.
    pub(crate) expression: String,
    pub(crate) stored: bool,
}

/// A primary key or a unique constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: Option<Name>,
    pub(crate) columns: Vec<KeyColumn>,
    pub(crate) autoincrement: bool,
    pub(crate) conflict: ConflictResolution,
}

/// A column, or an expression, of a key or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    /// A normalised expression, or a name in the form that [`Name`] prints.
    pub(crate) expression: String,
    /// `None` for the collation of the column.
    pub(crate) collation: Option<Name>,
    pub(crate) descending: bool,
}

impl KeyColumn {
    /// Returns the column. For any other expression, the result is the name of no column.
    pub(crate) fn column(&self) -> Name {
        match sql::tokens(&self.expression).as_slice() {
            [only] if only.is_name() => Name::new(&only.unquoted()),
            _ => Name::new(&self.expression),
        }
    }
}

/// The conflict resolution of a constraint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ConflictResolution {
    #[default]
    Abort,
    Rollback,
    Fail,
    Ignore,
    Replace,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    pub(crate) name: Option<Name>,
    pub(crate) columns: Vec<Name>,
    pub(crate) table: Name,
    /// Empty for the primary key of a table that does not exist.
    pub(crate) references: Vec<Name>,
    pub(crate) on_update: ReferentialAction,
    pub(crate) on_delete: ReferentialAction,
    /// True if the reference is checked at COMMIT and not at the end of the statement.
    pub(crate) deferred: bool,
}

/// The action of a foreign key when the referenced row is deleted or updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReferentialAction {
    #[default]
    Nothing,
    Restrict,
    SetNull,
    SetDefault,
    Cascade,
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: Option<Name>,
    /// A normalised expression.
    pub(crate) expression: String,
}

/// An index that a CREATE INDEX declares.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) name: Name,
    pub(crate) table: Name,
    pub(crate) unique: bool,
    pub(crate) columns: Vec<KeyColumn>,
    /// The normalised condition of a partial index.
    pub(crate) condition: Option<String>,
    pub(crate) sql: String,
    pub(crate) directives: Directives,
}

/// A view.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) name: Name,
    /// The normalised text after the name.
    pub(crate) body: String,
    pub(crate) sql: String,
    pub(crate) directives: Directives,
}

/// A trigger.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    pub(crate) name: Name,
    pub(crate) table: Name,
    /// The normalised text after the name.
    pub(crate) body: String,
    pub(crate) sql: String,
    pub(crate) directives: Directives,
}
