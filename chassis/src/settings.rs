//! The settings that every process shares: flags, each with an environment variable.
//!
//! Nothing is read from the environment but through these structs and those of the
//! binaries that embed them, so `--help` lists all there is.

use std::{
    fmt::Display, num::NonZeroUsize, path::PathBuf, str::FromStr, thread::available_parallelism,
    time::Duration,
};

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};

pub use self::origins::WebOrigins;

mod origins;

/// Where the database is, and how long things may wait for it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// The database file, as a URL: `sqlite:` and a path.
    #[arg(
        long,
        env,
        value_name = "URL",
        default_value = "sqlite:data/microblog.db"
    )]
    pub database_url: DatabaseUrl,

    /// How long a service waits at its start for the database to be there and migrated,
    /// before it exits with 75.
    #[arg(long, env, value_name = "DURATION", default_value = "60s", value_parser = duration_or_zero)]
    pub database_wait: Duration,

    /// Connections for reading. Each has a thread of its own.
    #[arg(long, env, value_name = "COUNT", default_value = "4", value_parser = count)]
    pub read_connections: NonZeroUsize,

    /// How long a read waits for a connection before it fails with OVERLOADED.
    #[arg(long, env, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub read_wait: Duration,

    /// Whether a read of a few rows by key is done in the thread of its call, rather than on
    /// one of the connections for reading: several times as fast, but a slow disk then
    /// delays the other calls of that thread.
    #[arg(long, env, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub direct_reads: bool,

    /// Writes that may wait in the queue. The next one fails with OVERLOADED.
    #[arg(long, env, value_name = "COUNT", default_value = "1024", value_parser = count)]
    pub write_queue: NonZeroUsize,

    /// Writes that are committed together at most.
    #[arg(long, env, value_name = "COUNT", default_value = "128", value_parser = count)]
    pub write_batch: NonZeroUsize,

    /// How long a write waits for another process that is writing, before it fails with
    /// `DATABASE_BUSY`.
    #[arg(long, env, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub write_wait: Duration,

    /// How many bytes stay free on the disk of the database. With fewer, writes fail with
    /// OVERLOADED; 0 lets them fail when it is full, which on some file systems kills the
    /// process.
    #[arg(long, env, value_name = "BYTES", default_value = "16777216")]
    pub min_free_space: u64,
}

/// A path to the database, from a URL of the form `sqlite:path` or `sqlite://path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl(PathBuf);

impl DatabaseUrl {
    /// The URL of the file at `path`.
    #[must_use]
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let path = url
            .strip_prefix("sqlite:")
            .map(|rest| rest.strip_prefix("//").unwrap_or(rest))
            .ok_or(
                "it does not begin with `sqlite:`; write for example sqlite:data/microblog.db",
            )?;
        if path.is_empty() || path.starts_with(":memory:") {
            return Err(
                "it names no file, and processes share the database through one; write for \
                 example sqlite:data/microblog.db"
                    .into(),
            );
        }
        if path.contains(['?', '#']) {
            return Err("options in the URL are not supported; give the path alone".into());
        }
        Ok(Self(path.into()))
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sqlite:{}", self.0.display())
    }
}

/// The limits of a server. Each holds for one service of one process.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct ServerSettings {
    /// Connections that are open at once. The next one waits to be accepted. Many systems
    /// allow a process 1024 open files, of which connections should leave some.
    #[arg(long, env, value_name = "COUNT", default_value = "512", value_parser = count)]
    pub max_connections: NonZeroUsize,

    /// How long a connection may be open before it has begun to speak; over HTTP/1.1, how
    /// long it may take until the head of the next request is there.
    #[arg(long, env, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub first_byte_timeout: Duration,

    /// Streams, which are calls that run, on one connection.
    #[arg(long, env, value_name = "COUNT", default_value = "128", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_concurrent_streams: u32,

    /// Calls that run at once, without those that answer with a stream. The next one
    /// fails with OVERLOADED.
    #[arg(long, env, value_name = "COUNT", default_value = "1024", value_parser = count)]
    pub max_calls_in_flight: NonZeroUsize,

    /// The largest message that is accepted, in bytes.
    #[arg(long, env, value_name = "BYTES", default_value = "4194304", value_parser = bytes)]
    pub max_message_bytes: NonZeroUsize,

    /// The largest list of request headers that is accepted, in bytes. Over HTTP/1.1 it is
    /// 8192 at the least.
    #[arg(long, env, value_name = "BYTES", default_value = "8192", value_parser = clap::value_parser!(u32).range(1024..=1_048_576))]
    pub max_header_bytes: u32,

    /// How long a call may take if the client sets no deadline or a longer one. Calls
    /// that answer with a stream have the client's deadline only.
    #[arg(long, env, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub call_timeout: Duration,

    /// How often an idle connection is sent an HTTP/2 PING, or over HTTP/1.1 a TCP probe.
    #[arg(long, env, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    pub keepalive_interval: Duration,

    /// How long the answer to it may take, before the connection is closed.
    #[arg(long, env, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub keepalive_timeout: Duration,

    /// The origins whose pages may call by gRPC-Web, separated by commas, such as
    /// `https://app.example`; `*` lets every page call, and `none` no page.
    #[arg(long, env, value_name = "ORIGINS", default_value = "none")]
    pub web_origins: WebOrigins,

    /// Threads that serve connections, each with a loop of its own, which they are given to in
    /// turn; `auto` is as many as there are processors. The database has threads besides.
    #[arg(long, env, value_name = "COUNT", default_value = "auto", value_parser = threads)]
    pub worker_threads: NonZeroUsize,

    /// A call that takes this long is logged, even if it succeeds.
    #[arg(long, env, value_name = "DURATION", default_value = "100ms", value_parser = duration_or_zero)]
    pub slow_call: Duration,

    /// How long a draining server goes on accepting calls, while it already says
    /// `NOT_SERVING`, so that load balancers can turn away.
    #[arg(long, env, value_name = "DURATION", default_value = "1s", value_parser = duration_or_zero)]
    pub drain_pause: Duration,

    /// How long the calls that run may still take, once no more are accepted.
    #[arg(long, env, value_name = "DURATION", default_value = "10s", value_parser = duration_or_zero)]
    pub drain_limit: Duration,
}

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogSettings {
    /// How a line of the log looks.
    #[arg(long, env, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: a level, or directives such as `info,chassis=debug`.
    #[arg(
        id = "RUST_LOG",
        long = "log",
        env = "RUST_LOG",
        value_name = "DIRECTIVES",
        default_value = "info"
    )]
    pub directives: LogDirectives,
}

/// How a line of the log looks.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, on standard error.
    Text,
    /// One JSON object a line, on standard output: for containers.
    Json,
}

/// Which lines are logged, checked when the process starts.
///
/// Each is a level or `target=level`. Those of `EnvFilter` that look into spans and fields
/// are not known here: they take a regular expression engine, a tenth of each program.
#[derive(Clone, Debug)]
pub struct LogDirectives(Targets);

impl LogDirectives {
    /// The filter that they mean.
    #[must_use]
    pub fn filter(&self) -> Targets {
        self.0.clone()
    }
}

impl FromStr for LogDirectives {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            |why: &dyn Display| format!("{why}; write for example `info` or `info,chassis=debug`");
        if text.contains('[') {
            return Err(wrong(&"spans and fields cannot be selected"));
        }
        let directives: Vec<_> = text.split(',').map(str::trim).collect();
        let directives: Vec<_> = directives.into_iter().filter(|it| !it.is_empty()).collect();
        if directives.is_empty() {
            return Ok(Self(Targets::new().with_default(LevelFilter::ERROR)));
        }
        let targets: Result<Targets, _> = directives.join(",").parse();
        targets.map(Self).map_err(|error| wrong(&error))
    }
}

/// A number of things: 1 to a million, so that what is made for each fits into memory.
///
/// # Errors
///
/// What is wrong with it, for people.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    within(text, 1_000_000)
}

/// A number of threads, or `auto`: one for each processor that this process may use.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    if text == "auto" {
        return Ok(available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    within(text, 1024).map_err(|error| format!("{error}, or auto"))
}

/// A size of a message: 1 byte to 1 GiB.
fn bytes(text: &str) -> Result<NonZeroUsize, String> {
    within(text, 1 << 30)
}

fn within(text: &str, most: usize) -> Result<NonZeroUsize, String> {
    text.parse()
        .ok()
        .filter(|number: &NonZeroUsize| number.get() <= most)
        .ok_or_else(|| format!("give a whole number from 1 to {most}"))
}

/// A time that something may take: a millisecond to a day.
///
/// # Errors
///
/// What is wrong with it, for people.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_zero(text)?;
    if duration < Duration::from_millis(1) {
        return Err("it is too short; give 1ms or more".into());
    }
    Ok(duration)
}

/// A time that something may take, or none at all: up to a day.
///
/// # Errors
///
/// What is wrong with it, for people.
pub fn duration_or_zero(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write for example 150ms, 5s or 1m"))?;
    if duration > DAY {
        return Err("it is too long; give 1day or less".into());
    }
    Ok(duration)
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        defaults()
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        defaults()
    }
}

/// The documented defaults of a group of settings, whatever the environment says: they
/// stand in one place, the declarations.
///
/// # Panics
///
/// If a declared default is no valid value, which a test of this module would show.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the defaults are constants of this module"
)]
pub fn defaults<S: Args>() -> S {
    let mut command = S::augment_args(clap::Command::new("defaults"));
    let names: Vec<_> = command
        .get_arguments()
        .map(|argument| argument.get_id().clone())
        .collect();
    for name in names {
        command = command.mut_arg(name, |argument| argument.env(None::<&str>));
    }
    let matches = command
        .try_get_matches_from(["defaults"])
        .expect("the declared defaults parse");
    S::from_arg_matches(&matches).expect("the declared defaults parse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value() {
        let _: (DatabaseSettings, ServerSettings) = Default::default();
        let logs: LogSettings = defaults();
        assert_eq!(logs.log_format, LogFormat::Text);
    }

    #[test]
    fn a_database_url_is_a_path_with_the_scheme_sqlite() {
        for url in ["sqlite:data/x.db", "sqlite://data/x.db"] {
            let parsed: DatabaseUrl = url.parse().unwrap();
            assert_eq!(parsed.path(), std::path::Path::new("data/x.db"));
        }
        let absolute: DatabaseUrl = "sqlite:///var/x.db".parse().unwrap();
        assert_eq!(absolute.path(), std::path::Path::new("/var/x.db"));
    }

    #[test]
    fn a_url_that_names_no_file_is_refused() {
        for url in [
            "",
            "postgres://x",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:x?mode=ro",
        ] {
            assert!(url.parse::<DatabaseUrl>().is_err(), "{url} was accepted");
        }
    }

    #[test]
    fn a_number_that_could_not_work_is_refused() {
        for text in ["0", "-1", "1000001", "18446744073709551615", "x"] {
            assert!(count(text).is_err(), "{text} was accepted");
        }
        assert_eq!(count("1000000").unwrap().get(), 1_000_000);
    }

    #[test]
    fn a_time_that_could_not_work_is_refused() {
        for text in ["0s", "1us", "2days", "300000000000y", "5", "-1s"] {
            assert!(duration(text).is_err(), "{text} was accepted");
        }
        assert_eq!(duration("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
    }
}
