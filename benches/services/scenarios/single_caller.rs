//! Compares the services with the baseline for a single caller, where no work can be batched or
//! shared.

use crate::{
    bench::Bench,
    calls,
    figure::Figure,
    load::Measured,
    rounds::{Plan, median_ratio},
    system::ServicePair,
};

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let services = bench.pair(&bench.variant).await;
    let baseline = ServicePair::baseline(&bench.database(bench.posts).await);
    let plan = Plan {
        callers: 1,
        connections: 1,
        ..bench.shorter()
    };
    let mut figures = Vec::new();
    for call in calls::all(bench.posts) {
        let loads = [&services, &baseline].map(|pair| plan.load_of(&call, pair));
        let measured = bench.interleave(&loads, plan).await;
        let ratio = median_ratio(&measured[0], &measured[1], Measured::rate);
        let about = format!("one caller alone, {}: rate", call.title);
        figures.push(Figure::at_least(1.0, about, ratio, "times baseline"));
    }
    figures
}
