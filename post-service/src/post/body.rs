//! The body of a post.

use std::sync::Arc;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

/// The maximum length of a body, in code points.
const MAX_LEN: usize = 140;

/// The maximum length of a text that is normalized at all, in code points. Normalization Form C
/// never shortens a longer text to `MAX_LEN`, so a longer one is rejected without that cost.
const MAX_RAW_LEN: usize = 16 * MAX_LEN;

/// The text of a post, in Normalization Form C. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Body(Arc<str>);

impl Body {
    /// Parses a body. It is neither truncated nor trimmed.
    ///
    /// # Errors
    ///
    /// A description for the client if the text is empty, is longer than 140 code points, or has
    /// a control character other than line feed and tab.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("it is empty; give 1 to {MAX_LEN} characters"));
        }
        if text.chars().nth(MAX_RAW_LEN).is_some() {
            return Err(format!(
                "it has more than {MAX_RAW_LEN} characters; at most {MAX_LEN} are allowed"
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
        // ASCII is in Normalization Form C already.
        let text: Arc<str> = if text.is_ascii() {
            text.into()
        } else {
            text.nfc().collect::<String>().into()
        };
        let length = text.chars().count();
        if length > MAX_LEN {
            return Err(format!(
                "it has {length} characters; at most {MAX_LEN} are allowed"
            ));
        }
        Ok(Self(text))
    }

    /// Returns the text: 1 to 140 code points.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text as a shared string, without a copy.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_limited_by_code_points_not_by_bytes() {
        assert!(Body::parse(&"😀".repeat(140)).is_ok());
        assert!(Body::parse(&"😀".repeat(141)).unwrap_err().contains("141"));
    }

    #[test]
    fn a_far_too_long_text_is_rejected_without_normalization() {
        let rejection = Body::parse(&"\u{301}".repeat(2_000_000)).unwrap_err();

        assert!(rejection.contains("more than 2240"), "{rejection}");
    }

    #[test]
    fn code_points_are_counted_in_normalization_form_c() {
        let body = Body::parse(&"e\u{301}".repeat(140)).unwrap();

        assert_eq!(body.as_str(), "é".repeat(140));
    }

    #[test]
    fn line_feed_and_tab_are_preserved() {
        assert_eq!(Body::parse("a\n\tb").unwrap().as_str(), "a\n\tb");
    }

    #[test]
    fn other_control_characters_are_rejected_with_their_position() {
        for (text, position) in [
            ("\u{0}", "character 1 is the control character U+0000"),
            ("ab\r\n", "character 3 is the control character U+000D"),
            ("a\u{85}", "character 2 is the control character U+0085"),
        ] {
            let rejection = Body::parse(text).unwrap_err();
            assert!(rejection.starts_with(position), "{rejection}");
        }
    }

    #[test]
    fn an_empty_body_is_rejected() {
        assert!(Body::parse("").unwrap_err().contains("empty"));
    }
}
