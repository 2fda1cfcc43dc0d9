//! The settings that only this service has.

use chassis::settings::ServerSettings;
use clap::Args;

/// What the service works with, apart from its listener and its database.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// What it keeps in memory.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The limits of the server.
    #[command(flatten)]
    pub server: ServerSettings,
}

/// What the service keeps in memory.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cache")]
pub struct CacheSettings {
    /// Users that are kept in memory once they were read by id, some 500 bytes each; 0 keeps
    /// none. What is kept is what is stored: a user service that is not the only one on its
    /// database keeps none either.
    #[arg(long, env, value_name = "COUNT", default_value = "10000")]
    pub user_cache: usize,
}
