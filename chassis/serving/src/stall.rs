//! The answers of one connection that its client has yet to read.
//!
//! HTTP/2 lets a client keep an answer waiting for as long as it likes, by its window, and
//! the answer takes memory meanwhile. Nothing asks its body for a deadline then, so it is
//! the connection that looks, every now and then, whether one has been waiting since it
//! looked before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

/// The answers of a connection. Copies of it count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<Looks>);

#[derive(Debug, Default)]
struct Looks {
    /// How often the connection looked.
    count: AtomicUsize,
    /// How many answers wait that were begun after an even number of looks, and an odd one.
    waiting: [AtomicUsize; 2],
}

/// An answer that waits, until it is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    looks: Arc<Looks>,
    parity: usize,
}

impl Answers {
    /// Another answer, which may take from one to two times the time between two looks.
    pub(crate) fn begin(&self) -> Answer {
        let looks = Arc::clone(&self.0);
        let parity = looks.count.load(Ordering::Relaxed) % 2;
        looks.waiting[parity].fetch_add(1, Ordering::Relaxed);
        Answer { looks, parity }
    }

    /// Waits until an answer was not read for as long as `limit`.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            sleep(limit).await;
            if self.look() {
                return;
            }
        }
    }

    /// Whether an answer waits that waited when it was looked before.
    fn look(&self) -> bool {
        let looks = &self.0;
        let before = looks.count.load(Ordering::Relaxed) + 1;
        let stalled = looks.waiting[before % 2].load(Ordering::Relaxed) > 0;
        if !stalled {
            looks.count.store(before, Ordering::Relaxed);
        }
        stalled
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.looks.waiting[self.parity].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_waits_between_two_looks_is_stalled() {
        let answers = Answers::default();
        let answer = answers.begin();

        assert!(!answers.look());
        assert!(answers.look());
        drop(answer);
        assert!(!answers.look());
    }

    #[test]
    fn answers_that_are_read_in_time_are_not_however_many_follow() {
        let answers = Answers::default();
        let mut last = answers.begin();

        for _ in 0..10 {
            assert!(!answers.look());
            last = answers.begin();
        }
        drop(last);
    }
}
