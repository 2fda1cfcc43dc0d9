//! Update masks: the fields that an update changes ([AIP-161](https://google.aip.dev/161),
//! [AIP-134](https://google.aip.dev/134)).

use prost_types::FieldMask;

use crate::violation::FieldViolations;

/// The reason of a path that is not a field that can be changed.
const UNKNOWN_PATH: &str = "UNKNOWN_MASK_PATH";

/// The path that names all fields.
const ALL: &str = "*";

/// The distinct paths of an update mask. An empty mask counts as unset.
#[derive(Debug)]
pub struct UpdateMask(Vec<String>);

impl UpdateMask {
    /// Decodes the field `update_mask` of a request, and adds a violation for each path that is
    /// neither in `changeable` nor `*`. A path that is repeated counts once.
    pub fn decode(
        violations: &mut FieldViolations,
        update_mask: Option<FieldMask>,
        changeable: &[&str],
    ) -> Self {
        let mut paths = update_mask.map(|mask| mask.paths).unwrap_or_default();
        paths.sort_unstable();
        paths.dedup();
        for path in &paths {
            if path != ALL && !changeable.contains(&path.as_str()) {
                let fields = changeable.join(", ");
                violations.append(FieldViolations::with_reason(
                    UNKNOWN_PATH,
                    "update_mask",
                    format!("cannot change `{path}`; valid paths are {fields} and {ALL}"),
                ));
            }
        }
        Self(paths)
    }

    /// Reports whether the update changes `field`: with a mask, if the mask names it; without
    /// one, if the request has it set.
    #[must_use]
    pub fn changes(&self, field: &str, is_set: bool) -> bool {
        if self.0.is_empty() {
            is_set
        } else {
            self.0.iter().any(|path| path == field || path == ALL)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(paths: &[&str]) -> (UpdateMask, FieldViolations) {
        let mut violations = FieldViolations::new();
        let mask = FieldMask {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        };
        let mask = UpdateMask::decode(&mut violations, Some(mask), &["name", "size"]);
        (mask, violations)
    }

    #[test]
    fn an_unknown_path_that_is_repeated_is_reported_once() {
        let (_, violations) = decode(&["age", "name", "age", "id", "age"]);

        let texts: Vec<_> = violations.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["age", "id"].map(|path| format!(
                "update_mask: cannot change `{path}`; valid paths are name, size and *"
            ))
        );
        assert_eq!(violations.reason(), "UNKNOWN_MASK_PATH");
    }

    #[test]
    fn with_a_mask_the_named_fields_are_changed() {
        for (paths, name, size) in [
            (&["name"][..], true, false),
            (&["size", "size"], false, true),
            (&["*"], true, true),
        ] {
            let (mask, violations) = decode(paths);

            assert_eq!(violations.count(), 0);
            for is_set in [false, true] {
                let changed = (mask.changes("name", is_set), mask.changes("size", is_set));
                assert_eq!(changed, (name, size), "{paths:?}");
            }
        }
    }

    #[test]
    fn without_a_mask_the_set_fields_are_changed() {
        let none = UpdateMask::decode(&mut FieldViolations::new(), None, &["name"]);
        let (empty, _) = decode(&[]);

        for mask in [none, empty] {
            assert!(mask.changes("name", true));
            assert!(!mask.changes("name", false));
        }
    }
}
