//! Schemas of other projects: declarations that SQLite accepts, from `migrate` to `downgrade`.

mod linting;
mod parsing;
mod rows;
mod unusable;

use std::fs;

use super::{Tree, USERS};
use crate::ProgramOutput;

/// The name of a generated second migration.
const SECOND: &str = "0002_second";

/// Returns a project that declares this schema and no migrations.
fn project(schema: &str) -> Tree {
    let tree = Tree::empty();
    declare(&tree, schema);
    tree
}

/// Returns a project with a database that has this schema and these rows.
async fn upgraded(schema: &str, rows: &str) -> Tree {
    let tree = project(schema);
    tree.done(&["migrate", "first"]);
    tree.done(&["upgrade"]);
    tree.dir.execute(rows).await;
    tree
}

/// Replaces the declared schema.
fn declare(tree: &Tree, schema: &str) {
    fs::write(tree.schema(USERS), schema).unwrap();
}

/// Declares a schema, and generates the migration to it.
fn migrate(tree: &Tree, schema: &str) -> ProgramOutput {
    declare(tree, schema);
    tree.run(&["migrate", "second", "--allow-data-loss"])
}

/// Generates the migration to a schema, which must pass every check, and applies it.
#[track_caller]
fn migrated(tree: &Tree, schema: &str) {
    let run = migrate(tree, schema);
    assert_eq!(run.code, 0, "{run:?}");
    tree.done(&["check"]);
    tree.done(&["upgrade"]);
    tree.done(&["diff"]);
}

/// Returns both scripts of the second migration.
fn second(tree: &Tree) -> (String, String) {
    let [up, down] =
        ["up", "down"].map(|end| tree.migration(USERS, &format!("{SECOND}.{end}.sql")));
    (up, down)
}
