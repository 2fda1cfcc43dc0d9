//! What is to be reached, and whether it is.

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

/// A bound, and what it is held against.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    bound: Bound,
}

/// What was reached.
#[derive(Clone, Debug)]
pub struct Reached {
    /// What was to be reached, for people.
    pub goal: String,
    /// What was.
    pub value: f64,
    /// Whether that is enough.
    pub enough: bool,
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

impl Goal {
    /// The goal with that bound.
    pub fn of(bound: Bound) -> Self {
        Self { bound }
    }

    /// Whether these ratios reach it.
    pub fn held_against(self, ratios: Ratios) -> Reached {
        let (goal, value, enough) = match self.bound {
            Bound::OfEcho(least) => {
                let text = format!("at least {least} of the echo");
                (text, ratios.echo, ratios.echo >= least)
            }
            Bound::OfNaive(least) => {
                let text = format!("at least {least} times naive");
                (text, ratios.naive, ratios.naive >= least)
            }
            Bound::P99OfEcho(most) => {
                let text = format!("p99 at most {most} times the echo's");
                (text, ratios.p99, ratios.p99 <= most)
            }
        };
        Reached {
            goal,
            value,
            enough,
        }
    }
}
