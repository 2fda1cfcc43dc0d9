//! What `cargo bench -- --quick` holds: ratios below which something is broken.
//!
//! They are about two thirds of what a noisy machine with two processors reaches, since a
//! floor that fails without a cause is soon ignored. What is to be reached is more, and
//! stands with the calls. Writes are not compared with the echo: how far they are from it
//! says more about the disk.

use crate::{
    comparison::Row,
    figure::Figure,
    goals::Bound::{self, OfEcho, OfNaive},
};

/// The calls, and their floors.
const FLOORS: [(&str, &[Bound]); 7] = [
    ("get_user", &[OfEcho(0.5), OfNaive(3.0)]),
    ("batch_get_users", &[OfEcho(0.2), OfNaive(1.7)]),
    ("create_user", &[OfNaive(5.5)]),
    ("get_post", &[OfEcho(0.4), OfNaive(5.5)]),
    ("list_posts", &[OfEcho(0.55), OfNaive(70.0)]),
    ("create_post", &[OfNaive(5.0)]),
    ("commit_posts", &[OfNaive(6.0)]),
];

/// The calls that have floors.
pub fn calls() -> Vec<String> {
    FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// How often a call that is below a floor is measured again before it counts.
pub const AGAIN: usize = 2;

/// Whether a call keeps above its floors.
pub fn hold(row: &Row) -> bool {
    held(row).all(|figure| figure.enough)
}

/// Whether calls keep above their floors.
pub fn held_against(rows: &[Row]) -> Vec<Figure> {
    rows.iter().flat_map(held).collect()
}

fn held(row: &Row) -> impl Iterator<Item = Figure> {
    let (title, ratios) = (row.title, row.ratios);
    let floors = FLOORS.into_iter().filter(|(name, _)| *name == row.name);
    let bounds = floors.flat_map(|(_, bounds)| bounds);
    bounds.map(move |bound| bound.held_against(title, ratios))
}
