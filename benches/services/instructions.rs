//! Counts the instructions of a call in its service with callgrind. The count does not depend on
//! the noise of the machine.
//!
//! A service runs under valgrind twice, with few and with more calls. The difference divided by the
//! number of additional calls is the count of one call. Periodic work is turned off, and only one
//! caller runs, so that the count does not depend on time.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use clap::ValueEnum;

use crate::{
    bench::Bench,
    calls::{Call, Service},
    processes::Server,
    system::Variant,
    wire::{Connection, Event},
};

/// The record: a call and its instructions in each line.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.tsv");

/// Tolerated difference from the record. Two runs of one program differ by 1 %. Another compiler or
/// C library makes a larger difference.
const TOLERANCE: f64 = 0.05;

/// The use of the counts.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Compare them with the record.
    Check,
    /// Write the record.
    Record,
}

/// The counted calls, and the number of additional calls in the second run.
const CALLS: [(&str, u64); 7] = [
    ("get_user", 400),
    ("batch_get_users", 200),
    ("create_user", 100),
    ("get_post", 400),
    ("list_posts", 200),
    ("create_post", 100),
    ("commit_posts", 20),
];

/// Number of calls in the first run, which also fill the caches.
const WARM_UP: u64 = 50;

/// Arguments that turn off periodic work.
const QUIET: [&str; 3] = [
    "--drain-delay=0s",
    "--slow-call-threshold=1h",
    "--call-timeout=10m",
];

/// Arguments that turn off periodic work of the post service.
const QUIET_POSTS: [&str; 4] = [
    "--watch-poll-interval=1h",
    "--author-ttl=1h",
    "--author-lookup-timeout=1m",
    "--user-service-timeout=1m",
];

/// Counts the instructions, and compares them with the record or writes it. Succeeds with a message
/// if valgrind is not installed.
pub async fn run(bench: &Bench, what: Instructions) -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: instructions are counted by valgrind, which is not installed");
        return ExitCode::SUCCESS;
    }
    let recorded = recorded();
    let mut counted = String::new();
    let mut kept = true;
    println!("| call | instructions | recorded | |\n|---|---|---|---|");
    for (name, calls) in CALLS {
        let count = instructions_per_call(bench, &bench.call(name), calls).await;
        let _ = writeln!(counted, "{name}\t{count}");
        let before = recorded.get(name).copied();
        let verdict = before.map_or("not recorded", |before| verdict(count, before));
        kept &= verdict != "MORE";
        let before = before.map(|count| count.to_string()).unwrap_or_default();
        println!("| {name} | {count} | {before} | {verdict} |");
    }
    if what == Instructions::Record {
        fs::write(RECORD, counted).unwrap();
    } else if !kept {
        eprintln!(
            "error: a call takes more instructions; if intended, run with --instructions=record"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn recorded() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(RECORD).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    lines
        .map(|(name, count)| (name.to_owned(), count.parse().unwrap()))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn verdict(count: u64, before: u64) -> &'static str {
    match count as f64 / before as f64 {
        ratio if ratio > 1.0 + TOLERANCE => "MORE",
        ratio if ratio < 1.0 - TOLERANCE => "less: record it",
        _ => "as recorded",
    }
}

/// Returns the instructions of one call.
async fn instructions_per_call(bench: &Bench, call: &Call, calls: u64) -> u64 {
    let few = instructions_of_run(bench, call, WARM_UP).await;
    let more = instructions_of_run(bench, call, WARM_UP + calls).await;
    more.saturating_sub(few) / calls
}

/// Returns the instructions of a service from its start to its end, with this number of calls.
async fn instructions_of_run(bench: &Bench, call: &Call, calls: u64) -> u64 {
    let database = bench.database(bench.posts).await;
    let counts = bench.folder().join("callgrind");
    let variant = Variant {
        arguments: QUIET.map(str::to_owned).to_vec(),
        post_arguments: QUIET_POSTS.map(str::to_owned).to_vec(),
        ..Variant::default()
    };
    let users = variant.users(&database);
    let (counted, _peer) = match call.service {
        Service::Users => (Server::spawn(under_valgrind(&users, &counts)), None),
        Service::Posts => {
            let users = Server::spawn(users);
            let posts = under_valgrind(&variant.posts(&database, &users.url()), &counts);
            (Server::spawn(posts), Some(users))
        }
    };
    call_sequentially(&counted, call, calls).await;
    counted.terminate();
    let counts = fs::read_to_string(counts).unwrap();
    let total = counts
        .lines()
        .find_map(|line| line.strip_prefix("totals: "));
    total.unwrap().trim().parse().unwrap()
}

fn under_valgrind(command: &Command, counts: &Path) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(command.get_program())
        .args(command.get_args());
    valgrind
}

/// Makes calls one after the other. Reads repeat the requests of the warm-up.
async fn call_sequentially(server: &Server, call: &Call, calls: u64) {
    let mut connection = Connection::open(server.address, call.path).await.unwrap();
    let reads = !call.name.contains("create") && !call.name.contains("commit");
    for number in 0..calls {
        let number = if reads { number % WARM_UP } else { number };
        connection.start_call(0, (call.requests)(number), true);
        while connection.running() > 0 {
            let progress = connection.poll(|_, event| match event {
                Event::Message(_, Some(message)) => (call.check)(message).unwrap(),
                event => panic!("{}: {event:?}", call.name),
            });
            progress.await.unwrap();
        }
    }
}
