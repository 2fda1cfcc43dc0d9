//! Measures rate and p99 over the number of callers, and draws them as SVG.

mod draw;

use std::{fs, path::Path, time::Duration};

use crate::{
    bench::Bench,
    comparison::CONTENDERS,
    load::{Measured, Slice},
    rounds::{Plan, median},
    testbed::Testbed,
};

/// Numbers of concurrent callers.
const CALLERS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// A read and a write.
const CALLS: [&str; 2] = ["get_post", "create_post"];

/// The curves of one call: rate and p99 of each contender.
#[derive(Debug)]
struct Curves {
    title: &'static str,
    /// Calls per second, by contender and number of callers.
    rates: Vec<Vec<f64>>,
    /// Milliseconds, by contender and number of callers.
    p99s: Vec<Vec<f64>>,
}

/// Measures the calls and writes the diagram to `file`.
pub async fn measure(bench: &Bench, file: &Path) {
    let calls = CALLS.map(|name| bench.call(name));
    let testbed = Testbed::start(bench, &calls).await;
    let mut all = Vec::new();
    for call in &calls {
        let empty = || vec![Vec::new(); CONTENDERS.len()];
        let mut curves = Curves {
            title: call.title,
            rates: empty(),
            p99s: empty(),
        };
        for callers in CALLERS {
            let plan = plan(bench, callers);
            let loads = CONTENDERS.map(|contender| {
                let address = testbed.address(contender, call.service);
                plan.load(call, address, Vec::new())
            });
            let measured = bench.interleave(&loads, plan).await;
            for (at, rounds) in measured.iter().enumerate() {
                let p99 = median(rounds.iter().map(|one| one.quantile(0.99)));
                curves.rates[at].push(median(rounds.iter().map(Measured::rate)));
                curves.p99s[at].push(p99 / 1000.0);
            }
        }
        all.push(curves);
    }
    fs::write(file, draw::svg(&all)).unwrap();
    println!("\nRate and p99 over callers: {}", file.display());
}

fn plan(bench: &Bench, callers: usize) -> Plan {
    Plan {
        rounds: bench.plan.rounds.min(5),
        slice: Slice {
            measured: bench.plan.slice.measured.min(Duration::from_millis(400)),
            ..bench.plan.slice
        },
        callers,
        ..bench.plan
    }
}
