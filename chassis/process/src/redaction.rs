//! Hides the values of settings that came from files, which may be secrets, in everything that a
//! process prints.
//!
//! A value may reach an output by many paths: an error of the engine names the database file, for
//! example. The outputs therefore redact their whole text. Only values with a scheme, a path or an
//! address are redacted: others are numbers and words, which also occur by chance.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::OnceLock,
};

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

/// The texts to hide. The longest comes first, since a text can contain another one.
#[derive(Debug, Default)]
pub(crate) struct Redaction(Vec<Hidden>);

#[derive(Debug)]
struct Hidden {
    text: String,
    /// The text that replaces it.
    shown: String,
    place: Place,
}

/// The places at which a text is hidden.
#[derive(Clone, Copy, Debug)]
enum Place {
    Anywhere,
    /// Where it is a whole part of a path. A relative one must also adjoin a slash: alone it may be
    /// a word.
    InPath,
}

impl Redaction {
    /// Adds the value that came from the file of `file_variable`, the part after its scheme, since
    /// messages name the path of a database without `sqlite:`, and the directory of that path, which
    /// has the backups.
    pub(crate) fn add(&mut self, value: &str, file_variable: &str) {
        let value = value.trim();
        let rest = value.split_once(':').map_or("", |(_, rest)| rest);
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let is_distinctive = |text: &str| text.contains(['/', ':', '@']) && text.len() > 1;
        let rest_is = is_distinctive(rest) || rest.contains('.') || rest.len() >= MIN_WORD_LENGTH;
        let shown = format!("[{file_variable}]");
        for (text, hidden) in [(value, is_distinctive(value)), (rest, rest_is)] {
            if hidden {
                self.hide(text, &shown, Place::Anywhere);
            }
        }
        if rest.is_empty() && value.len() >= MIN_WORD_LENGTH {
            self.hide(value, &shown, Place::InPath);
        }
        let path = Path::new(if rest.is_empty() { value } else { rest });
        // A printed path has neither repeated slashes nor `.` in the middle.
        let path: PathBuf = path.components().collect();
        if path.components().count() > 1 {
            self.hide(&path.to_string_lossy(), &shown, Place::Anywhere);
        }
        if let Some(parent) = path.parent().filter(|it| it.file_name().is_some()) {
            let shown = format!("{shown}/..");
            self.hide(&parent.to_string_lossy(), &shown, Place::InPath);
        }
        self.0.sort_by_key(|it| std::cmp::Reverse(it.text.len()));
    }

    fn hide(&mut self, text: &str, shown: &str, place: Place) {
        let mut texts = vec![text.to_owned(), text.escape_debug().to_string()];
        texts.dedup();
        for text in texts {
            let shown = shown.to_owned();
            self.0.push(Hidden { text, shown, place });
        }
    }

    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.iter().fold(text.into(), |text, hidden| {
            if text.contains(&hidden.text) {
                hidden.replace(&text).into()
            } else {
                text
            }
        })
    }
}

impl Hidden {
    fn replace(&self, text: &str) -> String {
        let mut replaced = String::new();
        let mut end = 0;
        for (start, found) in text.match_indices(&self.text) {
            let (before, after) = (&text[..start], &text[start + found.len()..]);
            if self.is_hidden_between(before, after) {
                replaced.push_str(&text[end..start]);
                replaced.push_str(&self.shown);
                end = start + found.len();
            }
        }
        replaced + &text[end..]
    }

    fn is_hidden_between(&self, before: &str, after: &str) -> bool {
        let continues = |c: char| c.is_alphanumeric() || ['-', '_', '.'].contains(&c);
        match self.place {
            Place::Anywhere => true,
            Place::InPath => {
                let in_path = self.text.starts_with('/') || before.ends_with('/');
                !before.ends_with(continues)
                    && (after.starts_with('/') || in_path && !after.starts_with(continues))
            }
        }
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
    fn the_directory_of_a_path_is_hidden() {
        for (value, text, shown) in [
            (
                "sqlite:/a/var/x.db",
                "to /a/var/backups/x-1.db",
                "to [X_FILE]/../backups/x-1.db",
            ),
            (
                "sqlite:/a/var/x.db",
                "/a/var belongs to uid 1",
                "[X_FILE]/.. belongs to uid 1",
            ),
            (
                "sqlite:/a//var/./x.db",
                "/a/var/x.db-wal, /a/var",
                "[X_FILE]-wal, [X_FILE]/..",
            ),
            (
                "sqlite:/a/var/x.db",
                "/a/variable, /b/a/var, /a/var.old",
                "/a/variable, /b/a/var, /a/var.old",
            ),
            (
                "sqlite:var/x.db",
                r#"{"path":"var/backups/x-1.db"} /cwd/var var"#,
                r#"{"path":"[X_FILE]/../backups/x-1.db"} /cwd/[X_FILE]/.. var"#,
            ),
            (
                "/mnt/b",
                "Backups in /mnt/b: /mnt/b/x-1.db",
                "Backups in [X_FILE]: [X_FILE]/x-1.db",
            ),
            (
                "safe-place",
                "Backups in /data/safe-place: safe-place",
                "Backups in /data/[X_FILE]: safe-place",
            ),
        ] {
            let mut redaction = Redaction::default();
            redaction.add(value, "X_FILE");

            assert_eq!(redaction.redact(text), shown, "{value}");
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
