//! The post service as a process.

use std::{io::Write, net::SocketAddr, process::ExitCode};

use chassis::{
    database::{settings::DatabaseSettings, sqlite::Database},
    process::{self, Failure, clock::Clock, settings::LogSettings},
    serving,
};
use clap::{Parser, Subcommand};

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
        global = true
    )]
    listen: SocketAddr,
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    service: post_service::Settings,
    #[command(flatten)]
    logs: LogSettings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks a running service for its health, and exits with 0 or 1.
    Healthcheck,
    /// Writes the compiled contract to standard output: a file descriptor set, for clients.
    Descriptor,
}

fn main() -> ExitCode {
    process::main(|line: &CommandLine| &line.logs, run)
}

async fn run(line: CommandLine) -> Result<(), Failure> {
    match line.command {
        Some(Command::Healthcheck) => serving::healthcheck(line.listen, post_service::NAME).await,
        Some(Command::Descriptor) => std::io::stdout()
            .write_all(proto::post::v1::FILE_DESCRIPTOR_SET)
            .map_err(|error| Failure::Failed(format!("it cannot be written: {error}"))),
        None => {
            let shutdown = process::shutdown_on_signals()?;
            let listener = serving::listen(line.listen).await?;
            let database = Database::new(&line.database, &post_service::store::sqlite::NEEDS);
            post_service::run(&line.service, listener, database, Clock::system(), shutdown).await
        }
    }
}
