//! The post service: owns the posts, and asks the user service who wrote them.
//!
//! [`run`] is the only door: for the binary, for the whole system in one process, and
//! for tests.

mod settings;

use chassis::{clock::Clock, database::Database, process::Failure};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use crate::settings::{AuthorSettings, Settings, WatchSettings};

/// Placeholder until wired.
pub async fn run(
    _settings: &Settings,
    _listener: TcpListener,
    _database: Database,
    _clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    shutdown.cancelled().await;
    Ok(())
}
pub mod store {
    //! x
    use chassis::database::{Access, Needs};
    /// x
    pub static NEEDS: Needs = Needs {
        access: &Access {
            tables: &["posts", "post_requests"],
            columns: &[("users", "id")],
        },
        version: 2,
        queries: Vec::new,
    };
}
