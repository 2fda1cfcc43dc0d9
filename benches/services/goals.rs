//! What a call is to reach, and whether it does.

use crate::figure::Figure;

/// A figure that one call is held against, from one run.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// At least this share of the echo's rate.
    OfEcho(f64),
    /// At least so many times the naive pair's rate.
    OfNaive(f64),
    /// A p99 of at most so many times the echo's.
    P99OfEcho(f64),
}

/// The ratios of the system in one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ratios {
    /// Its rate to the echo's.
    pub echo: f64,
    /// Its rate to that of the naive pair.
    pub naive: f64,
    /// Its p99 to the echo's.
    pub p99: f64,
}

impl Bound {
    /// Whether these ratios of a call reach it.
    pub fn held_against(self, call: &str, ratios: Ratios) -> Figure {
        match self {
            Self::OfEcho(least) => {
                Figure::at_least(least, format!("{call}: rate"), ratios.echo, "of the echo")
            }
            Self::OfNaive(least) => {
                let about = format!("{call}: rate");
                Figure::at_least(least, about, ratios.naive, "times naive")
            }
            Self::P99OfEcho(most) => {
                let about = format!("{call}: p99");
                Figure::at_most(most, about, ratios.p99, "times the echo's")
            }
        }
    }
}
