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

use self::{
    flight::{Answer, Departures},
    known::Fresh,
};
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

    /// The authors with these ids, in their order. It waits only briefly: a reader would rather
    /// have the page without them.
    ///
    /// All those who must be asked for are asked for in one call. `remaining` is what is
    /// left of the caller's time.
    pub async fn resolve(&self, ids: &[AuthorId], remaining: Option<Duration>) -> Vec<Author> {
        self.look_up(ids, |_| self.settings.author_lookup_timeout, remaining)
            .await
    }

    /// The authors of what is to be written, in the order of their ids. For one of whom
    /// nothing is known it waits as long as a call to the user service may take; one who is
    /// known, if only from before, is not waited for long, since the foreign key has the last
    /// word.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] for the first of whom nothing could be learnt.
    pub async fn resolve_for_write(
        &self,
        ids: &[AuthorId],
        remaining: Option<Duration>,
    ) -> Result<Vec<Author>, Unavailable> {
        let known = self.departures.known();
        let wait = |wanted: &[AuthorId]| {
            if wanted.iter().all(|&id| known.last(id).is_some()) {
                self.settings.author_lookup_timeout
            } else {
                self.settings.user_service_timeout
            }
        };
        let authors = self.look_up(ids, wait, remaining).await;
        let unknown = |(_, author): &(_, &Author)| **author == Author::Unavailable(None);
        match ids.iter().zip(&authors).find(unknown) {
            Some((&id, _)) => Err(Unavailable(id)),
            None => Ok(authors),
        }
    }

    /// Until when these authors need not be looked up anew: nothing, if there is one of whom
    /// nothing was learnt.
    pub fn known_until(&self, ids: impl IntoIterator<Item = AuthorId>) -> Option<Instant> {
        let known = self.departures.known();
        // Nothing is less than any time.
        ids.into_iter().map(|id| known.until(id)).min()?
    }

    /// Forgets an author who turned out to be gone.
    pub fn forget(&self, id: AuthorId) {
        self.departures.known().forget(id);
    }

    /// What is known of authors, in the order of their ids, after waiting for as long as `wait`
    /// says of those who must be asked for.
    async fn look_up(
        &self,
        ids: &[AuthorId],
        wait: impl FnOnce(&[AuthorId]) -> Duration,
        remaining: Option<Duration>,
    ) -> Vec<Author> {
        let known = self.departures.known();
        let now = Instant::now();
        let (mut wanted, mut aging) = (Vec::new(), Vec::new());
        let mut author = |&id| {
            let Some(Fresh { nickname, ages }) = known.fresh(id, now) else {
                wanted.push(id);
                return Author::Unavailable(None);
            };
            aging.extend(ages.then_some(id));
            Author::Resolved(nickname)
        };
        let mut authors: Vec<_> = ids.iter().map(&mut author).collect();
        if !aging.is_empty() {
            self.departures.renew(aging);
        }
        if wanted.is_empty() {
            return authors;
        }

        wanted.sort_unstable();
        wanted.dedup();
        let left = remaining.map_or(Duration::MAX, |left| left.saturating_sub(MARGIN));
        let wait = wait(&wanted).min(left);
        let answers = self.ask(wanted, wait, left).await;
        for (id, author) in ids.iter().zip(&mut authors) {
            if *author == Author::Unavailable(None) {
                let answer = answers.get(id).cloned();
                *author = answer.unwrap_or_else(|| Author::Unavailable(known.last(*id)));
            }
        }
        authors
    }

    /// Waits for what the user service says of `wanted`, each of whom is named once.
    ///
    /// It makes one call, and none for those that others are asking for already. Only where
    /// such a call of others failed, perhaps since they were in a greater hurry, or said that
    /// a user is missing, who may have been created since it set out, is asked once more.
    async fn ask(
        &self,
        mut wanted: Vec<AuthorId>,
        wait: Duration,
        left: Duration,
    ) -> HashMap<AuthorId, Author> {
        let mut authors = HashMap::with_capacity(wanted.len());
        let deadline = Instant::now() + wait;
        let limit = self.settings.user_service_timeout.min(left);
        for _ in 0..2 {
            if wanted.is_empty() || Instant::now() >= deadline {
                break;
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
        authors
    }
}
