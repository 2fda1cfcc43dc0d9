//! One caller alone, who waits for each answer: nothing gathers, so nothing is shared.

use crate::{
    bench::Bench,
    calls,
    figure::Figure,
    load::Measured,
    rounds::{Plan, compared},
    system::Pair,
};

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let services = bench.pair(&bench.variant).await;
    let naive = Pair::naive(&bench.database(bench.posts).await);
    let plan = Plan {
        callers: 1,
        connections: 1,
        ..bench.shorter()
    };
    let mut figures = Vec::new();
    for call in calls::all(bench.posts) {
        let loads = [&services, &naive].map(|pair| plan.load_of(&call, pair));
        let measured = bench.interleave(&loads, plan).await;
        let ratio = compared(&measured[0], &measured[1], Measured::rate);
        let about = format!("one caller alone, {}: rate", call.title);
        figures.push(Figure::at_least(1.0, about, ratio, "times naive"));
    }
    figures
}
