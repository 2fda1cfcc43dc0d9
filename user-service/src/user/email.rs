//! Email addresses, with the syntax of [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321), and of
//! [RFC 6531](https://www.rfc-editor.org/rfc/rfc6531) for letters beyond ASCII.

use email_address::{EmailAddress, Options};
use serde::Serialize;
use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

/// The maximum length of an address, in code points.
const MAX_LEN: usize = 120;

/// The maximum length of a text that is normalized at all, in code points. Normalization Form C
/// never shortens a longer text to `MAX_LEN`, so a longer one is rejected without that cost.
const MAX_RAW_LEN: usize = 16 * MAX_LEN;

/// An email address, and its comparison form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Email {
    text: String,
    #[serde(skip)]
    key: String,
}

impl Email {
    /// Parses an address. It is converted to Normalization Form C, and not changed otherwise.
    ///
    /// # Errors
    ///
    /// A description for the client if the text is empty, is longer than 120 code points, or is
    /// not a valid address.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty; give an address such as susan@example.com".into());
        }
        if text.chars().nth(MAX_RAW_LEN).is_some() {
            return Err(format!(
                "it has more than {MAX_RAW_LEN} characters; at most {MAX_LEN} are allowed"
            ));
        }
        let text = normalized(text);
        let length = text.chars().count();
        if length > MAX_LEN {
            return Err(format!(
                "it has {length} characters; at most {MAX_LEN} are allowed"
            ));
        }
        if let Some(control) = text.chars().find(|&c| c.is_control()) {
            return Err(format!(
                "it has the control character U+{:04X}",
                u32::from(control)
            ));
        }
        // `Susan <susan@example.com>` is a mailbox (RFC 5322), not an address.
        let options = Options::default().without_display_text();
        EmailAddress::parse_with_options(&text, options)
            .map_err(|error| format!("it is not a valid email address (RFC 5321): {error}"))?;
        // Full case folding can denormalize the text, so normalize it again.
        let key = normalized(&UniCase::new(&text).to_folded_case());
        Ok(Self { text, key })
    }

    /// Returns the address as mail is sent to it: at most 120 code points.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the comparison form, which is equal for addresses that differ only in letter case.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Converts a text to Normalization Form C. ASCII is in this form already.
fn normalized(text: &str) -> String {
    if text.is_ascii() {
        text.to_owned()
    } else {
        text.nfc().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(email: &str) -> String {
        Email::parse(email).unwrap().key
    }

    #[test]
    fn addresses_that_differ_only_in_letter_case_have_one_key() {
        for (one, other) in [
            ("Susan@Example.COM", "susan@example.com"),
            ("ÉMILE@example.com", "e\u{301}mile@example.com"),
            ("straße@example.com", "STRASSE@example.com"),
        ] {
            assert_eq!(key(one), key(other));
        }
    }

    #[test]
    fn the_letter_case_of_an_address_is_preserved() {
        assert_eq!(
            Email::parse("Susan@example.com").unwrap().text,
            "Susan@example.com"
        );
    }

    #[test]
    fn valid_addresses_are_accepted() {
        for email in [
            "a@b",
            "john.doe+blog@mail.example.com",
            "\"john doe\"@example.com",
            "john@[192.0.2.1]",
            "用户@例子.公司",
        ] {
            assert!(Email::parse(email).is_ok(), "{email} was rejected");
        }
    }

    #[test]
    fn invalid_addresses_are_rejected() {
        for email in [
            "",
            "john",
            "@example.com",
            "john@",
            "john@@example.com",
            "john doe@example.com",
            ".john@example.com",
            "john@example..com",
            "John <john@example.com>",
            "john@example.com\n",
            "\"john\tdoe\"@example.com",
            "john@example.com,susan@example.com",
            "\u{202e}john@example.com",
        ] {
            assert!(Email::parse(email).is_err(), "{email} was accepted");
        }
    }

    #[test]
    fn an_address_has_at_most_120_code_points() {
        let address = |length: usize| format!("{}@{}.com", "a".repeat(60), "b".repeat(length - 65));
        // A domain label has at most 63 octets.
        assert!(Email::parse(&address(120)).is_ok());
        assert!(Email::parse(&address(121)).unwrap_err().contains("121"));
    }
}
