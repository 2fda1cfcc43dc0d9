//! Measures the cost of idempotency: each request has a new `request_id`.

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    bench::Bench, calls::Call, figure::Figure, load::Measured, rounds::median_ratio, wire::PREFIX,
};

/// The calls, and the lower bound of their rate relative to calls without an id.
const CALLS: [(&str, Option<f64>); 3] = [
    ("create_user", Some(0.56)),
    ("create_post", Some(0.43)),
    ("commit_posts", None),
];

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let pair = bench.pair(&bench.variant).await;
    let plan = bench.plan;
    let mut figures = Vec::new();
    for (name, least) in CALLS {
        let call = bench.call(name);
        let loads = [&with_id(&call), &call].map(|call| plan.load_of(call, &pair));
        let measured = bench.interleave(&loads, plan).await;
        let about = format!("{} with a request id", call.title);
        let rate = median_ratio(&measured[0], &measured[1], Measured::rate);
        let p99 = median_ratio(&measured[0], &measured[1], |one| one.quantile(0.99));
        let unit = "of that without";
        let of_rate = format!("{about}: rate");
        figures.push(match least {
            Some(least) => Figure::at_least(least, of_rate, rate, unit),
            None => Figure::informational(of_rate, rate, unit),
        });
        figures.push(Figure::informational(
            format!("{about}: p99"),
            p99,
            "times that without",
        ));
    }
    figures
}

/// Returns a call whose requests have ids.
fn with_id(call: &Call) -> Call {
    let without = call.requests.clone();
    Call {
        requests: Rc::new(move |number| id_added(&without(number), number)),
        ..call.clone()
    }
}

/// Adds the request id to a message with its prefix. `request_id` is field 2 of all these messages.
fn id_added(message: &[u8], number: u64) -> Bytes {
    let message = &message[PREFIX..];
    let id = format!("00000000-0000-4000-8000-{number:012x}");
    // The tag: field 2, length-delimited.
    let field = [0x12, u8::try_from(id.len()).unwrap()];
    let length = message.len() + field.len() + id.len();
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&[0], &length[..], message, &field, id.as_bytes()]
        .concat()
        .into()
}
