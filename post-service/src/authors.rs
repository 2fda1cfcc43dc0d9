//! The user service as seen from here: who the authors are, looked up in batches,
//! remembered for a moment, and never waited for without a bound.
//!
//! It is the only client of the user service, and knows nothing else of the wire.

mod flight;
mod known;

use std::{collections::HashMap, sync::Arc, time::Duration};

use chassis::process::Failure;
use http::Uri;
use tokio::time::{Instant, timeout_at};

use self::flight::{Answer, Departures};
use crate::{post::AuthorId, settings::AuthorSettings};

/// What is left of a call's time for the way back.
const MARGIN: Duration = Duration::from_millis(5);

/// What is known of an author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// As the user service said it just now, or a moment ago.
    Resolved(Arc<str>),
    /// The user service says that there is no such user.
    Missing,
    /// The user service did not answer in time. The nickname is the last one known.
    Unavailable(Option<Arc<str>>),
}

/// The user service did not answer in time, and nothing is known of this author.
#[derive(Clone, Copy, Debug)]
pub struct Unavailable(pub AuthorId);

/// Resolves authors. Copies of it are cheap and share what is known.
#[derive(Clone, Debug)]
pub struct Authors {
    departures: Departures,
    settings: AuthorSettings,
}

impl Authors {
    /// Resolves by the user service at `url`, which need not be there yet.
    ///
    /// # Errors
    ///
    /// [`Failure::Setting`] if the URL is none that can be connected to.
    pub fn new(url: &Uri, settings: &AuthorSettings) -> Result<Self, Failure> {
        Ok(Self {
            departures: Departures::new(url, settings)?,
            settings: settings.clone(),
        })
    }

    /// The authors of a page. It waits only briefly: a reader would rather have the page
    /// without them.
    ///
    /// All those who must be asked for are asked for in one call. `remaining` is what is
    /// left of the caller's time.
    pub async fn resolve(
        &self,
        ids: impl IntoIterator<Item = AuthorId>,
        remaining: Option<Duration>,
    ) -> HashMap<AuthorId, Author> {
        self.look_up(ids, self.settings.author_wait, remaining)
            .await
    }

    /// The authors of what is to be written. For one of whom nothing is known it waits as
    /// long as a call to the user service may take; one who is known, if only from before,
    /// is not waited for long, since the foreign key has the last word.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] for the first of whom nothing could be learnt.
    pub async fn resolve_for_write(
        &self,
        ids: impl IntoIterator<Item = AuthorId>,
        remaining: Option<Duration>,
    ) -> Result<HashMap<AuthorId, Author>, Unavailable> {
        let ids: Vec<_> = ids.into_iter().collect();
        let all_known = ids
            .iter()
            .all(|&id| self.departures.known().last(id).is_some());
        let wait = if all_known {
            self.settings.author_wait
        } else {
            self.settings.user_service_timeout
        };
        let authors = self.look_up(ids.iter().copied(), wait, remaining).await;
        let unknown = |id: &&AuthorId| authors.get(id) == Some(&Author::Unavailable(None));
        match ids.iter().find(unknown) {
            Some(&id) => Err(Unavailable(id)),
            None => Ok(authors),
        }
    }

    /// Forgets an author who turned out to be gone.
    pub fn forget(&self, id: AuthorId) {
        self.departures.known().forget(id);
    }

    /// What is known of authors after waiting for `wait`, if it must be.
    async fn look_up(
        &self,
        ids: impl IntoIterator<Item = AuthorId>,
        wait: Duration,
        remaining: Option<Duration>,
    ) -> HashMap<AuthorId, Author> {
        let known = self.departures.known();
        let mut authors = HashMap::new();
        for id in ids {
            authors.entry(id).or_insert_with(|| {
                let fresh = known.fresh(id).map(Author::Resolved);
                fresh.unwrap_or(Author::Unavailable(None))
            });
        }
        let unresolved = authors
            .iter()
            .filter(|(_, author)| **author == Author::Unavailable(None));
        let unresolved: Vec<_> = unresolved.map(|(&id, _)| id).collect();

        if !unresolved.is_empty() {
            let left = remaining.map_or(Duration::MAX, |left| left.saturating_sub(MARGIN));
            self.ask(unresolved, wait.min(left), left, &mut authors)
                .await;
        }
        for (&id, author) in &mut authors {
            if *author == Author::Unavailable(None) {
                *author = Author::Unavailable(known.last(id));
            }
        }
        authors
    }

    /// Waits for what the user service says of `wanted`, and notes it in `authors`.
    ///
    /// It makes one call, and none for those that others are asking for already. Only where
    /// such a call of others failed, perhaps since they were in a greater hurry, or said that
    /// a user is missing, who may have been created since it set out, is asked once more.
    async fn ask(
        &self,
        mut wanted: Vec<AuthorId>,
        wait: Duration,
        left: Duration,
        authors: &mut HashMap<AuthorId, Author>,
    ) {
        let deadline = Instant::now() + wait;
        let limit = self.settings.user_service_timeout.min(left);
        for _ in 0..2 {
            if wanted.is_empty() || Instant::now() >= deadline {
                return;
            }
            let mut again = Vec::new();
            for mut flight in self.departures.board(&wanted, limit) {
                let (id, own) = (flight.id(), flight.is_own());
                // One that landed in time counts, even if another one kept us waiting.
                match timeout_at(deadline, flight.land()).await {
                    Ok(Some(Answer::Nickname(nickname))) => {
                        authors.insert(id, Author::Resolved(nickname));
                    }
                    Ok(Some(Answer::Missing)) => {
                        authors.insert(id, Author::Missing);
                        again.extend((!own).then_some(id));
                    }
                    Ok(None) => again.extend((!own).then_some(id)),
                    Err(_late) => {}
                }
            }
            wanted = again;
        }
    }
}
