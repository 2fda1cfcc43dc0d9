//! The renames between two schemas. Nothing counts as renamed without a directive or an answer,
//! and nothing that might be renamed counts as new.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    error::Error,
    question::{Question, QuestionKind},
};
use crate::{
    sql::{directives::Directives, name::Name},
    sqlite::schema::{Schema, Table},
};

/// The renamed tables and columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renames {
    /// New table names by old ones.
    tables: BTreeMap<Name, Name>,
    /// New column names by old table and old name.
    columns: BTreeMap<(Name, Name), Name>,
    /// The objects that are declared new: tables as `(None, table)`, and columns as
    /// `(Some(new table), column)`.
    added: BTreeSet<(Option<Name>, Name)>,
}

impl Renames {
    /// Returns the renames that the directives of `to` declare, and the open questions.
    ///
    /// # Errors
    ///
    /// [`Error::UnresolvedDirective`].
    pub(crate) fn find(from: &Schema, to: &Schema) -> Result<(Self, Vec<Question>), Error> {
        let mut renames = Self::default();
        for table in to.tables.values() {
            let new = table.name.quoted();
            let taken: Vec<_> = renames.tables.keys().cloned().collect();
            let here = |name: &Name| to.tables.contains_key(name);
            let before = |name: &Name| from.tables.contains_key(name) && !taken.contains(name);
            if before(&table.name) || from.tables.is_empty() {
                continue;
            }
            if let Some(old) = directive(&table.directives, &new, before, here)? {
                renames.tables.insert(old, table.name.clone());
            } else if table.directives.added {
                renames.added.insert((None, table.name.clone()));
            }
        }
        renames.find_columns(from, to)?;
        let questions = renames.questions(from, to);
        Ok((renames, questions))
    }

    fn find_columns(&mut self, from: &Schema, to: &Schema) -> Result<(), Error> {
        for (before, after) in self.pairs(from, to) {
            for column in &after.columns {
                let new = format!("{}.{}", after.name.quoted(), column.name.quoted());
                let taken = |name: &Name| {
                    let key = (before.name.clone(), name.clone());
                    let to = self.columns.get(&key);
                    to.is_some_and(|to| *to != column.name)
                };
                let there = |name: &Name| before.column(name).is_some() && !taken(name);
                let here = |name: &Name| after.column(name).is_some();
                if there(&column.name) {
                    continue;
                }
                if let Some(old) = directive(&column.directives, &new, there, here)? {
                    let key = (before.name.clone(), old);
                    self.columns.insert(key, column.name.clone());
                } else if column.directives.added {
                    let new = (Some(after.name.clone()), column.name.clone());
                    self.added.insert(new);
                }
            }
        }
        Ok(())
    }

    /// Applies the answer to a question, `None` for a new object. Returns the questions that are
    /// open afterwards: a renamed table may add some about its columns.
    ///
    /// # Errors
    ///
    /// [`Error::UnresolvedDirective`].
    pub(crate) fn resolve(
        &mut self,
        from: &Schema,
        to: &Schema,
        question: &Question,
        old: Option<Name>,
    ) -> Result<Vec<Question>, Error> {
        let Question {
            kind, table, new, ..
        } = question;
        match (kind, old) {
            (QuestionKind::Table, Some(old)) => {
                self.tables.insert(old, new.clone());
                self.find_columns(from, to)?;
            }
            (QuestionKind::Table, None) => {
                self.added.insert((None, new.clone()));
            }
            (QuestionKind::Column, Some(old)) => {
                let table = self.table_before(table).clone();
                self.columns.insert((table, old), new.clone());
            }
            (QuestionKind::Column, None) => {
                self.added.insert((Some(table.clone()), new.clone()));
            }
        }
        Ok(self.questions(from, to))
    }

    /// Returns the open questions.
    pub(crate) fn questions(&self, from: &Schema, to: &Schema) -> Vec<Question> {
        let mut questions = Vec::new();
        let pairs = self.pairs(from, to);
        let paired = |table: &Table| pairs.iter().any(|(_, after)| after.name == table.name);
        let gone = |table: &&Table| {
            let name = &table.name;
            !to.tables.contains_key(name) && !self.tables.contains_key(name)
        };
        for table in to.tables.values().filter(|table| !paired(table)) {
            let like = from.tables.values().filter(gone);
            let like = like.filter(|before| are_alike(before, table));
            let candidates: Vec<_> = like.map(|before| before.name.clone()).collect();
            let known = self.added.contains(&(None, table.name.clone()));
            if !known && !candidates.is_empty() {
                questions.push(Question {
                    kind: QuestionKind::Table,
                    table: table.name.clone(),
                    new: table.name.clone(),
                    candidates,
                });
            }
        }
        for (before, after) in pairs {
            questions.extend(self.column_questions(before, after));
        }
        questions
    }

    fn column_questions(&self, before: &Table, after: &Table) -> Vec<Question> {
        let gone = |name: &Name| {
            let key = (before.name.clone(), name.clone());
            after.column(name).is_none() && !self.columns.contains_key(&key)
        };
        let names = before.columns.iter().map(|column| column.name.clone());
        let candidates: Vec<_> = names.filter(gone).collect();
        let renamed = |name: &Name| {
            let mut columns = self.columns.iter();
            columns.any(|((table, _), new)| *table == before.name && new == name)
        };
        let new = after.columns.iter().map(|column| &column.name);
        let new = new.filter(|name| before.column(name).is_none() && !renamed(name));
        let open = new.filter(|name| {
            let new = (Some(after.name.clone()), (*name).clone());
            !candidates.is_empty() && !self.added.contains(&new)
        });
        let question = |name: &Name| Question {
            kind: QuestionKind::Column,
            table: after.name.clone(),
            new: name.clone(),
            candidates: candidates.clone(),
        };
        open.map(question).collect()
    }

    /// Returns the tables that both schemas have, before and after.
    fn pairs<'s>(&self, from: &'s Schema, to: &'s Schema) -> Vec<(&'s Table, &'s Table)> {
        let pair = |after: &'s Table| {
            let before = from.tables.get(self.table_before(&after.name))?;
            Some((before, after))
        };
        to.tables.values().filter_map(pair).collect()
    }

    /// Returns the old name of a table.
    fn table_before<'n>(&'n self, new: &'n Name) -> &'n Name {
        let renamed = self.tables.iter().find(|(_, to)| *to == new);
        renamed.map_or(new, |(old, _)| old)
    }

    /// Returns the new name of a table that is renamed.
    pub(crate) fn table(&self, old: &Name) -> Option<&Name> {
        self.tables.get(old)
    }

    /// Returns the old and the new name of each renamed table.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.tables.iter()
    }

    /// Returns the old table, the old name and the new name of each renamed column.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&Name, &Name, &Name)> {
        let columns = self.columns.iter();
        columns.map(|((table, old), new)| (table, old, new))
    }

    /// Returns the renamed columns of a table, new names by old ones.
    pub(crate) fn columns_of(&self, old_table: &Name) -> BTreeMap<Name, Name> {
        let columns = self.columns.iter();
        let columns = columns.filter(|((table, _), _)| table == old_table);
        columns
            .map(|((_, old), new)| (old.clone(), new.clone()))
            .collect()
    }

    /// Returns the renames of the opposite direction.
    pub(crate) fn inverse(&self) -> Self {
        let tables = self.tables.iter();
        let columns = self.columns.iter().map(|((table, old), new)| {
            let table = self.tables.get(table).unwrap_or(table);
            ((table.clone(), new.clone()), old.clone())
        });
        Self {
            tables: tables
                .map(|(old, new)| (new.clone(), old.clone()))
                .collect(),
            columns: columns.collect(),
            added: BTreeSet::new(),
        }
    }
}

/// Returns the old name that the directive of a new object gives, if it has one.
fn directive(
    directives: &Directives,
    new: &str,
    before: impl Fn(&Name) -> bool,
    here: impl Fn(&Name) -> bool,
) -> Result<Option<Name>, Error> {
    let Some(old) = &directives.renamed_from else {
        return Ok(None);
    };
    let why = match (before(old), here(old)) {
        (true, false) => return Ok(Some(old.clone())),
        (true, true) => "it is still declared",
        (false, _) => "no such name existed",
    };
    Err(Error::UnresolvedDirective {
        new: new.to_owned(),
        old: old.clone(),
        why,
    })
}

/// Reports whether at least half of the smaller table's columns are in the other one too.
fn are_alike(a: &Table, b: &Table) -> bool {
    let both = a
        .columns
        .iter()
        .filter(|column| b.column(&column.name).is_some());
    both.count() * 2 >= a.columns.len().min(b.columns.len())
}
