//! Requests that hold several things of one kind.

use crate::violation::Violations;

/// How many things one request may hold.
pub const LARGEST: usize = 1000;

/// Decodes each of the things in `field`. Returns those that are right, and the place of
/// the first that is wrong; what is wrong with any of them, or with their number, is added
/// to `violations`, with paths such as `field[3].name`.
pub fn decode<W, T>(
    violations: &mut Violations,
    field: &str,
    things: Vec<W>,
    mut decode: impl FnMut(W) -> Result<T, Violations>,
) -> (Vec<T>, Option<usize>) {
    let count = things.len();
    if count == 0 || count > LARGEST {
        violations.add(field, format!("there are {count}; give 1 to {LARGEST}"));
    }
    let mut decoded = Vec::with_capacity(count.min(LARGEST));
    let mut first_wrong = None;
    for (index, thing) in things.into_iter().enumerate().take(LARGEST) {
        match decode(thing) {
            Ok(thing) => decoded.push(thing),
            Err(wrong) => {
                first_wrong.get_or_insert(index);
                violations.append(wrong.within(&format!("{field}[{index}]")));
            }
        }
    }
    (decoded, first_wrong)
}
