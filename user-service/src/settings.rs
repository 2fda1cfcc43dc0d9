//! The settings of the user service.

use chassis::serving::settings::ServerSettings;
use clap::Args;

/// All settings of the service except its listener and its database.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The limits of the server.
    #[command(flatten)]
    pub server: ServerSettings,
}
