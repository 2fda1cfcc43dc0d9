//! The command line of the post service.

use std::{net::SocketAddr, process::ExitCode};

use chassis::{
    process::{self, ExitError},
    program::Program,
    serving::settings::listen_address,
};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves the posts of the microblog over gRPC.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    /// The address to serve on.
    #[arg(
        long = "listen",
        env = "POST_SERVICE_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50052",
        value_parser = listen_address,
        global = true
    )]
    listen: SocketAddr,
    #[command(flatten)]
    program: Program<post_service::Settings>,
}

fn main() -> ExitCode {
    process::main(|line: &CommandLine| &line.program.logs, run)
}

async fn run(line: CommandLine) -> Result<(), ExitError> {
    let CommandLine { listen, program } = line;
    program
        .run::<CommandLine>(listen, post_service::CONTRACT, post_service::run)
        .await
}
