//! The scenarios: measurements in addition to the table of calls. Most compare the services with
//! themselves under another condition, in interleaved rounds.

mod ablation;
mod both_services;
mod bulk;
mod durability;
mod growth;
mod memory;
mod request_id;
mod single_caller;
mod sizes;
mod start;
mod watch;

use std::path::PathBuf;

use clap::Args;

pub use self::watch::{Watchers, run_watchers};
use crate::{bench::Bench, figure::Figure};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    SingleCaller,
    Bulk,
    RequestId,
    Durability,
    BothServices,
    Growth,
    Start,
    Memory,
    Watch,
    Sizes,
    Ablation,
}

/// Options of single scenarios.
#[derive(Args, Clone, Debug)]
pub struct More {
    /// Extend `growth` to ten million posts, which take 6 GB of disk space.
    #[arg(long)]
    large: bool,
    /// Extend `memory` by ten minutes of load.
    #[arg(long)]
    long: bool,
    /// Make `ablation` compare this build only with another build of this program.
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
}

impl Scenario {
    /// All scenarios in order.
    pub const ALL: [Self; 11] = [
        Self::SingleCaller,
        Self::Bulk,
        Self::RequestId,
        Self::Durability,
        Self::BothServices,
        Self::Growth,
        Self::Start,
        Self::Memory,
        Self::Watch,
        Self::Sizes,
        Self::Ablation,
    ];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleCaller => "single_caller",
            Self::Bulk => "bulk",
            Self::RequestId => "request_id",
            Self::Durability => "durability",
            Self::BothServices => "both_services",
            Self::Growth => "growth",
            Self::Start => "start",
            Self::Memory => "memory",
            Self::Watch => "watch",
            Self::Sizes => "sizes",
            Self::Ablation => "ablation",
        }
    }

    /// Runs the scenario.
    pub async fn measure(self, bench: &Bench, more: &More) -> Vec<Figure> {
        match self {
            Self::SingleCaller => single_caller::measure(bench).await,
            Self::Bulk => bulk::measure(bench).await,
            Self::RequestId => request_id::measure(bench).await,
            Self::Durability => durability::measure(bench).await,
            Self::BothServices => both_services::measure(bench).await,
            Self::Growth => growth::measure(bench, more.large).await,
            Self::Start => start::measure(bench).await,
            Self::Memory => memory::measure(bench, more.long).await,
            Self::Watch => watch::measure(bench).await,
            Self::Sizes => sizes::measure(),
            Self::Ablation => ablation::measure(bench, more.against.as_deref()).await,
        }
    }
}
