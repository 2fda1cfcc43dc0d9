//! `migrate`: generated files, refusals, and unchanged files.

use std::fs;

use super::{END_OF_POSTS, POSTS, Tree, USERS};

const BIO: &str = "bio text not null default ''";

#[test]
fn an_added_column_is_generated_applied_and_reverted() {
    let tree = Tree::upgraded();
    let before = tree.done(&["dump"]);
    tree.declare_column(BIO);

    let said = tree.done(&["migrate", "add bio"]);
    let applied = tree.done(&["upgrade"]);
    let after = tree.done(&["dump"]);
    tree.done(&["downgrade"]);

    assert_eq!(
        said,
        "New migration saved as user-service/migrations/0003_add_bio.up.sql
      and its down script as user-service/migrations/0003_add_bio.down.sql"
    );
    let up = tree.migration(USERS, "0003_add_bio.up.sql");
    assert!(
        up.contains("alter table users add column bio text not null default '';"),
        "{up}"
    );
    let down = tree.migration(USERS, "0003_add_bio.down.sql");
    assert!(
        down.contains("alter table users drop column bio;"),
        "{down}"
    );
    assert!(down.contains("-- @destroys column users.bio"), "{down}");
    assert!(
        applied.contains("Applied 0003 add_bio (user-service)"),
        "{applied}"
    );
    assert!(after.contains("bio text not null default ''"), "{after}");
    assert_eq!(tree.done(&["dump"]), before);
}

#[test]
fn a_destructive_migration_must_be_allowed_and_is_marked() {
    let tree = Tree::new();
    tree.declare_column(BIO);
    tree.done(&["migrate", "add bio", "--apply"]);
    tree.edit(USERS, &format!(",\n    {BIO}"), "");

    let refused = tree.refused(&["migrate", "drop bio"], 7);
    let nothing = tree.migrations(USERS);
    let said = tree.done(&["migrate", "drop bio", "--allow-data-loss"]);

    assert_eq!(
        refused,
        "error: the migration of user-service would destroy column users.bio; \
         --allow-data-loss writes it anyway"
    );
    assert_eq!(nothing.len(), 4, "{nothing:?}");
    assert_eq!(said.lines().last(), Some("It destroys column users.bio"));
    let up = tree.migration(USERS, "0004_drop_bio.up.sql");
    assert!(
        up.contains("-- @destroys column users.bio\nalter table users drop column bio;"),
        "{up}"
    );
}

#[tokio::test]
async fn a_declared_rename_keeps_the_values() {
    let tree = Tree::upgraded();
    tree.add_rows(3).await;
    tree.edit(
        POSTS,
        "    body text",
        "    -- @renamed from=body\n    message text",
    );
    tree.edit(POSTS, "length(body)", "length(message)");

    tree.done(&["migrate", "rename body", "--apply"]);
    let renamed = tree.dir.query("select message from posts").await;
    tree.done(&["downgrade"]);

    assert_eq!(renamed.len(), 3);
    assert_eq!(tree.dir.query("select body from posts").await, renamed);
}

#[tokio::test]
async fn a_renamed_table_keeps_its_rows() {
    let tree = Tree::upgraded();
    tree.add_rows(3).await;
    tree.edit(
        POSTS,
        "create table posts (",
        "-- @renamed from=posts\ncreate table articles (",
    );
    tree.edit(POSTS, "on posts (user_id, id)", "on articles (user_id, id)");

    tree.done(&["migrate", "rename posts", "--apply"]);

    let renamed = tree.dir.query("select body from articles").await;
    assert_eq!(renamed.len(), 3);
    tree.done(&["downgrade"]);
    assert_eq!(tree.dir.query("select body from posts").await, renamed);
}

#[test]
fn an_ambiguous_rename_is_refused_without_a_terminal() {
    let tree = Tree::new();
    tree.declare_column(BIO);
    tree.done(&["migrate", "add bio"]);
    tree.edit(USERS, BIO, "about text not null default ''");

    let ambiguous = tree.refused(&["migrate", "about"], 7);
    let same = tree.json(&["migrate", "about"], 7);
    let before = tree.migrations(USERS);
    tree.edit(USERS, "    about text", "    -- @added\n    about text");
    let destroys = tree.refused(&["migrate", "about"], 7);
    tree.done(&["migrate", "about", "--allow-data-loss"]);

    assert_eq!(
        ambiguous,
        "error: column users.about may be new, or bio renamed: write `-- @renamed from=…` beside \
         it, or `-- @added` if it is new"
    );
    assert_eq!(same["error"]["reason"], "AMBIGUOUS_RENAME");
    assert_eq!(before.len(), 4, "{before:?}");
    assert!(
        destroys.contains("would destroy column users.bio"),
        "{destroys}"
    );
    let up = tree.migration(USERS, "0004_about.up.sql");
    assert!(up.contains("-- @destroys column users.bio"), "{up}");
    assert!(up.contains("add column about"), "{up}");
}

#[test]
fn each_changed_service_gets_a_migration() {
    let tree = Tree::new();
    tree.declare_column(BIO);
    tree.edit(POSTS, "between 1 and 140", "between 1 and 280");

    let said = tree.done(&["migrate", "longer"]);
    tree.done(&["upgrade"]);
    tree.done(&["downgrade", "--to", "2"]);

    assert_eq!(
        said,
        "New migration saved as user-service/migrations/0003_longer.up.sql
      and its down script as user-service/migrations/0003_longer.down.sql
New migration saved as post-service/migrations/0004_longer.up.sql
      and its down script as post-service/migrations/0004_longer.down.sql"
    );
    assert_eq!(tree.migrations(USERS).len(), 4);
    assert_eq!(tree.migrations(POSTS).len(), 4);
}

#[test]
fn migrate_check_writes_nothing_and_reports_missing_ones() {
    let tree = Tree::new();

    let nothing = tree.done(&["migrate", "--check"]);
    tree.declare_column(BIO);
    let missing = tree.run(&["migrate", "--check"]);
    let object = tree.json(&["migrate", "--check"], 3);

    assert_eq!(
        nothing,
        "Nothing to do: the migrations produce the declared schema"
    );
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(missing.stdout.contains("add column bio"), "{missing:?}");
    assert_eq!(missing.stderr, "");
    assert_eq!(object["result"]["written"], false);
    assert_eq!(object["result"]["migrations"][0]["number"], 3);
    assert_eq!(tree.migrations(USERS).len(), 2);
    assert!(!tree.dir.path().exists());
}

#[test]
fn an_empty_migration_is_a_pair_of_files() {
    let tree = Tree::new();

    let said = tree.done(&["migrate", "fill it", "--empty", "--owner", "post-service"]);
    let other = tree.done(&["migrate", "fill more", "--empty"]);
    let nobody = tree.refused(&["migrate", "x", "--empty", "--owner", "zoo"], 2);
    tree.done(&["upgrade"]);

    assert!(
        said.contains("post-service/migrations/0003_fill_it.up.sql"),
        "{said}"
    );
    assert!(
        other.contains("user-service/migrations/0004_fill_more.up.sql"),
        "{other}"
    );
    assert!(nobody.contains("user-service or post-service"), "{nobody}");
    assert!(
        tree.migration(POSTS, "0003_fill_it.down.sql")
            .contains("-- @irreversible")
    );
}

#[test]
fn an_unedited_empty_migration_can_be_reverted() {
    let tree = Tree::new();
    tree.done(&["migrate", "fill it", "--empty"]);
    tree.done(&["upgrade"]);

    let run = tree.run(&["downgrade"]);

    // The template explains `@irreversible`, but is not marked as irreversible itself.
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn a_table_cannot_change_its_owner() {
    let tree = Tree::new();
    let posts = fs::read_to_string(tree.schema(POSTS)).unwrap();
    let at = posts.find("create table post_requests").unwrap();
    tree.declare(USERS, &posts[at..]);
    fs::write(tree.schema(POSTS), &posts[..at]).unwrap();

    let refused = tree.refused(&["migrate", "move it"], 7);

    assert_eq!(
        refused,
        "error: table post_requests belongs to post-service and is declared by user-service; a \
         table cannot change its owner"
    );
    assert_eq!(tree.migrations(USERS).len(), 2);
}

#[test]
fn an_invalid_declaration_has_its_location() {
    let tree = Tree::new();
    tree.edit(POSTS, "    body text not null", "    body text not nul");
    let text = fs::read_to_string(tree.schema(POSTS)).unwrap();
    let line = text
        .lines()
        .position(|line| line.contains("not nul "))
        .unwrap()
        + 1;

    for arguments in [&["migrate", "x"][..], &["migrate", "--check"]] {
        let refused = tree.refused(arguments, 1);
        let object = tree.json(arguments, 1);

        let dir = format!("at post-service/schema.sql:{line}:");
        assert!(refused.contains(&dir), "{refused}");
        let error = &object["error"];
        assert_eq!(error["reason"], "INVALID_DECLARATION");
        assert_eq!(error["file"], "post-service/schema.sql");
        assert_eq!(error["line"], line);
        assert!(error["column"].as_u64().unwrap() > 1, "{error}");
    }
}

#[test]
fn a_rebuild_keeps_dependent_objects() {
    let tree = Tree::upgraded();
    let longer = END_OF_POSTS.replace(
        "on delete restrict",
        "on delete restrict on update restrict",
    );
    tree.edit(POSTS, END_OF_POSTS, &longer);

    let said = tree.done(&["migrate", "restrict", "--apply"]);

    assert!(
        said.contains("Applied 0003 restrict (post-service)"),
        "{said}"
    );
    let dump = tree.done(&["dump"]);
    assert!(
        dump.contains("create index posts_by_user on posts"),
        "{dump}"
    );
    assert!(dump.contains("on update restrict"), "{dump}");
    assert!(
        tree.done(&["diff"])
            .ends_with("has the schema of version 3")
    );
}

#[test]
fn a_column_that_rows_reject_is_refused() {
    let tree = Tree::new();
    tree.declare_column("score integer not null");

    let refused = tree.refused(&["migrate", "add score"], 5);

    assert!(refused.contains("users.score"), "{refused}");
    assert_eq!(tree.migrations(USERS).len(), 2);
}

#[test]
fn a_migration_needs_a_name_with_a_word_in_it() {
    let tree = Tree::new();
    tree.declare_column(BIO);

    assert!(tree.refused(&["migrate"], 2).contains("NAME"));
    assert!(
        tree.refused(&["migrate", "é !"], 2)
            .contains("use some words")
    );
    assert_eq!(tree.migrations(USERS).len(), 2);
}

#[test]
fn a_migration_that_the_database_rejects_is_not_applied() {
    let tree = Tree::upgraded();
    tree.declare_column(BIO);
    let other = ["--database-url", "sqlite:/dev/null/none.db"];

    let refused = tree.refused(
        &[&["migrate", "add bio", "--apply"][..], &other].concat(),
        78,
    );

    assert!(refused.contains("/dev/null"), "{refused}");
    assert!(
        tree.migrations(USERS)
            .contains(&"0003_add_bio.up.sql".into())
    );
    tree.done(&["upgrade"]);
}
