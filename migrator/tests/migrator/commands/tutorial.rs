//! The tutorial: creates a table of users, then one of posts, downgrades one version at a time, and
//! upgrades again.

use super::{POSTS, Tree, USERS, without_times};

const USERS_TABLE: &str = "\
create table users (
    id integer primary key autoincrement,
    nickname text not null unique,
    email text not null unique
) strict;
create index users_by_email on users (email);
";

const POSTS_TABLE: &str = "\
create table posts (
    id integer primary key autoincrement,
    body text not null,
    user_id integer not null references users (id)
) strict;
";

impl Tree {
    /// Runs a command that must succeed. Returns its output without the times and numbers that differ
    /// in each run.
    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        without_times(&self.done(arguments), self)
    }
}

#[tokio::test]
async fn the_tutorial_upgrades_and_downgrades_two_tables() {
    let tree = Tree::empty();

    assert_eq!(
        tree.says(&["create"]),
        "Created /microblog.db\nCurrent database version: 0"
    );
    assert_eq!(
        tree.says(&["create"]),
        "Nothing to do: /microblog.db is already as requested\nCurrent database version: 0"
    );

    tree.declare(USERS, USERS_TABLE);
    assert_eq!(
        tree.says(&["migrate", "users table"]),
        "New migration saved as user-service/migrations/0001_users_table.up.sql
      and its down script as user-service/migrations/0001_users_table.down.sql"
    );
    tree.declare(POSTS, POSTS_TABLE);
    assert_eq!(
        tree.says(&["migrate", "posts"]),
        "New migration saved as post-service/migrations/0002_posts.up.sql
      and its down script as post-service/migrations/0002_posts.down.sql"
    );
    assert_eq!(
        tree.says(&["migrate", "posts again"]),
        "Nothing to do: the migrations produce the declared schema"
    );

    let upgraded = "\
Applied 0001 users_table (user-service) in N ms
Applied 0002 posts (post-service) in N ms
Current database version: 2";
    assert_eq!(tree.says(&["upgrade"]), upgraded);
    let schema = tree.says(&["dump"]);
    tree.dir
        .execute("insert into users (nickname, email) values ('susan', 'susan@example.com')")
        .await;

    assert_eq!(
        tree.says(&["downgrade"]),
        "Backed up version 2, N bytes, to BACKUP
Reverted 0002 posts (post-service) in N ms
Current database version: 1"
    );
    assert!(
        tree.refused(&["downgrade"], 7)
            .contains("would lose table users (1 row)")
    );
    assert_eq!(
        tree.says(&["downgrade", "--allow-data-loss"]),
        "Backed up version 1, N bytes, to BACKUP
Reverted 0001 users_table (user-service) in N ms
Lost table users (1 row)
Current database version: 0"
    );
    assert_eq!(tree.says(&["dump"]), "");
    assert_eq!(
        tree.says(&["downgrade"]),
        "Nothing to do: /microblog.db is already as requested\nCurrent database version: 0"
    );

    assert_eq!(tree.says(&["upgrade"]), upgraded);
    assert_eq!(tree.says(&["dump"]), schema);
    assert_eq!(
        tree.says(&["status"]),
        "Database: /microblog.db

number  name         owner         state    applied at            duration
0001    users_table  user-service  applied  TIME  N ms
0002    posts        post-service  applied  TIME  N ms

Current database version: 2"
    );
}

#[test]
fn existing_declarations_become_migrations() {
    let tree = Tree::empty();
    tree.declare(USERS, USERS_TABLE);
    tree.declare(POSTS, POSTS_TABLE);

    let said = tree.says(&["migrate", "both tables", "--apply"]);

    assert_eq!(
        said,
        "New migration saved as user-service/migrations/0001_both_tables.up.sql
      and its down script as user-service/migrations/0001_both_tables.down.sql
New migration saved as post-service/migrations/0002_both_tables.up.sql
      and its down script as post-service/migrations/0002_both_tables.down.sql
Created /microblog.db
Applied 0001 both_tables (user-service) in N ms
Applied 0002 both_tables (post-service) in N ms
Current database version: 2"
    );
    let dump = tree.done(&["dump"]);
    for declared in [
        "users_by_email",
        "references",
        "autoincrement",
        "strict",
        "unique",
    ] {
        assert!(dump.contains(declared), "{declared}: {dump}");
    }
    assert_eq!(tree.done(&["migrate", "--check"]).lines().count(), 1);
}
