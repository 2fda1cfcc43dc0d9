//! What comments at a declaration ask for.

use super::{name::Name, token::Token};

/// What the comments at a declaration say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remark {
    /// The comments before it, one for each line; as they are written.
    pub(crate) lines: Vec<String>,
    /// `@renamed from=old`: what it was called before.
    pub(crate) renamed_from: Option<Name>,
    /// `@added`: it is none of those that were there before.
    pub(crate) added: bool,
}

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
