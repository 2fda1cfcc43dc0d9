//! A call, measured for each contender, and the ratios between them.

use std::{cell::Cell, rc::Rc};

use crate::{
    calls::Call,
    figure::Figure,
    goals::Ratios,
    load::Measured,
    rounds::{Plan, compared, interleave, median},
    system::Contender,
    testbed::Testbed,
};

/// The order of the slices in a round.
pub const CONTENDERS: [Contender; 3] = [Contender::Echo, Contender::Naive, Contender::System];

/// A share of the time from which on the generator counts as what limits the rate.
const LIMIT: f64 = 0.95;

/// The medians of one contender.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who.
    pub contender: Contender,
    /// Calls a second.
    pub rate: f64,
    /// In microseconds.
    pub p50: f64,
    /// In microseconds.
    pub p99: f64,
    /// What the servers took for a call, in microseconds.
    pub server_cpu: f64,
    /// What the generator took for a call, in microseconds.
    pub generator_cpu: f64,
    /// The share of the time in which the generator had something to do.
    pub busy: f64,
    /// Calls that were refused, and answers that were not what they have to be, of all rounds.
    pub failed: u64,
    /// What was wrong first.
    pub wrong: Option<String>,
}

impl Line {
    /// Whether they are the services, and calls failed: what they did a second is no rate then.
    pub fn counts_for_nothing(&self) -> bool {
        self.contender == Contender::System && self.failed > 0
    }

    /// Whether the generator was what limited the rate.
    pub fn limited(&self) -> bool {
        self.busy >= LIMIT
    }
}

/// A call, measured.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// The contenders.
    pub lines: Vec<Line>,
    /// The services, compared: the medians of the ratios of each round.
    pub ratios: Ratios,
    /// What was to be reached.
    pub goals: Vec<Figure>,
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
    let goals = call
        .goals
        .iter()
        .map(|bound| bound.held_against(call.title, ratios));
    Row {
        name: call.name,
        title: call.title,
        goals: goals.collect(),
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
    let [echo, naive, system] = measured else {
        unreachable!("as many as contenders")
    };
    Ratios {
        echo: compared(system, echo, Measured::rate),
        naive: compared(system, naive, Measured::rate),
        p99: compared(system, echo, |m| m.quantile(0.99)),
    }
}
