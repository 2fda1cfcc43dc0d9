//! Compares the creation of 100 posts in one call with single creates.

use crate::{bench::Bench, calls::COMMIT, figure::Figure, load::Measured, rounds::median_ratio};

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let pair = bench.pair(&bench.variant).await;
    let plan = bench.plan;
    let loads = ["commit_posts", "create_post"].map(|call| plan.load_of(&bench.call(call), &pair));
    let measured = bench.interleave(&loads, plan).await;
    let calls = median_ratio(&measured[0], &measured[1], Measured::rate);
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let posts = calls * COMMIT as f64;
    let about = "CommitPosts of 100: posts a second";
    vec![Figure::at_least(10.0, about, posts, "times CreatePost")]
}
