//! Measures concurrent writes of both services to the database, each with its own callers.

use crate::{
    bench::Bench,
    figure::Figure,
    load::{self, Measured},
    rounds::median,
};

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let pair = bench.pair(&bench.variant).await;
    let (plan, numbers) = (bench.plan, &bench.numbers);
    let [users, posts] =
        ["create_user", "create_post"].map(|name| plan.load_of(&bench.call(name), &pair));
    let run = |load: &load::Load| load::run(load.clone(), plan.slice, numbers.clone());
    let mut rounds = Vec::new();
    for round in 0..=plan.rounds {
        let single = [run(&users).await, run(&posts).await];
        let (users, posts) = tokio::join!(run(&users), run(&posts));
        if round > 0 {
            rounds.push((single, [users, posts]));
        }
    }
    let p99 = |one: &Measured| one.quantile(0.99);
    let mut figures = Vec::new();
    for (at, name) in ["CreateUser", "CreatePost"].into_iter().enumerate() {
        let ratio = |figure: fn(&Measured) -> f64| {
            let ratios = rounds.iter();
            median(ratios.map(|(single, both)| figure(&both[at]) / figure(&single[at])))
        };
        let longest = median(rounds.iter().map(|(_, both)| p99(&both[at]) / 1000.0));
        let about = format!("{name}, both services writing:");
        figures.push(Figure::at_most(
            4.0,
            format!("{about} p99"),
            ratio(|one| one.quantile(0.99)),
            "times that of one alone",
        ));
        figures.push(Figure::informational(format!("{about} p99"), longest, "ms"));
        let rate = ratio(Measured::rate);
        figures.push(Figure::informational(
            format!("{about} rate"),
            rate,
            "of that alone",
        ));
    }
    let failed: u64 = rounds
        .iter()
        .flat_map(|(_, both)| both)
        .map(Measured::failed)
        .sum();
    let about = "both services writing: failed calls";
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    figures.push(Figure::at_most(0.0, about, failed as f64, ""));
    figures
}
