//! The loops that serve connections: that of the server itself, and others in threads of their
//! own if more than one is asked for.
//!
//! A connection stays with the loop that it was given to, so its calls go from no thread to
//! another, and its loop shares nothing with the others but what the service itself shares.

use std::{future::Future, io, num::NonZeroUsize, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The loops. Those in threads of their own end with it, and with them what they still serve.
#[derive(Debug)]
pub(crate) struct Loops {
    others: Vec<Handle>,
    next: usize,
    _end: DropGuard,
}

impl Loops {
    /// So many, of which the one that calls this is the first.
    pub(crate) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let end = CancellationToken::new();
        let mut others = Vec::with_capacity(count.get() - 1);
        for _ in 1..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            others.push(runtime.handle().clone());
            let end = end.clone();
            thread::Builder::new()
                .name("connections".into())
                .spawn(move || runtime.block_on(end.cancelled()))?;
        }
        Ok(Self {
            others,
            next: 0,
            _end: end.drop_guard(),
        })
    }

    /// Serves a connection on the loop whose turn it is. `serve` is given whether that is
    /// another one than this.
    pub(crate) fn spawn<F>(&mut self, serve: impl FnOnce(bool) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let turn = self.next;
        self.next = (turn + 1) % (self.others.len() + 1);
        match self.others.get(turn) {
            Some(other) => other.spawn(serve(true)),
            None => tokio::spawn(serve(false)),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        thread::{ThreadId, current},
    };

    use tokio::sync::mpsc;

    use super::*;

    /// How many of six connections each thread serves.
    async fn served_by(loops: usize) -> HashMap<ThreadId, usize> {
        let mut loops = Loops::start(NonZeroUsize::new(loops).unwrap()).unwrap();
        let (sender, mut threads) = mpsc::channel(6);
        for _ in 0..6 {
            let sender = sender.clone();
            loops.spawn(|elsewhere| async move {
                sender.try_send((elsewhere, current().id())).unwrap();
            });
        }
        drop(sender);
        let mut served = HashMap::new();
        while let Some((elsewhere, thread)) = threads.recv().await {
            assert_eq!(elsewhere, thread != current().id());
            *served.entry(thread).or_default() += 1;
        }
        served
    }

    #[tokio::test]
    async fn each_loop_is_given_as_many_connections_as_any_other() {
        for (loops, each) in [(1, 6), (2, 3), (3, 2)] {
            let served = served_by(loops).await;

            assert_eq!(served.len(), loops);
            assert!(served.values().all(|&count| count == each), "{served:?}");
        }
    }

    #[tokio::test]
    async fn what_is_served_ends_with_the_loops() {
        let mut loops = Loops::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let (sender, mut held) = mpsc::channel::<()>(1);
        loops.spawn(|elsewhere| async move {
            assert!(elsewhere);
            sender.closed().await;
        });

        drop(loops);

        assert_eq!(held.recv().await, None);
    }
}
