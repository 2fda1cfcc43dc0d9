//! A cursor over the tokens of a statement, without its comments.

use super::{
    name::Name,
    token::{Token, TokenKind, tokens},
};

/// The reason why a statement cannot be parsed.
pub(crate) type ParseError = String;

/// A position among the tokens of a statement.
pub(crate) struct Cursor<'a> {
    pub(crate) sql: &'a str,
    tokens: Vec<Token<'a>>,
    comments: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(sql: &'a str) -> Self {
        let (comments, tokens) = tokens(sql)
            .into_iter()
            .partition(|token| token.kind == TokenKind::Comment);
        Self {
            sql,
            tokens,
            comments,
            at: 0,
        }
    }

    pub(crate) fn comments(&self) -> &[Token<'a>] {
        &self.comments
    }

    /// Returns the next token.
    pub(crate) fn next(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at)
    }

    /// Returns the token after the next one.
    pub(crate) fn second(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at + 1)
    }

    /// Returns the byte offset of the next token.
    pub(crate) fn offset(&self) -> usize {
        self.next().map_or(self.sql.len(), |token| token.offset)
    }

    /// Returns the byte offset of the end of the previous token.
    pub(crate) fn end(&self) -> usize {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.map_or(0, Token::end)
    }

    pub(crate) fn peek(&self, keyword: &str) -> bool {
        self.next().is_some_and(|token| token.is(keyword))
    }

    /// Reports whether the next two tokens are these keywords.
    pub(crate) fn peek_both(&self, first: &str, second: &str) -> bool {
        self.peek(first) && self.second().is_some_and(|token| token.is(second))
    }

    pub(crate) fn peek_symbol(&self, symbol: &str) -> bool {
        self.next().is_some_and(|token| token.is_symbol(symbol))
    }

    /// Consumes a keyword if it is next.
    pub(crate) fn eat(&mut self, keyword: &str) -> bool {
        let is_next = self.peek(keyword);
        self.at += usize::from(is_next);
        is_next
    }

    /// Consumes a symbol if it is next.
    pub(crate) fn eat_symbol(&mut self, symbol: &str) -> bool {
        let is_next = self.peek_symbol(symbol);
        self.at += usize::from(is_next);
        is_next
    }

    pub(crate) fn expect(&mut self, keyword: &str) -> Result<(), ParseError> {
        if self.eat(keyword) {
            return Ok(());
        }
        Err(self.unexpected(keyword))
    }

    pub(crate) fn expect_symbol(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.eat_symbol(symbol) {
            return Ok(());
        }
        Err(self.unexpected(symbol))
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> ParseError {
        match self.next() {
            Some(token) => format!("found `{}` instead of `{wanted}`", token.text),
            None => format!("found the end instead of `{wanted}`"),
        }
    }

    pub(crate) fn name(&mut self) -> Result<Name, ParseError> {
        match self.next().filter(|token| token.is_name()) {
            Some(token) => {
                let name = Name::new(&token.unquoted());
                self.at += 1;
                Ok(name)
            }
            None => Err(self.unexpected("a name")),
        }
    }

    /// Consumes a name with an optional database name before it.
    pub(crate) fn qualified_name(&mut self) -> Result<Name, ParseError> {
        let name = self.name()?;
        if self.eat_symbol(".") {
            return self.name();
        }
        Ok(name)
    }

    /// Consumes any token.
    pub(crate) fn any(&mut self) -> Result<Token<'a>, ParseError> {
        let token = self
            .next()
            .copied()
            .ok_or_else(|| self.unexpected("more"))?;
        self.at += 1;
        Ok(token)
    }

    /// Consumes `( … )` and returns the tokens inside.
    pub(crate) fn parenthesised(&mut self) -> Result<&[Token<'a>], ParseError> {
        self.expect_symbol("(")?;
        let from = self.at;
        let mut depth = 1;
        while depth > 0 {
            let token = self.any()?;
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth -= 1;
            }
        }
        Ok(&self.tokens[from..self.at - 1])
    }

    /// Consumes the tokens before the first of these keywords outside parentheses, or all.
    pub(crate) fn until(&mut self, keywords: &[&str]) -> &[Token<'a>] {
        let from = self.at;
        let rest = &self.tokens[from..];
        let end = outside(rest, |token| keywords.iter().any(|word| token.is(word)));
        self.at += end.unwrap_or(rest.len());
        &self.tokens[from..self.at]
    }

    /// Consumes the remaining tokens.
    pub(crate) fn rest(&mut self) -> &[Token<'a>] {
        self.until(&[])
    }
}

/// Finds the first token outside parentheses that satisfies a condition.
fn outside(tokens: &[Token<'_>], condition: impl Fn(&Token<'_>) -> bool) -> Option<usize> {
    let mut depth = 0;
    tokens.iter().position(|token| {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth -= 1;
        }
        depth == 0 && condition(token)
    })
}

/// Splits tokens at the commas outside parentheses.
pub(crate) fn split<'t, 'a>(mut tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut parts = Vec::new();
    while let Some(comma) = outside(tokens, |token| token.is_symbol(",")) {
        parts.push(&tokens[..comma]);
        tokens = &tokens[comma + 1..];
    }
    parts.push(tokens);
    parts
}

/// Returns the names among tokens.
pub(crate) fn names(tokens: &[Token<'_>]) -> Vec<Name> {
    let names = tokens.iter().filter(|token| token.is_name());
    names.map(|token| Name::new(&token.unquoted())).collect()
}

/// Reports whether the parentheses are balanced.
pub(crate) fn is_balanced(tokens: &[Token<'_>]) -> bool {
    let mut depth = 0;
    for token in tokens {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth -= 1;
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}
