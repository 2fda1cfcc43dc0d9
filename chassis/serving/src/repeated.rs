//! Decodes repeated fields of a request: the number of the items, and each item.

use crate::violation::FieldViolations;

/// The largest number of items in one repeated field.
pub const MAX_ITEMS: usize = 1000;

/// Decodes each item of the repeated field `field`, and adds every violation to `violations`, with
/// a path such as `field[3].name`.
///
/// Returns the valid items, and the index of the first invalid one. The number of items can be a
/// violation, too.
pub fn decode<W, T>(
    violations: &mut FieldViolations,
    field: &str,
    items: Vec<W>,
    mut decode: impl FnMut(W) -> Result<T, FieldViolations>,
) -> (Vec<T>, Option<usize>) {
    let count = items.len();
    if count == 0 || count > MAX_ITEMS {
        violations.add(field, format!("{count} items; give 1 to {MAX_ITEMS}"));
    }
    let mut decoded = Vec::with_capacity(count.min(MAX_ITEMS));
    let mut first_invalid = None;
    for (index, item) in items.into_iter().enumerate().take(MAX_ITEMS) {
        match decode(item) {
            Ok(item) => decoded.push(item),
            Err(of_item) => {
                first_invalid.get_or_insert(index);
                violations.append(of_item.nested_under(&format!("{field}[{index}]")));
            }
        }
    }
    (decoded, first_invalid)
}
