//! The settings of the post service.

use std::{num::NonZeroUsize, time::Duration};

use chassis::{
    process::settings::{count, duration, duration_or_zero},
    serving::settings::ServerSettings,
};
use clap::Args;
use http::{Uri, uri::Authority};

/// All settings of the service except its listener and its database.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The URL of the user service.
    #[arg(
        long,
        env,
        value_name = "URL",
        default_value = "http://127.0.0.1:50051",
        value_parser = user_service_url,
        help_heading = "Authors"
    )]
    pub user_service_url: Uri,
    /// The cache of first pages.
    #[command(flatten)]
    pub pages: PageSettings,
    /// The resolution of authors.
    #[command(flatten)]
    pub authors: AuthorSettings,
    /// The feed of new posts.
    #[command(flatten)]
    pub watch: WatchSettings,
    /// The limits of the server.
    #[command(flatten)]
    pub server: ServerSettings,
}

/// The settings of the cache of first pages.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cache")]
pub struct PageSettings {
    /// The number of first pages of lists to cache, at about 400 bytes for each post; 0 disables
    /// the cache. A commit by any process invalidates all pages.
    #[arg(long, env, value_name = "COUNT", default_value = "64")]
    pub list_cache_capacity: usize,
}

/// The settings of the resolution of authors.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Authors")]
pub struct AuthorSettings {
    /// The timeout of one call to the user service.
    #[arg(long, env, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub user_service_timeout: Duration,

    /// The maximum number of concurrent calls to the user service. Further calls wait within
    /// the same timeout.
    #[arg(long, env, value_name = "COUNT", default_value = "64", value_parser = count)]
    pub user_service_max_concurrent_calls: NonZeroUsize,

    /// The time that a read waits for authors before it responds without their nicknames.
    #[arg(long, env, value_name = "DURATION", default_value = "150ms", value_parser = duration_or_zero)]
    pub author_lookup_timeout: Duration,

    /// The maximum age of a cached nickname. A nickname that is requested after half of it is
    /// refreshed in the background.
    #[arg(long, env, value_name = "DURATION", default_value = "1s", value_parser = duration_or_zero)]
    pub author_ttl: Duration,

    /// The maximum number of cached authors.
    #[arg(long, env, value_name = "COUNT", default_value = "10000", value_parser = count)]
    pub author_cache_capacity: NonZeroUsize,
}

/// The settings of the feed of new posts.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Watching")]
pub struct WatchSettings {
    /// The maximum number of concurrent watchers. A further watcher fails with OVERLOADED.
    #[arg(long, env, value_name = "COUNT", default_value = "1024", value_parser = count)]
    pub max_watchers: NonZeroUsize,

    /// The interval at which the database is polled for posts of other processes.
    #[arg(long, env, value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    pub watch_poll_interval: Duration,

    /// The number of batches of new posts that are buffered for a slow watcher. A watcher that
    /// lags further behind reads from the database.
    #[arg(long, env, value_name = "COUNT", default_value = "64", value_parser = count)]
    pub watch_buffer_batches: NonZeroUsize,
}

/// Parses the URL of a user service: `http`, a host and a port. User information is rejected, since
/// the user service has no authentication.
fn user_service_url(text: &str) -> Result<Uri, String> {
    let invalid = |why: &str| format!("{why}; write for example http://127.0.0.1:50051");
    let url: Uri = text
        .trim()
        .parse()
        .map_err(|_| invalid("it is not a URL"))?;
    let authority = url.authority().map_or("", Authority::as_str);
    if authority.contains('@') {
        return Err(invalid("it contains a user name or a password"));
    }
    let is_http = url.scheme_str() == Some("http") && !authority.is_empty();
    if !is_http || url.path() != "/" || url.query().is_some() {
        return Err(invalid("it is not the URL of a user service"));
    }
    Ok(url)
}

impl Default for Settings {
    fn default() -> Self {
        chassis::process::settings::defaults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value() {
        let _ = Settings::default();
    }

    #[test]
    fn a_url_other_than_of_a_user_service_is_rejected_unshown() {
        for url in [
            "",
            "127.0.0.1:50051",
            "https://secret",
            "http://",
            "http://user:secret@host:50051",
            "http://secret@host",
            "http://host/secret",
            "http://host?secret",
            "http://host:port secret",
        ] {
            let reason = user_service_url(url).unwrap_err();

            assert!(!reason.contains("secret"), "{reason}");
            assert!(
                reason.ends_with("; write for example http://127.0.0.1:50051"),
                "{reason}"
            );
        }
        for url in [
            "http://users:50051",
            "http://localhost:50051/",
            " http://[::1]:5\n",
        ] {
            assert!(user_service_url(url).is_ok(), "{url}");
        }
    }
}
