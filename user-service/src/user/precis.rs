//! The Nickname profile of [RFC 8266](https://www.rfc-editor.org/rfc/rfc8266), over the
//! `FreeformClass` of [RFC 8264](https://www.rfc-editor.org/rfc/rfc8264).
//!
//! RFC 8264 derives the class of a code point from its Unicode properties. They come from the
//! tables of ICU4X, so that characters of current Unicode versions are known. Lower case comes from
//! the standard library, whose Unicode version depends on the compiler.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        CanonicalCombiningClass, ChangesWhenLowercased, DefaultIgnorableCodePoint,
        GeneralCategory as Category, HangulSyllableType, JoinControl, JoiningType,
        NoncharacterCodePoint, Script,
    },
};
use unicode_normalization::UnicodeNormalization;

/// The maximum number of passes after which a string has to be stable (RFC 8266, section 2.3).
const MAX_PASSES: usize = 3;

/// The reason that a string is not a nickname.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrecisError {
    /// The character at `position`, which counts from 0, is not allowed there.
    Disallowed { position: usize, character: char },
    /// The string has only spaces, or its mapping does not become stable.
    Invalid,
}

/// Returns the string as it is displayed (RFC 8266, section 2.3): spaces trimmed and collapsed,
/// in Normalization Form KC.
pub(super) fn enforce(text: &str) -> Result<String, PrecisError> {
    stabilize(text, |text| nfkc(&collapse_spaces(text)))
}

/// Returns the form in which two nicknames are compared (RFC 8266, section 2.4).
pub(super) fn comparison_form(text: &str) -> Result<String, PrecisError> {
    // The mapping of single characters keeps the two lower cases of Σ apart.
    stabilize(text, |text| {
        nfkc(&lower_case(&collapse_spaces(text)).replace('ς', "σ"))
    })
}

/// Applies `map` until the string is stable, and checks each string that it is applied to.
fn stabilize(text: &str, map: impl Fn(&str) -> String) -> Result<String, PrecisError> {
    let mut current = text.to_owned();
    for _ in 0..MAX_PASSES {
        if let Some((position, character)) = first_disallowed(&current) {
            return Err(blame(text, &current, position, character, map));
        }
        let mapped = map(&current);
        if mapped.is_empty() {
            return Err(PrecisError::Invalid);
        }
        if mapped == current {
            return Ok(mapped);
        }
        current = mapped;
    }
    Err(PrecisError::Invalid)
}

/// Returns the error for a disallowed character of `mapped`. It names the character of `text` that
/// was mapped to it, since that is the one that the caller sent.
fn blame(
    text: &str,
    mapped: &str,
    position: usize,
    character: char,
    map: impl Fn(&str) -> String,
) -> PrecisError {
    if text == mapped {
        return PrecisError::Disallowed {
            position,
            character,
        };
    }
    let maps_to_it = |sent: char| map(sent.encode_utf8(&mut [0; 4])).contains(character);
    let origin = text.chars().enumerate().find(|(_, sent)| maps_to_it(*sent));
    origin.map_or(PrecisError::Invalid, |(position, character)| {
        PrecisError::Disallowed {
            position,
            character,
        }
    })
}

/// Maps each space to U+0020, trims, and collapses runs of spaces (RFC 8266, section 2.1).
fn collapse_spaces(text: &str) -> String {
    let words = text.split(|c| category(c) == Category::SpaceSeparator);
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Maps each character to lower case, from the first upper-case one on. A titlecase character
/// before it is kept: stored keys were made like this.
fn lower_case(text: &str) -> String {
    let first = text.find(char::is_uppercase).unwrap_or(text.len());
    let (before, rest) = text.split_at(first);
    let rest = rest.chars().flat_map(char::to_lowercase);
    before.chars().chain(rest).collect()
}

fn nfkc(text: &str) -> String {
    text.nfkc().collect()
}

/// Returns the first character that the `FreeformClass` does not allow, with its position.
fn first_disallowed(text: &str) -> Option<(usize, char)> {
    let chars: Vec<char> = text.chars().collect();
    let disallowed = |(position, c): &(usize, char)| match class(*c) {
        Class::Valid => false,
        Class::Context => !is_allowed_in_context(&chars, *position),
        Class::Disallowed => true,
    };
    chars.iter().copied().enumerate().find(disallowed)
}

/// The derived property of a code point (RFC 8264, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// `PVALID` or `FREE_PVAL`.
    Valid,
    /// `CONTEXTJ` or `CONTEXTO`.
    Context,
    /// `DISALLOWED` or `UNASSIGNED`.
    Disallowed,
}

/// Returns the class of a character, by the algorithm of RFC 8264, section 8.
#[expect(
    clippy::match_same_arms,
    reason = "the arms are the steps of the algorithm, in its order"
)]
fn class(c: char) -> Class {
    match c {
        // PVALID, CONTEXTO and DISALLOWED of the exceptions (section 9.6).
        'ß' | 'ς' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => return Class::Valid,
        '\u{b7}'
        | '\u{375}'
        | '\u{5f3}'
        | '\u{5f4}'
        | '\u{30fb}'
        | '\u{660}'..='\u{669}'
        | '\u{6f0}'..='\u{6f9}' => return Class::Context,
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => {
            return Class::Disallowed;
        }
        '!'..='~' => return Class::Valid,
        _ => {}
    }
    let category = category(c);
    if category == Category::Unassigned {
        return Class::Disallowed;
    }
    if CodePointSetData::new::<JoinControl>().contains(c) {
        return Class::Context;
    }
    let is_old_hangul_jamo = matches!(
        CodePointMapData::<HangulSyllableType>::new().get(c),
        HangulSyllableType::LeadingJamo
            | HangulSyllableType::VowelJamo
            | HangulSyllableType::TrailingJamo
    );
    let is_ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c);
    if is_old_hangul_jamo || is_ignorable || category == Category::Control || lacks_lower_case(c) {
        return Class::Disallowed;
    }
    if !std::iter::once(c).nfkc().eq(std::iter::once(c)) {
        return Class::Valid;
    }
    match category {
        Category::Format
        | Category::Surrogate
        | Category::PrivateUse
        | Category::LineSeparator
        | Category::ParagraphSeparator
        | Category::Unassigned
        | Category::Control => Class::Disallowed,
        // Letters, marks, numbers, spaces, symbols and punctuation.
        _ => Class::Valid,
    }
}

/// Reports whether the rule of the character at `position` allows it there (RFC 5892, appendix A).
fn is_allowed_in_context(chars: &[char], position: usize) -> bool {
    let before = position.checked_sub(1).map(|before| chars[before]);
    let after = chars.get(position + 1).copied();
    let any = |within: &dyn Fn(char) -> bool| chars.iter().any(|c| within(*c));
    match chars[position] {
        '\u{200c}' => before.is_some_and(is_virama) || joins(chars, position),
        '\u{200d}' => before.is_some_and(is_virama),
        '\u{b7}' => before == Some('l') && after == Some('l'),
        '\u{375}' => after.is_some_and(|c| script(c) == Script::Greek),
        '\u{5f3}' | '\u{5f4}' => before.is_some_and(|c| script(c) == Script::Hebrew),
        '\u{30fb}' => {
            any(&|c| matches!(script(c), Script::Hiragana | Script::Katakana | Script::Han))
        }
        '\u{660}'..='\u{669}' => !any(&|c| matches!(c, '\u{6f0}'..='\u{6f9}')),
        '\u{6f0}'..='\u{6f9}' => !any(&|c| matches!(c, '\u{660}'..='\u{669}')),
        _ => false,
    }
}

/// Reports whether the characters around `position` are joined over transparent ones: the rule of
/// ZERO WIDTH NON-JOINER in cursive scripts.
fn joins(chars: &[char], position: usize) -> bool {
    let opaque = |c: &&char| joining_type(**c) != JoiningType::Transparent;
    let before = chars[..position].iter().rev().find(opaque);
    let after = chars[position + 1..].iter().find(opaque);
    let joins_after = |c: char| {
        matches!(
            joining_type(c),
            JoiningType::LeftJoining | JoiningType::DualJoining
        )
    };
    let joins_before = |c: char| {
        matches!(
            joining_type(c),
            JoiningType::RightJoining | JoiningType::DualJoining
        )
    };
    before.is_some_and(|c| joins_after(*c)) && after.is_some_and(|c| joins_before(*c))
}

fn is_virama(c: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
}

/// Returns true for a capital letter whose lower case this compiler's standard library does not know
/// yet. A program of a later compiler would make another key of it.
fn lacks_lower_case(c: char) -> bool {
    CodePointSetData::new::<ChangesWhenLowercased>().contains(c) && c.to_lowercase().eq([c])
}

fn category(c: char) -> Category {
    CodePointMapData::<Category>::new().get(c)
}

/// Returns the joining type. Two characters keep the one of Unicode 6.3, since nicknames with them
/// were accepted before the tables were those of current Unicode.
fn joining_type(c: char) -> JoiningType {
    match c {
        '\u{847}' => JoiningType::DualJoining,
        '\u{1734}' => JoiningType::Transparent,
        _ => CodePointMapData::<JoiningType>::new().get(c),
    }
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

#[cfg(test)]
mod tests {
    use precis_core::profile::{Profile, Rules, stabilize};
    use precis_profiles::Nickname;
    use proptest::prelude::*;

    use super::*;

    /// Returns the text and the key of a nickname by a library whose tables are those of Unicode
    /// 6.3. Databases hold nicknames and keys that were made by it.
    fn by_unicode_6_3(text: &str) -> Option<(String, String)> {
        let profile = Nickname::new();
        let text = profile.enforce(text).ok()?.into_owned();
        let key = stabilize(text.as_str(), |text| {
            let text = profile.prepare(text)?;
            let text = profile.additional_mapping_rule(text)?;
            let text = profile.case_mapping_rule(text)?;
            profile.normalization_rule(text.replace('ς', "σ"))
        });
        Some((text.clone(), key.ok()?.into_owned()))
    }

    fn both(text: &str) -> Result<(String, String), PrecisError> {
        let text = enforce(text)?;
        let key = comparison_form(&text)?;
        Ok((text, key))
    }

    fn assert_kept(text: &str) {
        if let Some(before) = by_unicode_6_3(text) {
            assert_eq!(both(text), Ok(before), "{text:?}");
        }
    }

    #[test]
    fn each_character_of_unicode_6_3_keeps_its_text_and_its_key() {
        for c in '\0'..=char::MAX {
            assert_kept(&format!("{c}"));
            assert_kept(&format!("A{c}b"));
        }
    }

    #[test]
    fn each_joining_character_of_unicode_6_3_keeps_its_context() {
        for c in '\u{300}'..='\u{1ffff}' {
            // U+0628 joins on both sides.
            for text in [
                format!("{c}\u{200d}"),
                format!("\u{628}{c}\u{200c}\u{628}"),
                format!("\u{628}\u{200c}{c}\u{628}"),
                format!("{c}\u{200c}\u{628}"),
                format!("\u{628}\u{200c}{c}"),
                format!("\u{375}{c}"),
                format!("{c}\u{5f3}"),
                format!("{c}\u{30fb}"),
            ] {
                assert_kept(&text);
            }
        }
    }

    proptest! {
        #[test]
        fn a_nickname_of_unicode_6_3_keeps_its_text_and_its_key(text in "\\PC{0,12}") {
            assert_kept(&text);
        }
    }

    #[test]
    fn characters_of_later_unicode_versions_are_allowed() {
        // Emoji of 2014, 2020 and 2023, a letter of 2018, and Adlam with a ZERO WIDTH NON-JOINER.
        for text in [
            "\u{1f642}",
            "\u{1f978}",
            "\u{1fae8}",
            "\u{1c90}",
            "\u{1e900}\u{1e901}",
            "\u{1e922}\u{200c}\u{1e922}",
        ] {
            assert!(both(text).is_ok(), "{text:?}: {:?}", both(text));
        }
    }

    #[test]
    fn no_capital_letter_is_a_key() {
        let changes = CodePointSetData::new::<ChangesWhenLowercased>();
        let is_capital = |c: char| changes.contains(c) && category(c) == Category::UppercaseLetter;

        for c in ('\0'..=char::MAX).filter(|c| is_capital(*c)) {
            let key = comparison_form(&c.to_string());

            assert!(key != Ok(c.to_string()), "{c:?}");
        }
    }

    #[test]
    fn documented_unicode_version_is_the_one_of_the_tables() {
        let (major, minor, _) = unicode_normalization::UNICODE_VERSION;
        let documented = format!("Unicode {major}.{minor}");
        // A letter that was added in Unicode 18.0, and a code point that is still unassigned.
        let known = ['\u{a7dd}', '\u{378}'].map(|c| category(c) != Category::Unassigned);

        let contract = include_str!("../../../proto/microblog/user/v1/user_service.proto");

        assert!(contract.contains(&documented), "{documented}");
        assert_eq!(known, [true, false]);
    }

    #[test]
    fn the_error_names_a_character_that_was_sent() {
        for (text, position, character) in [
            ("a\u{0}b", 1, '\u{0}'),
            // Mapped to L and a middle dot, which is allowed between two l only.
            ("x\u{13f}y", 1, '\u{13f}'),
            ("\u{200d}a", 0, '\u{200d}'),
            ("a\u{378}", 1, '\u{378}'),
            ("\u{660}\u{6f0}", 0, '\u{660}'),
        ] {
            let expected = PrecisError::Disallowed {
                position,
                character,
            };
            assert_eq!(enforce(text), Err(expected), "{text:?}");
        }
    }
}
