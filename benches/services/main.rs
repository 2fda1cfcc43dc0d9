//! What the services do a second, beside the limit of the transport and beside what most
//! people would write: one table, on standard output.
//!
//! ```console
//! $ cargo bench
//! $ cargo bench -- --only get_user,list_posts --rounds 9
//! ```
//!
//! Each contender is a process of its own: this program again, in a role. They are measured
//! over the wire, one after the other, in rounds; machines are shared and noisy, so only what
//! stands in the same round is compared, and the median of the rounds is what counts.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that fails measures nothing"
)]

mod calls;
mod children;
mod cpu;
mod echo;
mod goals;
mod load;
mod naive;
mod raw;
mod rounds;
mod seed;
mod system;
mod table;
mod wire;

use std::{cell::Cell, path::PathBuf, process::ExitCode, rc::Rc, time::Duration};

use clap::{Parser, Subcommand};
use tempfile::TempDir;
use tokio::runtime;

use crate::{
    load::Slice,
    rounds::Plan,
    system::{Arena, PostService, UserService},
};

/// Measures the services over the wire.
#[derive(Debug, Parser)]
struct Options {
    /// Only these calls.
    #[arg(long, value_delimiter = ',', value_name = "CALLS")]
    only: Vec<String>,
    /// How many rounds.
    #[arg(long, default_value = "7")]
    rounds: usize,
    /// How many milliseconds of each contender count in a round.
    #[arg(long, default_value = "700")]
    slice: u64,
    /// How many callers.
    #[arg(long, default_value = "64")]
    callers: usize,
    /// Over how many connections.
    #[arg(long, default_value = "4")]
    connections: usize,
    /// How many posts there are at first.
    #[arg(long, default_value = "100000")]
    posts: u64,
    /// A further argument for both services, such as `--with=--write-batch=64`.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    with: Vec<String>,
    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What a process of the bench is.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum Role {
    UserService(Box<UserService>),
    PostService(Box<PostService>),
    Echo {
        #[arg(long)]
        answers: PathBuf,
    },
    NaiveUsers {
        #[arg(long)]
        database: PathBuf,
    },
    NaivePosts {
        #[arg(long)]
        database: PathBuf,
        #[arg(long)]
        user_service_url: String,
    },
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if let Some(role) = options.role.take() {
        children::die_with_parent();
        return play(role);
    }
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(measure(&options))
}

fn play(role: Role) -> ExitCode {
    // As `#[tokio::main]` has it.
    let runtime = || runtime::Runtime::new().unwrap();
    match role {
        Role::UserService(service) => return service.run(),
        Role::PostService(service) => return service.run(),
        Role::Echo { answers } => echo::run(&answers),
        Role::NaiveUsers { database } => runtime().block_on(naive::users(&database)),
        Role::NaivePosts {
            database,
            user_service_url,
        } => runtime().block_on(naive::posts(&database, user_service_url)),
    }
    ExitCode::SUCCESS
}

async fn measure(options: &Options) -> ExitCode {
    let mut calls = calls::all(options.posts);
    if let Some(unknown) = options
        .only
        .iter()
        .find(|o| calls.iter().all(|c| c.name != *o))
    {
        let names: Vec<_> = calls.iter().map(|call| call.name).collect();
        eprintln!("error: {unknown} is none of {}", names.join(", "));
        return ExitCode::from(2);
    }
    calls.retain(|call| options.only.is_empty() || options.only.iter().any(|o| call.name == o));
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let arena = Arena::start(folder.path(), options.posts, &calls, &options.with).await;
    let plan = Plan {
        rounds: options.rounds,
        slice: Slice {
            warm_up: Duration::from_millis(150),
            measured: Duration::from_millis(options.slice),
        },
        callers: options.callers,
        connections: options.connections,
    };
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
    let numbers = Rc::new(Cell::new(0));
    let mut rows = Vec::new();
    for call in &calls {
        let row = rounds::measure(&arena, call, plan, &numbers).await;
        println!("{}", table::rows(&row));
        rows.push(row);
    }
    println!("\n{}\n\n{}", table::LEGEND, table::goals(&rows));
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", table::json(&rows))).unwrap();
    }
    ExitCode::SUCCESS
}
