//! The queue of log lines, and the thread that writes them.
//!
//! A write to a pipe that nobody reads blocks. Only the thread of the queue blocks then. The queue
//! is bounded: further lines are dropped and counted. A line with their number follows once the
//! queue is empty again, or after a second if it never is.

use std::{
    io::{self, Write},
    mem::ManuallyDrop,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// The minimum time between two reports of dropped lines while lines are queued.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The interval at which [`Queue::drain`] compares the counters.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A bounded queue of lines, which a thread writes to an output.
pub(super) struct Queue {
    sender: NonBlocking,
    dropped: ErrorCounter,
    /// The number of lines that were pushed, including dropped ones.
    pushed: AtomicUsize,
    /// The number of lines that the thread has written or failed to write.
    written: Arc<AtomicUsize>,
    /// Dropping it would print an error to standard output, which may be the blocked pipe.
    _guard: ManuallyDrop<WorkerGuard>,
}

impl Queue {
    /// Starts a thread that writes to `output`, with at most `capacity` queued lines. `report`
    /// formats the line with the number of dropped lines.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        capacity: usize,
        report: impl Fn(usize) -> String + Send + 'static,
    ) -> Self {
        let written = Arc::new(AtomicUsize::new(0));
        let dropped = Arc::new(OnceLock::new());
        let output = Output {
            inner: output,
            written: Arc::clone(&written),
            dropped: Arc::clone(&dropped),
            report: Box::new(report),
            reported: 0,
            reported_at: Instant::now(),
        };
        let (sender, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(capacity)
            .thread_name("log")
            .finish(output);
        let counter = dropped.get_or_init(|| sender.error_counter()).clone();
        Self {
            sender,
            dropped: counter,
            pushed: AtomicUsize::new(0),
            written,
            _guard: ManuallyDrop::new(guard),
        }
    }

    /// Queues a line, which ends in a line break. Never blocks.
    pub(super) fn push(&self, line: &str) {
        self.pushed.fetch_add(1, Ordering::Relaxed);
        // A lossy sender never fails.
        let _ = self.sender.clone().write_all(line.as_bytes());
    }

    /// Waits until all queued lines are written, for up to `limit`. Returns whether they are.
    pub(super) fn drain(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let done = self.written.load(Ordering::Acquire) + self.dropped.dropped_lines();
            if done >= self.pushed.load(Ordering::Relaxed) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// The output of the thread. It reports dropped lines.
struct Output<W> {
    inner: W,
    written: Arc<AtomicUsize>,
    dropped: Arc<OnceLock<ErrorCounter>>,
    report: Box<dyn Fn(usize) -> String + Send>,
    /// The number of dropped lines in all reports so far.
    reported: usize,
    reported_at: Instant,
}

impl<W: Write> Output<W> {
    fn report_dropped(&mut self) -> io::Result<()> {
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        let new = dropped - self.reported;
        if new == 0 {
            return Ok(());
        }
        self.reported = dropped;
        self.reported_at = Instant::now();
        self.inner.write_all((self.report)(new).as_bytes())
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let result = self.inner.write_all(line);
        if self.reported_at.elapsed() > REPORT_INTERVAL {
            self.report_dropped()?;
        }
        self.written.fetch_add(1, Ordering::Release);
        result.map(|()| line.len())
    }

    /// Reports the dropped lines: the thread flushes when the queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.report_dropped()?;
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, pipe},
        thread,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    const MANY: usize = 100;

    fn started(output: impl Write + Send + 'static, capacity: usize) -> Queue {
        Queue::start(output, capacity, |dropped| format!("dropped {dropped}\n"))
    }

    /// Pushes numbered lines. Each is longer than a pipe holds.
    fn push(queue: &Queue, count: usize) {
        for number in 0..count {
            queue.push(&format!("{}{number}\n", "0".repeat(100_000)));
        }
    }

    #[test]
    fn lines_are_written_in_order() {
        let (reader, writer) = pipe().unwrap();
        let queue = started(writer, MANY);

        push(&queue, MANY);

        let lines = BufReader::new(reader).lines().take(MANY);
        for (number, line) in lines.enumerate() {
            let digits = line.unwrap();
            assert_eq!(digits.trim_start_matches('0').parse().unwrap_or(0), number);
        }
        assert!(queue.drain(Duration::from_secs(30)));
    }

    #[test]
    fn an_unread_pipe_blocks_neither_a_push_nor_a_drain() {
        let (reader, writer) = pipe().unwrap();
        let queue = started(writer, 10);

        push(&queue, MANY);
        let start = Instant::now();
        let drained = queue.drain(LIMIT);

        assert!(!drained);
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        drop(reader);
    }

    #[test]
    fn dropped_lines_are_reported_once_the_pipe_is_read() {
        let (reader, writer) = pipe().unwrap();
        let queue = started(writer, 10);
        push(&queue, MANY);
        assert!(!queue.drain(LIMIT));

        let read = thread::spawn(move || {
            let (mut written, mut dropped) = (0, 0);
            for line in BufReader::new(reader).lines() {
                match line.unwrap().strip_prefix("dropped ") {
                    Some(count) => dropped += count.parse::<usize>().unwrap(),
                    None => written += 1,
                }
                if written + dropped == MANY {
                    return dropped;
                }
            }
            panic!("the pipe was closed");
        });

        assert!(read.join().unwrap() > 0);
        assert!(queue.drain(Duration::from_secs(30)));
    }

    #[test]
    fn a_closed_pipe_does_not_stop_the_thread() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let queue = started(writer, MANY);

        push(&queue, 100);

        assert!(queue.drain(Duration::from_secs(30)));
    }
}
