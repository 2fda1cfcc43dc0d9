//! Logs the requests that the HTTP/2 library rejects before they become calls.
//!
//! No code of the server sees such a request, and its client learns only that the stream was reset.
//! The library logs the reason at level debug. A layer repeats it as a warning, in a bounded number
//! of lines, since a client chooses the number of requests.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Event, Level, Metadata, Subscriber, field::Field};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    layer::Context,
    registry::LookupSpan,
};

/// The minimum time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// The modules of h2 0.4 that reject requests.
const TARGETS: [&str; 3] = [
    "h2::server",
    "h2::codec::framed_read",
    "h2::proto::streams::recv",
];

/// The parts of messages of h2 0.4 that name the reason of a rejection, each with the remedy.
const REASONS: [(&str, &str); 5] = [
    (
        "malformed authority",
        "a list of addresses is not an authority: set the authority of the client's channel, such \
         as grpc.default_authority; see `Clients with several addresses` in docs/operations.md",
    ),
    (
        "frame is over size",
        "the request headers are larger than MAX_HEADER_BYTES",
    ),
    ("malformed header", MALFORMED),
    ("content-length header", MALFORMED),
    ("could not parse content-length", MALFORMED),
];
const MALFORMED: &str = "the client, or a proxy before the server, violates HTTP/2";

/// Returns the layer that logs rejected requests. It must be the last layer: its own line passes
/// through all layers while it handles the event of h2.
pub(super) fn layer<S: Subscriber + for<'s> LookupSpan<'s>>() -> impl Layer<S> {
    // Selects by the place in the code, which tracing checks once. The events of frames have a field.
    let rejects = |metadata: &Metadata<'_>| {
        metadata.is_event()
            && *metadata.level() == Level::DEBUG
            && TARGETS.contains(&metadata.target())
            && metadata.fields().field("frame").is_none()
    };
    let filter = filter_fn(rejects).with_max_level_hint(LevelFilter::DEBUG);
    RejectedRequests::default().with_filter(filter)
}

#[derive(Debug, Default)]
struct RejectedRequests(Mutex<Logged>);

#[derive(Debug, Default)]
struct Logged {
    /// The time of the last line.
    at: Option<Instant>,
    /// The number of requests that were rejected since then.
    since: u64,
}

impl Logged {
    /// Counts a rejected request. Returns the number for the line, or `None` if it is too early for
    /// a line.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.at.is_some_and(|at| now.duration_since(at) < INTERVAL) {
            return None;
        }
        self.at = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

impl<S: Subscriber> Layer<S> for RejectedRequests {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut cause = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| {
            if field.name() == "message" {
                cause = format!("{value:?}");
            }
        });
        let Some((_, hint)) = REASONS.iter().find(|(part, _)| cause.contains(part)) else {
            return;
        };
        let counted = {
            let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            logged.count(Instant::now())
        };
        if let Some(requests) = counted {
            tracing::warn!(cause, hint, requests, "HTTP/2 requests rejected");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_requests_are_one_line_in_an_interval() {
        let mut logged = Logged::default();
        let start = Instant::now();

        let first = logged.count(start);
        let early = [1, 9].map(|s| logged.count(start + Duration::from_secs(s)));
        let later = logged.count(start + INTERVAL);

        assert_eq!((first, early, later), (Some(1), [None, None], Some(3)));
    }
}
