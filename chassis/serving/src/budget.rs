//! A budget of bytes that clients can make a process hold.
//!
//! Each connection has an account. A small part of it is guaranteed, so that other connections
//! cannot exhaust it; the rest comes from a pool that all connections use. When the pool is
//! exhausted, the connection that holds the most bytes is aborted. The budget does not know why bytes
//! are reserved.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio_util::sync::CancellationToken;

/// The minimum time between two searches for the largest account, in milliseconds. Otherwise every
/// reservation would search all accounts while the pool is exhausted.
const SEARCH_INTERVAL: u64 = 1;

/// The error of a reservation that exceeds the account of the connection or the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit;

/// A number of bytes that the connections of a process may hold. Clones share it, so that servers
/// with clones of the same settings have one budget.
#[derive(Clone, Debug)]
pub struct BufferBudget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    /// The whole budget.
    bytes: usize,
    /// The bytes that are taken from the pool.
    used: AtomicUsize,
    /// The largest number of connections, of all servers.
    connections: AtomicUsize,
    accounts: Mutex<Vec<Weak<Account>>>,
    start: Instant,
    /// The earliest time of the next search for the largest account, in milliseconds since `start`.
    next_search: AtomicU64,
}

impl BufferBudget {
    /// Creates a budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Pool {
            bytes,
            used: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            accounts: Mutex::default(),
            start: Instant::now(),
            next_search: AtomicU64::new(0),
        }))
    }

    /// Adds a server that has at most this number of connections.
    pub(crate) fn add_connections(&self, count: usize) {
        self.0.connections.fetch_add(count, Relaxed);
    }

    /// Opens the account of a connection, which `abort` aborts.
    pub(crate) fn open_account(&self, abort: CancellationToken) -> Arc<Account> {
        let account = Arc::new(Account {
            pool: Arc::clone(&self.0),
            guaranteed: self.0.quarter() / self.0.connections.load(Relaxed).max(1),
            used: AtomicUsize::new(0),
            abort,
        });
        let mut accounts = self.0.lock();
        accounts.retain(|account| account.strong_count() > 0);
        accounts.push(Arc::downgrade(&account));
        account
    }
}

impl Pool {
    /// Returns 1/4 of the budget. One is guaranteed to the connections, in equal parts. Two are the
    /// pool. The last one is for connections that hold little, while the connection that holds the
    /// most is being aborted.
    fn quarter(&self) -> usize {
        self.bytes / 4
    }

    /// Reports whether a connection that holds `account_used` bytes may take from the pool until
    /// `used` bytes are taken. If the pool is exhausted, aborts the connection that holds the most.
    fn admits(&self, used: usize, account_used: usize) -> bool {
        let limit = 2 * self.quarter();
        if used <= limit {
            return true;
        }
        self.abort_largest();
        // The aborted connection releases its bytes in its own task. Until then, connections that
        // hold little go on.
        used <= limit + self.quarter() && account_used <= self.quarter() / 4
    }

    /// Aborts the connection that holds the most bytes, unless aborted connections are about to
    /// release enough.
    #[cold]
    fn abort_largest(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = self.next_search.load(Relaxed);
        let searches = now >= next
            && (self.next_search)
                .compare_exchange(next, now + SEARCH_INTERVAL, Relaxed, Relaxed)
                .is_ok();
        if !searches {
            return;
        }
        let accounts: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let (aborted, open): (Vec<_>, Vec<_>) = accounts
            .iter()
            .partition(|account| account.abort.is_cancelled());
        let releasing: usize = aborted.iter().map(|account| account.pool_bytes()).sum();
        if self.used.load(Relaxed).saturating_sub(releasing) <= 2 * self.quarter() {
            return;
        }
        if let Some(largest) = open.into_iter().max_by_key(|account| account.used()) {
            tracing::warn!(
                buffered_bytes = largest.used(),
                max_buffered_bytes = self.bytes,
                "memory limit reached; connection with the most buffered bytes aborted"
            );
            largest.abort.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that one connection holds.
#[derive(Debug)]
pub(crate) struct Account {
    pool: Arc<Pool>,
    /// The bytes that the connection may hold without taking from the pool.
    guaranteed: usize,
    used: AtomicUsize,
    /// Aborts the connection.
    pub(crate) abort: CancellationToken,
}

impl Account {
    fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Returns the bytes that are taken from the pool.
    fn pool_bytes(&self) -> usize {
        self.used().saturating_sub(self.guaranteed)
    }

    /// Reserves `bytes`, which [`Account::release`] returns.
    ///
    /// # Errors
    ///
    /// [`MemoryLimit`] if the connection would hold more than 1/4 of the budget, or if the budget does
    /// not have them.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<(), MemoryLimit> {
        let pool = &*self.pool;
        let before = self.used.fetch_add(bytes, Relaxed);
        let used = before + bytes;
        // Both counters are raised before the check, so that they agree if several threads reserve.
        let from_pool = used.saturating_sub(before.max(self.guaranteed));
        let pool_used = match from_pool {
            0 => 0,
            _ => pool.used.fetch_add(from_pool, Relaxed) + from_pool,
        };
        let fits_account = used <= pool.quarter();
        if fits_account && (from_pool == 0 || pool.admits(pool_used, used)) {
            return Ok(());
        }
        self.release(bytes);
        Err(MemoryLimit)
    }

    /// Returns `bytes` that were reserved.
    pub(crate) fn release(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Relaxed);
        let rest = (before - bytes).max(self.guaranteed);
        let to_pool = before.saturating_sub(rest);
        if to_pool > 0 {
            self.pool.used.fetch_sub(to_pool, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a budget of 4000 bytes: each of 10 connections has 100 bytes, and at most 1000.
    fn budget() -> BufferBudget {
        let budget = BufferBudget::new(4000);
        budget.add_connections(10);
        budget
    }

    fn accounts<const N: usize>(budget: &BufferBudget) -> [Arc<Account>; N] {
        [(); N].map(|()| budget.open_account(CancellationToken::new()))
    }

    fn aborted(accounts: &[Arc<Account>]) -> Vec<bool> {
        let aborted = accounts.iter().map(|account| account.abort.is_cancelled());
        aborted.collect()
    }

    #[test]
    fn a_connection_holds_at_most_a_quarter_of_the_budget() {
        let [account, other] = accounts(&budget());

        assert_eq!(account.reserve(1000), Ok(()));
        assert_eq!(account.reserve(1), Err(MemoryLimit));
        assert_eq!(other.reserve(1000), Ok(()));
        account.release(500);
        assert_eq!(account.reserve(500), Ok(()));
    }

    #[test]
    fn an_exhausted_pool_aborts_the_largest_connection_only() {
        let budget = budget();
        let accounts: [_; 4] = accounts(&budget);
        for (account, bytes) in accounts.iter().zip([900, 950, 300, 100]) {
            assert_eq!(account.reserve(bytes), Ok(()));
        }

        // 800 + 850 + 200 of 2000 bytes are taken from the pool.
        assert_eq!(accounts[2].reserve(200), Err(MemoryLimit));
        assert_eq!(aborted(&accounts), [false, true, false, false]);
        // The aborted connection has not released its bytes yet.
        assert_eq!(accounts[3].reserve(150), Ok(()));
        assert_eq!(aborted(&accounts), [false, true, false, false]);
    }

    #[test]
    fn every_connection_keeps_its_guaranteed_bytes() {
        let budget = budget();
        let accounts: [_; 10] = accounts(&budget);
        for account in &accounts[..9] {
            let _ = account.reserve(1000);
        }

        assert_eq!(accounts[9].reserve(100), Ok(()));
    }

    #[test]
    fn servers_with_one_budget_share_it() {
        let budget = budget();
        let other_server = budget.clone();
        other_server.add_connections(10);
        let [one, other] = accounts(&budget);
        let [third, small] = accounts(&other_server);

        assert_eq!(one.reserve(1000), Ok(()));
        assert_eq!(other.reserve(1000), Ok(()));
        // 2 * 950 of 2000 bytes are taken from the pool, and 50 are guaranteed.
        assert_eq!(third.reserve(500), Err(MemoryLimit));
        assert_eq!(small.reserve(50), Ok(()));
        assert!(one.abort.is_cancelled() || other.abort.is_cancelled());
    }

    #[test]
    fn released_bytes_return_to_the_pool() {
        let budget = budget();
        let [one, other] = accounts(&budget);

        for bytes in [50, 60, 500] {
            assert_eq!(one.reserve(bytes), Ok(()));
            assert_eq!(other.reserve(2000), Err(MemoryLimit));
        }
        one.release(560);
        one.release(50);

        assert_eq!((one.used(), other.used()), (0, 0));
        assert_eq!(budget.0.used.load(Relaxed), 0);
    }
}
