//! What is wrong with a request's fields, gathered, so that a caller learns of all of
//! it at once.

use std::fmt::Display;

/// The reason of a violation that has no more special one.
pub const INVALID_FIELD: &str = "INVALID_FIELD";

/// The longest description, in code points. One can quote what the caller sent, which may
/// be longer than what fits into the headers that tell of a failure.
const LONGEST: usize = 200;

/// One thing that is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field from the request, such as `user.nickname`.
    pub field: String,
    /// The stable reason, for programs.
    pub reason: &'static str,
    /// What is wrong and what would be right, for people.
    pub description: String,
}

/// How many violations of one request are kept. The rest is only counted: no caller reads
/// so many, and a request can have a million.
const KEPT: usize = 100;

/// The violations of a request. Decoding goes on after the first, to find them all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<Violation>,
    count: usize,
}

impl Violations {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Just one, with the reason [`INVALID_FIELD`].
    pub fn one(field: impl Into<String>, description: impl Display) -> Self {
        let mut violations = Self::new();
        violations.add(field, description);
        violations
    }

    /// Just one, with a reason of its own.
    pub fn special(
        reason: &'static str,
        field: impl Into<String>,
        description: impl Display,
    ) -> Self {
        let violation = Violation {
            field: field.into(),
            reason,
            description: shortened(&description.to_string()),
        };
        Self {
            kept: vec![violation],
            count: 1,
        }
    }

    /// Adds one with the reason [`INVALID_FIELD`].
    pub fn add(&mut self, field: impl Into<String>, description: impl Display) {
        self.append(Self::special(INVALID_FIELD, field, description));
    }

    /// Adds those of a part of the request.
    pub fn append(&mut self, others: Self) {
        let room = KEPT.saturating_sub(self.kept.len());
        self.kept.extend(others.kept.into_iter().take(room));
        self.count += others.count;
    }

    /// The value of a field, or `None` and a violation that says why there is none.
    pub fn check<T, E: Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add(field, error)).ok()
    }

    /// The value of a part of the request, or `None` and its violations.
    pub fn collect<T>(&mut self, decoded: Result<T, Self>) -> Option<T> {
        decoded.map_err(|others| self.append(others)).ok()
    }

    /// The same, with `prefix` and a dot before each path.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        for violation in &mut self.kept {
            violation.field = if violation.field.is_empty() {
                prefix.to_owned()
            } else {
                format!("{prefix}.{}", violation.field)
            };
        }
        self
    }

    /// What was decoded, if there is no violation. A part is `None` only after one was
    /// added for it.
    ///
    /// # Errors
    ///
    /// The violations, if there are any.
    pub fn finish<T>(self, decoded: Option<T>) -> Result<T, Self> {
        match decoded {
            Some(value) if self.count == 0 => Ok(value),
            _ => Err(self),
        }
    }

    /// The reason of the whole: the one that all share, or [`INVALID_FIELD`].
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.kept.as_slice() {
            [first, rest @ ..] if rest.iter().all(|v| v.reason == first.reason) => first.reason,
            _ => INVALID_FIELD,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first of them, up to 100, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.kept.iter()
    }
}

/// The first three, and how many more there are.
impl Display for Violations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const TOLD: usize = 3;
        for (index, violation) in self.kept.iter().take(TOLD).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        match self.count.saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_all_share_is_the_reason_of_the_whole() {
        let mut violations = Violations::special("UNKNOWN_MASK_PATH", "update_mask", "no `x`");
        assert_eq!(violations.reason(), "UNKNOWN_MASK_PATH");

        violations.add("user.nickname", "it is empty");

        assert_eq!(violations.reason(), INVALID_FIELD);
    }

    #[test]
    fn a_path_is_told_from_the_request_on() {
        let violations = Violations::one("nickname", "it is empty").within("user");

        assert_eq!(violations.to_string(), "user.nickname: it is empty");
    }

    #[test]
    fn a_description_that_quotes_a_long_text_is_cut() {
        let violations = Violations::one("order_by", "ä".repeat(100_000));

        let description = &violations.iter().next().unwrap().description;

        assert_eq!(description.chars().count(), LONGEST + 1);
    }

    #[test]
    fn many_violations_are_told_in_one_line() {
        let mut violations = Violations::new();
        for index in 0..1000 {
            violations.add(format!("ids[{index}]"), "0 is no id");
        }

        let text = violations.to_string();

        assert!(text.ends_with("ids[2]: 0 is no id; and 997 more"), "{text}");
    }
}
