//! Measures 1000 watchers while posts are created: the loss of write rate, and the time until a
//! watcher receives a post.
//!
//! In one group each watcher follows one author, so that a post goes to one watcher. In the other
//! group all watchers follow all posts. The watchers run in a separate process on the same machine.

use std::{
    cell::{Cell, RefCell},
    io::Read,
    net::SocketAddr,
    rc::Rc,
};

use chrono::Utc;
use clap::Args;
use prost::Message;
use proto::post::v1::{WatchPostsRequest, WatchPostsResponse};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::LocalSet};

use crate::{
    bench::Bench,
    calls::Service,
    figure::Figure,
    load,
    processes::{self, Server},
    rounds::median,
    seed::AUTHORS,
    system::ServicePair,
    wire::{Connection, Event, prefixed},
};

/// Number of watchers.
const WATCHERS: u64 = 1000;

/// Number of connections. A server allows 128 streams on each.
const CONNECTIONS: u64 = 10;

/// Number of messages of which the first is decoded.
const CHECK_EVERY: u64 = 16;

/// Number of rounds. Each round starts new groups of watchers.
const ROUNDS: usize = 5;

/// A group of watchers as a process.
#[derive(Args, Debug)]
pub struct Watchers {
    #[arg(long)]
    server: SocketAddr,
    /// Each watcher follows one author.
    #[arg(long)]
    authors: bool,
}

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let pair = bench.pair(&bench.variant).await;
    let load = bench.plan.load_of(&bench.call("create_post"), &pair);
    let run = || load::run(load.clone(), bench.plan.slice, bench.numbers.clone());
    let mut rates = [const { Vec::new() }; 2];
    let mut waits = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        let unwatched = run().await.rate();
        for (at, authors) in [true, false].into_iter().enumerate() {
            let group = start_watchers(&pair, authors);
            rates[at].push(run().await.rate() / unwatched);
            let report = group.close_and_wait().unwrap_or_default();
            let report: Value = serde_json::from_str(&report).unwrap_or_default();
            waits[at].push(report["p99_ms"].as_f64().unwrap_or(f64::INFINITY));
        }
    }
    let about = [
        "1000 watchers, each of one author:",
        "1000 watchers of all posts:",
    ];
    let mut figures = Vec::new();
    for ((about, rates), waits) in about.into_iter().zip(rates).zip(waits) {
        let (rate, wait) = (median(rates.into_iter()), median(waits.into_iter()));
        let unit = "of that without watchers";
        figures.push(Figure::at_least(
            0.5,
            format!("{about} CreatePost's rate"),
            rate,
            unit,
        ));
        figures.push(Figure::at_most(
            100.0,
            format!("{about} p99 of delivery"),
            wait,
            "ms",
        ));
    }
    figures
}

/// Starts a group, and waits until all its watchers are subscribed.
fn start_watchers(pair: &ServicePair, authors: bool) -> Server {
    let server = pair.address(Service::Posts).to_string();
    let mut role = vec!["watchers", "--server", &server];
    if authors {
        role.push("--authors");
    }
    Server::start(&role)
}

/// The state that the connections of a group share.
#[derive(Default)]
struct Seen {
    /// Number of subscribed watchers.
    subscribed: Cell<u64>,
    messages: Cell<u64>,
    /// Times from the creation of a post to its arrival, in milliseconds.
    waits: RefCell<Vec<f64>>,
}

/// Watches until standard input ends, and prints the measured times.
pub fn run_watchers(watchers: &Watchers) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (sender, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    let seen = Rc::new(Seen::default());
    LocalSet::new().block_on(&runtime, async {
        for connection in 0..CONNECTIONS {
            tokio::task::spawn_local(watch(
                watchers.server,
                requests(watchers, connection),
                seen.clone(),
            ));
        }
        let _ = ended.await;
    });
    let mut waits = seen.waits.take();
    waits.sort_by(f64::total_cmp);
    let p99 = waits.get(waits.len() * 99 / 100);
    println!(
        "{}",
        json!({"p99_ms": p99, "messages": seen.messages.get()})
    );
}

/// Returns the requests of the watchers of one connection.
fn requests(watchers: &Watchers, connection: u64) -> Vec<WatchPostsRequest> {
    (0..WATCHERS)
        .filter(|watcher| watcher % CONNECTIONS == connection)
        .map(|watcher| WatchPostsRequest {
            author_id: watchers
                .authors
                .then(|| i64::try_from(watcher % AUTHORS).unwrap() + 1),
            ..WatchPostsRequest::default()
        })
        .collect()
}

async fn watch(server: SocketAddr, requests: Vec<WatchPostsRequest>, seen: Rc<Seen>) {
    let path = "/microblog.post.v1.PostService/WatchPosts";
    let mut connection = Connection::open(server, path).await.unwrap();
    for (slot, request) in requests.iter().enumerate() {
        connection.start_stream(slot, prefixed(request));
    }
    let mut refused = Vec::new();
    loop {
        let progress = connection.poll(|slot, event| match event {
            Event::StreamStarted => {
                seen.subscribed.set(seen.subscribed.get() + 1);
                if seen.subscribed.get() == WATCHERS {
                    processes::report_serving(server);
                }
            }
            Event::Message(_, message) => seen.note(message.unwrap_or_default()),
            // The server may still hold streams of the previous group.
            Event::Failed if seen.subscribed.get() < WATCHERS => refused.push(slot),
            Event::Failed => panic!("a watch ended"),
        });
        progress.await.unwrap();
        for slot in refused.drain(..) {
            connection.start_stream(slot, prefixed(&requests[slot]));
        }
    }
}

impl Seen {
    fn note(&self, message: &[u8]) {
        let number = self.messages.replace(self.messages.get() + 1);
        if !number.is_multiple_of(CHECK_EVERY) {
            return;
        }
        let response = WatchPostsResponse::decode(message).unwrap();
        let created = response.post.unwrap().create_time.unwrap();
        let created = created.seconds * 1_000_000 + i64::from(created.nanos) / 1000;
        let micros = u32::try_from((Utc::now().timestamp_micros() - created).max(0));
        self.waits
            .borrow_mut()
            .push(f64::from(micros.unwrap_or(u32::MAX)) / 1000.0);
    }
}
