//! The contenders as processes: the services, the baseline and the echo.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use chassis::{process, program::Program};
use clap::Args;

use crate::{Options, calls::Service, processes::Server};

/// The user service with the command line of its program.
#[derive(Args, Debug)]
pub struct UserService {
    #[arg(long = "listen", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    program: Program<user_service::Settings>,
}

/// The post service with the command line of its program.
#[derive(Args, Debug)]
pub struct PostService {
    #[arg(long = "listen", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    program: Program<post_service::Settings>,
}

impl UserService {
    /// Runs the service as its `main` does.
    pub fn run(self) -> ExitCode {
        let Self { listen, program } = self;
        let logs = program.logs.clone();
        let service = program.run::<Options>(listen, user_service::CONTRACT, user_service::run);
        process::start(&logs, NonZeroUsize::MIN, service)
    }
}

impl PostService {
    /// Runs the service as its `main` does.
    pub fn run(self) -> ExitCode {
        let Self { listen, program } = self;
        let logs = program.logs.clone();
        let service = program.run::<Options>(listen, post_service::CONTRACT, post_service::run);
        process::start(&logs, NonZeroUsize::MIN, service)
    }
}

/// A measured implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Echo,
    Baseline,
    System,
}

impl Contender {
    /// Returns the name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Baseline => "baseline",
            Self::System => "services",
        }
    }
}

/// The arguments and the program with which the services are started.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Number of worker threads of each service, unless the arguments set it.
    pub threads: NonZeroUsize,
    /// More arguments of both services.
    pub arguments: Vec<String>,
    /// More arguments of the post service.
    pub post_arguments: Vec<String>,
    /// A library for `LD_PRELOAD`.
    pub preload: Option<PathBuf>,
    /// Another build of this program.
    pub program: Option<PathBuf>,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            arguments: Vec::new(),
            post_arguments: Vec::new(),
            preload: None,
            program: None,
        }
    }
}

impl Variant {
    /// Returns the command of the user service.
    pub fn users(&self, database: &Path) -> Command {
        self.service("user-service", database)
    }

    /// Returns the command of the post service.
    pub fn posts(&self, database: &Path, users_url: &str) -> Command {
        let mut command = self.service("post-service", database);
        command.args(["--user-service-url", users_url]);
        command.args(&self.post_arguments);
        command
    }

    fn service(&self, role: &str, database: &Path) -> Command {
        let url = format!("sqlite:{}", database.display());
        let this = std::env::current_exe().unwrap();
        let mut command = Command::new(self.program.as_ref().unwrap_or(&this));
        command.env_clear();
        command.args([role, "--database-url", &url, "--log-format", "json"]);
        command.args(&self.arguments);
        let threads = "--worker-threads";
        if !self
            .arguments
            .iter()
            .any(|argument| argument.starts_with(threads))
        {
            command.args([threads, &self.threads.to_string()]);
        }
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        command
    }
}

/// A user service and a post service.
#[derive(Debug)]
pub struct ServicePair {
    users: Server,
    posts: Server,
}

impl ServicePair {
    /// The services.
    pub fn services(database: &Path, variant: &Variant) -> Self {
        let users = Server::spawn(variant.users(database));
        let posts = Server::spawn(variant.posts(database, &users.url()));
        Self { users, posts }
    }

    /// Starts the baseline services on a database.
    pub fn baseline(database: &Path) -> Self {
        let database = database.to_str().unwrap();
        let users = Server::start(&["baseline-users", "--database", database]);
        let url = users.url();
        let posts = Server::start(&[
            "baseline-posts",
            "--database",
            database,
            "--user-service-url",
            &url,
        ]);
        Self { users, posts }
    }

    /// Returns the new warnings of both services.
    pub fn warnings(&self) -> Vec<String> {
        [self.users.warnings(), self.posts.warnings()].concat()
    }

    /// Returns the process ids of the user service and of the post service.
    pub fn ids(&self) -> [u32; 2] {
        [self.users.id(), self.posts.id()]
    }

    /// Returns the address of a service.
    pub fn address(&self, service: Service) -> SocketAddr {
        match service {
            Service::Users => self.users.address,
            Service::Posts => self.posts.address,
        }
    }

    /// Returns the processes that take part in a call of a service.
    pub fn processes(&self, service: Service) -> Vec<u32> {
        match service {
            Service::Users => vec![self.users.id()],
            Service::Posts => vec![self.users.id(), self.posts.id()],
        }
    }
}
