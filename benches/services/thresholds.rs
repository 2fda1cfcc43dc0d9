//! The thresholds of `cargo bench -- --quick`: a ratio below its threshold indicates a regression.
//!
//! They are about 2/3 of the ratios that a noisy machine with two processors reaches, because a
//! threshold with false alarms is soon ignored. The targets of the calls are higher. Writes have no
//! threshold relative to the echo: that ratio depends mostly on the disk.

use crate::{
    comparison::Row,
    figure::Figure,
    targets::Bound::{self, OfBaseline, OfEcho},
};

/// The thresholds by call.
const THRESHOLDS: [(&str, &[Bound]); 7] = [
    ("get_user", &[OfEcho(0.5), OfBaseline(3.0)]),
    ("batch_get_users", &[OfEcho(0.2), OfBaseline(1.7)]),
    ("create_user", &[OfBaseline(5.5)]),
    ("get_post", &[OfEcho(0.4), OfBaseline(5.5)]),
    ("list_posts", &[OfEcho(0.55), OfBaseline(70.0)]),
    ("create_post", &[OfBaseline(5.0)]),
    ("commit_posts", &[OfBaseline(6.0)]),
];

/// Returns the names of the calls that have thresholds.
pub fn calls() -> Vec<String> {
    THRESHOLDS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// Number of repeated measurements of a call that is below a threshold, before the run fails.
pub const RETRIES: usize = 2;

/// Reports whether a call reaches its thresholds.
pub fn is_met(row: &Row) -> bool {
    figures(row).all(|figure| figure.enough)
}

/// Compares the ratios of calls with their thresholds.
pub fn compare(rows: &[Row]) -> Vec<Figure> {
    rows.iter().flat_map(figures).collect()
}

fn figures(row: &Row) -> impl Iterator<Item = Figure> {
    let (title, ratios) = (row.title, row.ratios);
    let thresholds = THRESHOLDS.into_iter().filter(|(name, _)| *name == row.name);
    let bounds = thresholds.flat_map(|(_, bounds)| bounds);
    bounds.map(move |bound| bound.compare(title, ratios))
}
