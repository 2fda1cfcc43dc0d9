//! Panics of handlers and of their streams.

use std::any::Any;

use tonic::Status;

use crate::{call_context, status};

/// Returns the status of a call that panicked. The log gets the text of the panic.
pub(crate) fn panic_status(panic: &(dyn Any + Send), method: &str, domain: &str) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown kind");
    let request_id = call_context::request_id();
    tracing::error!(panic = text, method, request_id, "a call panicked");
    status::internal_already_logged(domain)
}
