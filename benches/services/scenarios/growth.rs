//! Measures the slowdown of calls with a growing number of posts.

use std::rc::Rc;

use chassis::serving::pagination;
use prost::Message;
use proto::post::v1::{ListPostsRequest, ListPostsResponse};

use crate::{
    bench::Bench,
    calls::{self, Call},
    figure::Figure,
    load::Measured,
    raw,
    rounds::median_ratio,
    system::ServicePair,
    wire::prefixed,
};

/// Numbers of posts.
const SIZES: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The calls, and the upper bound of their slowdown with the most posts.
const CALLS: [(&str, f64); 4] = [
    ("list_posts", 1.2),
    ("random_page", 2.5),
    ("get_post", 3.0),
    ("create_post", 2.0),
];

pub async fn measure(bench: &Bench, large: bool) -> Vec<Figure> {
    let sizes = if large { &SIZES[..] } else { &SIZES[..4] };
    // Cached first pages would be equally fast for any number of posts.
    let mut variant = bench.variant.clone();
    variant
        .post_arguments
        .push("--list-cache-capacity=0".to_owned());
    let mut pairs = Vec::new();
    for size in sizes {
        let database = bench.database(*size).await;
        pairs.push(ServicePair::services(&database, &variant));
    }
    let plan = bench.shorter();
    let mut figures = Vec::new();
    for (name, most) in CALLS {
        let mut loads = Vec::new();
        for (size, pair) in sizes.iter().zip(&pairs) {
            let call = call(name, *size, pair).await;
            loads.push(plan.load_of(&call, pair));
        }
        let measured = bench.interleave(&loads, plan).await;
        for (at, size) in sizes.iter().enumerate().skip(1) {
            let slower = median_ratio(&measured[0], &measured[at], Measured::rate);
            let about = format!("{}, {size} posts", title(name));
            let unit = "times the time of 1000";
            figures.push(if at + 1 == sizes.len() {
                Figure::at_most(most, about, slower, unit)
            } else {
                Figure::informational(about, slower, unit)
            });
        }
    }
    figures
}

fn title(name: &str) -> &str {
    match name {
        "list_posts" => "the first page",
        "random_page" => "a random page",
        "get_post" => "GetPost",
        _ => "CreatePost",
    }
}

async fn call(name: &str, size: u64, pair: &ServicePair) -> Call {
    let of = |name| {
        let mut all = calls::all(size).into_iter();
        all.find(|call| call.name == name).unwrap()
    };
    if name != "random_page" {
        return of(name);
    }
    let first = of("list_posts");
    check_tokens(&first, pair).await;
    let requests = Rc::new(move |number| {
        // A page that has a previous and a next page.
        let before = calls::below(number, size - 200) + 100;
        prefixed(&ListPostsRequest {
            page_token: token(before),
            ..ListPostsRequest::default()
        })
    });
    Call { requests, ..first }
}

/// Returns the page token of the posts before an id, as the post service creates it.
fn token(before: i64) -> String {
    let list = ("ListPosts", "newest_first", None::<i64>, "full", false);
    pagination::encode(&list, &before).unwrap()
}

/// Asserts that the service creates the same tokens as [`token`].
async fn check_tokens(first: &Call, pair: &ServicePair) {
    let request = (first.requests)(0).slice(5..);
    let response = raw::call(pair.address(first.service), first.path, request).await;
    let page = ListPostsResponse::decode(response.unwrap()).unwrap();
    let last = page.posts.last().unwrap().id;
    assert_eq!(page.next_page_token, token(last), "tokens have changed");
}
