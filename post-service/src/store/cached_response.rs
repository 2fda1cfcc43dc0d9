//! An encoded response that is cached with the page that it was made from.
//!
//! The store carries it and does not know its format. Only `rpc` reads and writes it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

/// A slot for an encoded response, which is valid until it expires.
#[derive(Debug, Default)]
pub struct CachedResponse(Mutex<Option<Entry>>);

#[derive(Debug)]
struct Entry {
    response: Bytes,
    expires: Instant,
}

impl CachedResponse {
    /// Returns the response if one is cached and has not expired.
    #[must_use]
    pub fn get(&self, now: Instant) -> Option<Bytes> {
        let entry = self.entry();
        let entry = entry.as_ref().filter(|entry| now < entry.expires)?;
        Some(entry.response.clone())
    }

    /// Replaces the response.
    pub fn set(&self, response: Bytes, expires: Instant) {
        *self.entry() = Some(Entry { response, expires });
    }

    fn entry(&self) -> MutexGuard<'_, Option<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
