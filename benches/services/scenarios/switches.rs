//! What single decisions gain: the services as they are, and without one of them; or another build
//! of them.

use std::path::Path;

use crate::{bench::Bench, figure::Figure, load::Measured, rounds::compared, system::Variant};

/// A decision that a setting takes back.
struct Switch {
    /// What it is.
    decision: &'static str,
    /// The argument that goes without it.
    without: &'static str,
    /// Whether only the post service knows that argument.
    of_posts: bool,
    /// The calls that it is for.
    calls: &'static [&'static str],
}

const SWITCHES: [Switch; 5] = [
    Switch {
        decision: "reads in the thread of the call",
        without: "--inline-reads=false",
        of_posts: false,
        calls: &[
            "get_user",
            "batch_get_users",
            "get_post",
            "list_posts",
            "list_posts_of_author",
        ],
    },
    Switch {
        decision: "first pages kept while nothing is committed",
        without: "--list-cache-capacity=0",
        of_posts: true,
        calls: &["list_posts", "list_posts_of_author"],
    },
    Switch {
        decision: "authors remembered for a second",
        without: "--author-ttl=0s",
        of_posts: true,
        calls: &["get_post", "list_posts", "create_post"],
    },
    Switch {
        decision: "writes committed together",
        without: "--max-write-batch=1",
        of_posts: false,
        calls: &["create_user", "create_post"],
    },
    Switch {
        decision: "a loop for each of two processors",
        without: "--worker-threads=1",
        of_posts: false,
        calls: &[
            "get_user",
            "get_post",
            "list_posts",
            "create_user",
            "create_post",
        ],
    },
];

/// The calls that two builds are compared by.
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
    for switch in SWITCHES {
        let mut without = bench.variant.clone();
        let arguments = if switch.of_posts {
            &mut without.of_posts
        } else {
            &mut without.arguments
        };
        arguments.push(switch.without.to_owned());
        let gained = format!("{}, not {}", switch.decision, switch.without);
        figures.extend(compare(bench, &gained, &without, switch.calls).await);
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
        let rate = compared(&measured[0], &measured[1], Measured::rate);
        let p99 = compared(&measured[0], &measured[1], |one| one.quantile(0.99));
        let about = format!("{gained}: {}", call.title);
        figures.push(Figure::told(format!("{about}, rate"), rate, "times"));
        figures.push(Figure::told(format!("{about}, p99"), p99, "times"));
    }
    figures
}
