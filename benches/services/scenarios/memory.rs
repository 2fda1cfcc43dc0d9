//! Measures the resident memory of the services: idle, under load, and during a soak test.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    bench::Bench,
    calls::{self, Service},
    figure::Figure,
    load::{self, Slice},
};

/// Time after the start before the idle memory is read, so that startup work has finished.
const IDLE: Duration = Duration::from_secs(2);

/// Duration of the optional soak test.
const SOAK: Duration = Duration::from_mins(10);

/// Upper bound of memory after the soak test, relative to the memory after 1/5 of it.
const MAX_GROWTH: f64 = 1.1;

pub async fn measure(bench: &Bench, soak: bool) -> Vec<Figure> {
    let pair = bench.pair(&bench.variant).await;
    let [users, posts] = pair.ids();
    let services = [("user-service", users), ("post-service", posts)];
    tokio::time::sleep(IDLE).await;
    let mut figures: Vec<_> = services
        .iter()
        .map(|(name, id)| {
            let held = resident(*id, "VmRSS:");
            Figure::at_most(15.0, format!("{name}, idle: resident memory"), held, "MB")
        })
        .collect();
    let slice = Slice {
        measured: Duration::from_secs(2),
        ..bench.plan.slice
    };
    for call in calls::all(bench.posts) {
        let load = bench.plan.load_of(&call, &pair);
        load::run(load, slice, bench.numbers.clone()).await;
    }
    for (name, id) in services {
        let about = format!("{name}, 64 callers of each call in turn: most resident memory");
        figures.push(Figure::at_most(40.0, about, resident(id, "VmHWM:"), "MB"));
    }
    if soak {
        let fifth = SOAK / 5;
        let before = soak_for(bench, &pair, fifth, services).await;
        let after = soak_for(bench, &pair, fifth * 4, services).await;
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            let about = format!("{name}, after {} s of reads and writes", SOAK.as_secs());
            let unit = "of its memory after a fifth of them";
            figures.push(Figure::at_most(MAX_GROWTH, about, after / before, unit));
        }
    }
    figures
}

/// Loads both services for `time`, and returns their memory in MB.
async fn soak_for(
    bench: &Bench,
    pair: &crate::system::ServicePair,
    time: Duration,
    services: [(&'static str, u32); 2],
) -> Vec<(&'static str, f64)> {
    let start = Instant::now();
    let calls: Vec<_> = calls::all(bench.posts)
        .into_iter()
        // CommitPosts would fill the disk.
        .filter(|call| call.name != "commit_posts")
        .collect();
    while start.elapsed() < time {
        for service in [Service::Users, Service::Posts] {
            for call in calls.iter().filter(|call| call.service == service) {
                let load = bench.plan.load_of(call, pair);
                load::run(load, bench.plan.slice, bench.numbers.clone()).await;
            }
        }
    }
    services
        .map(|(name, id)| (name, resident(id, "VmRSS:")))
        .to_vec()
}

/// Reads a memory size of a process in MB from `/proc`.
fn resident(id: u32, which: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<f64>().unwrap() * 1024.0 / 1e6
}
