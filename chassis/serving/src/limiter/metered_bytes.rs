//! The bytes of a response, which count until they are sent.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::OpenCall;

/// A part of a response. The HTTP library drops it when it is sent. Until then, its call is open,
/// and its bytes are reserved.
#[derive(Debug)]
pub(crate) struct MeteredBytes {
    bytes: Bytes,
    reserved: usize,
    call: Option<Arc<OpenCall>>,
}

impl MeteredBytes {
    /// Wraps bytes of the response to `call`. Takes over the bytes that were reserved for them.
    pub(crate) fn new(bytes: Bytes, call: Option<&Arc<OpenCall>>) -> Self {
        Self {
            bytes,
            reserved: call.map_or(0, |call| call.take_frame()),
            call: call.cloned(),
        }
    }
}

impl Drop for MeteredBytes {
    fn drop(&mut self) {
        if let (1.., Some(call)) = (self.reserved, &self.call) {
            call.release(self.reserved);
        }
    }
}

impl Buf for MeteredBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.bytes.copy_to_bytes(len)
    }
}
