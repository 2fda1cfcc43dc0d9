//! Captures the log of a test.

use std::{
    io::Write,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// The log of one thread, on which a test runs all its tasks.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync {
        // With a single subscriber, tracing caches an event as disabled if another test, whose
        // thread has no subscriber, emits it first. A second subscriber prevents that.
        static SECOND: LazyLock<tracing::Dispatch> = LazyLock::new(|| {
            let enables_all = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
            tracing::Dispatch::new(enables_all.with_writer(std::io::sink).finish())
        });
        LazyLock::force(&SECOND);
        let log = self.clone();
        tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || log.clone())
            .finish()
    }

    /// Returns the lines that contain `text`.
    pub(super) fn lines_with(&self, text: &str) -> Vec<serde_json::Value> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        lines
            .filter(|line| line.contains(text))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
