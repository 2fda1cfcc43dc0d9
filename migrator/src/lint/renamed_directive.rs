//! What `schema.sql` says was renamed (M010). Knows no SQL.

use std::collections::BTreeSet;

use super::{Code, Finding};
use crate::{
    project::Project,
    sql::{self, Kind},
    sqlite::schema::{Name, Remark, Schema},
};

/// M010: what was renamed from something that there is not, and is not there itself.
pub(super) fn renamed(project: &Project, declared: &Schema, migrated: &Schema) -> Vec<Finding> {
    let known = known(declared, migrated);
    let mut findings = Vec::new();
    for owner in &project.owners {
        for comment in sql::tokens(&owner.schema) {
            if comment.kind != Kind::Comment || !comment.text.contains("@renamed") {
                continue;
            }
            let from = comment.text.split_once("from=").map(|(_, rest)| {
                let old = rest.trim_end_matches("*/");
                let end = old.find(|c: char| c.is_whitespace() || c == ',');
                Name::new(&old[..end.unwrap_or(old.len())])
            });
            let message = match from {
                Some(old) if known.contains(&old) => continue,
                Some(old) => format!("there is no {old} that could be renamed"),
                None => "`@renamed` does not say from what".into(),
            };
            findings.push(Finding::new(
                Code::Renamed,
                &format!("{}/schema.sql", owner.name),
                sql::position(&owner.schema, comment.offset),
                message,
                "write `@renamed from=` and the name that it has now, right above what is renamed"
                    .into(),
            ));
        }
    }
    findings
}

/// The old names that something declared has, and that name something migrated, or that
/// were applied, so that what is declared is there under its new name.
fn known(schema: &Schema, migrated: &Schema) -> BTreeSet<Name> {
    let mut known = BTreeSet::new();
    for (name, table) in &schema.tables {
        let before = table.remark.renamed_from.as_ref();
        let there = migrated.tables.get(name);
        let old = before.and_then(|old| migrated.tables.get(old));
        if there.or(old).is_some() {
            known.extend(before.cloned());
        }
        for column in &table.columns {
            let Some(from) = &column.remark.renamed_from else {
                continue;
            };
            let has = |name| {
                [there, old]
                    .iter()
                    .flatten()
                    .any(|t| t.column(name).is_some())
            };
            if has(from) || has(&column.name) {
                known.insert(from.clone());
            }
        }
    }
    let mut others = |name: &Name, remark: &Remark, there: &dyn Fn(&Name) -> bool| {
        let from = remark.renamed_from.iter();
        known.extend(from.filter(|from| there(from) || there(name)).cloned());
    };
    for (name, index) in &schema.indexes {
        others(name, &index.remark, &|name| {
            migrated.indexes.contains_key(name)
        });
    }
    for (name, view) in &schema.views {
        others(name, &view.remark, &|name| {
            migrated.views.contains_key(name)
        });
    }
    for (name, trigger) in &schema.triggers {
        others(name, &trigger.remark, &|name| {
            migrated.triggers.contains_key(name)
        });
    }
    known
}
