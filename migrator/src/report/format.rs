//! Text and JSON that several reports share.

use std::{array, fmt, time::Duration};

use serde::Serializer;

/// Writes rows as a table, one on each line. The first row is the header.
pub(crate) fn write_table<const COLUMNS: usize>(
    f: &mut fmt::Formatter<'_>,
    rows: &[[String; COLUMNS]],
) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = array::from_fn(width);
    for row in rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// Writes the last line of `upgrade`, `downgrade`, `status`, `baseline` and `wait`.
pub(super) fn write_version(f: &mut fmt::Formatter<'_>, version: i64) -> fmt::Result {
    writeln!(f, "Current database version: {version}")
}

/// Serialises a duration as milliseconds with a fraction.
pub(super) fn milliseconds<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1_000.0)
}

#[expect(clippy::ref_option, reason = "what serde passes")]
pub(super) fn optional_milliseconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => milliseconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}
