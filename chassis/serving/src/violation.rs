//! The violations of a request: every field that is invalid, collected, so that the caller learns
//! of all of them from one response.

use std::fmt::Display;

/// The reason of a violation that has no more specific one.
pub const INVALID_FIELD: &str = "INVALID_FIELD";

/// The longest description of a violation, in code points. A description can quote the request,
/// and the whole status has to fit into headers.
const MAX_DESCRIPTION_CHARS: usize = 200;

/// The largest number of violations of one request that are kept. Further ones are only counted: a
/// request can have a million, and a caller does not read more than these.
const MAX_KEPT: usize = 100;

/// A field of a request that is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field from the request, such as `user.nickname`.
    pub field: String,
    /// The stable reason, for programs.
    pub reason: &'static str,
    /// The fault and the valid values, for people.
    pub description: String,
}

/// The violations of a request. Decoding continues after the first one, to find them all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldViolations {
    kept: Vec<Violation>,
    count: usize,
}

impl FieldViolations {
    /// Creates an empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a collection of one violation with the reason [`INVALID_FIELD`].
    pub fn single(field: impl Into<String>, description: impl Display) -> Self {
        Self::with_reason(INVALID_FIELD, field, description)
    }

    /// Creates a collection of one violation with a more specific reason.
    pub fn with_reason(
        reason: &'static str,
        field: impl Into<String>,
        description: impl Display,
    ) -> Self {
        let violation = Violation {
            field: field.into(),
            reason,
            description: truncated(&description.to_string()),
        };
        Self {
            kept: vec![violation],
            count: 1,
        }
    }

    /// Adds a violation with the reason [`INVALID_FIELD`].
    pub fn add(&mut self, field: impl Into<String>, description: impl Display) {
        self.append(Self::single(field, description));
    }

    /// Adds the violations of a part of the request.
    pub fn append(&mut self, others: Self) {
        let room = MAX_KEPT.saturating_sub(self.kept.len());
        self.kept.extend(others.kept.into_iter().take(room));
        self.count += others.count;
    }

    /// Returns the value of a field, or adds its violation and returns `None`.
    pub fn check<T, E: Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add(field, error)).ok()
    }

    /// Returns the value of a part of the request, or adds its violations and returns `None`.
    pub fn collect<T>(&mut self, decoded: Result<T, Self>) -> Option<T> {
        decoded.map_err(|others| self.append(others)).ok()
    }

    /// Puts `prefix` and a dot before the path of each violation.
    #[must_use]
    pub fn nested_under(mut self, prefix: &str) -> Self {
        for violation in &mut self.kept {
            violation.field = if violation.field.is_empty() {
                prefix.to_owned()
            } else {
                format!("{prefix}.{}", violation.field)
            };
        }
        self
    }

    /// Returns the decoded request if it has no violation. `decoded` is `None` only if a violation
    /// was added for the missing part.
    ///
    /// # Errors
    ///
    /// The violations, if any.
    pub fn finish<T>(self, decoded: Option<T>) -> Result<T, Self> {
        match decoded {
            Some(value) if self.count == 0 => Ok(value),
            _ => Err(self),
        }
    }

    /// Returns the reason that all violations share, or [`INVALID_FIELD`].
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.kept.as_slice() {
            [first, rest @ ..] if rest.iter().all(|v| v.reason == first.reason) => first.reason,
            _ => INVALID_FIELD,
        }
    }

    /// Returns the number of violations.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Iterates over the first 100 violations, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.kept.iter()
    }
}

/// Writes the first three violations, and the number of further ones.
impl Display for FieldViolations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MAX_IN_MESSAGE: usize = 3;
        for (index, violation) in self.kept.iter().take(MAX_IN_MESSAGE).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        match self.count.saturating_sub(MAX_IN_MESSAGE) {
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

fn truncated(text: &str) -> String {
    match text.char_indices().nth(MAX_DESCRIPTION_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_reason_is_the_reason_of_the_request() {
        let mut violations =
            FieldViolations::with_reason("UNKNOWN_MASK_PATH", "update_mask", "no `x`");
        assert_eq!(violations.reason(), "UNKNOWN_MASK_PATH");

        violations.add("user.nickname", "it is empty");

        assert_eq!(violations.reason(), INVALID_FIELD);
    }

    #[test]
    fn nested_violations_have_the_path_from_the_request() {
        let violations = FieldViolations::single("nickname", "it is empty").nested_under("user");

        assert_eq!(violations.to_string(), "user.nickname: it is empty");
    }

    #[test]
    fn a_long_description_is_truncated() {
        let violations = FieldViolations::single("order_by", "ä".repeat(100_000));

        let description = &violations.iter().next().unwrap().description;

        assert_eq!(description.chars().count(), MAX_DESCRIPTION_CHARS + 1);
    }

    #[test]
    fn many_violations_fit_in_one_line() {
        let mut violations = FieldViolations::new();
        for index in 0..1000 {
            violations.add(format!("ids[{index}]"), "0 is not an id");
        }

        let text = violations.to_string();

        assert!(
            text.ends_with("ids[2]: 0 is not an id; and 997 more"),
            "{text}"
        );
    }
}
