//! Migrates databases with random schemas and random rows to other schemas, and back, with the
//! functions of the commands: `migrate`, `check`, `upgrade`, `dump`, `diff` and `downgrade`.
//!
//! The expected rows and the expected results of writes do not come from the planner. They come
//! from a database that was created with the schema to reach, into which each row is written. If
//! that database rejects a row, the upgrade must fail and change nothing.
//!
//! `PROPTEST_RNG_SEED` sets another seed, and `PROPTEST_CASES` another number of cases for each
//! test.

mod case;
mod coverage;
mod data;
mod database;
mod expectation;
mod model;
mod oracle;
mod pairs;
mod planning;
mod pools;
mod random;
mod random_source;
mod round_trip;
mod rows;
mod spelling;
mod surviving;
mod write_results;
mod writes;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed, TestError, TestRunner},
};
use tokio::runtime::Builder;

use self::{case::Case, coverage::Coverage, random_source::RandomSource};

/// The number of cases of each test, unless the environment sets it.
const CASES: u32 = 510;

/// The number of cases by which proptest shows that the environment sets none.
const PROPTEST_DEFAULT: u32 = 256;

/// Runs random cases. With `related`, the second schema is a changed first one.
fn check(related: bool, test: u64) {
    let default = Config::default();
    // The environment takes precedence.
    let asked = (default.cases != PROPTEST_DEFAULT).then_some(default.cases);
    let seed = match default.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => 0,
    };
    let config = Config {
        cases: asked.unwrap_or(CASES),
        rng_seed: RngSeed::Fixed(seed.wrapping_mul(4).wrapping_add(test)),
        failure_persistence: None,
        max_shrink_iters: default.max_shrink_iters.min(2_000),
        ..default
    };
    let cases = config.cases;
    let coverage = Coverage::default();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let result = TestRunner::new(config).run(&vec(any::<u16>(), 0..900), |numbers| {
        let case = runtime.block_on(async {
            let case = Case::new(&mut RandomSource::new(numbers), related);
            case.run(&coverage).await
        });
        case.map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(reason, numbers)) = result {
        let case = Case::new(&mut RandomSource::new(numbers), related);
        panic!("{reason}\n{case}(PROPTEST_RNG_SEED={seed})");
    }
    println!("{coverage:?}");
    coverage.assert(cases, related);
}

#[test]
fn a_changed_schema_is_reached_and_reverted_with_its_rows() {
    check(true, 0);
}

#[test]
fn a_changed_schema_is_reached_and_reverted_with_its_rows_2() {
    check(true, 1);
}

#[test]
fn a_changed_schema_is_reached_and_reverted_with_its_rows_3() {
    check(true, 2);
}

#[test]
fn any_schema_is_reached_from_any_other() {
    check(false, 3);
}
