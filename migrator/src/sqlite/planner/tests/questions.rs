//! Renames, new objects, and the questions about them.

use super::declared;
use crate::sql::name::Name;
use crate::sqlite::{
    planner::{Error, Question, Renames, plan, question::QuestionKind},
    schema::Schema,
};

async fn both(from: &str, to: &str) -> (Schema, Schema) {
    (declared(from).await, declared(to).await)
}

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| Name::new(name)).collect()
}

#[tokio::test]
async fn a_new_column_beside_a_dropped_one_raises_a_question() {
    let (from, to) = both("create table t (a, b, c)", "create table t (a, d, e)").await;

    let (mut renames, questions) = Renames::find(&from, &to).unwrap();

    let question = |new: &str, candidates| Question {
        kind: QuestionKind::Column,
        table: Name::new("t"),
        new: Name::new(new),
        candidates: names(candidates),
    };
    assert_eq!(
        questions,
        [question("d", &["b", "c"]), question("e", &["b", "c"])]
    );
    assert!(matches!(
        plan(&from, &to, &renames),
        Err(Error::Ambiguous(_))
    ));

    let open = renames
        .resolve(&from, &to, &questions[0], Some(Name::new("c")))
        .unwrap();
    assert_eq!(open, [question("e", &["b"])]);
    let open = renames.resolve(&from, &to, &open[0], None).unwrap();
    assert_eq!(open, []);
    let script = plan(&from, &to, &renames).unwrap().script();
    assert_eq!(
        script,
        "alter table t rename column c to d;\n\nalter table t add column e;\n\n\
         -- @destroys column t.b\nalter table t drop column b;\n"
    );
}

#[tokio::test]
async fn a_table_similar_to_a_dropped_one_raises_a_question() {
    let (from, to) = both(
        "create table users (id, name, bio)",
        "create table accounts (id, name, about); create table posts (body, at)",
    )
    .await;

    let (mut renames, questions) = Renames::find(&from, &to).unwrap();

    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].kind, QuestionKind::Table);
    assert_eq!(questions[0].new, Name::new("accounts"));
    assert_eq!(
        questions[0].to_string(),
        "table accounts may be new, or users renamed"
    );
    let users = Some(Name::new("users"));
    let open = renames.resolve(&from, &to, &questions[0], users).unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        open[0].to_string(),
        "column accounts.about may be new, or bio renamed"
    );
    assert_eq!(renames.resolve(&from, &to, &open[0], None).unwrap(), []);
}

#[tokio::test]
async fn an_applied_directive_is_ignored_afterwards() {
    let from = "create table users (id, name, bio)";
    let to = "-- @renamed from=users
        create table accounts (id,
            -- @renamed from=name
            nickname,
            -- @added
            about)";
    let (before, after) = both(from, to).await;

    let (renames, questions) = Renames::find(&before, &after).unwrap();

    assert_eq!(questions, []);
    assert_eq!(renames.tables().count(), 1);
    assert_eq!(renames.columns().count(), 1);
    for applied in [after, Schema::default()] {
        let (renames, questions) = Renames::find(&applied, &declared(to).await).unwrap();
        assert_eq!(questions, []);
        assert_eq!(renames.tables().count() + renames.columns().count(), 0);
    }
}

#[tokio::test]
async fn a_directive_with_an_unknown_name_is_an_error() {
    for (to, new) in [
        ("create table t (a, b,\n/* @renamed from=x */ c)", "t.c"),
        ("create table t (a, b,\n/* @renamed from=a */ c)", "t.c"),
        (
            "create table t (a,\n/* @renamed from=b */ c,\n/* @renamed from=b */ d)",
            "t.d",
        ),
        (
            "create table t (a, b);\n-- @renamed from=x\ncreate table u (a, b)",
            "u",
        ),
    ] {
        let (from, to) = both("create table t (a, b)", to).await;

        let error = Renames::find(&from, &to).unwrap_err();

        assert!(
            matches!(&error, Error::UnresolvedDirective { new: n, .. } if n == new),
            "{error}"
        );
    }
}
