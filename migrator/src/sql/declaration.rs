//! The statements that a `schema.sql` may contain. Knows no database.

use super::{Token, significant_tokens};

/// Returns the reason why a statement is not a declaration, or `None` if it is one.
///
/// A `schema.sql` declares tables, indexes, views and triggers. PRAGMA, BEGIN, COMMIT and DROP IF
/// EXISTS are ignored, since scripts for other programs contain them.
pub(crate) fn rejection(statement: &str) -> Option<&'static str> {
    let tokens = significant_tokens(statement);
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    let any = |at: usize, words: &[&str]| words.iter().any(|word| is(at, word));
    if any(0, &["pragma", "begin", "commit", "end"]) {
        return None;
    }
    if is(0, "drop") && is(2, "if") && is(3, "exists") {
        return None;
    }
    if any(0, &["insert", "replace", "update", "delete", "with"]) {
        return Some(
            "it changes rows, which are not migrated from schema.sql: write it into a migration, \
             see `migrator migrate --empty`",
        );
    }
    if !is(0, "create") {
        return Some("it declares no table, index, view or trigger: remove it");
    }
    if any(1, &["temp", "temporary"]) || is_in_temp(&tokens) {
        return Some("it declares a temporary object, which no migration creates: remove it");
    }
    if is(1, "table") {
        let mut body = tokens
            .iter()
            .skip(2)
            .take_while(|token| !token.is_symbol("("));
        if body.any(|token| token.is("as")) {
            return Some(
                "it copies rows, which are not migrated from schema.sql: declare the columns",
            );
        }
    }
    None
}

/// Reports whether the created object is qualified with the database `temp`.
fn is_in_temp(tokens: &[Token<'_>]) -> bool {
    let dot = tokens.iter().take(8).position(|token| token.is_symbol("."));
    let name = dot.and_then(|dot| tokens.get(dot.checked_sub(1)?));
    let before_body = |at: usize| !tokens[..at].iter().any(|token| token.is_symbol("("));
    dot.is_some_and(before_body)
        && name.is_some_and(|name| name.unquoted().eq_ignore_ascii_case("temp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declarations_and_harmless_statements_are_accepted() {
        for accepted in [
            "create table a (b)",
            "CREATE UNIQUE INDEX i on a (b)",
            "create view v as select 1",
            "create trigger g after insert on a begin insert into b values (1); end",
            "pragma foreign_keys = on",
            "begin transaction",
            "commit",
            "drop table if exists a",
        ] {
            assert_eq!(rejection(accepted), None, "{accepted}");
        }
        for (rejected, why) in [
            ("insert into a values (1)", "rows"),
            ("with x as (select 1) insert into a select * from x", "rows"),
            ("create table a as select 1 as b", "rows"),
            ("create temp table a (b)", "temporary"),
            ("create table temp.a (b)", "temporary"),
            (
                "create temporary trigger g after insert on a begin select 1; end",
                "temporary",
            ),
            ("alter table a add column b", "no table"),
            ("drop table a", "no table"),
            ("select 1", "no table"),
            ("vacuum", "no table"),
        ] {
            let found = rejection(rejected);

            assert!(
                found.is_some_and(|found| found.contains(why)),
                "{rejected}: {found:?}"
            );
        }
    }
}
