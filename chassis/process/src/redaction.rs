//! Hides the values of settings that came from files, which may be secrets, in everything that a
//! process prints.
//!
//! A value may reach an output by many paths: an error of the engine names the database file, for
//! example. The outputs therefore redact their whole text. Only values with a scheme, a path or an
//! address are redacted: others are numbers and words, which also occur by chance.

use std::{borrow::Cow, sync::OnceLock};

/// The minimum length of a redacted word. A shorter one also occurs by chance.
const MIN_WORD_LENGTH: usize = 8;

static REDACTION: OnceLock<Redaction> = OnceLock::new();

/// Replaces the values of settings that came from files by the names of their variables.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    REDACTION.get().map_or(text.into(), |all| all.redact(text))
}

/// Hides the values of `redaction` in all later output. Only the first call has an effect.
pub(crate) fn install(redaction: Redaction) {
    // The only error is that a redaction is installed already.
    let _ = REDACTION.set(redaction);
}

/// The texts to hide, each with the text that replaces it.
#[derive(Debug, Default)]
pub(crate) struct Redaction(Vec<(String, String)>);

impl Redaction {
    /// Adds the value that came from the file of `file_variable`, and the part after its scheme:
    /// messages name the path of a database without `sqlite:`.
    pub(crate) fn add(&mut self, value: &str, file_variable: &str) {
        let value = value.trim();
        let rest = value.split_once(':').map_or("", |(_, rest)| rest);
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let is_distinctive = |text: &str| text.contains(['/', ':', '@']) && text.len() > 1;
        let rest_is = is_distinctive(rest) || rest.contains('.') || rest.len() >= MIN_WORD_LENGTH;
        for (text, hidden) in [(value, is_distinctive(value)), (rest, rest_is)] {
            if hidden {
                let shown = format!("[{file_variable}]");
                let escaped = text.escape_debug().to_string();
                if escaped != text {
                    self.0.push((escaped, shown.clone()));
                }
                self.0.push((text.to_owned(), shown));
            }
        }
        // A value can contain another one.
        self.0
            .sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }

    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.iter().fold(text.into(), |text, (hidden, shown)| {
            if text.contains(hidden.as_str()) {
                text.replace(hidden.as_str(), shown).into()
            } else {
                text
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_and_its_part_after_the_scheme_are_hidden() {
        for (value, text) in [
            ("sqlite:///var/x.db", "the file /var/x.db-wal is missing"),
            ("sqlite:x.db\n", "sqlite:x.db is locked"),
            ("sqlite:a \"b\"/x.db", r#"{"file":"a \"b\"/x.db"}"#),
            ("http://user:pw@host:1", "no route to user:pw@host:1"),
            ("127.0.0.1:5", "listening on 127.0.0.1:5"),
        ] {
            let mut redaction = Redaction::default();
            redaction.add(value, "X_FILE");

            let shown = redaction.redact(text);

            assert!(shown.contains("[X_FILE]"), "{value}: {shown}");
            assert!(
                !shown.contains("x.db") && !shown.contains("host"),
                "{shown}"
            );
        }
    }

    #[test]
    fn numbers_and_words_are_not_hidden() {
        for value in ["1", "info", "150ms", "true", "/"] {
            let mut redaction = Redaction::default();
            redaction.add(value, "X_FILE");

            assert_eq!(
                redaction.redact("info: 1 / 150ms true"),
                "info: 1 / 150ms true"
            );
        }
    }
}
