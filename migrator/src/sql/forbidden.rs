//! Statements that no migration may contain, since they end the transaction of a run or reach
//! outside the database. Knows no database.

use super::token::{Token, significant_tokens};

/// Returns the operation of a forbidden statement, or `None` for an allowed one.
pub(crate) fn forbidden(sql: &str) -> Option<String> {
    let tokens = significant_tokens(sql);
    let first = tokens.first()?.text.to_ascii_uppercase();
    let second = tokens.get(1);
    let temporary = |token: &Token<'_>| token.is("temp") || token.is("temporary");
    match first.as_str() {
        "BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "PRAGMA" | "ATTACH"
        | "DETACH" | "VACUUM" => Some(format!("say {first}")),
        "CREATE" if second.is_some_and(|token| token.is("virtual")) => {
            Some("make virtual tables".into())
        }
        "CREATE" | "DROP" | "ALTER" | "INSERT" | "UPDATE" | "DELETE" => {
            let named = tokens
                .windows(2)
                .any(|pair| temporary(&pair[0]) && pair[1].is_symbol("."));
            (second.is_some_and(temporary) || named).then(|| "use temporary objects".into())
        }
        _ => None,
    }
}
