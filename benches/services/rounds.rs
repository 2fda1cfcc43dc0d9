//! Interleaved rounds: each contender for a slice of time, again and again, so that what
//! the machine does meanwhile befalls all of them.

use std::{cell::Cell, net::SocketAddr, rc::Rc};

use crate::{
    calls::Call,
    load::{self, Load, Measured, Slice},
    system::Pair,
};

/// How a call is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many rounds.
    pub rounds: usize,
    /// How long each slice is.
    pub slice: Slice,
    /// How many callers.
    pub callers: usize,
    /// Over how many connections.
    pub connections: usize,
}

impl Plan {
    /// A call at an address, as this plan has it.
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

    /// A call of the services of a pair, as this plan has it.
    pub fn load_of(self, call: &Call, pair: &Pair) -> Load {
        self.load(
            call,
            pair.address(call.service),
            pair.processes(call.service),
        )
    }
}

/// Lets each of the loads run for a slice, one after the other, in so many rounds: what each
/// of them measured in each.
pub async fn interleave(
    loads: &[Load],
    slice: Slice,
    rounds: usize,
    numbers: &Rc<Cell<u64>>,
) -> Vec<Vec<Measured>> {
    let mut measured = vec![Vec::new(); loads.len()];
    // One round more than counts: the first fills caches.
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

/// The median of how one compares with another, in each round.
pub fn compared(one: &[Measured], other: &[Measured], figure: impl Fn(&Measured) -> f64) -> f64 {
    let ratios = one.iter().zip(other);
    median(ratios.map(|(one, other)| figure(one) / figure(other)))
}

/// The one in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
