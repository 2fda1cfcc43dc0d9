//! What `schema.sql` says was renamed (M010). Knows no SQL.

use std::collections::BTreeSet;

use super::finding::{Finding, LintCode};
use crate::{
    project::Project,
    sql::{
        self, TokenKind,
        directives::{self, Directive, Directives},
        location::SourceLocation,
        name::Name,
    },
    sqlite::schema::Schema,
};

/// M010: what was renamed from something that there is not, and is not there itself.
pub(super) fn renamed(project: &Project, declared: &Schema, migrated: &Schema) -> Vec<Finding> {
    let known = known(declared, migrated);
    let mut findings = Vec::new();
    for owner in &project.owners {
        let comments = sql::tokens(&owner.schema).into_iter();
        let comments = comments.filter(|token| token.kind == TokenKind::Comment);
        let renames = comments.flat_map(|comment| {
            directives::parse(comment.text).filter_map(move |directive| match directive {
                Directive::Renamed { from } => Some((comment.offset, from)),
                _ => None,
            })
        });
        for (offset, from) in renames {
            let message = match from {
                Some(old) if known.contains(&old) => continue,
                Some(old) => format!("there is no {old} that could be renamed"),
                None => "`@renamed` does not say from what".into(),
            };
            let file = format!("{}/schema.sql", owner.name);
            findings.push(Finding::new(
                LintCode::Renamed,
                &SourceLocation::new(&file, &owner.schema, offset),
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
        let before = table.directives.renamed_from.as_ref();
        let there = migrated.tables.get(name);
        let old = before.and_then(|old| migrated.tables.get(old));
        if there.or(old).is_some() {
            known.extend(before.cloned());
        }
        for column in &table.columns {
            let Some(from) = &column.directives.renamed_from else {
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
    let mut others = |name: &Name, directives: &Directives, there: &dyn Fn(&Name) -> bool| {
        let from = directives.renamed_from.iter();
        known.extend(from.filter(|from| there(from) || there(name)).cloned());
    };
    for (name, index) in &schema.indexes {
        others(name, &index.directives, &|name| {
            migrated.indexes.contains_key(name)
        });
    }
    for (name, view) in &schema.views {
        others(name, &view.directives, &|name| {
            migrated.views.contains_key(name)
        });
    }
    for (name, trigger) in &schema.triggers {
        others(name, &trigger.directives, &|name| {
            migrated.triggers.contains_key(name)
        });
    }
    known
}
