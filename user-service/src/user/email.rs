//! Addresses, by the syntax of [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321) and, for
//! letters beyond ASCII, [RFC 6531](https://www.rfc-editor.org/rfc/rfc6531).

use email_address::{EmailAddress, Options};
use serde::Serialize;
use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

/// The longest address, in code points.
const LONGEST: usize = 120;

/// The longest text that is looked at, in code points.
const LONGEST_RAW: usize = 16 * LONGEST;

/// An address as mail is sent to it, and the form in which two of them are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Email {
    text: String,
    #[serde(skip)]
    key: String,
}

impl Email {
    /// The address that a text is. It is kept as it is, but for Normalization Form C.
    ///
    /// # Errors
    ///
    /// What is wrong with the text: it is empty, longer than 120 code points, or no
    /// address.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty; give an address such as susan@example.com".into());
        }
        // Normalization Form C makes no text shorter by so much.
        if text.chars().nth(LONGEST_RAW).is_some() {
            return Err(format!(
                "it has more than {LONGEST_RAW} characters; at most {LONGEST} are allowed"
            ));
        }
        let text = normalized(text);
        let length = text.chars().count();
        if length > LONGEST {
            return Err(format!(
                "it has {length} characters; at most {LONGEST} are allowed"
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
            .map_err(|error| format!("it is no address (RFC 5321): {error}"))?;
        // Full case folding can undo the normalization, which is therefore done again.
        let key = normalized(&UniCase::new(&text).to_folded_case());
        Ok(Self { text, key })
    }

    /// As mail is sent to it: at most 120 code points.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Equal for addresses that differ in nothing but letter case.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Normalization Form C, which ASCII has.
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
    fn addresses_that_differ_in_letter_case_have_one_key() {
        for (one, other) in [
            ("Susan@Example.COM", "susan@example.com"),
            ("ÉMILE@example.com", "e\u{301}mile@example.com"),
            ("straße@example.com", "STRASSE@example.com"),
        ] {
            assert_eq!(key(one), key(other));
        }
    }

    #[test]
    fn the_letter_case_that_was_given_is_kept() {
        assert_eq!(
            Email::parse("Susan@example.com").unwrap().text,
            "Susan@example.com"
        );
    }

    #[test]
    fn addresses_that_the_standard_allows_are_taken() {
        for email in [
            "a@b",
            "john.doe+blog@mail.example.com",
            "\"john doe\"@example.com",
            "john@[192.0.2.1]",
            "用户@例子.公司",
        ] {
            assert!(Email::parse(email).is_ok(), "{email} was refused");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
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
            assert!(Email::parse(email).is_err(), "{email} was taken");
        }
    }

    #[test]
    fn an_address_of_120_characters_is_taken_and_one_of_121_is_not() {
        let of = |length: usize| format!("{}@{}.com", "a".repeat(60), "b".repeat(length - 65));
        // A label of a domain has 63 octets at most.
        assert!(Email::parse(&of(120)).is_ok());
        assert!(Email::parse(&of(121)).unwrap_err().contains("121"));
    }
}
