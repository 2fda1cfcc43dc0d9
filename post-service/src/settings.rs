//! The settings that only this service has.

use std::{num::NonZeroUsize, time::Duration};

use chassis::{
    process::settings::{count, duration, duration_or_zero},
    serving::settings::ServerSettings,
};
use clap::Args;
use http::Uri;

/// What the service works with, apart from its listener and its database.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Where the user service is.
    #[arg(
        long,
        env,
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    pub user_service_url: Uri,
    /// Which pages it keeps in memory.
    #[command(flatten)]
    pub pages: PageSettings,
    /// How authors are resolved.
    #[command(flatten)]
    pub authors: AuthorSettings,
    /// How new posts are sent.
    #[command(flatten)]
    pub watch: WatchSettings,
    /// The limits of the server.
    #[command(flatten)]
    pub server: ServerSettings,
}

/// Which pages the service keeps in memory.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cache")]
pub struct PageSettings {
    /// First pages of lists that are kept in memory once they were read, some 400 bytes for each
    /// of their posts; 0 keeps none. A page is kept until anything is committed to the database,
    /// by whomever.
    #[arg(long, env, value_name = "COUNT", default_value = "64")]
    pub list_cache_capacity: usize,
}

/// How authors are resolved.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Authors")]
pub struct AuthorSettings {
    /// How long one call to the user service may take.
    #[arg(long, env, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub user_service_timeout: Duration,

    /// Calls to the user service that run at once. Further ones wait, within the same time.
    #[arg(long, env, value_name = "COUNT", default_value = "64", value_parser = count)]
    pub user_service_max_concurrent_calls: NonZeroUsize,

    /// How long a read waits for authors before it answers without them.
    #[arg(long, env, value_name = "DURATION", default_value = "150ms", value_parser = duration_or_zero)]
    pub author_lookup_timeout: Duration,

    /// How old what is known of an author may be. Whoever is still asked for after half of that
    /// is looked up anew before anybody has to wait for it.
    #[arg(long, env, value_name = "DURATION", default_value = "1s", value_parser = duration_or_zero)]
    pub author_ttl: Duration,

    /// How many authors are remembered.
    #[arg(long, env, value_name = "COUNT", default_value = "10000", value_parser = count)]
    pub author_cache_capacity: NonZeroUsize,
}

/// How new posts are sent to those who watch.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Watching")]
pub struct WatchSettings {
    /// How many may watch at once. The next one fails with OVERLOADED.
    #[arg(long, env, value_name = "COUNT", default_value = "1024", value_parser = count)]
    pub max_watchers: NonZeroUsize,

    /// How often the database is asked for posts of other processes.
    #[arg(long, env, value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    pub watch_poll_interval: Duration,

    /// How many batches of new posts are kept for a watcher who is slow. One who is slower
    /// reads the rest from the database.
    #[arg(long, env, value_name = "COUNT", default_value = "64", value_parser = count)]
    pub watch_buffer_batches: NonZeroUsize,
}

impl Default for Settings {
    fn default() -> Self {
        chassis::process::settings::defaults()
    }
}
