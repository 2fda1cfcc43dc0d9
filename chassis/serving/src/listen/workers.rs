//! The single-threaded runtimes that serve connections: the runtime of the server and, if
//! `WORKER_THREADS` is above 1, further ones with a thread each.
//!
//! A connection stays on its runtime, so its calls never change threads. Runtimes share only the
//! state of the service.

use std::{future::Future, io, num::NonZeroUsize, thread};

use process::memory;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The worker runtimes. Dropping this ends the additional ones, with the connections they serve.
#[derive(Debug)]
pub(crate) struct Workers {
    runtimes: Vec<Handle>,
    next: usize,
    _end: DropGuard,
}

impl Workers {
    /// Starts `count` runtimes, including the current one. Each also returns unused memory.
    pub(crate) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let end = CancellationToken::new();
        let mut runtimes = Vec::with_capacity(count.get() - 1);
        tokio::spawn(
            end.clone()
                .run_until_cancelled_owned(memory::return_unused()),
        );
        for index in 1..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtimes.push(runtime.handle().clone());
            let end = end.clone();
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    runtime.block_on(end.run_until_cancelled(memory::return_unused()))
                })?;
        }
        Ok(Self {
            runtimes,
            next: 0,
            _end: end.drop_guard(),
        })
    }

    /// Serves a connection on the next runtime, in rotation. Passes `true` to `serve` if that is
    /// not the current one.
    pub(crate) fn spawn<F>(&mut self, serve: impl FnOnce(bool) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let index = self.next;
        self.next = (index + 1) % (self.runtimes.len() + 1);
        match self.runtimes.get(index) {
            Some(runtime) => runtime.spawn(serve(true)),
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

    /// Returns the number of connections that each thread serves, of six in total.
    async fn served_by(workers: usize) -> HashMap<ThreadId, usize> {
        let mut workers = Workers::start(NonZeroUsize::new(workers).unwrap()).unwrap();
        let (sender, mut threads) = mpsc::channel(6);
        for _ in 0..6 {
            let sender = sender.clone();
            workers.spawn(|elsewhere| async move {
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
    async fn connections_are_distributed_evenly_over_the_workers() {
        for (workers, each) in [(1, 6), (2, 3), (3, 2)] {
            let served = served_by(workers).await;

            assert_eq!(served.len(), workers);
            assert!(served.values().all(|&count| count == each), "{served:?}");
        }
    }

    #[tokio::test]
    async fn connections_end_with_the_workers() {
        let mut workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let (sender, mut held) = mpsc::channel::<()>(1);
        workers.spawn(|elsewhere| async move {
            assert!(elsewhere);
            sender.closed().await;
        });

        drop(workers);

        assert_eq!(held.recv().await, None);
    }
}
