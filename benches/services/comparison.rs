//! Measures one call for each contender, and the ratios between them.

use std::{cell::Cell, rc::Rc};

use crate::{
    calls::Call,
    figure::Figure,
    load::Measured,
    rounds::{Plan, interleave, median, median_ratio},
    system::Contender,
    targets::Ratios,
    testbed::Testbed,
};

/// The order of the slices in a round.
pub const CONTENDERS: [Contender; 3] = [Contender::Echo, Contender::Baseline, Contender::System];

/// From this share of busy time on, the load generator limits the rate.
const SATURATED: f64 = 0.95;

/// The medians of one contender.
#[derive(Clone, Debug)]
pub struct Line {
    pub contender: Contender,
    /// Calls per second.
    pub rate: f64,
    /// Microseconds.
    pub p50: f64,
    /// Microseconds.
    pub p99: f64,
    /// CPU time of the servers per call, in microseconds.
    pub server_cpu: f64,
    /// CPU time of the load generator per call, in microseconds.
    pub generator_cpu: f64,
    /// Share of the time in which the load generator was runnable.
    pub busy: f64,
    /// Failed calls and wrong responses in all rounds.
    pub failed: u64,
    /// The first wrong response.
    pub wrong: Option<String>,
}

impl Line {
    /// Reports whether calls of the services failed, so that their rate is meaningless.
    pub fn is_invalid(&self) -> bool {
        self.contender == Contender::System && self.failed > 0
    }

    /// Reports whether the load generator limited the rate.
    pub fn limited(&self) -> bool {
        self.busy >= SATURATED
    }
}

/// The measurement of one call.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    /// Title in tables.
    pub title: &'static str,
    /// Medians of each contender.
    pub lines: Vec<Line>,
    /// Ratios of the services: medians of the ratios of each round.
    pub ratios: Ratios,
    /// The ratios with their targets.
    pub targets: Vec<Figure>,
}

/// Measures a call.
pub async fn measure(testbed: &Testbed, call: &Call, plan: Plan, numbers: &Rc<Cell<u64>>) -> Row {
    let loads = CONTENDERS.map(|contender| {
        let address = testbed.address(contender, call.service);
        plan.load(call, address, testbed.processes(contender, call.service))
    });
    let measured = interleave(&loads, plan.slice, plan.rounds, numbers).await;
    for line in testbed.warnings() {
        eprintln!("{}: {line}", call.title);
    }
    let ratios = ratios(&measured);
    let targets = call
        .targets
        .iter()
        .map(|bound| bound.compare(call.title, ratios));
    Row {
        name: call.name,
        title: call.title,
        targets: targets.collect(),
        lines: CONTENDERS.into_iter().zip(&measured).map(line).collect(),
        ratios,
    }
}

fn line((contender, rounds): (Contender, &Vec<Measured>)) -> Line {
    Line {
        contender,
        rate: median(rounds.iter().map(Measured::rate)),
        p50: median(rounds.iter().map(|m| m.quantile(0.5))),
        p99: median(rounds.iter().map(|m| m.quantile(0.99))),
        server_cpu: median(rounds.iter().map(Measured::server_cpu)),
        generator_cpu: median(rounds.iter().map(Measured::generator_cpu)),
        busy: median(rounds.iter().map(Measured::busy)),
        failed: rounds.iter().map(Measured::failed).sum(),
        wrong: rounds.iter().find_map(|m| m.wrong.1.clone()),
    }
}

fn ratios(measured: &[Vec<Measured>]) -> Ratios {
    let [echo, baseline, system] = measured else {
        unreachable!("one measurement for each contender")
    };
    Ratios {
        echo: median_ratio(system, echo, Measured::rate),
        baseline: median_ratio(system, baseline, Measured::rate),
        p99: median_ratio(system, echo, |m| m.quantile(0.99)),
    }
}
