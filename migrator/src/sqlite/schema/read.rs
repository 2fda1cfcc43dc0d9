//! Reads the schema of a database. Its SQL is here.
//!
//! The stored declarations are parsed, since the PRAGMAs hide much of them. The result is then
//! compared with the PRAGMAs, so that a misread declaration is an error and not a wrong plan.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::{Column, ForeignKey, Key, KeyColumn, Schema, Table, parse, quoted_text};
use crate::{
    sql::{
        self,
        cursor::ParseError,
        directives::Directives,
        name::{Name, ObjectKind},
        operation::created_object,
    },
    sqlite::internal,
    state::error::DatabaseError,
};

/// The declared objects. The indexes of constraints have no SQL, and are left out.
const OBJECTS: &str = "select type, name, sql
                       from sqlite_schema
                       where sql is not null
                       order by rowid";

/// The columns, as `PRAGMA table_xinfo` shows them.
const COLUMNS: &str = "select t.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden
                       from sqlite_schema t, pragma_table_xinfo(t.name) c
                       where t.type = 'table'
                       order by t.name, c.cid";

/// The foreign keys, with one row for each of their columns.
const FOREIGN_KEYS: &str =
    "select t.name, k.id, k.\"from\", k.\"table\", k.\"to\", k.on_update, k.on_delete
                            from sqlite_schema t, pragma_foreign_key_list(t.name) k
                            where t.type = 'table'
                            order by t.name, k.id, k.seq";

impl Schema {
    /// Reads the schema. It takes several statements, so the caller needs a transaction if other
    /// processes may change the schema.
    pub(crate) async fn read(connection: &mut SqliteConnection) -> Result<Self, DatabaseError> {
        let objects: Vec<(String, String, String)> =
            sqlx::query_as(OBJECTS).fetch_all(&mut *connection).await?;
        let mut schema = Self::default();
        // A declaration can only be read after the objects that it names.
        for wanted in ["table", "index", "view", "trigger"] {
            for (kind, name, sql) in objects.iter().filter(|(kind, _, _)| kind == wanted) {
                if internal::owner(name).is_none() {
                    schema.add(kind, name, sql)?;
                }
            }
        }
        schema.resolve_texts_of_views()?;
        let shown = PragmaSchema::read(connection).await?;
        for table in schema.tables.values_mut() {
            shown.set_types(table);
            let why = shown.differs(table);
            why.map_or(Ok(()), |why| {
                Err(unsupported("table", table.name.spelled(), why))
            })?;
        }
        schema.resolve_implicit();
        Ok(schema)
    }

    fn add(&mut self, kind: &str, name: &str, sql: &str) -> Result<(), DatabaseError> {
        let key = Name::new(name);
        let wrong = |why| unsupported(kind, name, why);
        match kind {
            "table" => {
                if sql::tokens(sql)
                    .get(1)
                    .is_some_and(|token| token.is("virtual"))
                {
                    return Err(wrong("it is a virtual table".into()));
                }
                let mut table = parse::table(sql).map_err(wrong)?;
                let resolved = quoted_text::in_table(sql, &names(&table.columns));
                if resolved != sql {
                    table = parse::table(&resolved).map_err(wrong)?;
                }
                self.tables.insert(key, table);
            }
            "index" => {
                let mut index = parse::index(sql).map_err(wrong)?;
                let table = self.tables.get(&index.table);
                let columns = table.map_or_else(Vec::new, |table| names(&table.columns));
                let resolved = quoted_text::in_index(sql, &columns);
                if resolved != sql {
                    index = parse::index(&resolved).map_err(wrong)?;
                }
                self.indexes.insert(key, index);
            }
            "view" => {
                self.views.insert(key, parse::view(sql).map_err(wrong)?);
            }
            _ => {
                let resolved = quoted_text::in_body(sql, self);
                let trigger = parse::trigger(&resolved).map_err(wrong)?;
                self.triggers.insert(key, trigger);
            }
        }
        Ok(())
    }

    /// Replaces the double-quoted texts of the views, which may name each other.
    fn resolve_texts_of_views(&mut self) -> Result<(), DatabaseError> {
        for (name, view) in self.views.clone() {
            let resolved = quoted_text::in_body(&view.sql, self);
            if resolved != view.sql {
                let wrong = |why| unsupported("view", name.spelled(), why);
                let view = parse::view(&resolved).map_err(wrong)?;
                self.views.insert(name, view);
            }
        }
        Ok(())
    }

    /// Fills in what declarations leave implicit: the columns that a foreign key refers to, and
    /// the
    /// collations that a key inherits.
    fn resolve_implicit(&mut self) {
        let keys: BTreeMap<_, _> = self
            .tables
            .iter()
            .filter_map(|(name, table)| Some((name.clone(), primary_key(table)?)))
            .collect();
        for table in self.tables.values_mut() {
            for key in &mut table.foreign_keys {
                if key.references.is_empty() {
                    key.references = keys.get(&key.table).cloned().unwrap_or_default();
                }
            }
            let keys = table.primary_key.iter_mut().chain(&mut table.uniques);
            for column in keys.flat_map(|key| &mut key.columns) {
                column.drop_inherited_collation(&table.columns);
            }
            let mut uniques: Vec<Key> = Vec::new();
            for key in table.uniques.drain(..) {
                if !uniques.contains(&key) {
                    uniques.push(key);
                }
            }
            table.uniques = uniques;
        }
        for index in self.indexes.values_mut() {
            let table = self.tables.get(&index.table);
            let columns = table.map_or(&[][..], |table| &table.columns);
            for column in &mut index.columns {
                column.drop_inherited_collation(columns);
            }
        }
    }

    /// Adds the comments before the declarations of a script, which SQLite does not store.
    pub(crate) fn annotate(&mut self, script: &str) {
        for statement in sql::statements(script) {
            let Some((kind, name)) = created_object(statement.text) else {
                continue;
            };
            let directives = match kind {
                ObjectKind::Table => self.tables.get_mut(&name).map(|t| &mut t.directives),
                ObjectKind::Index => self.indexes.get_mut(&name).map(|i| &mut i.directives),
                ObjectKind::View => self.views.get_mut(&name).map(|v| &mut v.directives),
                ObjectKind::Trigger => self.triggers.get_mut(&name).map(|t| &mut t.directives),
            };
            let Some(directives) = directives else {
                continue;
            };
            let before = Directives::from_comments(&sql::tokens(statement.comment));
            // A comment that is separated by an empty line is not about this statement alone.
            let before_it = script.get(..statement.offset).unwrap_or_default();
            let own = !before_it[before_it.trim_end().len()..].contains("\n\n");
            let lines = statement.comment.lines().filter(|_| own);
            directives.lines = lines.map(str::to_owned).collect();
            directives.renamed_from = before.renamed_from.or(directives.renamed_from.take());
            directives.added |= before.added;
        }
    }
}

impl KeyColumn {
    /// Removes a collation that equals the column's, and is therefore redundant.
    fn drop_inherited_collation(&mut self, columns: &[Column]) {
        let name = self.column();
        let column = columns.iter().find(|column| column.name == name);
        let inherited = column.and_then(|column| column.collation.as_ref());
        let inherited = inherited.map_or("binary", Name::folded);
        if column.is_some()
            && self
                .collation
                .as_ref()
                .is_some_and(|c| c.folded() == inherited)
        {
            self.collation = None;
        }
    }
}

fn unsupported(kind: &str, name: &str, why: ParseError) -> DatabaseError {
    DatabaseError::Unsupported {
        object: format!("{kind} {name}"),
        reason: why,
    }
}

fn names(columns: &[Column]) -> Vec<Name> {
    columns.iter().map(|column| column.name.clone()).collect()
}

fn primary_key(table: &Table) -> Option<Vec<Name>> {
    let key = table.primary_key.as_ref()?;
    Some(key.columns.iter().map(KeyColumn::column).collect())
}

/// Table, name, type, NOT NULL, default, position in the primary key, and kind of generated
/// column.
type ColumnRow = (String, String, String, bool, Option<String>, i64, i64);

/// Table, number of the key, column, parent table, parent column, ON UPDATE and ON DELETE.
type ReferenceRow = (String, i64, String, String, Option<String>, String, String);

/// The columns and foreign keys that the PRAGMAs show, as one line each, by table.
struct PragmaSchema {
    columns: BTreeMap<Name, Vec<String>>,
    /// The types of the columns.
    types: BTreeMap<Name, Vec<String>>,
    foreign_keys: BTreeMap<Name, Vec<String>>,
}

impl PragmaSchema {
    async fn read(connection: &mut SqliteConnection) -> Result<Self, DatabaseError> {
        let rows: Vec<ColumnRow> = sqlx::query_as(COLUMNS).fetch_all(&mut *connection).await?;
        let mut columns: BTreeMap<Name, Vec<String>> = BTreeMap::new();
        let mut types: BTreeMap<Name, Vec<String>> = BTreeMap::new();
        for (table, name, type_name, not_null, default, key, hidden) in rows {
            let default = default.as_deref().map(parse::expression::default);
            let line = column_line(&name, not_null, default.as_deref(), key, hidden);
            let table = Name::new(&table);
            let type_name = parse::normalised_type(&sql::significant_tokens(&type_name));
            types.entry(table.clone()).or_default().push(type_name);
            columns.entry(table).or_default().push(line);
        }
        let rows: Vec<ReferenceRow> = sqlx::query_as(FOREIGN_KEYS).fetch_all(connection).await?;
        let mut foreign_keys: BTreeMap<Name, Vec<String>> = BTreeMap::new();
        for (table, _, from, parent, to, on_update, on_delete) in rows {
            let line = reference_line(&from, &parent, to.as_deref(), &on_update, &on_delete);
            foreign_keys
                .entry(Name::new(&table))
                .or_default()
                .push(line);
        }
        for lines in foreign_keys.values_mut() {
            lines.sort();
        }
        Ok(Self {
            columns,
            types,
            foreign_keys,
        })
    }

    /// Replaces the parsed types by those that SQLite shows, since it removes some quotes.
    fn set_types(&self, table: &mut Table) {
        let types = self.types.get(&table.name).into_iter().flatten();
        for (column, type_name) in table.columns.iter_mut().zip(types) {
            column.type_name.clone_from(type_name);
        }
    }

    /// Describes the first difference between a parsed table and the PRAGMAs.
    fn differs(&self, table: &Table) -> Option<ParseError> {
        let columns: Vec<_> = parsed_columns(table);
        let mut references: Vec<_> = table
            .foreign_keys
            .iter()
            .flat_map(parsed_reference)
            .collect();
        references.sort();
        for (parsed, shown) in [
            (columns, self.columns.get(&table.name)),
            (references, self.foreign_keys.get(&table.name)),
        ] {
            let shown = shown.map_or(&[][..], Vec::as_slice);
            let mut pairs = shown.iter().zip(&parsed);
            if let Some((shown, parsed)) = pairs.find(|(shown, parsed)| shown != parsed) {
                return Some(format!("SQLite has {shown}, but the parser {parsed}"));
            }
            if shown.len() != parsed.len() {
                return Some("SQLite has a different number of columns or references".into());
            }
        }
        None
    }
}

fn parsed_columns(table: &Table) -> Vec<String> {
    let keys = table.primary_key.iter().flat_map(|key| &key.columns);
    let keys: Vec<_> = keys.map(KeyColumn::column).collect();
    let alias = table.rowid_alias().map(|column| &column.name);
    let line = |column: &Column| {
        let key = keys.iter().position(|key| *key == column.name);
        let key = key.map_or(0, |at| i64::try_from(at + 1).unwrap_or(i64::MAX));
        let by_key =
            key > 0 && (table.without_rowid || (table.strict && alias != Some(&column.name)));
        let hidden = match &column.generated {
            None => 0,
            Some(generated) if generated.stored => 3,
            Some(_) => 2,
        };
        column_line(
            column.name.spelled(),
            column.not_null.is_some() || by_key,
            column.default.as_deref(),
            key,
            hidden,
        )
    };
    table.columns.iter().map(line).collect()
}

fn column_line(name: &str, not_null: bool, default: Option<&str>, key: i64, hidden: i64) -> String {
    let default = default.unwrap_or("null");
    let name = name.to_ascii_lowercase();
    format!("{name}, not null {not_null}, default {default}, key {key}, kind {hidden}")
}

fn parsed_reference(key: &ForeignKey) -> Vec<String> {
    let action = |action: super::ReferentialAction| action.words().to_ascii_uppercase();
    let line = |(at, from): (usize, &Name)| {
        reference_line(
            from.spelled(),
            key.table.spelled(),
            key.references.get(at).map(Name::spelled),
            &action(key.on_update),
            &action(key.on_delete),
        )
    };
    key.columns.iter().enumerate().map(line).collect()
}

fn reference_line(
    from: &str,
    table: &str,
    to: Option<&str>,
    on_update: &str,
    on_delete: &str,
) -> String {
    let to = to.unwrap_or_default();
    format!("{from} to {table} {to}, on update {on_update}, on delete {on_delete}")
        .to_ascii_lowercase()
}
