//! A thousand who watch, while posts are created as fast as can be: what the writers lose by
//! it, and how long a post takes to those who watch.
//!
//! Two crowds: one in which each watches another author, so that a post goes to one of them,
//! and one in which all watch everything, so that it goes to all thousand. They are a process
//! of their own, which shares the machine with the services and with the writers.

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
    children::{self, Server},
    figure::Figure,
    load,
    rounds::median,
    seed::AUTHORS,
    system::Pair,
    wire::{Answer, Connection, prefixed},
};

/// How many watch.
const WATCHERS: u64 = 1000;

/// Over how many connections. A server allows 128 streams on each.
const CONNECTIONS: u64 = 10;

/// Of so many messages one is looked into.
const LOOKED_INTO: u64 = 16;

/// How many rounds: each starts crowds of its own.
const ROUNDS: usize = 5;

/// A crowd, as a process.
#[derive(Args, Debug)]
pub struct Watchers {
    #[arg(long)]
    server: SocketAddr,
    /// Whether each watches another author.
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
            let crowd = crowd(&pair, authors);
            rates[at].push(run().await.rate() / unwatched);
            let said = crowd.last_words().unwrap_or_default();
            let said: Value = serde_json::from_str(&said).unwrap_or_default();
            waits[at].push(said["p99_ms"].as_f64().unwrap_or(f64::INFINITY));
        }
    }
    let about = [
        "1000 watchers, each of one author:",
        "1000 watchers of everything:",
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

/// Starts a crowd, and waits until all of them watch.
fn crowd(pair: &Pair, authors: bool) -> Server {
    let server = pair.address(Service::Posts).to_string();
    let mut role = vec!["watchers", "--server", &server];
    if authors {
        role.push("--authors");
    }
    Server::start(&role)
}

/// What the connections of a crowd share.
#[derive(Default)]
struct Seen {
    /// How many watch.
    begun: Cell<u64>,
    messages: Cell<u64>,
    /// How long messages took from the creation of their post, in milliseconds.
    waits: RefCell<Vec<f64>>,
}

/// Watches until the standard input ends, and says what it saw.
pub fn be_watchers(watchers: &Watchers) {
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

/// What the watchers of one connection ask for.
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
        connection.begin_stream(slot, prefixed(request));
    }
    let mut refused = Vec::new();
    loop {
        let turn = connection.turn(|slot, answer| match answer {
            Answer::Begun => {
                seen.begun.set(seen.begun.get() + 1);
                if seen.begun.get() == WATCHERS {
                    children::say_serving(server);
                }
            }
            Answer::Message(_, message) => seen.note(message.unwrap_or_default()),
            // The places of the crowd before are not all free yet.
            Answer::Refused if seen.begun.get() < WATCHERS => refused.push(slot),
            Answer::Refused => panic!("a watch ended"),
        });
        turn.await.unwrap();
        for slot in refused.drain(..) {
            connection.begin_stream(slot, prefixed(&requests[slot]));
        }
    }
}

impl Seen {
    fn note(&self, message: &[u8]) {
        let number = self.messages.replace(self.messages.get() + 1);
        if !number.is_multiple_of(LOOKED_INTO) {
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
