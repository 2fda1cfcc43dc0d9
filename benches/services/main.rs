//! Measures the services over the wire, and prints tables that compare them with a bare transport
//! and a baseline implementation.
//!
//! ```console
//! $ cargo bench
//! $ cargo bench -- --only get_user,list_posts,growth --rounds 9
//! $ cargo bench -- --quick
//! $ cargo bench -- --instructions
//! ```
//!
//! Each contender runs in a separate process: this program in another role. The contenders take
//! turns in rounds. Machines are shared and noisy, so ratios are taken within a round, and the
//! table shows the median of the rounds.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed measurement must stop the run"
)]

mod baseline;
mod bench;
mod calls;
mod comparison;
mod cpu;
mod echo;
mod figure;
mod instructions;
mod load;
mod plot;
mod processes;
mod raw;
mod rounds;
mod scenarios;
mod seed;
mod system;
mod table;
mod targets;
mod testbed;
mod thresholds;
mod wire;

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, time::Duration};

use chassis::serving::settings::ServerSettings;
use clap::{Parser, Subcommand};
use tempfile::TempDir;
use tokio::runtime;

use crate::{
    bench::Bench,
    calls::Call,
    comparison::{Line, Row},
    instructions::Instructions,
    load::Slice,
    rounds::Plan,
    scenarios::{More, Scenario, Watchers},
    system::{PostService, UserService, Variant},
};

// The contenders allocate as the services do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the services over the wire.
#[derive(Debug, Parser)]
struct Options {
    /// Run only these calls and scenarios.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Measure only calls with thresholds, for less than two minutes. Exits with 1 if a ratio is
    /// below.
    #[arg(long, conflicts_with_all = ["only", "rounds", "slice"])]
    quick: bool,
    /// Count only the instructions of the calls, under valgrind. Exits with 1 if they exceed the
    /// record.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "check")]
    instructions: Option<Instructions>,
    /// Number of rounds.
    #[arg(long, default_value = "7")]
    rounds: usize,
    /// Measured milliseconds of each contender in a round.
    #[arg(long, default_value = "700")]
    slice: u64,
    /// Number of concurrent callers.
    #[arg(long, default_value = "64")]
    callers: usize,
    /// Number of connections.
    #[arg(long, default_value = "4")]
    connections: usize,
    /// Number of posts in the database at the start.
    #[arg(long, default_value = "100000")]
    posts: u64,
    /// Number of worker threads in the services and in the echo [default: number of processors].
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    more: More,
    /// Another argument for both services, such as `--with=--max-write-batch=64`.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    with: Vec<String>,
    /// Draw rate and p99 over the number of callers as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Passed by cargo to each benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// The role of a process of the bench.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum Role {
    UserService(Box<UserService>),
    PostService(Box<PostService>),
    Echo {
        #[arg(long)]
        responses: PathBuf,
        #[arg(long)]
        threads: usize,
    },
    BaselineUsers {
        #[arg(long)]
        database: PathBuf,
    },
    BaselinePosts {
        #[arg(long)]
        database: PathBuf,
        #[arg(long)]
        user_service_url: String,
    },
    Watchers(Watchers),
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if let Some(role) = options.role.take() {
        processes::die_with_parent();
        return run_role(role);
    }
    if options.quick {
        (options.rounds, options.slice, options.only) = (5, 300, thresholds::calls());
    }
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let variant = Variant {
        arguments: options.with.clone(),
        threads: options
            .threads
            .unwrap_or_else(|| ServerSettings::default().worker_threads),
        ..Variant::default()
    };
    let bench = Bench::new(folder.path(), options.plan(), options.posts, variant);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if let Some(what) = options.instructions {
        return runtime.block_on(instructions::run(&bench, what));
    }
    runtime.block_on(measure(&options, &bench))
}

fn run_role(role: Role) -> ExitCode {
    // The runtime of `#[tokio::main]`.
    let runtime = || runtime::Runtime::new().unwrap();
    match role {
        Role::UserService(service) => return service.run(),
        Role::PostService(service) => return service.run(),
        Role::Echo { responses, threads } => echo::run(&responses, threads),
        Role::BaselineUsers { database } => runtime().block_on(baseline::users(&database)),
        Role::BaselinePosts {
            database,
            user_service_url,
        } => runtime().block_on(baseline::posts(&database, user_service_url)),
        Role::Watchers(watchers) => scenarios::run_watchers(&watchers),
    }
    ExitCode::SUCCESS
}

impl Options {
    fn plan(&self) -> Plan {
        Plan {
            rounds: self.rounds,
            slice: Slice {
                warm_up: Duration::from_millis(150),
                measured: Duration::from_millis(self.slice),
            },
            callers: self.callers,
            connections: self.connections,
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

async fn measure(options: &Options, bench: &Bench) -> ExitCode {
    let calls = calls::all(options.posts);
    let names = calls.iter().map(|call| call.name);
    let names: Vec<_> = names.chain(Scenario::ALL.map(Scenario::name)).collect();
    if let Some(unknown) = options.only.iter().find(|o| !names.contains(&o.as_str())) {
        eprintln!(
            "error: unknown name {unknown}; known are {}",
            names.join(", ")
        );
        return ExitCode::from(2);
    }
    let chosen: Vec<_> = calls
        .into_iter()
        .filter(|c| options.wants(c.name))
        .collect();
    let rows = table_of_calls(options, bench, &chosen).await;
    let mut figures: Vec<_> = if options.quick {
        thresholds::compare(&rows)
    } else {
        rows.iter().flat_map(|row| row.targets.clone()).collect()
    };
    println!("\n{}", figure::HEAD);
    for figure in &figures {
        println!("{}", figure.row());
    }
    for scenario in Scenario::ALL {
        if !options.wants(scenario.name()) {
            continue;
        }
        for figure in scenario.measure(bench, &options.more).await {
            println!("{}", figure.row());
            figures.push(figure);
        }
    }
    if let Some(file) = &options.json {
        let all = table::json(&rows, &figures);
        std::fs::write(file, format!("{all:#}\n")).unwrap();
    }
    if let Some(file) = &options.plot {
        plot::measure(bench, file).await;
    }
    let mut lines = rows.iter().flat_map(|row| &row.lines);
    if lines.any(Line::is_invalid) {
        eprintln!("error: calls of the services failed");
        return ExitCode::FAILURE;
    }
    if options.quick && !figures.iter().all(|figure| figure.enough) {
        eprintln!("error: a ratio is below its threshold");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Measures the calls of all contenders, and prints the table.
async fn table_of_calls(options: &Options, bench: &Bench, calls: &[Call]) -> Vec<Row> {
    if calls.is_empty() {
        return Vec::new();
    }
    println!(
        "{} callers, {} connections, {} posts of {} authors, {} rounds of {} ms\n",
        options.callers,
        options.connections,
        options.posts,
        seed::AUTHORS,
        options.rounds,
        options.slice
    );
    println!("{}", table::HEAD);
    let testbed = testbed::Testbed::start(bench, calls).await;
    let mut rows = Vec::new();
    for call in calls {
        let measure = || comparison::measure(&testbed, call, bench.plan, &bench.numbers);
        let mut row = measure().await;
        println!("{}", table::rows(&row));
        for _ in 0..thresholds::RETRIES {
            if !options.quick || thresholds::is_met(&row) {
                break;
            }
            println!("below a threshold, measuring again:");
            row = measure().await;
            println!("{}", table::rows(&row));
        }
        rows.push(row);
    }
    println!("\n{}", table::LEGEND);
    rows
}
