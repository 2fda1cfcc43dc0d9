mod compatibility;
mod destructive;
mod rules;

use super::{Finding, LintCode, lint};
use crate::{
    project::{Owner, Project, ReleaseRecord, TextFile},
    sqlite::planner::{self, Renames},
};

const USERS: &str = "-- All of them.
create table users (id integer primary key autoincrement, name text not null, bio text);
create index users_by_name on users (name);
create trigger users_named after update of name on users begin
    update users set bio = null where id = new.id;
end;
";

const POSTS: &str = "create table posts (
    id integer primary key, body text, user_id integer references users (id)
);
create view bodies as select id, body from posts;
";

/// A rebuild without losses.
const REBUILD: &str = "create table new_users (
    id integer primary key autoincrement, name text not null, bio text check (bio <> '')
);
insert into new_users (id, name, bio) select id, name, bio from users;
update sqlite_sequence
set seq = (select seq from sqlite_sequence where name = 'users')
where name = 'new_users';
drop table users;
alter table new_users rename to users;
create index users_by_name on users (name);
create trigger users_named after update of name on users begin
    update users set bio = null where id = new.id;
end;
";

fn owner(name: &str, schema: &str, files: &[(&str, &str)], released: &[&str]) -> Owner {
    let file = |(name, text): &(&str, &str)| TextFile {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    Owner {
        name: name.to_owned(),
        schema: schema.to_owned(),
        migrations: files.iter().map(file).collect(),
        recorded: Vec::new(),
        released: ReleaseRecord {
            version: 2,
            statements: released.iter().map(|&sql| sql.to_owned()).collect(),
        },
    }
}

/// Returns two services with a migration each, without findings.
pub(crate) fn project() -> Project {
    let users = [
        ("0001_create.up.sql", USERS),
        (
            "0001_create.down.sql",
            "-- @destroys table users\ndrop table users;",
        ),
    ];
    let posts = [
        ("0002_create.up.sql", POSTS),
        (
            "0002_create.down.sql",
            "drop view bodies;\n-- @destroys table posts\ndrop table posts;",
        ),
    ];
    let released = [
        "insert into users (name) values (?1) returning id as \"id!\"",
        "select name, bio from users where id = ?1",
    ];
    Project {
        owners: vec![
            owner("users", USERS, &users, &released),
            owner("posts", POSTS, &posts, &["select body from posts"]),
        ],
        ..Project::embedded().unwrap()
    }
}

/// Returns [`project`] with another migration of a service.
pub(crate) fn with(owner: &str, up: &str, down: &str) -> Project {
    let mut project = project();
    let owner = project.owners.iter_mut().find(|known| known.name == owner);
    let migrations = &mut owner.unwrap().migrations;
    for (name, text) in [("0003_x.up.sql", up), ("0003_x.down.sql", down)] {
        migrations.push(TextFile {
            name: name.to_owned(),
            text: text.to_owned(),
        });
    }
    project
}

/// A down script that is marked as irreversible.
const BACK: &str = "-- @irreversible it is a test";

/// Returns the findings of an irreversible migration of the service `users`.
async fn found(up: &str) -> Vec<Finding> {
    lint(&with("users", up, BACK)).await.unwrap()
}

/// Returns the codes and lines of [`found`].
async fn codes(up: &str) -> Vec<(LintCode, usize)> {
    let found = found(up).await;
    found.iter().map(|f| (f.code, f.line)).collect()
}

#[tokio::test]
async fn the_services_have_no_findings() {
    for project in [Project::embedded().unwrap(), project()] {
        let findings = lint(&project).await.unwrap();

        assert_eq!(findings, []);
    }
}

#[tokio::test]
async fn a_finding_has_a_location_a_code_and_a_remedy() {
    let findings = found("\n  alter table users drop column bio;").await;

    assert_eq!(
        findings[0].to_string(),
        "users/migrations/0003_x.up.sql:2:3: M002 column users.bio is dropped; \
         keep it, or write `-- @destroys column users.bio` above the statement"
    );
    let json = serde_json::to_value(&findings[0]).unwrap();
    assert_eq!((&json["code"], &json["line"]), (&"M002".into(), &2.into()));
}

#[tokio::test]
async fn m000_a_rejected_script_is_found_with_its_location() {
    let findings = found("create index a on users (bio);\ncreate index b on users (none);").await;

    let [finding] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    assert_eq!((finding.code, finding.line), (LintCode::Refused, 2));
    assert!(finding.message.contains("none"), "{finding}");
}

#[tokio::test]
async fn generated_migrations_break_no_rule() {
    for (old, new) in [
        (
            "bio text)",
            "bio text, a text not null default 'x', b text)",
        ),
        ("bio text)", "bio text check (bio <> ''))"),
        ("bio text)", "bio text not null default '')"),
        ("bio text)", "about text -- @renamed from=bio\n)"),
        (", bio text)", ")"),
        ("name text", "name varchar"),
        ("on users (name)", "on users (name, bio)"),
        ("autoincrement", ""),
    ] {
        let mut project = project();
        project.owners[0].schema = USERS
            .replace(old, new)
            // The named column may be dropped.
            .replace("set bio = null", "set name = 'x'");
        for owner in &mut project.owners {
            owner.released.statements.clear();
        }
        let scripts = super::Scripts::new(&project).unwrap();
        let steps = scripts.steps();
        let executed = super::ExecutedScripts::run(&project, &steps).await;
        let from = executed.unwrap().scratch.schema();
        let to = crate::scratch::desired::DesiredSchema::new(&project)
            .await
            .unwrap()
            .schema;
        let (renames, _) = Renames::find(&from, &to).unwrap();
        let up = planner::plan(&from, &to, &renames).unwrap().script();
        let down = planner::plan_down(&from, &to, &renames).unwrap().script();

        let schema = project.owners[0].schema.clone();
        let mut project = with("users", &up, &down);
        project.owners[0].schema = schema;
        project.owners[0].released.statements.clear();
        let findings = lint(&project).await.unwrap();

        assert_eq!(findings, [], "{new}:\n{up}\n{down}");
    }
}
