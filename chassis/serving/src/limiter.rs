//! Bounds what clients can make a server hold: the bytes of requests, responses and open calls, the
//! places of running calls, and connections.
//!
//! The bytes come from the [`budget`](crate::budget) of the process.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use self::connections::{ConnectionPlaces, RESERVE};
pub(crate) use self::{
    connections::Connection,
    metered_bytes::MeteredBytes,
    open_call::{OpenCall, UNRESERVED_BYTES},
    share::Share,
};
use crate::{budget::BufferBudget, settings::ServerSettings};

mod connections;
mod metered_bytes;
mod open_call;
mod share;

/// The error of a call for which no place is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overloaded;

/// The limits of a server, and the connections that share them.
#[derive(Debug)]
pub(crate) struct Limiter {
    budget: BufferBudget,
    /// The largest number of running calls.
    max_places: usize,
    /// The number of running calls.
    places_used: AtomicUsize,
    max_connections: usize,
    connections: ConnectionPlaces,
    /// The start of the times in the shares.
    start: Instant,
    shares: Mutex<Vec<Weak<Share>>>,
}

impl Limiter {
    /// Creates the limiter of a server without connections.
    pub(crate) fn new(settings: &ServerSettings) -> Arc<Self> {
        let max_connections = settings.max_connections.get();
        let budget = settings.max_buffered_bytes.clone();
        budget.add_connections(max_connections + RESERVE);
        Arc::new(Self {
            budget,
            max_places: settings.max_concurrent_calls.get(),
            places_used: AtomicUsize::new(0),
            max_connections,
            connections: ConnectionPlaces::new(max_connections),
            start: Instant::now(),
            shares: Mutex::default(),
        })
    }

    /// Adds a connection, which `abort` aborts.
    fn add_share(self: &Arc<Self>, abort: CancellationToken) -> Arc<Share> {
        let share = Arc::new(Share::new(Arc::clone(self), abort));
        let mut shares = self.lock();
        shares.retain(|share| share.strong_count() > 0);
        shares.push(Arc::downgrade(&share));
        share
    }

    /// Returns the shares that are in use.
    fn shares(&self) -> Vec<Arc<Share>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Share>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of a running call, which [`Limiter::leave_place`] returns.
    fn take_place(&self) -> Result<(), Overloaded> {
        if self.places_used.fetch_add(1, Relaxed) < self.max_places {
            return Ok(());
        }
        self.leave_place();
        Err(Overloaded)
    }

    /// Returns the time in milliseconds since the start of the server.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn leave_place(&self) {
        self.places_used.fetch_sub(1, Relaxed);
    }
}
