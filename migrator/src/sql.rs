//! SQL as text: tokens, and the statements of a script with their locations. Knows no database.

pub(crate) mod cursor;
pub(crate) mod declaration;
pub(crate) mod destructive_change;
pub(crate) mod directives;
pub(crate) mod forbidden;
mod keywords;
pub(crate) mod location;
pub(crate) mod name;
pub(crate) mod operation;
pub(crate) mod token;

pub(crate) use self::{
    keywords::is_keyword,
    token::{Token, TokenKind, quoted, significant_tokens, tokens},
};

/// A statement of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    /// The text without leading comments and without the semicolon.
    pub(crate) text: &'a str,
    /// The byte offset in the script.
    pub(crate) offset: usize,
    /// The comments directly before the statement, or an empty text.
    pub(crate) comment: &'a str,
}

/// Splits a script into its statements. Skips empty statements.
pub(crate) fn statements(script: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut comments: Option<(usize, usize)> = None;
    let mut body: Vec<Token<'_>> = Vec::new();
    let mut ended = 0;
    let mut finish = |body: &mut Vec<Token<'_>>, comments: &mut Option<(usize, usize)>| {
        if let (Some(first), Some(last)) = (body.first(), body.last()) {
            statements.push(Statement {
                text: &script[first.offset..last.end()],
                offset: first.offset,
                comment: comments.map_or("", |(from, to)| &script[from..to]),
            });
        }
        body.clear();
        *comments = None;
    };
    for token in tokens(script) {
        if token.kind == TokenKind::Comment {
            // A comment on the line of a semicolon belongs to the finished statement.
            let own_line = ended == 0 || script[ended..token.offset].contains('\n');
            if body.is_empty() && own_line {
                let from = comments.map_or(token.offset, |(from, _)| from);
                comments = Some((from, token.end()));
            }
        } else if token.is_symbol(";") && ends_statement(&body) {
            finish(&mut body, &mut comments);
            ended = token.end();
        } else {
            body.push(token);
        }
    }
    finish(&mut body, &mut comments);
    statements
}

/// Reports whether a semicolon after these tokens ends the statement. In a trigger, only a
/// semicolon after `; END` does.
fn ends_statement(body: &[Token<'_>]) -> bool {
    let mut words = body.iter();
    let mut first = words.next();
    if first.is_some_and(|word| word.is("explain")) {
        first = words.find(|word| !word.is("query") && !word.is("plan"));
    }
    let mut second = words.next();
    if second.is_some_and(|word| word.is("temp") || word.is("temporary")) {
        second = words.next();
    }
    let in_trigger = first.is_some_and(|word| word.is("create"))
        && second.is_some_and(|word| word.is("trigger"));
    match body {
        _ if !in_trigger => true,
        [.., before, last] => before.is_symbol(";") && last.is("end"),
        _ => false,
    }
}

/// Returns the canonical spelling of SQL: without comments, in lower case, with normalised
/// whitespace.
pub(crate) fn normalised(sql: &str) -> String {
    join(&significant_tokens(sql))
}

/// Joins tokens in their canonical spelling.
pub(crate) fn join(tokens: &[Token<'_>]) -> String {
    let mut joined = String::new();
    for (at, token) in tokens.iter().enumerate() {
        if at > 0 && needs_space(&tokens[..at], token) {
            joined.push(' ');
        }
        joined.push_str(&token.canonical());
    }
    joined
}

/// Reports whether a space separates a token from the previous ones.
fn needs_space(before: &[Token<'_>], token: &Token<'_>) -> bool {
    let [earlier @ .., before] = before else {
        return false;
    };
    let tight_after = ["(", "."].iter().any(|symbol| before.is_symbol(symbol));
    let tight_before = [")", ",", ".", ";"]
        .iter()
        .any(|symbol| token.is_symbol(symbol));
    // A function call.
    let named = matches!(before.kind, TokenKind::Word | TokenKind::Quoted)
        && !is_keyword(&before.canonical());
    let call = token.is_symbol("(") && named;
    // A sign rather than a binary operator.
    let operand = earlier.last().is_some_and(|earlier| {
        earlier.is_symbol(")")
            || (earlier.kind != TokenKind::Symbol && !is_keyword(&earlier.canonical()))
    });
    let sign = (before.is_symbol("-") || before.is_symbol("+")) && !operand;
    !tight_after && !tight_before && !call && !sign
}

#[cfg(test)]
mod tests {
    use super::{location::SourceLocation, *};

    fn texts(script: &str) -> Vec<&str> {
        statements(script).iter().map(|s| s.text).collect()
    }

    #[test]
    fn a_script_is_split_into_statements() {
        for (script, expected) in [
            ("", &[][..]),
            (" ; ;; -- nothing", &[]),
            ("select 1", &["select 1"]),
            ("select 1;\nselect ';' ; ", &["select 1", "select ';'"]),
            (
                "create trigger t after insert on a begin select 1; select 2; end; select 3",
                &[
                    "create trigger t after insert on a begin select 1; select 2; end",
                    "select 3",
                ],
            ),
            (
                "create temp trigger t after insert on a begin select case 1 when 1 then 2 end; end;select 3",
                &[
                    "create temp trigger t after insert on a begin select case 1 when 1 then 2 end; end",
                    "select 3",
                ],
            ),
            (
                "create table end (a); select 1",
                &["create table end (a)", "select 1"],
            ),
        ] {
            assert_eq!(texts(script), expected, "{script}");
        }
    }

    #[test]
    fn a_statement_has_its_location_and_leading_comments() {
        let script = "-- one\n-- two\nselect 1; -- of the first\n\n/* three */ select\n é, x;";

        let found = statements(script);

        let location = |offset| SourceLocation::new("a.sql", script, offset).to_string();
        assert_eq!(found[0].comment, "-- one\n-- two");
        assert_eq!(location(found[0].offset), "a.sql:3:1");
        assert_eq!(found[1].comment, "/* three */");
        assert_eq!(location(found[1].offset), "a.sql:5:13");
        assert_eq!(location(script.find('x').unwrap()), "a.sql:6:5");
    }

    #[test]
    fn equal_statements_have_one_spelling() {
        for sql in [
            "create table a (b text check (length(b)<>0))",
            "CREATE TABLE  \"A\" ( [b] TEXT -- why\n CHECK(length (`B`) != 0) /* so */ )",
        ] {
            assert_eq!(
                normalised(sql),
                "create table a(b text check (length(b) <> 0))"
            );
        }
    }

    #[test]
    fn different_statements_have_different_spellings() {
        for (a, b) in [
            ("'a'", "'A'"),
            ("a", "'a'"),
            ("ab", "a b"),
            ("\"select\"", "select"),
            ("1", "1.0"),
        ] {
            assert_ne!(normalised(a), normalised(b));
        }
    }
}
