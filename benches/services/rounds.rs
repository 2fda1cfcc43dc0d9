//! Interleaves the contenders in rounds of short slices, so that noise of the machine affects all
//! of them.

use std::{cell::Cell, net::SocketAddr, rc::Rc};

use crate::{
    calls::Call,
    load::{self, Load, Measured, Slice},
    system::ServicePair,
};

/// The parameters of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Number of rounds.
    pub rounds: usize,
    /// Duration of each slice.
    pub slice: Slice,
    /// Number of callers.
    pub callers: usize,
    /// Number of connections.
    pub connections: usize,
}

impl Plan {
    /// Returns the load of a call at an address.
    pub fn load(self, call: &Call, address: SocketAddr, servers: Vec<u32>) -> Load {
        Load {
            address,
            path: call.path,
            requests: call.requests.clone(),
            check: call.check,
            callers: self.callers,
            connections: self.connections,
            servers,
        }
    }

    /// Returns the load of a call of a pair of services.
    pub fn load_of(self, call: &Call, pair: &ServicePair) -> Load {
        self.load(
            call,
            pair.address(call.service),
            pair.processes(call.service),
        )
    }
}

/// Runs each load for a slice in each round, and returns the measurements by load and round.
pub async fn interleave(
    loads: &[Load],
    slice: Slice,
    rounds: usize,
    numbers: &Rc<Cell<u64>>,
) -> Vec<Vec<Measured>> {
    let mut measured = vec![Vec::new(); loads.len()];
    // The first round fills caches and is not counted.
    for round in 0..=rounds {
        for (load, measured) in loads.iter().zip(&mut measured) {
            let one = load::run(load.clone(), slice, numbers.clone()).await;
            if round > 0 {
                measured.push(one);
            }
        }
    }
    measured
}

/// Returns the median over the rounds of the ratio of a figure of `one` to that of `other`.
pub fn median_ratio(
    one: &[Measured],
    other: &[Measured],
    figure: impl Fn(&Measured) -> f64,
) -> f64 {
    let ratios = one.iter().zip(other);
    median(ratios.map(|(one, other)| figure(one) / figure(other)))
}

/// Returns the median, or NaN of no values.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
