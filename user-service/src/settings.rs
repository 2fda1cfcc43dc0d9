//! The settings that only this service has.

use chassis::serving::settings::ServerSettings;
use clap::Args;

/// What the service works with, apart from its listener and its database.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The limits of the server.
    #[command(flatten)]
    pub server: ServerSettings,
}
