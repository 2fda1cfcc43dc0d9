//! What holds for every call of a server.

use std::{sync::Arc, time::Duration};

use http::Response;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::{
    library_status as foreign,
    methods::Methods,
    request_kind::{self as way, Arrival, Way},
};
use crate::health::Phase;

/// What holds for every call of a server.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) name: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) methods: Methods,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) call_timeout: Duration,
    pub(crate) slow_call: Duration,
    pub(crate) max_message_bytes: usize,
    /// Cancelled when every stream has to end.
    pub(crate) draining: CancellationToken,
}

impl Rules {
    /// The answer to a request that is no call, or no one's who may call.
    pub(crate) fn turned_away(&self, arrival: &Arrival) -> Option<Response<Body>> {
        match arrival.way {
            _ if arrival.refused => Some(way::foreign_origin(self.domain)),
            Way::Grpc | Way::Web => None,
            Way::Foreign => Some(way::not_grpc(self.domain)),
            Way::Other | Way::Preflight => Some(way::not_web(self.domain, self.name)),
        }
    }

    /// What failures of the gRPC library are explained with.
    pub(crate) fn context<'a>(&self, path: &'a str) -> foreign::Context<'a> {
        foreign::Context {
            domain: self.domain,
            path,
            max_message_bytes: self.max_message_bytes,
        }
    }
}
