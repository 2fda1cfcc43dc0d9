//! How many instructions a call takes in its service, counted by callgrind: a figure that the
//! noise of a machine does not touch.
//!
//! A service runs under valgrind twice, for a few calls and for more of them; the difference,
//! divided, is what one call takes. What the service does by itself now and then is turned
//! off, and there is one caller, so that nothing depends on the time.

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
    children::Server,
    system::Variant,
    wire::{Answer, Connection},
};

/// What is recorded: a call, and its instructions.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.tsv");

/// How much more or less than recorded is nothing. Two runs of one program differ by a
/// hundredth; another compiler or C library makes more of a difference.
const TOLERANCE: f64 = 0.05;

/// What is done with what is counted.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// It is compared with what is recorded.
    Check,
    /// It is recorded.
    Record,
}

/// The calls, and how many each of the two runs makes.
const CALLS: [(&str, u64); 7] = [
    ("get_user", 400),
    ("batch_get_users", 200),
    ("create_user", 100),
    ("get_post", 400),
    ("list_posts", 200),
    ("create_post", 100),
    ("commit_posts", 20),
];

/// The first calls fill caches: each run makes as many before.
const REPEATED: u64 = 50;

/// What is turned off.
const STILL: [&str; 3] = [
    "--drain-delay=0s",
    "--slow-call-threshold=1h",
    "--call-timeout=10m",
];

/// What is turned off in the post service only.
const STILL_POSTS: [&str; 4] = [
    "--watch-poll-interval=1h",
    "--author-ttl=1h",
    "--author-lookup-timeout=1m",
    "--user-service-timeout=1m",
];

/// Counts, and compares with what is recorded or records it. Where valgrind is missing it
/// says so and succeeds.
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
        let count = of_call(bench, &bench.call(name), calls).await;
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
            "error: a call takes more instructions; if it has to, run with --instructions=record"
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

/// The instructions of one call.
async fn of_call(bench: &Bench, call: &Call, calls: u64) -> u64 {
    let few = of_service(bench, call, REPEATED).await;
    let more = of_service(bench, call, REPEATED + calls).await;
    more.saturating_sub(few) / calls
}

/// The instructions of a service from its start to its end, with so many calls between.
async fn of_service(bench: &Bench, call: &Call, calls: u64) -> u64 {
    let database = bench.database(bench.posts).await;
    let counts = bench.folder().join("callgrind");
    let variant = Variant {
        arguments: STILL.map(str::to_owned).to_vec(),
        of_posts: STILL_POSTS.map(str::to_owned).to_vec(),
        ..Variant::default()
    };
    let of_users = variant.users(&database);
    let (counted, _peer) = match call.service {
        Service::Users => (Server::of(under_valgrind(&of_users, &counts)), None),
        Service::Posts => {
            let users = Server::of(of_users);
            let posts = under_valgrind(&variant.posts(&database, &users.url()), &counts);
            (Server::of(posts), Some(users))
        }
    };
    one_by_one(&counted, call, calls).await;
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

/// Makes calls, each after the answer to the one before. Reads ask for the same few again and
/// again.
async fn one_by_one(server: &Server, call: &Call, calls: u64) {
    let mut connection = Connection::open(server.address, call.path).await.unwrap();
    let reads = !call.name.contains("create") && !call.name.contains("commit");
    for number in 0..calls {
        let number = if reads { number % REPEATED } else { number };
        connection.begin(0, (call.requests)(number), true);
        while connection.running() > 0 {
            let turn = connection.turn(|_, answer| match answer {
                Answer::Message(_, Some(message)) => (call.check)(message).unwrap(),
                answer => panic!("{}: {answer:?}", call.name),
            });
            turn.await.unwrap();
        }
    }
}
