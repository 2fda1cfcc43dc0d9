//! The bounds for the ratios of a call.

use crate::figure::Figure;

/// A bound for one ratio of a call.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// Lower bound of the rate, relative to the echo.
    OfEcho(f64),
    /// Lower bound of the rate, relative to the baseline.
    OfBaseline(f64),
    /// Upper bound of the p99, relative to the echo.
    P99OfEcho(f64),
}

/// The ratios of the services in one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ratios {
    /// Rate relative to the echo.
    pub echo: f64,
    /// Rate relative to the baseline.
    pub baseline: f64,
    /// p99 relative to the echo.
    pub p99: f64,
}

impl Bound {
    /// Returns the figure that compares this bound with the ratios of a call.
    pub fn compare(self, call: &str, ratios: Ratios) -> Figure {
        match self {
            Self::OfEcho(least) => {
                Figure::at_least(least, format!("{call}: rate"), ratios.echo, "of the echo")
            }
            Self::OfBaseline(least) => {
                let about = format!("{call}: rate");
                Figure::at_least(least, about, ratios.baseline, "times baseline")
            }
            Self::P99OfEcho(most) => {
                let about = format!("{call}: p99");
                Figure::at_most(most, about, ratios.p99, "times the echo's")
            }
        }
    }
}
