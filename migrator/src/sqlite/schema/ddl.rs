//! Prints a schema as DDL, in one canonical spelling.

use std::fmt::{self, Write as _};

use super::{
    Check, Column, ConflictResolution, ForeignKey, Index, Key, KeyColumn, ReferentialAction,
    Schema, Table, Trigger, View,
};
use crate::{
    sql::{
        self, Token, TokenKind,
        name::{Name, ObjectKind},
    },
    state::catalog::{self, Catalog, Object},
};

impl Schema {
    /// Returns the CREATE statements of all objects.
    pub(crate) fn catalog(&self) -> Catalog {
        let tables = self.tables.iter().map(|(name, table)| {
            let stored = table.columns.iter().filter(|c| c.generated.is_none());
            let columns = stored.map(|column| catalog::Column {
                name: column.name.clone(),
                default: column.default.clone(),
            });
            let object = Object {
                ddl: table.ddl(),
                canonical: table.canonical(),
                columns: columns.collect(),
            };
            ((ObjectKind::Table, name.clone()), object)
        });
        let other = |kind, name: &Name, ddl: String| {
            let object = Object {
                canonical: ddl.clone(),
                ddl,
                columns: Vec::new(),
            };
            ((kind, name.clone()), object)
        };
        let indexes = self.indexes.iter();
        let indexes = indexes.map(|(name, index)| other(ObjectKind::Index, name, index.ddl()));
        let views = self.views.iter();
        let views = views.map(|(name, view)| other(ObjectKind::View, name, view.ddl()));
        let triggers = self.triggers.iter();
        let triggers = triggers.map(|(name, t)| other(ObjectKind::Trigger, name, t.ddl()));
        tables.chain(indexes).chain(views).chain(triggers).collect()
    }
}

impl Table {
    /// Returns the CREATE TABLE. Constraints come after the columns where they can.
    pub(crate) fn ddl(&self) -> String {
        self.declaration(self.columns.iter().map(|c| self.column_ddl(c)).collect())
    }

    fn canonical(&self) -> String {
        let mut columns: Vec<_> = self.columns.iter().map(|c| self.column_ddl(c)).collect();
        columns.sort();
        self.declaration(columns)
    }

    fn declaration(&self, columns: Vec<String>) -> String {
        let mut constraints: Vec<String> = Vec::new();
        if let Some(key) = self.primary_key.as_ref().filter(|key| !is_inline(key)) {
            constraints.push(key_ddl(key, "primary key"));
        }
        constraints.extend(self.uniques.iter().map(|key| key_ddl(key, "unique")));
        constraints.extend(self.checks.iter().map(Check::to_string));
        constraints.extend(self.foreign_keys.iter().map(ForeignKey::to_string));
        // "primary key" sorts first, but is missing here if it is inline.
        constraints.sort();
        let lines: Vec<_> = columns.into_iter().chain(constraints).collect();
        let mut options = Vec::new();
        if self.strict {
            options.push(" strict");
        }
        if self.without_rowid {
            options.push(" without rowid");
        }
        format!(
            "create table {} (\n    {}\n){}",
            self.name,
            lines.join(",\n    "),
            options.join(",")
        )
    }

    fn column_ddl(&self, column: &Column) -> String {
        let mut ddl = column.to_string();
        if let Some(key) = self.primary_key.as_ref().filter(|key| is_inline(key))
            && key.columns.iter().any(|k| k.column() == column.name)
        {
            let mut inline = format!("{}primary key", constraint(key.name.as_ref()));
            if key.columns.iter().any(|column| column.descending) {
                inline.push_str(" desc");
            }
            inline.push_str(key.conflict.clause());
            if key.autoincrement {
                inline.push_str(" autoincrement");
            }
            let _ = write!(ddl, " {inline}");
        }
        ddl
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }
}

/// Reports whether a primary key is declared inline at its column. AUTOINCREMENT and DESC have
/// their meaning only there.
fn is_inline(key: &Key) -> bool {
    matches!(key.columns.as_slice(), [only] if only.collation.is_none())
}

fn key_ddl(key: &Key, kind: &str) -> String {
    format!(
        "{}{kind} ({}){}",
        constraint(key.name.as_ref()),
        list(&key.columns),
        key.conflict.clause()
    )
}

fn constraint(name: Option<&Name>) -> String {
    name.map_or_else(String::new, |name| format!("constraint {name} "))
}

/// Joins items with commas.
pub(crate) fn list<T: fmt::Display>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(T::to_string).collect();
    items.join(", ")
}

impl ConflictResolution {
    fn clause(self) -> &'static str {
        match self {
            Self::Abort => "",
            Self::Rollback => " on conflict rollback",
            Self::Fail => " on conflict fail",
            Self::Ignore => " on conflict ignore",
            Self::Replace => " on conflict replace",
        }
    }
}

impl ReferentialAction {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Nothing => "no action",
            Self::Restrict => "restrict",
            Self::SetNull => "set null",
            Self::SetDefault => "set default",
            Self::Cascade => "cascade",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if !self.type_name.is_empty() {
            write!(f, " {}", type_ddl(&self.type_name))?;
        }
        if let Some(not_null) = &self.not_null {
            let name = constraint(not_null.name.as_ref());
            write!(f, " {name}not null{}", not_null.conflict.clause())?;
        }
        if let Some(default) = &self.default {
            write!(f, " default {}", default_ddl(default))?;
        }
        if let Some(collation) = &self.collation {
            write!(f, " collate {collation}")?;
        }
        if let Some(generated) = &self.generated {
            let kind = if generated.stored {
                "stored"
            } else {
                "virtual"
            };
            write!(f, " as ({}) {kind}", generated.expression)?;
        }
        Ok(())
    }
}

/// Returns a type in valid syntax: quoted if it is not one or more words, with numbers in
/// parentheses.
fn type_ddl(type_name: &str) -> String {
    let tokens = sql::tokens(type_name);
    let mut words = tokens.iter().take_while(|token| !token.is_symbol("("));
    let is_word = |token: &Token<'_>| match token.kind {
        TokenKind::Word => !sql::is_keyword(token.text),
        TokenKind::Quoted => token.text.starts_with('['),
        _ => false,
    };
    let count = words.clone().count();
    let size = tokens.get(count..).unwrap_or_default();
    let is_size = |token: &Token<'_>| token.kind == TokenKind::Number || token.text.len() == 1;
    let has_size = size.first().is_none_or(|token| token.is_symbol("("))
        && size.last().is_none_or(|token| token.is_symbol(")"))
        && size.iter().all(is_size);
    // A type that starts with a quote would lose it.
    let is_plain = !type_name.starts_with('[');
    if count > 0 && words.all(is_word) && has_size && is_plain {
        type_name.to_owned()
    } else {
        format!("\"{}\"", type_name.replace('"', "\"\""))
    }
}

/// Returns a default in valid syntax: literals bare, other expressions in parentheses.
fn default_ddl(default: &str) -> String {
    let tokens = sql::tokens(default);
    let literal = |token: &Token<'_>| {
        matches!(
            token.kind,
            TokenKind::Text | TokenKind::Number | TokenKind::Blob
        )
    };
    let bare = match tokens.as_slice() {
        [only] => literal(only),
        [sign, number] => sign.kind == TokenKind::Symbol && number.kind == TokenKind::Number,
        _ => false,
    };
    if bare {
        default.to_owned()
    } else {
        format!("({default})")
    }
}

impl fmt::Display for KeyColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expression)?;
        if let Some(collation) = &self.collation {
            write!(f, " collate {collation}")?;
        }
        f.write_str(if self.descending { " desc" } else { "" })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = constraint(self.name.as_ref());
        write!(f, "{name}check ({})", self.expression)
    }
}

impl fmt::Display for ForeignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = constraint(self.name.as_ref());
        write!(
            f,
            "{name}foreign key ({}) references {}",
            list(&self.columns),
            self.table
        )?;
        if !self.references.is_empty() {
            write!(f, " ({})", list(&self.references))?;
        }
        for (event, action) in [("update", self.on_update), ("delete", self.on_delete)] {
            if action != ReferentialAction::Nothing {
                write!(f, " on {event} {}", action.words())?;
            }
        }
        f.write_str(if self.deferred {
            " deferrable initially deferred"
        } else {
            ""
        })
    }
}

impl Index {
    /// Returns the CREATE INDEX.
    pub(crate) fn ddl(&self) -> String {
        let unique = if self.unique { "unique " } else { "" };
        let mut ddl = format!(
            "create {unique}index {} on {} ({})",
            self.name,
            self.table,
            list(&self.columns)
        );
        if let Some(condition) = &self.condition {
            let _ = write!(ddl, " where {condition}");
        }
        ddl
    }
}

impl View {
    /// Returns the CREATE VIEW.
    pub(crate) fn ddl(&self) -> String {
        format!("create view {} {}", self.name, self.body)
    }
}

impl Trigger {
    /// Returns the CREATE TRIGGER.
    pub(crate) fn ddl(&self) -> String {
        format!("create trigger {} {}", self.name, self.body)
    }
}

macro_rules! equal_by_ddl {
    ($($type:ty),*) => {$(
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.ddl() == other.ddl()
            }
        }
    )*};
}

equal_by_ddl!(Index, View, Trigger);
