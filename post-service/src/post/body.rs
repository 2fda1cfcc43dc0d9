//! What a post says.

use std::sync::Arc;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

/// The longest body, in code points.
const LONGEST: usize = 140;

/// The longest text that is looked at, in code points.
const LONGEST_RAW: usize = 16 * LONGEST;

/// The text of a post, in Normalization Form C. Copies share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Body(Arc<str>);

impl Body {
    /// The body that a text is. Nothing is cut off or trimmed.
    ///
    /// # Errors
    ///
    /// What is wrong with the text: it is empty, longer than 140 code points, or has a
    /// control character other than line feed and tab.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("it is empty; give 1 to {LONGEST} characters"));
        }
        // Normalization Form C makes no text shorter by so much.
        if text.chars().nth(LONGEST_RAW).is_some() {
            return Err(format!(
                "it has more than {LONGEST_RAW} characters; at most {LONGEST} are allowed"
            ));
        }
        let control = text
            .chars()
            .enumerate()
            .find(|&(_, c)| c.is_control() && !matches!(c, '\n' | '\t'));
        if let Some((index, control)) = control {
            return Err(format!(
                "character {} is the control character U+{:04X}; only line feed and tab are \
                 allowed",
                index + 1,
                u32::from(control)
            ));
        }
        // ASCII is in that form as it is.
        let text: Arc<str> = if text.is_ascii() {
            text.into()
        } else {
            text.nfc().collect::<String>().into()
        };
        let length = text.chars().count();
        if length > LONGEST {
            return Err(format!(
                "it has {length} characters; at most {LONGEST} are allowed"
            ));
        }
        Ok(Self(text))
    }

    /// 1 to 140 code points.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 1 to 140 code points.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_140_characters_at_most_however_many_bytes_they_take() {
        assert!(Body::parse(&"😀".repeat(140)).is_ok());
        assert!(Body::parse(&"😀".repeat(141)).unwrap_err().contains("141"));
    }

    #[test]
    fn what_is_far_too_long_is_refused_before_it_is_normalized() {
        let refusal = Body::parse(&"\u{301}".repeat(2_000_000)).unwrap_err();

        assert!(refusal.contains("more than 2240"), "{refusal}");
    }

    #[test]
    fn characters_are_counted_in_normalization_form_c() {
        let body = Body::parse(&"e\u{301}".repeat(140)).unwrap();

        assert_eq!(body.as_str(), "é".repeat(140));
    }

    #[test]
    fn line_feed_and_tab_are_kept() {
        assert_eq!(Body::parse("a\n\tb").unwrap().as_str(), "a\n\tb");
    }

    #[test]
    fn other_control_characters_are_refused_with_their_place() {
        for (text, place) in [
            ("\u{0}", "character 1 is the control character U+0000"),
            ("ab\r\n", "character 3 is the control character U+000D"),
            ("a\u{85}", "character 2 is the control character U+0085"),
        ] {
            let refusal = Body::parse(text).unwrap_err();
            assert!(refusal.starts_with(place), "{refusal}");
        }
    }

    #[test]
    fn nothing_is_no_body() {
        assert!(Body::parse("").unwrap_err().contains("empty"));
    }
}
