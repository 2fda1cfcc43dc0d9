//! Nicknames, with the PRECIS profile of [RFC 8266](https://www.rfc-editor.org/rfc/rfc8266).

use serde::Serialize;

use super::precis::{self, PrecisError};

/// The maximum length of a nickname, in code points.
const MAX_LEN: usize = 64;

/// The maximum length of a text that is normalized at all, in code points. A longer one would
/// only cost time.
const MAX_RAW_LEN: usize = 16 * MAX_LEN;

/// A nickname as displayed, and its comparison form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nickname {
    text: String,
    #[serde(skip)]
    key: String,
}

impl Nickname {
    /// Parses a nickname. White space is trimmed and collapsed, and compatibility characters are
    /// replaced (RFC 8266, section 2.3).
    ///
    /// # Errors
    ///
    /// A description for the client if the text is empty, is longer than 64 code points, or has a
    /// character that the profile does not allow, such as a control character.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_ascii(text).map_or_else(|| Self::from_unicode(text), Ok)
    }

    /// Parses a nickname of printable ASCII and single spaces, and returns `None` for others. The
    /// profile would look up every character twice, only to lower the letter case of the key.
    fn from_ascii(text: &str) -> Option<Self> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let spaced = text.trim().len() == text.len() && !text.contains("  ");
        let short = (1..=MAX_LEN).contains(&text.len());
        (printable && spaced && short).then(|| Self {
            text: text.to_owned(),
            key: text.to_ascii_lowercase(),
        })
    }

    fn from_unicode(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty; give 1 to 64 characters".into());
        }
        if text.chars().nth(MAX_RAW_LEN).is_some() {
            return Err(format!(
                "it has more than {MAX_RAW_LEN} characters; at most {MAX_LEN} are allowed"
            ));
        }
        let text = precis::enforce(text).map_err(explain)?;
        let length = text.chars().count();
        if length > MAX_LEN {
            return Err(format!(
                "it has {length} characters; at most {MAX_LEN} are allowed"
            ));
        }
        let key = precis::comparison_form(&text).map_err(explain)?;
        Ok(Self { text, key })
    }

    /// Returns the nickname as displayed: 1 to 64 code points.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the comparison form. It is equal for nicknames that differ only in letter case or in
    /// characters that the profile maps to the same ones.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn explain(error: PrecisError) -> String {
    match error {
        PrecisError::Disallowed {
            position,
            character,
        } => format!(
            "character {} is U+{:04X}, which is not allowed there in a nickname (RFC 8266)",
            position + 1,
            u32::from(character)
        ),
        PrecisError::Invalid => "it is not a nickname that can be compared (RFC 8266)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(nickname: &str) -> String {
        Nickname::parse(nickname).unwrap().text
    }

    fn key(nickname: &str) -> String {
        Nickname::parse(nickname).unwrap().key
    }

    #[test]
    fn white_space_is_trimmed_and_collapsed() {
        assert_eq!(text("  John \u{3000}\u{2003} Doe "), "John Doe");
    }

    #[test]
    fn the_letter_case_of_a_nickname_is_preserved() {
        assert_eq!(text("McGregor"), "McGregor");
    }

    #[test]
    fn nicknames_that_differ_only_in_letter_case_have_one_key() {
        for (one, other) in [
            ("Susan", "sUSAN"),
            ("ÉMILE", "émile"),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ] {
            assert_eq!(key(one), key(other));
        }
    }

    #[test]
    fn compatibility_variants_have_one_key() {
        for (one, other) in [("e\u{301}", "é"), ("ｊｏｈｎ", "john"), ("ﬁn", "fin")] {
            assert_eq!(key(one), key(other));
        }
    }

    #[test]
    fn nicknames_that_differ_in_a_letter_have_two_keys() {
        assert_ne!(key("susan"), key("suzan"));
    }

    #[test]
    fn the_ascii_parser_agrees_with_the_profile() {
        let ascii = || (0..=127_u8).map(char::from);
        let short = ascii().flat_map(|a| ascii().map(move |b| format!("{a}{b}")));
        let between = ascii().map(|c| format!("A{c}{c}Z"));
        let long = [63, 64, 65].map(|length| "aZ".repeat(40)[..length].to_owned());
        let mut plain = 0;

        for text in short.chain(between).chain(long).chain([String::new()]) {
            if let Some(nickname) = Nickname::from_ascii(&text) {
                assert_eq!(Nickname::from_unicode(&text).as_ref(), Ok(&nickname));
                plain += 1;
            }
        }

        assert_eq!(plain, 94 * 94 + 94 + 2);
    }

    #[test]
    fn a_nickname_is_limited_by_code_points_not_by_bytes() {
        assert_eq!(text(&"😀".repeat(64)).chars().count(), 64);
        assert!(Nickname::parse(&"😀".repeat(65)).is_err());
    }

    #[test]
    fn a_disallowed_character_is_rejected_with_its_position() {
        for (nickname, position) in [
            ("a\u{0}b", "character 2 is U+0000"),
            ("ab\ncd", "character 3 is U+000A"),
            ("\u{202e}nasus", "character 1 is U+202E"),
            ("jo\u{200b}hn", "character 3 is U+200B"),
        ] {
            let rejection = Nickname::parse(nickname).unwrap_err();
            assert!(rejection.starts_with(position), "{rejection}");
        }
    }

    #[test]
    fn white_space_alone_is_rejected() {
        for nickname in ["", " ", "\u{3000}\t"] {
            let rejection = Nickname::parse(nickname).unwrap_err();
            assert!(rejection.contains("empty"), "{rejection}");
        }
    }

    #[test]
    fn a_far_too_long_text_is_rejected_without_normalization() {
        let rejection = Nickname::parse(&"\u{fdfa}".repeat(1_300_000)).unwrap_err();

        assert!(rejection.contains("more than 1024"), "{rejection}");
    }
}
