//! Nicknames, by the Nickname profile of [RFC 8266](https://www.rfc-editor.org/rfc/rfc8266).

use precis_core::{
    CodepointInfo, Error, UnexpectedError,
    profile::{Profile, Rules, stabilize},
};
use precis_profiles::Nickname as Rfc8266;
use serde::Serialize;

/// The longest nickname, in code points.
const LONGEST: usize = 64;

/// The longest text that is looked at, in code points.
const LONGEST_RAW: usize = 16 * LONGEST;

/// A nickname as people see it, and the form in which two of them are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nickname {
    text: String,
    #[serde(skip)]
    key: String,
}

impl Nickname {
    /// The nickname that is meant by a text: white space is trimmed and collapsed, and
    /// what looks alike to machines is made alike (RFC 8266, section 2.3).
    ///
    /// # Errors
    ///
    /// What is wrong with the text: it is empty, longer than 64 code points, or has a
    /// character that the profile does not allow, such as a control character.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::of_ascii(text).map_or_else(|| Self::of_unicode(text), Ok)
    }

    /// What the profile makes of a text of printable ASCII with single spaces in it: nothing
    /// but another letter case of the key, for which it would look up every character twice.
    fn of_ascii(text: &str) -> Option<Self> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let spaced = text.trim().len() == text.len() && !text.contains("  ");
        let short = (1..=LONGEST).contains(&text.len());
        (printable && spaced && short).then(|| Self {
            text: text.to_owned(),
            key: text.to_ascii_lowercase(),
        })
    }

    fn of_unicode(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty; give 1 to 64 characters".into());
        }
        // Longer than white space could make a nickname: normalizing it would only cost time.
        if text.chars().nth(LONGEST_RAW).is_some() {
            return Err(format!(
                "it has more than {LONGEST_RAW} characters; at most {LONGEST} are allowed"
            ));
        }
        let profile = Rfc8266::new();
        let text = profile
            .enforce(text)
            .map_err(|error| explain(&error))?
            .into_owned();
        let length = text.chars().count();
        if length > LONGEST {
            return Err(format!(
                "it has {length} characters; at most {LONGEST} are allowed"
            ));
        }
        let key = comparison_form(profile, &text).map_err(|error| explain(&error))?;
        Ok(Self { text, key })
    }

    /// As people see it: 1 to 64 code points.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Equal for nicknames that differ in nothing but letter case and what the profile
    /// makes alike.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The form that section 2.4 compares. The profile's crate compares two texts, but does
/// not give the form of one; the steps and their order are the same.
fn comparison_form(profile: Rfc8266, text: &str) -> Result<String, Error> {
    let form = stabilize(text, |text| {
        let text = profile.prepare(text)?;
        let text = profile.additional_mapping_rule(text)?;
        let text = profile.case_mapping_rule(text)?;
        // The profile's mapping keeps the two lower cases of Σ apart.
        profile.normalization_rule(text.replace('ς', "σ"))
    })?;
    Ok(form.into_owned())
}

fn explain(error: &Error) -> String {
    match error {
        Error::BadCodepoint(CodepointInfo { cp, position, .. })
        | Error::Unexpected(UnexpectedError::ContextRuleNotApplicable(CodepointInfo {
            cp,
            position,
            ..
        })) => format!(
            "character {} is U+{cp:04X}, which is not allowed in a nickname (RFC 8266)",
            position + 1
        ),
        Error::Invalid | Error::Unexpected(_) => {
            "it is no nickname that can be compared (RFC 8266)".into()
        }
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
    fn the_letter_case_that_people_see_is_kept() {
        assert_eq!(text("McGregor"), "McGregor");
    }

    #[test]
    fn nicknames_that_differ_in_letter_case_have_one_key() {
        for (one, other) in [
            ("Susan", "sUSAN"),
            ("ÉMILE", "émile"),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ] {
            assert_eq!(key(one), key(other));
        }
    }

    #[test]
    fn what_looks_alike_to_machines_has_one_key() {
        for (one, other) in [("e\u{301}", "é"), ("ｊｏｈｎ", "john"), ("ﬁn", "fin")] {
            assert_eq!(key(one), key(other));
        }
    }

    #[test]
    fn nicknames_that_differ_in_a_letter_have_two_keys() {
        assert_ne!(key("susan"), key("suzan"));
    }

    #[test]
    fn a_nickname_agrees_with_the_comparison_of_the_profile() {
        let profile = Rfc8266::new();
        for (one, other) in [("Foo Bar", "foo  bar"), ("ß", "ss"), ("İ", "i"), ("ſ", "s")] {
            assert_eq!(
                key(one) == key(other),
                profile.compare(one, other).unwrap(),
                "{one} and {other}"
            );
        }
    }

    #[test]
    fn printable_ascii_is_what_the_profile_makes_of_it() {
        let ascii = || (0..=127_u8).map(char::from);
        let short = ascii().flat_map(|a| ascii().map(move |b| format!("{a}{b}")));
        let between = ascii().map(|c| format!("A{c}{c}Z"));
        let long = [63, 64, 65].map(|length| "aZ".repeat(40)[..length].to_owned());
        let mut plain = 0;

        for text in short.chain(between).chain(long).chain([String::new()]) {
            if let Some(nickname) = Nickname::of_ascii(&text) {
                assert_eq!(Nickname::of_unicode(&text).as_ref(), Ok(&nickname));
                plain += 1;
            }
        }

        assert_eq!(plain, 94 * 94 + 94 + 2);
    }

    #[test]
    fn sixty_four_characters_are_a_nickname_however_many_bytes_they_take() {
        assert_eq!(text(&"😀".repeat(64)).chars().count(), 64);
        assert!(Nickname::parse(&"😀".repeat(65)).is_err());
    }

    #[test]
    fn what_the_profile_does_not_allow_is_refused_with_its_place() {
        for (nickname, place) in [
            ("a\u{0}b", "character 2 is U+0000"),
            ("ab\ncd", "character 3 is U+000A"),
            ("\u{202e}nasus", "character 1 is U+202E"),
            ("jo\u{200b}hn", "character 3 is U+200B"),
        ] {
            let refusal = Nickname::parse(nickname).unwrap_err();
            assert!(refusal.starts_with(place), "{refusal}");
        }
    }

    #[test]
    fn nothing_but_white_space_is_refused() {
        for nickname in ["", " ", "\u{3000}\t"] {
            let refusal = Nickname::parse(nickname).unwrap_err();
            assert!(refusal.contains("empty"), "{refusal}");
        }
    }

    #[test]
    fn what_is_far_too_long_is_refused_before_it_is_normalized() {
        let refusal = Nickname::parse(&"\u{fdfa}".repeat(1_300_000)).unwrap_err();

        assert!(refusal.contains("more than 1024"), "{refusal}");
    }
}
