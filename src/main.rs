//! The program of `cargo run`: the whole system on an embedded database.

use std::{io::Write, net::SocketAddr, process::ExitCode};

use chassis::{
    process::{
        self, ExitError,
        clock::Clock,
        settings::{LogFormat, LogSettings},
    },
    serving,
};
use clap::Parser;
use microblog::System;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Migrates the database, then runs both services of the microblog in one process.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    /// Address on which the user service listens.
    #[arg(long, env, value_name = "ADDRESS", default_value = "127.0.0.1:50051", value_parser = serving::settings::listen_address)]
    user_service_listen: SocketAddr,
    /// Address on which the post service listens.
    #[arg(long, env, value_name = "ADDRESS", default_value = "127.0.0.1:50052", value_parser = serving::settings::listen_address)]
    post_service_listen: SocketAddr,
    #[command(flatten)]
    system: microblog::Settings,
    #[command(flatten)]
    logs: LogSettings,
}

fn main() -> ExitCode {
    process::main(|line: &CommandLine| &line.logs, run)
}

async fn run(line: CommandLine) -> Result<(), ExitError> {
    let shutdown = process::shutdown_on_signals()?;
    let users = serving::listen(line.user_service_listen).await?;
    let posts = serving::listen(line.post_service_listen).await?;
    let (user_address, post_address) = (address(&users)?, address(&posts)?);

    let database = line.system.database.database_url.clone();
    let system = tokio::select! {
        system = System::prepare(line.system, users, posts) => system?,
        // The migrator may be waiting for the lock of the database.
        () = shutdown.cancelled() => return Ok(()),
    };
    let banner = format!(
        "The microblog is running on {database}

  UserService  {user_address}
  PostService  {post_address}

Try it, in another terminal:

  grpcurl -plaintext -d '{{\"user\": {{\"nickname\": \"john\", \"email\": \"john@example.com\"}}}}' \\
    {user_address} microblog.user.v1.UserService/CreateUser
  grpcurl -plaintext -d '{{\"post\": {{\"author_id\": 1, \"body\": \"my first post!\"}}}}' \\
    {post_address} microblog.post.v1.PostService/CreatePost
  grpcurl -plaintext {post_address} microblog.post.v1.PostService/ListPosts
  grpcurl -plaintext {post_address} describe microblog.post.v1.PostService

Ctrl-C ends it."
    );
    // With JSON logs, standard output is for programs, which find the addresses in the log.
    if line.logs.log_format == LogFormat::Text {
        // A closed standard output must not stop the services, nor a pipe that nobody reads.
        std::thread::spawn(move || {
            let _ = writeln!(std::io::stdout(), "{}", process::redact(&banner));
        });
    }
    Box::pin(system.run(Clock::system(), shutdown)).await
}

fn address(listener: &TcpListener) -> Result<SocketAddr, ExitError> {
    listener
        .local_addr()
        .map_err(|error| ExitError::Failed(format!("a listener has no address: {error}")))
}
