//! The settings of a server: flags, each with an environment variable.

use std::{num::NonZeroUsize, thread::available_parallelism, time::Duration};

use clap::Args;
use process::settings::{count, defaults, duration, duration_or_zero, up_to};

use crate::budget::BufferBudget;

pub use self::{allowed_origins::AllowedOrigins, listen_address::listen_address};

mod allowed_origins;
mod listen_address;

/// The settings of a server. Each applies to one service of one process, except the budget of
/// buffered bytes: servers with clones of the same settings share it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct ServerSettings {
    /// Maximum number of open connections. At the limit, a new one replaces the one that is idle
    /// longest. Many systems limit a process to 1024 open files, and the database needs some of them.
    #[arg(long, env, value_name = "COUNT", default_value = "512", value_parser = count)]
    pub max_connections: NonZeroUsize,

    /// Maximum time until a new connection has sent the HTTP/2 preface or an HTTP/1.1 request head.
    /// Over HTTP/1.1 it also limits the wait for the next request.
    #[arg(long, env, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub header_read_timeout: Duration,

    /// Maximum number of running calls on one HTTP/2 connection.
    #[arg(long, env, value_name = "COUNT", default_value = "128", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_concurrent_streams: u32,

    /// Maximum number of running calls, without server streams. Further calls fail with
    /// OVERLOADED.
    #[arg(long, env, value_name = "COUNT", default_value = "1024", value_parser = count)]
    pub max_concurrent_calls: NonZeroUsize,

    /// Maximum size of a request message, in bytes.
    #[arg(long, env, value_name = "BYTES", default_value = "4194304", value_parser = bytes)]
    pub max_message_bytes: NonZeroUsize,

    /// Maximum number of bytes to buffer: requests that are being received, responses that are not
    /// sent yet, and open calls. One connection gets at most 1/4. Further calls fail with
    /// `MEMORY_LIMIT`. All services of a process share them.
    #[arg(long, env, value_name = "BYTES", default_value = "67108864", value_parser = buffered_bytes)]
    pub max_buffered_bytes: BufferBudget,

    /// Maximum size of the request headers, in bytes. Over HTTP/1.1 it is at least 8192.
    #[arg(long, env, value_name = "BYTES", default_value = "8192", value_parser = clap::value_parser!(u32).range(1024..=1_048_576))]
    pub max_header_bytes: u32,

    /// Timeout of a call whose client sets no deadline or a later one. Server streams have only the
    /// deadline of the client.
    #[arg(long, env, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub call_timeout: Duration,

    /// Interval of HTTP/2 PINGs and, over HTTP/1.1, of TCP keepalive probes on an idle connection.
    #[arg(long, env, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    pub keepalive_interval: Duration,

    /// Timeout of the response to a PING or a probe. Then the connection is closed.
    #[arg(long, env, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub keepalive_timeout: Duration,

    /// Origins whose web pages may call by gRPC-Web, separated by commas, such as
    /// `https://app.example`; `*` allows every origin, `none` allows none.
    #[arg(long, env, value_name = "ORIGINS", default_value = "none")]
    pub cors_allowed_origins: AllowedOrigins,

    /// Number of threads that serve connections, each with its own runtime. Connections are
    /// distributed round-robin. `auto` is the number of processors. The database has further threads.
    #[arg(long, env, value_name = "COUNT", default_value = "auto", value_parser = threads)]
    pub worker_threads: NonZeroUsize,

    /// Duration above which a successful call is logged as a warning.
    #[arg(long, env, value_name = "DURATION", default_value = "100ms", value_parser = duration_or_zero)]
    pub slow_call_threshold: Duration,

    /// Time that a draining server still accepts calls while its health is `NOT_SERVING`, so that
    /// load balancers stop sending calls.
    #[arg(long, env, value_name = "DURATION", default_value = "1s", value_parser = duration_or_zero)]
    pub drain_delay: Duration,

    /// Maximum time that running calls may take after that. Then they are aborted.
    #[arg(long, env, value_name = "DURATION", default_value = "10s", value_parser = duration_or_zero)]
    pub drain_timeout: Duration,
}

/// Parses a number of threads, or `auto`: one for each processor that this process may use.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    if text == "auto" {
        return Ok(available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    up_to(text, 1024).map_err(|error| format!("{error}, or auto"))
}

/// Parses the size of a message: 1 byte to 1 GiB.
fn bytes(text: &str) -> Result<NonZeroUsize, String> {
    up_to(text, 1 << 30)
}

/// Parses a number of bytes to buffer: 1 MiB to 1 TiB. With fewer, a connection could not have
/// several calls.
fn buffered_bytes(text: &str) -> Result<BufferBudget, String> {
    const MIN: usize = 1 << 20;
    const MAX: usize = 1 << 40;

    let bytes = up_to(text, MAX).ok();
    bytes
        .filter(|bytes| bytes.get() >= MIN)
        .map(|bytes| BufferBudget::new(bytes.get()))
        .ok_or_else(|| format!("give a whole number from {MIN} to {MAX}"))
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
