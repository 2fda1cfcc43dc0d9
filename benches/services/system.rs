//! What is compared: the services, the naive pair and the echo, as processes.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use chassis::{process, program::Program};
use clap::Args;

use crate::{calls::Service, children::Server};

/// The user service, as its own `main` takes it.
#[derive(Args, Debug)]
pub struct UserService {
    #[arg(long = "listen", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    program: Program<user_service::Settings>,
}

/// The post service, as its own `main` takes it.
#[derive(Args, Debug)]
pub struct PostService {
    #[arg(long = "listen", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    program: Program<post_service::Settings>,
}

impl UserService {
    /// Does what the service's `main` does.
    pub fn run(self) -> ExitCode {
        let Self { listen, program } = self;
        let logs = program.logs.clone();
        let service = program.run(listen, user_service::CONTRACT, user_service::run);
        process::start(&logs, NonZeroUsize::MIN, service)
    }
}

impl PostService {
    /// Does what the service's `main` does.
    pub fn run(self) -> ExitCode {
        let Self { listen, program } = self;
        let logs = program.logs.clone();
        let service = program.run(listen, post_service::CONTRACT, post_service::run);
        process::start(&logs, NonZeroUsize::MIN, service)
    }
}

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Echo,
    Naive,
    System,
}

impl Contender {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Naive => "naive",
            Self::System => "services",
        }
    }
}

/// The services in a way that differs from the usual one.
#[derive(Clone, Debug)]
pub struct Variant {
    /// How many threads of each serve, if the arguments say nothing else.
    pub threads: NonZeroUsize,
    /// Further arguments for both.
    pub arguments: Vec<String>,
    /// Further arguments for the post service.
    pub of_posts: Vec<String>,
    /// A library that is loaded before all others.
    pub preload: Option<PathBuf>,
    /// Another build of this program.
    pub program: Option<PathBuf>,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            arguments: Vec::new(),
            of_posts: Vec::new(),
            preload: None,
            program: None,
        }
    }
}

impl Variant {
    /// The user service, yet to be started.
    pub fn users(&self, database: &Path) -> Command {
        self.service("user-service", database)
    }

    /// The post service, yet to be started.
    pub fn posts(&self, database: &Path, users_url: &str) -> Command {
        let mut command = self.service("post-service", database);
        command.args(["--user-service-url", users_url]);
        command.args(&self.of_posts);
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
        if !self.arguments.iter().any(|said| said.starts_with(threads)) {
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
pub struct Pair {
    users: Server,
    posts: Server,
}

impl Pair {
    /// The services.
    pub fn services(database: &Path, variant: &Variant) -> Self {
        let users = Server::of(variant.users(database));
        let posts = Server::of(variant.posts(database, &users.url()));
        Self { users, posts }
    }

    /// The naive pair.
    pub fn naive(database: &Path) -> Self {
        let database = database.to_str().unwrap();
        let users = Server::start(&["naive-users", "--database", database]);
        let url = users.url();
        let posts = Server::start(&[
            "naive-posts",
            "--database",
            database,
            "--user-service-url",
            &url,
        ]);
        Self { users, posts }
    }

    /// What they warned of.
    pub fn warnings(&self) -> Vec<String> {
        [self.users.warnings(), self.posts.warnings()].concat()
    }

    /// Their processes: of the user service, and of the post service.
    pub fn ids(&self) -> [u32; 2] {
        [self.users.id(), self.posts.id()]
    }

    /// Where a service is.
    pub fn address(&self, service: Service) -> SocketAddr {
        match service {
            Service::Users => self.users.address,
            Service::Posts => self.posts.address,
        }
    }

    /// The processes that work for a call of a service.
    pub fn processes(&self, service: Service) -> Vec<u32> {
        match service {
            Service::Users => vec![self.users.id()],
            Service::Posts => vec![self.users.id(), self.posts.id()],
        }
    }
}
