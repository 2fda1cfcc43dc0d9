//! The state that all calls of a server share: its contract, its limits and its lifecycle phase.

use std::{future::pending, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::Response;
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

use super::{
    library_status::CallInfo,
    methods::{MethodInfo, MethodTable},
    refusal_log::RefusalLog,
    request_kind::{self, RequestKind, RequestMeta},
};
use crate::{cors, health::ServerState, status};

/// The state that all calls of a server share.
#[derive(Debug)]
pub(crate) struct ServerContext {
    pub(crate) name: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) methods: MethodTable,
    pub(crate) state: ServerState,
    pub(crate) call_timeout: Duration,
    pub(crate) slow_call_threshold: Duration,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_admin_message_bytes: usize,
    pub(crate) refusals: Arc<RefusalLog>,
    /// Cancelled when every stream has to end.
    pub(crate) draining: CancellationToken,
}

impl ServerContext {
    /// Returns the rejection of a request that is not gRPC or comes from a disallowed origin,
    /// or `None` if the call may proceed.
    pub(crate) fn reject_unsupported(&self, meta: &RequestMeta) -> Option<Response<Body>> {
        match meta.kind {
            _ if meta.origin_rejected => Some(cors::origin_not_allowed(self.domain)),
            RequestKind::Grpc | RequestKind::GrpcWeb => None,
            RequestKind::OtherHttp2 => {
                Some(request_kind::reject_non_grpc(self.domain, &meta.method))
            }
            RequestKind::OtherHttp1 | RequestKind::CorsPreflight => Some(
                request_kind::reject_non_grpc_web(self.domain, &meta.method, self.name),
            ),
        }
    }

    /// Waits until a stream of a method has to end, and returns its status. The streams of admin
    /// services end only when the server drains.
    pub(crate) fn stream_end(&self, method: MethodInfo) -> BoxFuture<'static, Status> {
        let domain = self.domain;
        let draining = self.draining.clone().cancelled_owned();
        let mut available = self.state.available.clone();
        Box::pin(async move {
            let unavailable = async {
                if method.admin || available.wait_for(|available| !available).await.is_err() {
                    pending::<()>().await;
                }
            };
            tokio::select! {
                () = draining => status::shutting_down(domain),
                () = unavailable => status::rejected_until_restored(domain),
            }
        })
    }

    /// Returns the largest request message of a method, in bytes.
    pub(crate) fn max_message_bytes(&self, method: MethodInfo) -> usize {
        if method.admin {
            self.max_admin_message_bytes
        } else {
            self.max_message_bytes
        }
    }

    /// Returns the facts that normalizing a status of the gRPC library needs.
    pub(crate) fn call_info<'a>(&self, path: &'a str, method: MethodInfo) -> CallInfo<'a> {
        CallInfo {
            domain: self.domain,
            path,
            max_message_bytes: self.max_message_bytes(method),
        }
    }
}
