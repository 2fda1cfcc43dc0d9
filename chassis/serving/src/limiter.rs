//! Bounds what clients can make a server hold: bytes of requests, responses and open calls, places
//! of running calls, and connections.
//!
//! Each connection has a share of the bytes. A small part of it is guaranteed, so that other
//! connections cannot exhaust it; the rest comes from a pool that all connections use. When the pool
//! is exhausted, the connection that holds the most bytes is aborted. The limiter does not know why
//! bytes are reserved.

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
use crate::settings::ServerSettings;

mod connections;
mod metered_bytes;
mod open_call;
mod share;

/// The error of a reservation that exceeds the share of the connection or the budget of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit;

/// The error of a call for which no place is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overloaded;

/// The limits of a server, and the connections that share them.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// The setting, for log lines.
    max_buffered_bytes: usize,
    /// The bytes that each connection may hold without taking from the pool: 1/4 of the budget,
    /// divided by the largest number of connections.
    guaranteed_bytes: usize,
    /// The bytes that one connection may hold: 1/4 of the budget.
    max_share: usize,
    /// The bytes of the pool: 1/2 of the budget. The last 1/4 of the budget is for connections that
    /// hold little, while the connection that holds the most is being aborted.
    pool_limit: usize,
    /// The bytes that are taken from the pool.
    pool_used: AtomicUsize,
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
        let quarter = settings.max_buffered_bytes.get() / 4;
        let max_connections = settings.max_connections.get();
        Arc::new(Self {
            max_buffered_bytes: settings.max_buffered_bytes.get(),
            guaranteed_bytes: quarter / (max_connections + RESERVE),
            max_share: quarter,
            pool_limit: 2 * quarter,
            pool_used: AtomicUsize::new(0),
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

    /// Reports whether a connection that holds `share_used` bytes may take from the pool until
    /// `pool_used` bytes are taken. If the pool is exhausted, aborts the connection that holds the
    /// most.
    fn admits(&self, pool_used: usize, share_used: usize) -> bool {
        if pool_used <= self.pool_limit {
            return true;
        }
        self.abort_largest();
        // The aborted connection releases its bytes in its own task. Until then, connections that
        // hold little go on.
        pool_used <= self.pool_limit + self.max_share && share_used <= self.max_share / 4
    }

    /// Aborts the connection that holds the most bytes, unless aborted connections are about to
    /// release enough.
    #[cold]
    fn abort_largest(&self) {
        let shares = self.shares();
        let from_pool = |share: &Share| share.used().saturating_sub(self.guaranteed_bytes);
        let (aborted, open): (Vec<_>, Vec<_>) =
            shares.iter().partition(|share| share.abort.is_cancelled());
        let releasing: usize = aborted.into_iter().map(|share| from_pool(share)).sum();
        if self.pool_used.load(Relaxed).saturating_sub(releasing) <= self.pool_limit {
            return;
        }
        if let Some(largest) = open.into_iter().max_by_key(|share| share.used()) {
            tracing::warn!(
                buffered_bytes = largest.used(),
                max_buffered_bytes = self.max_buffered_bytes,
                "memory limit reached; connection with the most buffered bytes aborted"
            );
            largest.abort.cancel();
        }
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
