//! The keywords of SQLite.

use std::{collections::HashSet, sync::LazyLock};

/// The keywords as a set: each quoted name looks its words up.
static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| KEYWORDS.split(' ').collect());

/// The length of the longest keyword.
const MAX_LENGTH: usize = "current_timestamp".len();

/// Reports whether a word is a keyword, in any letter case.
pub(crate) fn is_keyword(word: &str) -> bool {
    word.len() <= MAX_LENGTH && SET.contains(word.to_ascii_lowercase().as_str())
}

/// The keywords of <https://sqlite.org/lang_keywords.html>.
const KEYWORDS: &str = "\
    abort action add after all alter always analyze and as asc attach autoincrement before \
    begin between by cascade case cast check collate column commit conflict constraint \
    create cross current current_date current_time current_timestamp database default \
    deferrable deferred delete desc detach distinct do drop each else end escape except \
    exclude exclusive exists explain fail filter first following for foreign from full \
    generated glob group groups having if ignore immediate in index indexed initially \
    inner insert instead intersect into is isnull join key last left like limit match \
    materialized natural no not nothing notnull null nulls of offset on or order others \
    outer over partition plan pragma preceding primary query raise range recursive \
    references regexp reindex release rename replace restrict returning right rollback row \
    rows savepoint select set strict table temp temporary then ties to transaction trigger \
    unbounded union unique update using vacuum values view virtual when where window with \
    without";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_matches_in_any_case_and_only_as_a_whole() {
        let keywords: Vec<_> = KEYWORDS.split(' ').collect();

        assert_eq!(keywords.len(), 148);
        assert!(["abort", "Select", "WITHOUT"].into_iter().all(is_keyword));
        assert!(
            !["", " ", "users", "sel", "into is"]
                .into_iter()
                .any(is_keyword)
        );
    }
}
