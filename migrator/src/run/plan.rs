//! What a run has to do: the history compared with the migrations that there are. Knows
//! no SQL.

use crate::{
    error::Error,
    project::migrations::{Migration, Migrations},
    sqlite::history::Applied,
};

/// The version that a history makes: the number of the newest migration in it that
/// succeeded, or 0.
pub(crate) fn version(applied: &[Applied]) -> i64 {
    let newest = applied.iter().rev().find(|applied| applied.success);
    newest.map_or(0, |newest| newest.number)
}

/// Refuses a target that is neither 0, which is the empty database, nor a migration.
pub(crate) fn check_target(known: &Migrations, target: i64) -> Result<(), Error> {
    if target == 0 || known.get(target).is_some() {
        return Ok(());
    }
    let numbers: Vec<_> = known
        .iter()
        .map(|migration| migration.number().to_string())
        .collect();
    Err(Error::UnknownTarget {
        number: target,
        known: numbers.join(", "),
    })
}

/// The migrations that are to be applied, in order, to come to `target` or the newest.
pub(crate) fn upgrade<'a>(
    known: &'a Migrations,
    applied: &[Applied],
    target: Option<i64>,
) -> Result<Vec<&'a Migration>, Error> {
    check_history(known, applied)?;
    let current = version(applied);
    let pending = |number| applied.iter().all(|applied| applied.number != number);
    if let Some(skipped) = known
        .iter()
        .find(|migration| migration.number() < current && pending(migration.number()))
    {
        return Err(Error::OutOfOrder {
            number: skipped.number(),
            name: skipped.name().to_owned(),
            applied: current,
        });
    }
    let target = target.unwrap_or_else(|| known.newest());
    if target < current {
        return Err(Error::AboveTarget { target, current });
    }
    let between = current + 1..=target;
    Ok(known
        .iter()
        .filter(|migration| between.contains(&migration.number()))
        .collect())
}

/// The migrations that are to be undone, in order, to come to `target` or one back.
///
/// A skipped one does not stand in the way: going back below it is how to mend that.
pub(crate) fn downgrade<'a>(
    known: &'a Migrations,
    applied: &[Applied],
    target: Option<i64>,
) -> Result<Vec<&'a Migration>, Error> {
    check_history(known, applied)?;
    let current = version(applied);
    let one_back = applied
        .iter()
        .rev()
        .nth(1)
        .map_or(0, |previous| previous.number);
    let target = target.unwrap_or(one_back);
    if target > current {
        return Err(Error::BelowTarget { target, current });
    }
    let newer = applied
        .iter()
        .rev()
        .filter(|applied| applied.number > target);
    // The history was checked: it holds nothing that is not known.
    Ok(newer
        .filter_map(|applied| known.get(applied.number))
        .collect())
}

/// Refuses a history that these migrations cannot have made.
fn check_history(known: &Migrations, applied: &[Applied]) -> Result<(), Error> {
    if let Some(failed) = applied.iter().find(|applied| !applied.success) {
        return Err(Error::Failed {
            number: failed.number,
            name: failed.name.clone(),
        });
    }
    let (found, newest) = (version(applied), known.newest());
    if found > newest {
        return Err(Error::Newer { found, newest });
    }
    for applied in applied {
        let Some(migration) = known.get(applied.number) else {
            return Err(Error::Unknown {
                number: applied.number,
                name: applied.name.clone(),
            });
        };
        if !applied.is(migration) {
            return Err(Error::Changed {
                number: applied.number,
                name: migration.name().to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Migrations with these numbers.
    fn known(numbers: &[i64]) -> Migrations {
        let files: Vec<_> = numbers
            .iter()
            .flat_map(|number| ["up", "down"].map(|way| format!("{number:04}_step.{way}.sql")))
            .collect();
        Migrations::from_files(files.iter().map(|file| ("users", file.as_str(), ""))).unwrap()
    }

    /// A history of these numbers, as the migrations of [`known`] make it.
    fn applied(numbers: &[i64]) -> Vec<Applied> {
        let checksum = known(&[1]).get(1).unwrap().checksum();
        let row = |number: &i64| Applied {
            number: *number,
            name: "step".into(),
            checksum: checksum.clone(),
            tokens: None,
            success: true,
            time: None,
            took: None,
        };
        numbers.iter().map(row).collect()
    }

    fn numbers(plan: &[&Migration]) -> Vec<i64> {
        plan.iter().map(|migration| migration.number()).collect()
    }

    #[test]
    fn an_upgrade_applies_what_is_pending_up_to_the_target() {
        for (history, target, expected) in [
            (&[][..], None, &[1, 2, 3][..]),
            (&[], Some(2), &[1, 2]),
            (&[], Some(0), &[]),
            (&[1, 2], None, &[3]),
            (&[1, 2], Some(2), &[]),
            (&[1, 2, 3], None, &[]),
        ] {
            let known = known(&[1, 2, 3]);

            let plan = upgrade(&known, &applied(history), target).unwrap();

            assert_eq!(numbers(&plan), expected, "{history:?} to {target:?}");
        }
    }

    #[test]
    fn a_downgrade_undoes_the_newest_first() {
        for (history, target, expected) in [
            (&[1, 2, 3][..], None, &[3][..]),
            (&[1, 2, 3], Some(1), &[3, 2]),
            (&[1, 2, 3], Some(0), &[3, 2, 1]),
            (&[1, 2, 3], Some(3), &[]),
            (&[1], None, &[1]),
            (&[], None, &[]),
            (&[], Some(0), &[]),
            // A skipped migration can be mended only like this.
            (&[1, 3], None, &[3]),
        ] {
            let known = known(&[1, 2, 3]);

            let plan = downgrade(&known, &applied(history), target).unwrap();

            assert_eq!(numbers(&plan), expected, "{history:?} to {target:?}");
        }
    }

    #[test]
    fn a_target_on_the_other_side_names_the_other_command() {
        let known = known(&[1, 2]);

        let above = upgrade(&known, &applied(&[1, 2]), Some(1))
            .unwrap_err()
            .to_string();
        let below = downgrade(&known, &applied(&[1]), Some(2))
            .unwrap_err()
            .to_string();

        assert!(above.contains("migrator downgrade --to 1"), "{above}");
        assert!(below.contains("migrator upgrade --to 2"), "{below}");
    }

    #[test]
    fn an_unknown_target_is_refused_with_those_that_there_are() {
        let refusal = check_target(&known(&[1, 2]), 7).unwrap_err().to_string();

        assert_eq!(refusal, "there is no migration 7; there are 1, 2");
    }

    #[test]
    fn a_migration_that_was_skipped_stops_an_upgrade() {
        let refusal = upgrade(&known(&[1, 2, 3]), &applied(&[1, 3]), None).unwrap_err();

        assert!(
            matches!(
                refusal,
                Error::OutOfOrder {
                    number: 2,
                    applied: 3,
                    ..
                }
            ),
            "{refusal}"
        );
    }

    #[test]
    fn a_history_of_other_migrations_is_refused_both_ways() {
        for plan in [upgrade, downgrade] {
            let newer = plan(&known(&[1, 2]), &applied(&[1, 2, 3]), None).unwrap_err();
            let unknown = plan(&known(&[1, 3]), &applied(&[1, 2]), None).unwrap_err();
            let mut edited = applied(&[1]);
            edited[0].checksum = vec![0];
            let changed = plan(&known(&[1, 2]), &edited, None).unwrap_err();

            assert!(
                matches!(
                    newer,
                    Error::Newer {
                        found: 3,
                        newest: 2
                    }
                ),
                "{newer}"
            );
            assert!(
                matches!(unknown, Error::Unknown { number: 2, .. }),
                "{unknown}"
            );
            assert!(
                matches!(changed, Error::Changed { number: 1, .. }),
                "{changed}"
            );
        }
    }
}
