//! Measures the gain of single optimizations: compares the services with a variant without one of
//! them, or with another build.

use std::path::Path;

use crate::{bench::Bench, figure::Figure, load::Measured, rounds::median_ratio, system::Variant};

/// An optimization that a setting turns off.
struct Ablation {
    /// Description of the optimization.
    optimization: &'static str,
    /// The argument that turns it off.
    without: &'static str,
    /// True if only the post service has this argument.
    post_service_only: bool,
    /// The calls that it speeds up.
    calls: &'static [&'static str],
}

const ABLATIONS: [Ablation; 5] = [
    Ablation {
        optimization: "inline reads",
        without: "--inline-reads=false",
        post_service_only: false,
        calls: &[
            "get_user",
            "batch_get_users",
            "get_post",
            "list_posts",
            "list_posts_of_author",
        ],
    },
    Ablation {
        optimization: "first pages cached until the next commit",
        without: "--list-cache-capacity=0",
        post_service_only: true,
        calls: &["list_posts", "list_posts_of_author"],
    },
    Ablation {
        optimization: "authors cached for 1 s",
        without: "--author-ttl=0s",
        post_service_only: true,
        calls: &["get_post", "list_posts", "create_post"],
    },
    Ablation {
        optimization: "group commit",
        without: "--max-write-batch=1",
        post_service_only: false,
        calls: &["create_user", "create_post"],
    },
    Ablation {
        optimization: "one worker runtime per processor (2)",
        without: "--worker-threads=1",
        post_service_only: false,
        calls: &[
            "get_user",
            "get_post",
            "list_posts",
            "create_user",
            "create_post",
        ],
    },
];

/// The calls that compare two builds.
const BUILDS: [&str; 7] = [
    "get_user",
    "batch_get_users",
    "create_user",
    "get_post",
    "list_posts",
    "create_post",
    "commit_posts",
];

pub async fn measure(bench: &Bench, against: Option<&Path>) -> Vec<Figure> {
    if let Some(program) = against {
        let other = Variant {
            program: Some(program.to_owned()),
            ..bench.variant.clone()
        };
        return compare(bench, "this build, not the other", &other, &BUILDS).await;
    }
    let mut figures = Vec::new();
    for ablation in ABLATIONS {
        let mut without = bench.variant.clone();
        let arguments = if ablation.post_service_only {
            &mut without.post_arguments
        } else {
            &mut without.arguments
        };
        arguments.push(ablation.without.to_owned());
        let gained = format!("{}, not {}", ablation.optimization, ablation.without);
        figures.extend(compare(bench, &gained, &without, ablation.calls).await);
    }
    figures
}

async fn compare(bench: &Bench, gained: &str, without: &Variant, calls: &[&str]) -> Vec<Figure> {
    let plan = bench.shorter();
    let ours = bench.pair(&bench.variant).await;
    let theirs = bench.pair(without).await;
    let mut figures = Vec::new();
    for call in calls.iter().map(|call| bench.call(call)) {
        let loads = [&ours, &theirs].map(|pair| plan.load_of(&call, pair));
        let measured = bench.interleave(&loads, plan).await;
        let rate = median_ratio(&measured[0], &measured[1], Measured::rate);
        let p99 = median_ratio(&measured[0], &measured[1], |one| one.quantile(0.99));
        let about = format!("{gained}: {}", call.title);
        figures.push(Figure::informational(
            format!("{about}, rate"),
            rate,
            "times",
        ));
        figures.push(Figure::informational(format!("{about}, p99"), p99, "times"));
    }
    figures
}
