//! Calls to the user service, shared: who wants an author that somebody is asking for
//! already waits for that answer (single-flight).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::{process::Failure, serving::call_context};
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

use super::known::Known;
use crate::{post::AuthorId, settings::AuthorSettings};

/// A peer that does not answer a PING of HTTP/2 in this time is gone, even if its
/// connection looks open.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// For which part of the time that they may be known it is gathered who is to be asked for anew:
/// all of them are asked for in one call.
const GATHERING: u32 = 20;

/// How many ids one call has at the most, as the contract has it.
const MOST: usize = 1000;

/// What the user service says of an author.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Nickname(Arc<str>),
    Missing,
}

/// What one call brought: nothing if it failed.
type Cargo = Option<Arc<HashMap<AuthorId, Answer>>>;

/// Waits for what a call says of one author.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    id: AuthorId,
    // Whether it set out for whoever holds it, and for nobody before.
    own: bool,
    // None until the call ends.
    cargo: watch::Receiver<Option<Cargo>>,
}

/// Where calls set out from.
#[derive(Clone, Debug)]
pub(super) struct Departures(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: UserServiceClient<Channel>,
    calls: Semaphore,
    known: Known,
    flights: Mutex<HashMap<AuthorId, Flight>>,
    // Who is to be asked for anew, though nobody waits for it.
    aging: Mutex<Vec<AuthorId>>,
    gathering: Duration,
    limit: Duration,
    // Whether the last call failed, so that only changes are logged.
    down: AtomicBool,
}

impl Flight {
    pub(super) fn id(&self) -> AuthorId {
        self.id
    }

    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// What was said of the author, or `None` if the call failed.
    pub(super) async fn land(&mut self) -> Option<Answer> {
        // The sender is dropped unsent if the call panicked.
        let cargo = self.cargo.wait_for(Option::is_some).await.ok()?;
        cargo.as_ref()?.as_ref()?.get(&self.id).cloned()
    }
}

impl Departures {
    pub(super) fn new(url: &Uri, settings: &AuthorSettings) -> Result<Self, Failure> {
        let place = url.scheme_str() == Some("http") && url.authority().is_some();
        if !place || url.path() != "/" || url.query().is_some() {
            return Err(Failure::Setting(format!(
                "USER_SERVICE_URL is `{url}`, which is no place of a user service; write for \
                 example http://127.0.0.1:50051"
            )));
        }
        let channel = Endpoint::from(url.clone())
            .connect_timeout(settings.user_service_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(Self(Arc::new(Inner {
            client: UserServiceClient::new(channel),
            calls: Semaphore::new(settings.user_service_max_concurrent_calls.get()),
            known: Known::new(settings),
            flights: Mutex::default(),
            aging: Mutex::default(),
            gathering: settings.author_ttl / GATHERING,
            limit: settings.user_service_timeout,
            down: AtomicBool::new(false),
        })))
    }

    pub(super) fn known(&self) -> &Known {
        &self.0.known
    }

    /// A flight for each of `ids`: one that is under way already, or else one new call for
    /// all others together, which may take as long as `limit`.
    pub(super) fn board(&self, ids: &[AuthorId], limit: Duration) -> Vec<Flight> {
        let mut under_way = lock(&self.0.flights);
        let (sender, cargo) = watch::channel(None);
        let mut flights = Vec::with_capacity(ids.len());
        let mut asked_for = Vec::new();
        for &id in ids {
            let mut own = false;
            let flight = under_way.entry(id).or_insert_with(|| {
                own = true;
                asked_for.push(id);
                let cargo = cargo.clone();
                Flight {
                    id,
                    own: false,
                    cargo,
                }
            });
            flights.push(Flight {
                own,
                ..flight.clone()
            });
        }
        drop(under_way);

        if !asked_for.is_empty() {
            self.set_out(asked_for, sender, limit);
        }
        flights
    }

    /// Has those asked for anew whose nicknames soon will be too old, before somebody has to
    /// wait for it.
    pub(super) fn renew(&self, mut ids: Vec<AuthorId>) {
        let mut aging = lock(&self.0.aging);
        let first = aging.is_empty();
        aging.append(&mut ids);
        drop(aging);
        if first {
            let departures = self.clone();
            tokio::spawn(async move {
                sleep(departures.0.gathering).await;
                let ids = std::mem::take(&mut *lock(&departures.0.aging));
                for ids in ids.chunks(MOST) {
                    // It is learnt when they land, whoever waits.
                    departures.board(ids, departures.0.limit);
                }
            });
        }
    }

    /// Sets out for all of `ids` in one call, which goes on when its callers leave: others
    /// may have boarded.
    fn set_out(&self, ids: Vec<AuthorId>, sender: watch::Sender<Option<Cargo>>, limit: Duration) {
        let mut request = Request::new(BatchGetUsersRequest {
            ids: ids.iter().map(|id| id.get()).collect(),
            allow_missing: true,
        });
        call_context::forward(&mut request);
        let departures = self.clone();
        tokio::spawn(async move {
            let landing = Landing(&departures.0, &ids);
            let cargo = departures.0.fetch(request, limit).await;
            drop(landing);
            // Nobody may be waiting any more.
            let _ = sender.send(Some(cargo));
        });
    }
}

/// Takes flights off the board when their call ends, however it ends.
struct Landing<'a>(&'a Inner, &'a [AuthorId]);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.0.flights);
        for id in self.1 {
            under_way.remove(id);
        }
    }
}

impl Inner {
    /// Asks the user service, and learns what it says. The limit is told to it, too.
    async fn fetch(&self, request: Request<BatchGetUsersRequest>, limit: Duration) -> Cargo {
        let asked = Instant::now();
        let called = timeout(limit, self.call(request, asked + limit)).await;
        match called {
            Ok(Ok(response)) => {
                if self.down.swap(false, Ordering::Relaxed) {
                    tracing::info!("the user service answers again");
                }
                Some(Arc::new(self.learn(response, asked)))
            }
            failed => {
                if !self.down.swap(true, Ordering::Relaxed) {
                    let cause = failed.map_or_else(
                        |_| format!("no answer within {limit:?}"),
                        |result| result.map_or_else(|status| status.to_string(), |_| String::new()),
                    );
                    tracing::warn!(cause, "the user service does not answer");
                }
                None
            }
        }
    }

    /// Calls, and calls again at once if the call may never have been sent: a peer that
    /// drains ends the first call on its old connection so.
    async fn call(
        &self,
        request: Request<BatchGetUsersRequest>,
        deadline: Instant,
    ) -> Result<BatchGetUsersResponse, Status> {
        let _place = self.calls.acquire().await;
        let (metadata, _, message) = request.into_parts();
        let mut again = true;
        loop {
            let mut request = Request::from_parts(
                metadata.clone(),
                tonic::Extensions::default(),
                message.clone(),
            );
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            // A client is a handle; its calls take it mutably.
            let result = self.client.clone().batch_get_users(request).await;
            match result {
                Err(status) if again && may_be_unsent(&status) && Instant::now() < deadline => {
                    again = false;
                }
                result => return result.map(tonic::Response::into_inner),
            }
        }
    }

    fn learn(&self, response: BatchGetUsersResponse, asked: Instant) -> HashMap<AuthorId, Answer> {
        let BatchGetUsersResponse { users, missing_ids } = response;
        let mut answers = HashMap::with_capacity(users.len() + missing_ids.len());
        for user in users {
            let Ok(id) = AuthorId::parse(user.id) else {
                continue;
            };
            let nickname: Arc<str> = user.nickname.into();
            self.known.learn(id, nickname.clone(), asked);
            answers.insert(id, Answer::Nickname(nickname));
        }
        for id in missing_ids {
            let Ok(id) = AuthorId::parse(id) else {
                continue;
            };
            self.known.forget(id);
            answers.insert(id, Answer::Missing);
        }
        answers
    }
}

/// The lock of what only this module holds, and never across a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a failure can be one of the transport, which has no code of its own.
fn may_be_unsent(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Cancelled | Code::Unknown | Code::Unavailable
    )
}
