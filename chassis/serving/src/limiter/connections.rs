//! The places of connections. While all are taken, the connection that is idle longest is closed for
//! a new one. If none is idle, a reserve of connections serves health and reflection only.

use std::{
    ops::Deref,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Limiter, Overloaded, Share};

/// The connections in the reserve. Load balancers, supervisors and operators have few.
pub(super) const RESERVE: usize = 8;

/// The largest number of connections that are being closed. Each still has an open socket, and its
/// place is free already. Beyond this number, connections are aborted.
pub(super) const MAX_CLOSING: usize = 32;

/// The places of the connections of a server.
#[derive(Debug)]
pub(super) struct ConnectionPlaces {
    regular: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    closing: Arc<Semaphore>,
}

impl ConnectionPlaces {
    pub(super) fn new(max_connections: usize) -> Self {
        Self {
            regular: Arc::new(Semaphore::new(max_connections)),
            reserve: Arc::new(Semaphore::new(RESERVE)),
            closing: Arc::new(Semaphore::new(MAX_CLOSING)),
        }
    }
}

/// The place of an open connection, with its share. Dropping this leaves the place.
#[derive(Debug)]
pub(crate) struct Connection(Arc<Share>);

impl Deref for Connection {
    type Target = Arc<Share>;

    fn deref(&self) -> &Arc<Share> {
        &self.0
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Calls may hold the share for longer. It must not count as an open connection.
        self.0.account.abort.cancel();
        self.0.set_permit(None);
    }
}

impl Limiter {
    /// Waits for the place of an accepted connection, which `abort` aborts. `is_full` remembers that
    /// the limit was reached, so that this is logged once until a place is free again.
    pub(crate) async fn admit_connection(
        self: &Arc<Self>,
        abort: CancellationToken,
        is_full: &mut bool,
    ) -> Option<Connection> {
        let (permit, in_reserve) = self.connection_permit(is_full).await?;
        let share = self.add_share(abort);
        share.in_reserve.store(in_reserve, Relaxed);
        share.set_permit(Some(permit));
        Some(Connection(share))
    }

    async fn connection_permit(&self, is_full: &mut bool) -> Option<(OwnedSemaphorePermit, bool)> {
        let regular = || Arc::clone(&self.connections.regular);
        let reserve = || Arc::clone(&self.connections.reserve);
        if let Ok(permit) = regular().try_acquire_owned() {
            *is_full = false;
            return Some((permit, false));
        }
        if !std::mem::replace(is_full, true) {
            tracing::warn!(
                max_connections = self.max_connections,
                "connection limit reached; idle connections closed for new ones"
            );
        }
        if self.close_idle(false) {
            return Some((regular().acquire_owned().await.ok()?, false));
        }
        if let Ok(permit) = reserve().try_acquire_owned() {
            return Some((permit, true));
        }
        if self.close_idle(true) {
            return Some((reserve().acquire_owned().await.ok()?, true));
        }
        tokio::select! {
            permit = regular().acquire_owned() => Some((permit.ok()?, false)),
            permit = reserve().acquire_owned() => Some((permit.ok()?, true)),
        }
    }

    /// Closes the connection that is idle longest, in the reserve or outside. Returns `false` if calls
    /// run on all of them.
    fn close_idle(&self, in_reserve: bool) -> bool {
        let shares = self.shares();
        let idle = shares.iter().filter(|share| {
            share.in_reserve.load(Relaxed) == in_reserve && share.is_idle() && !share.is_ending()
        });
        let longest = idle.min_by_key(|share| share.idle_since.load(Relaxed));
        if let Some(share) = longest {
            match Arc::clone(&self.connections.closing).try_acquire_owned() {
                Ok(permit) => {
                    share.close.cancel();
                    // The new connection does not wait for the client of this one.
                    share.set_permit(Some(permit));
                }
                Err(_) => share.account.abort.cancel(),
            }
        }
        longest.is_some()
    }
}

impl Share {
    /// Leaves the reserve if a regular place is free. Otherwise closes an idle connection, so that
    /// the next attempt succeeds.
    pub(super) fn leave_reserve(&self) -> Result<(), Overloaded> {
        if !self.in_reserve.load(Relaxed) {
            return Ok(());
        }
        let regular = Arc::clone(&self.limiter.connections.regular);
        let Ok(permit) = regular.try_acquire_owned() else {
            self.limiter.close_idle(false);
            return Err(Overloaded);
        };
        self.set_permit(Some(permit));
        self.in_reserve.store(false, Relaxed);
        Ok(())
    }

    fn set_permit(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }
}
