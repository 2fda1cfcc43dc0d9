//! The measurements beside the table of calls: each compares the services with themselves
//! under another condition, in rounds that take turns, and yields figures.

mod alone;
mod bulk;
mod durability;
mod growth;
mod memory;
mod once;
mod sizes;
mod start;
mod switches;
mod together;
mod watch;

use std::path::PathBuf;

use clap::Args;

pub use self::watch::{Watchers, be_watchers};
use crate::{bench::Bench, figure::Figure};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    Alone,
    Bulk,
    Once,
    Durability,
    Together,
    Growth,
    Start,
    Memory,
    Watch,
    Sizes,
    Switches,
}

/// What some of them are told.
#[derive(Args, Clone, Debug)]
pub struct More {
    /// Growth goes on to ten million posts, which takes 6 GB of disk.
    #[arg(long)]
    large: bool,
    /// The memory is watched under load, for ten minutes.
    #[arg(long)]
    long: bool,
    /// Another build of this program, with which `switches` compares this one, and nothing else.
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
}

impl Scenario {
    /// All of them, in their order.
    pub const ALL: [Self; 11] = [
        Self::Alone,
        Self::Bulk,
        Self::Once,
        Self::Durability,
        Self::Together,
        Self::Growth,
        Self::Start,
        Self::Memory,
        Self::Watch,
        Self::Sizes,
        Self::Switches,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Bulk => "bulk",
            Self::Once => "once",
            Self::Durability => "durability",
            Self::Together => "together",
            Self::Growth => "growth",
            Self::Start => "start",
            Self::Memory => "memory",
            Self::Watch => "watch",
            Self::Sizes => "sizes",
            Self::Switches => "switches",
        }
    }

    /// Measures it.
    pub async fn measure(self, bench: &Bench, more: &More) -> Vec<Figure> {
        match self {
            Self::Alone => alone::measure(bench).await,
            Self::Bulk => bulk::measure(bench).await,
            Self::Once => once::measure(bench).await,
            Self::Durability => durability::measure(bench).await,
            Self::Together => together::measure(bench).await,
            Self::Growth => growth::measure(bench, more.large).await,
            Self::Start => start::measure(bench).await,
            Self::Memory => memory::measure(bench, more.long).await,
            Self::Watch => watch::measure(bench).await,
            Self::Sizes => sizes::measure(),
            Self::Switches => switches::measure(bench, more.against.as_deref()).await,
        }
    }
}
