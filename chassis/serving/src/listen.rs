//! From the listener to HTTP: accepts connections, guards their bytes, and serves HTTP/2 and
//! HTTP/1.1 over them on several runtimes.
//!
//! It knows no call: a request goes to [`grpc_web`](crate::grpc_web) as it comes.

pub(crate) mod accept;
pub(crate) mod http;
mod http_io;
mod http_version;
mod socket;
mod stream_executor;
pub(crate) mod workers;
