//! Finds scripts that any two rows make fail (M001). Knows no SQL.

use super::finding::{Finding, LintCode};
use crate::{error::Error, project::migrations::Migration, scratch::Scratch};

/// M001: returns the finding for a script that violates a unique key or NOT NULL in tables with two
/// different rows, before it is applied.
pub(super) async fn rejection(
    scratch: &mut Scratch,
    migration: &Migration,
) -> Result<Option<Finding>, Error> {
    let failure = scratch.try_on_rows(migration).await?;
    let failure = failure.filter(|failure| {
        let message = failure.message();
        let constraints = ["UNIQUE constraint failed", "NOT NULL constraint failed"];
        constraints.iter().any(|text| message.starts_with(text))
    });
    Ok(failure.map(|failure| {
        Finding::new(
            LintCode::AddedColumn,
            &failure.location,
            format!("tables with two rows reject it: {}", failure.message()),
            "give each row a value of its own".into(),
        )
    }))
}
