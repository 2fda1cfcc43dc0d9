//! The limits of a server: flags, each with an environment variable.

use std::{num::NonZeroUsize, thread::available_parallelism, time::Duration};

use clap::Args;
use process::settings::{count, defaults, duration, duration_or_zero, up_to};

pub use self::allowed_origins::AllowedOrigins;

mod allowed_origins;

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
    pub header_read_timeout: Duration,

    /// Streams, which are calls that run, on one connection.
    #[arg(long, env, value_name = "COUNT", default_value = "128", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_concurrent_streams: u32,

    /// Calls that run at once, without those that answer with a stream. The next one
    /// fails with OVERLOADED.
    #[arg(long, env, value_name = "COUNT", default_value = "1024", value_parser = count)]
    pub max_concurrent_calls: NonZeroUsize,

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
    pub cors_allowed_origins: AllowedOrigins,

    /// Threads that serve connections, each with a loop of its own, which they are given to in
    /// turn; `auto` is as many as there are processors. The database has threads besides.
    #[arg(long, env, value_name = "COUNT", default_value = "auto", value_parser = threads)]
    pub worker_threads: NonZeroUsize,

    /// A call that takes this long is logged, even if it succeeds.
    #[arg(long, env, value_name = "DURATION", default_value = "100ms", value_parser = duration_or_zero)]
    pub slow_call_threshold: Duration,

    /// How long a draining server goes on accepting calls, while it already says
    /// `NOT_SERVING`, so that load balancers can turn away.
    #[arg(long, env, value_name = "DURATION", default_value = "1s", value_parser = duration_or_zero)]
    pub drain_delay: Duration,

    /// How long the calls that run may still take, once no more are accepted.
    #[arg(long, env, value_name = "DURATION", default_value = "10s", value_parser = duration_or_zero)]
    pub drain_timeout: Duration,
}

/// A number of threads, or `auto`: one for each processor that this process may use.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    if text == "auto" {
        return Ok(available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    up_to(text, 1024).map_err(|error| format!("{error}, or auto"))
}

/// A size of a message: 1 byte to 1 GiB.
fn bytes(text: &str) -> Result<NonZeroUsize, String> {
    up_to(text, 1 << 30)
}

impl Default for ServerSettings {
    fn default() -> Self {
        defaults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value() {
        let _ = ServerSettings::default();
    }
}
