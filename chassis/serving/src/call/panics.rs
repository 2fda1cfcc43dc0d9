//! Turns panics of handlers and of their streams into statuses.

use std::any::Any;

use tonic::Status;

use crate::{call_context, status};

/// Returns the status of a call whose handler panicked, and logs the text of the panic.
pub(crate) fn panic_status(panic: &(dyn Any + Send), method: &str, domain: &str) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown kind");
    let request_id = call_context::request_id();
    tracing::error!(
        panic = text,
        rpc.method = method,
        request_id,
        "handler panicked"
    );
    status::internal_already_logged(domain)
}
