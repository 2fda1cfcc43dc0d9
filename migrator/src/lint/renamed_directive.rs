//! Checks the `@renamed` directives of `schema.sql` (M010). Knows no SQL.

use std::collections::BTreeSet;

use super::finding::{Finding, LintCode};
use crate::{
    project::{Project, paths},
    sql::{
        self, TokenKind,
        directives::{self, Directive, Directives},
        location::SourceLocation,
        name::Name,
    },
    sqlite::schema::Schema,
};

/// M010: returns the `@renamed` directives whose old and new names are both unknown.
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
                Some(old) => format!("{old} does not exist and cannot be renamed"),
                None => "`@renamed` lacks `from=`".into(),
            };
            let file = paths::schema(&owner.name);
            findings.push(Finding::new(
                LintCode::Renamed,
                &SourceLocation::new(&file, &owner.schema, offset),
                message,
                "write `@renamed from=` and the current name above the renamed declaration".into(),
            ));
        }
    }
    findings
}

/// Returns the old names in directives that name a migrated object, or whose rename was already
/// applied.
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
