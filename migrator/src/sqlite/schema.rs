//! What a schema is: tables, indexes, views and triggers, compared by what they mean.
//!
//! Two schemas are equal if SQLite would do the same with both: the order of columns and
//! constraints, letter case, blanks, comments, quotes, and whether a constraint stands
//! beside its column or below all of them do not count.

mod ddl;
mod parse;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::sql::{self, directives::Directives, name::Name};

/// All that somebody declared in a database: not what SQLite or the migrator made for
/// itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schema {
    pub(crate) tables: BTreeMap<Name, Table>,
    pub(crate) indexes: BTreeMap<Name, Index>,
    pub(crate) views: BTreeMap<Name, View>,
    pub(crate) triggers: BTreeMap<Name, Trigger>,
}

impl Schema {
    /// Returns the names of its tables, indexes and views, which all have owners.
    pub(crate) fn owned_names(&self) -> impl Iterator<Item = &str> {
        let tables = self.tables.keys();
        let names = tables.chain(self.indexes.keys()).chain(self.views.keys());
        names.map(Name::spelled)
    }
}

/// A table with all its constraints, wherever they were declared.
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
    /// As SQLite keeps it, with the comments inside it.
    pub(crate) sql: String,
    /// The comments before it and on its first line, and what they ask for.
    pub(crate) directives: Directives,
}

impl Table {
    /// The column of that name.
    pub(crate) fn column(&self, name: &Name) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == *name)
    }

    /// Whether ids of it are never used twice.
    pub(crate) fn autoincrement(&self) -> bool {
        self.primary_key
            .as_ref()
            .is_some_and(|key| key.autoincrement)
    }

    /// The column that is another name of the rowid: the one column of the primary key,
    /// if its type is INTEGER.
    pub(crate) fn rowid_alias(&self) -> Option<&Column> {
        let key = self.primary_key.as_ref().filter(|_| !self.without_rowid)?;
        let [only] = key.columns.as_slice() else {
            return None;
        };
        let column = self.column(&only.column())?;
        (column.type_name == "integer" && !only.descending).then_some(column)
    }
}

/// A column, without the constraints that [`Table`] holds.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: Name,
    /// In lower case; empty if there is none.
    pub(crate) type_name: String,
    pub(crate) not_null: Option<NotNull>,
    /// A normalised expression, without parentheses around it.
    pub(crate) default: Option<String>,
    /// `None` is BINARY.
    pub(crate) collation: Option<Name>,
    pub(crate) generated: Option<Generated>,
    /// As it was declared, from its name to its last constraint.
    pub(crate) sql: String,
    /// The comments at it, and what they ask for.
    pub(crate) directives: Directives,
}

/// That a column has to have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotNull {
    pub(crate) name: Option<Name>,
    pub(crate) conflict: ConflictResolution,
}

/// What a column is computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    /// Normalised.
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
    /// Normalised: a name as [`Name`] prints it, or any other expression.
    pub(crate) expression: String,
    /// `None` is that of the column.
    pub(crate) collation: Option<Name>,
    pub(crate) descending: bool,
}

impl KeyColumn {
    /// The column, if it is not another expression: then no column is called so.
    pub(crate) fn column(&self) -> Name {
        match sql::tokens(&self.expression).as_slice() {
            [only] if only.is_name() => Name::new(&only.unquoted()),
            _ => Name::new(&self.expression),
        }
    }
}

/// What happens to a row that breaks a constraint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ConflictResolution {
    #[default]
    Abort,
    Rollback,
    Fail,
    Ignore,
    Replace,
}

/// A reference to another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    pub(crate) name: Option<Name>,
    pub(crate) columns: Vec<Name>,
    pub(crate) table: Name,
    /// Empty if it is the primary key of a table that is not there.
    pub(crate) references: Vec<Name>,
    pub(crate) on_update: ReferentialAction,
    pub(crate) on_delete: ReferentialAction,
    /// Checked at COMMIT, not at the end of the statement.
    pub(crate) deferred: bool,
}

/// What a foreign key does when the row that it refers to goes or changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReferentialAction {
    #[default]
    Nothing,
    Restrict,
    SetNull,
    SetDefault,
    Cascade,
}

/// A condition that every row fulfils.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: Option<Name>,
    /// Normalised.
    pub(crate) expression: String,
}

/// An index that was created by itself.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) name: Name,
    pub(crate) table: Name,
    pub(crate) unique: bool,
    pub(crate) columns: Vec<KeyColumn>,
    /// Normalised: what a partial index holds.
    pub(crate) condition: Option<String>,
    pub(crate) sql: String,
    pub(crate) directives: Directives,
}

/// A view.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) name: Name,
    /// Normalised: all that comes after its name.
    pub(crate) body: String,
    pub(crate) sql: String,
    pub(crate) directives: Directives,
}

/// A trigger.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    pub(crate) name: Name,
    pub(crate) table: Name,
    /// Normalised: all that comes after its name.
    pub(crate) body: String,
    pub(crate) sql: String,
    pub(crate) directives: Directives,
}
