//! The command line that all services share, and its commands.

use std::{
    io::{Write, stdout},
    net::SocketAddr,
};

use clap::{Args, CommandFactory, Subcommand};
use clap_complete::Shell;
use database::settings::DatabaseSettings;
use process::{ExitError, clock::Clock, settings::LogSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The command line of a service, without its listen address. `S` has the settings of the service
/// itself.
#[derive(Args, Debug)]
pub struct Program<S: Args> {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    service: S,
    /// The settings of the log.
    #[command(flatten)]
    pub logs: LogSettings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the health of a running service. Exits with 0 if it is serving, otherwise with 1.
    Healthcheck,
    /// Writes the compiled contract to standard output, as a file descriptor set for clients.
    Descriptor,
    /// Prints a script that completes the arguments of this program in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The contract of one service.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// The full name of the gRPC service.
    pub name: &'static str,
    /// The compiled contract, an encoded `google.protobuf.FileDescriptorSet`.
    pub descriptor_set: &'static [u8],
}

impl<S: Args> Program<S> {
    /// Executes the command. Without one, runs the service by `serve` until a signal. `C` is the
    /// whole command line, of which this is a part.
    ///
    /// # Errors
    ///
    /// The [`ExitError`] of the command or of `serve`.
    pub async fn run<C: CommandFactory>(
        self,
        listen: SocketAddr,
        contract: Contract,
        serve: impl AsyncFnOnce(
            &S,
            TcpListener,
            &DatabaseSettings,
            Clock,
            CancellationToken,
        ) -> Result<(), ExitError>,
    ) -> Result<(), ExitError> {
        match self.command {
            Some(Command::Healthcheck) => serving::healthcheck(listen, contract.name).await,
            Some(Command::Descriptor) => print(contract.descriptor_set),
            Some(Command::Completions { shell }) => print(&completions::<C>(shell)),
            None => {
                let shutdown = process::shutdown_on_signals()?;
                let listener = serving::listen(listen).await?;
                let (settings, database) = (&self.service, &self.database);
                serve(settings, listener, database, Clock::system(), shutdown).await
            }
        }
    }
}

/// Returns the completion script of a command line for a shell.
fn completions<C: CommandFactory>(shell: Shell) -> Vec<u8> {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// Writes the output of a command to standard output.
fn print(output: &[u8]) -> Result<(), ExitError> {
    stdout()
        .write_all(output)
        .map_err(|error| ExitError::Failed(format!("cannot write to standard output: {error}")))
}
