//! Calls to the user service, shared by all callers that ask for the same author at the same
//! time (single-flight).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::serving::call_context;
use http::Uri;
use proto::user::v1::{
    BatchGetUsersRequest, BatchGetUsersResponse, user_service_client::UserServiceClient,
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};

use super::nickname_cache::NicknameCache;
use crate::{post::AuthorId, settings::AuthorSettings};

/// The interval of HTTP/2 PINGs, and the time in which the user service must acknowledge one.
/// Without them a connection to a host that vanished would look open.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Refreshes are collected for the TTL divided by this number, and then sent as one call.
const REFRESH_DELAY_DIVISOR: u32 = 20;

/// The largest number of ids that `BatchGetUsers` accepts.
const MAX_IDS_PER_CALL: usize = 1000;

/// The result of looking up one author.
#[derive(Clone, Debug)]
pub(super) enum LookupResult {
    Nickname(Arc<str>),
    Missing,
}

/// The results of one call, or `None` if the call failed.
type CallResult = Option<Arc<HashMap<AuthorId, LookupResult>>>;

/// A lookup of one author, which runs as part of a call.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    id: AuthorId,
    // `true` if the holder started the call, `false` if it joined it.
    own: bool,
    // `None` until the call ends.
    result: watch::Receiver<Option<CallResult>>,
}

/// A client of the user service that caches nicknames and shares calls. Clones share both.
#[derive(Clone, Debug)]
pub(super) struct AuthorLoader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: UserServiceClient<Channel>,
    calls: Semaphore,
    cache: NicknameCache,
    in_flight: Mutex<HashMap<AuthorId, InFlight>>,
    // Authors to refresh in the background.
    refresh_pending: Mutex<Vec<AuthorId>>,
    refresh_delay: Duration,
    call_timeout: Duration,
    // The outcome of the last call. Only changes are logged.
    down: AtomicBool,
}

impl InFlight {
    pub(super) fn id(&self) -> AuthorId {
        self.id
    }

    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// Waits for the call, and returns the result for the author, or `None` if the call failed.
    pub(super) async fn wait(&mut self) -> Option<LookupResult> {
        // If the call panicked, the sender is dropped without a result.
        let result = self.result.wait_for(Option::is_some).await.ok()?;
        result.as_ref()?.as_ref()?.get(&self.id).cloned()
    }
}

impl AuthorLoader {
    /// Returns a loader for the user service at `url`. It connects with the first call.
    pub(super) fn new(url: &Uri, settings: &AuthorSettings) -> Self {
        let channel = Endpoint::from(url.clone())
            .connect_timeout(settings.user_service_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        Self(Arc::new(Inner {
            client: UserServiceClient::new(channel),
            calls: Semaphore::new(settings.user_service_max_concurrent_calls.get()),
            cache: NicknameCache::new(settings),
            in_flight: Mutex::default(),
            refresh_pending: Mutex::default(),
            refresh_delay: settings.author_ttl / REFRESH_DELAY_DIVISOR,
            call_timeout: settings.user_service_timeout,
            down: AtomicBool::new(false),
        }))
    }

    pub(super) fn cache(&self) -> &NicknameCache {
        &self.0.cache
    }

    /// Returns a lookup for each of `ids`. It joins lookups that run already, and starts one
    /// call for all others, which may take `limit`.
    pub(super) fn join_or_start(&self, ids: &[AuthorId], limit: Duration) -> Vec<InFlight> {
        let mut in_flight = lock(&self.0.in_flight);
        let (sender, result) = watch::channel(None);
        let mut lookups = Vec::with_capacity(ids.len());
        let mut new = Vec::new();
        for &id in ids {
            let mut own = false;
            let lookup = in_flight.entry(id).or_insert_with(|| {
                own = true;
                new.push(id);
                InFlight {
                    id,
                    own: false,
                    result: result.clone(),
                }
            });
            lookups.push(InFlight {
                own,
                ..lookup.clone()
            });
        }
        drop(in_flight);

        if !new.is_empty() {
            self.spawn_lookup(new, sender, limit);
        }
        lookups
    }

    /// Refreshes cached nicknames in the background, before they reach their TTL and a caller
    /// has to wait for them.
    pub(super) fn refresh_ahead(&self, mut ids: Vec<AuthorId>) {
        let mut pending = lock(&self.0.refresh_pending);
        let first = pending.is_empty();
        pending.append(&mut ids);
        drop(pending);
        if first {
            let loader = self.clone();
            tokio::spawn(async move {
                sleep(loader.0.refresh_delay).await;
                let ids = std::mem::take(&mut *lock(&loader.0.refresh_pending));
                for ids in ids.chunks(MAX_IDS_PER_CALL) {
                    // The call fills the cache even if nothing waits for its lookups.
                    loader.join_or_start(ids, loader.0.call_timeout);
                }
            });
        }
    }

    /// Spawns one call for all of `ids`. It continues if its caller is cancelled, since other
    /// callers may have joined it.
    fn spawn_lookup(
        &self,
        ids: Vec<AuthorId>,
        sender: watch::Sender<Option<CallResult>>,
        limit: Duration,
    ) {
        let mut request = Request::new(BatchGetUsersRequest {
            ids: ids.iter().map(|id| id.get()).collect(),
            allow_missing: true,
        });
        call_context::forward(&mut request);
        let loader = self.clone();
        tokio::spawn(async move {
            let registered = RemoveOnDrop(&loader.0, &ids);
            let result = loader.0.fetch(request, limit).await;
            drop(registered);
            // Fails if no caller waits any more.
            let _ = sender.send(Some(result));
        });
    }
}

/// Removes the lookups of a call from `in_flight` when the call ends, even by a panic.
struct RemoveOnDrop<'a>(&'a Inner, &'a [AuthorId]);

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        let mut in_flight = lock(&self.0.in_flight);
        for id in self.1 {
            in_flight.remove(id);
        }
    }
}

impl Inner {
    /// Calls the user service and caches the nicknames that it returns. `limit` is also the
    /// deadline that the user service is told.
    async fn fetch(&self, request: Request<BatchGetUsersRequest>, limit: Duration) -> CallResult {
        let requested_at = Instant::now();
        let called = timeout(limit, self.call(request, requested_at + limit)).await;
        match called {
            Ok(Ok(response)) => {
                if self.down.swap(false, Ordering::Relaxed) {
                    tracing::info!("user service recovered");
                }
                Some(Arc::new(self.cache_response(response, requested_at)))
            }
            failed => {
                if !self.down.swap(true, Ordering::Relaxed) {
                    let cause = failed.map_or_else(
                        |_| format!("no response within {limit:?}"),
                        |result| result.map_or_else(|status| status.to_string(), |_| String::new()),
                    );
                    tracing::warn!(cause, "user service unavailable");
                }
                None
            }
        }
    }

    /// Calls the user service, and retries once if the call may never have been sent. The first
    /// call on a connection that the user service drains fails in this way.
    async fn call(
        &self,
        request: Request<BatchGetUsersRequest>,
        deadline: Instant,
    ) -> Result<BatchGetUsersResponse, Status> {
        let _permit = self.calls.acquire().await;
        let (metadata, _, message) = request.into_parts();
        let mut retry = true;
        loop {
            let mut request = Request::from_parts(
                metadata.clone(),
                tonic::Extensions::default(),
                message.clone(),
            );
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            // The generated client takes `&mut self`. Its clones share the connection.
            let result = self.client.clone().batch_get_users(request).await;
            match result {
                Err(status) if retry && may_be_unsent(&status) && Instant::now() < deadline => {
                    retry = false;
                }
                result => return result.map(tonic::Response::into_inner),
            }
        }
    }

    fn cache_response(
        &self,
        response: BatchGetUsersResponse,
        requested_at: Instant,
    ) -> HashMap<AuthorId, LookupResult> {
        let BatchGetUsersResponse { users, missing_ids } = response;
        let mut results = HashMap::with_capacity(users.len() + missing_ids.len());
        for user in users {
            let Ok(id) = AuthorId::parse(user.id) else {
                continue;
            };
            let nickname: Arc<str> = user.nickname.into();
            self.cache.insert(id, nickname.clone(), requested_at);
            results.insert(id, LookupResult::Nickname(nickname));
        }
        for id in missing_ids {
            let Ok(id) = AuthorId::parse(id) else {
                continue;
            };
            self.cache.remove(id);
            results.insert(id, LookupResult::Missing);
        }
        results
    }
}

/// Locks a mutex. Poisoning is ignored: no code panics while it holds one of this module.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether a failure may come from the transport. tonic has no separate code for those.
fn may_be_unsent(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Cancelled | Code::Unknown | Code::Unavailable
    )
}
