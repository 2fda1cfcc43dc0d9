//! An open call, which holds bytes, the place of a running call, and a pending response until its
//! last byte is sent.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use super::{Overloaded, Share};
use crate::{budget::MemoryLimit, stall::PendingResponse};

/// The bytes that each open call counts for: 8 KiB of headers, which is the default limit, its tasks,
/// and [`UNRESERVED_BYTES`] of each of its messages.
const CALL_BYTES: usize = 16 * 1024;

/// The bytes of the request and of the response that are part of [`CALL_BYTES`], so that most calls
/// reserve once.
pub(crate) const UNRESERVED_BYTES: usize = 4 * 1024;

/// An open call. Dropping this, after the last byte of the response is sent, ends it.
#[derive(Debug)]
pub(crate) struct OpenCall {
    share: Arc<Share>,
    /// The bytes that are released when the call ends.
    reserved: AtomicUsize,
    /// The bytes that are reserved for the next frame of the response.
    frame: AtomicUsize,
    /// The request is complete.
    started: AtomicBool,
    has_place: AtomicBool,
    pending_response: OnceLock<PendingResponse>,
}

impl OpenCall {
    /// Opens a call on a connection.
    ///
    /// # Errors
    ///
    /// [`MemoryLimit`] if the connection or the server holds too many bytes.
    pub(crate) fn new(share: &Arc<Share>) -> Result<Arc<Self>, MemoryLimit> {
        share.account.reserve(CALL_BYTES)?;
        Ok(Arc::new(Self {
            share: Arc::clone(share),
            reserved: AtomicUsize::new(CALL_BYTES),
            frame: AtomicUsize::new(0),
            started: AtomicBool::new(false),
            has_place: AtomicBool::new(false),
            pending_response: OnceLock::new(),
        }))
    }

    /// Reserves `bytes` until the call ends.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<(), MemoryLimit> {
        self.share.account.reserve(bytes)?;
        self.reserved.fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Reserves `bytes` for the next frame of the response, which [`OpenCall::take_frame`] returns.
    pub(crate) fn reserve_frame(&self, bytes: usize) -> Result<(), MemoryLimit> {
        self.reserve(bytes)?;
        self.frame.fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Returns the bytes that are reserved for a frame. The caller releases them when it is sent.
    pub(super) fn take_frame(&self) -> usize {
        // Only the task of the response uses this counter.
        let bytes = self.frame.load(Relaxed);
        if bytes > 0 {
            self.frame.store(0, Relaxed);
        }
        bytes
    }

    /// Releases `bytes` before the call ends.
    pub(super) fn release(&self, bytes: usize) {
        self.reserved.fetch_sub(bytes, Relaxed);
        self.share.account.release(bytes);
    }

    /// Leaves the reserve of connections, whose calls cannot run.
    pub(crate) fn leave_reserve(&self) -> Result<(), Overloaded> {
        self.share.leave_reserve()
    }

    /// Starts the call when its request is complete. Takes the place of a running call if the call
    /// needs one.
    pub(crate) fn start(&self, needs_place: bool) -> Result<(), Overloaded> {
        if needs_place {
            self.share.limiter.take_place()?;
            self.has_place.store(true, Relaxed);
        }
        self.share.start_call();
        self.started.store(true, Relaxed);
        Ok(())
    }

    /// Leaves the place, if the call has one.
    pub(crate) fn leave_place(&self) {
        if self.has_place.load(Relaxed) {
            self.has_place.store(false, Relaxed);
            self.share.limiter.leave_place();
        }
    }

    /// Reports to the stall detector that the response is pending until the call ends.
    pub(crate) fn track_response(&self) {
        self.pending_response
            .get_or_init(|| self.share.stall.track_response());
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.leave_place();
        if *self.started.get_mut() {
            self.share.end_call();
        }
        self.share.account.release(*self.reserved.get_mut());
    }
}
