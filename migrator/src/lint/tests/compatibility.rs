//! Tests of the rule for running programs: M005.

use super::{BACK, REBUILD, codes, found, lint, with};
use crate::{lint::LintCode, project::ReleaseRecord};

#[tokio::test]
async fn m005_the_previous_release_keeps_working() {
    let dropped = "create table a (b);\n-- @destroys column users.bio\nalter table users drop bio;";
    let needed = REBUILD
        .replace(
            "name text not null,",
            "name text not null, a text not null,",
        )
        .replace(
            "(id, name, bio) select id, name,",
            "(id, name, a, bio) select id, name, name,",
        );
    for (up, line, statement) in [
        (dropped, 3, "select name, bio from users"),
        (
            "alter table users rename name to nick",
            1,
            "insert into users",
        ),
        (&needed, 8, "insert into users (name)"),
    ] {
        let findings = found(up).await;

        let broken = findings.iter().filter(|f| f.code == LintCode::Release);
        let first = broken
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{findings:?}"));
        assert_eq!(first.line, line, "{findings:?}");
        assert!(first.message.contains(statement), "{first}");
        assert!(
            first.message.contains("users released at version 2"),
            "{first}"
        );
    }
    assert_eq!(codes(REBUILD).await, [], "it is there again in the end");
}

#[tokio::test]
async fn m005_a_statement_broken_in_its_release_is_ignored() {
    let up =
        "drop trigger users_named;\n-- @destroys column users.bio\nalter table users drop bio;";
    let mut project = with("users", up, BACK);
    project.owners[0].released.statements = vec!["select bio, none from users".into()];
    let never = lint(&project).await.unwrap();
    project.owners[0].released = ReleaseRecord {
        version: 3,
        statements: vec!["select bio from users".into()],
    };
    let later = lint(&project).await.unwrap();

    assert_eq!((never, later), (Vec::new(), Vec::new()));
}
