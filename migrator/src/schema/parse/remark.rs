//! What comments at a declaration ask for.

use crate::{
    schema::{Name, Remark},
    sql::Token,
};

/// The directives in some comments.
pub(crate) fn remark(comments: &[Token<'_>]) -> Remark {
    let mut remark = Remark::default();
    for comment in comments {
        let mut words = comment
            .text
            .trim_end_matches("*/")
            .split(|c: char| c.is_whitespace() || c == ',')
            .peekable();
        while let Some(word) = words.next() {
            match word {
                "@added" => remark.added = true,
                "@renamed" => {
                    let old = words.peek().and_then(|word| word.strip_prefix("from="));
                    let old = old.filter(|old| !old.is_empty());
                    remark.renamed_from = old.map(Name::new).or(remark.renamed_from);
                }
                _ => {}
            }
        }
    }
    remark
}
