//! The load generator: callers on a few connections, each of which sends its next call after the
//! response to the last one.
//!
//! It runs in one thread. After a warm-up it counts the responses in a slice of time, and reads the
//! CPU times of the servers at the start and the end of the slice.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::task::LocalSet;

use crate::{
    cpu::{self, Cpu},
    wire::{Connection, Event},
};

/// A slice is extended until each caller has a response, up to this multiple of its length.
const MAX_SLICE_FACTOR: u32 = 8;

/// Upper bound of the time for calls that are still running at the end of a slice.
const TAIL_TIMEOUT: Duration = Duration::from_secs(20);

/// Number of responses of which the first is checked.
const CHECK_EVERY: u64 = 61;

/// Builds the request with a number, including its gRPC prefix.
pub type Requests = Rc<dyn Fn(u64) -> Bytes>;

/// Checks a response, and describes an error in it.
pub type Check = fn(&[u8]) -> Result<(), String>;

/// A method to call, and the callers.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    /// The method as `/package.Service/Method`.
    pub path: &'static str,
    /// Builds the requests.
    pub requests: Requests,
    /// Checks the responses.
    pub check: Check,
    /// Number of callers.
    pub callers: usize,
    /// Number of connections.
    pub connections: usize,
    /// Processes whose CPU time is measured.
    pub servers: Vec<u32>,
}

/// The duration of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub measured: Duration,
}

/// The measurement of one slice.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Actual duration.
    pub time: Duration,
    /// Latencies of the finished calls in nanoseconds, sorted.
    pub latencies: Vec<u64>,
    /// Number of failed calls.
    pub refused: u64,
    /// Number of wrong responses, and the first error.
    pub wrong: (u64, Option<String>),
    /// CPU time of the servers.
    pub servers: Cpu,
    /// CPU time of the load generator.
    pub generator: Cpu,
}

impl Measured {
    /// Returns the number of failed calls and wrong responses.
    pub fn failed(&self) -> u64 {
        self.refused + self.wrong.0
    }

    /// Returns the calls per second.
    pub fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.time.as_secs_f64()
    }

    /// Returns a quantile of the latencies in microseconds.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index below the length"
        )]
        let at = (count(last) * share).ceil() as usize;
        let nanos = self.latencies.get(at).copied().unwrap_or(0);
        Duration::from_nanos(nanos).as_secs_f64() * 1e6
    }

    /// Returns the CPU time of the servers per call in microseconds.
    pub fn server_cpu(&self) -> f64 {
        self.servers.ran.as_secs_f64() * 1e6 / count(self.latencies.len().max(1))
    }

    /// Returns the CPU time of the load generator per call in microseconds.
    pub fn generator_cpu(&self) -> f64 {
        self.generator.ran.as_secs_f64() * 1e6 / count(self.latencies.len().max(1))
    }

    /// Returns the share of the time in which the load generator was runnable, with or without a
    /// processor. Near 1, the generator limits the rate.
    pub fn busy(&self) -> f64 {
        (self.generator.ran + self.generator.waited).as_secs_f64() / self.time.as_secs_f64()
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

/// The state that the connections of one slice share.
struct Run {
    load: Load,
    numbers: Rc<Cell<u64>>,
    phase: Cell<Phase>,
    measured: RefCell<Measured>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measuring,
    Over,
}

/// Makes calls for a slice of time. `numbers` continues after the last slice, so that no request is
/// sent twice.
pub async fn run(load: Load, slice: Slice, numbers: Rc<Cell<u64>>) -> Measured {
    let run = Rc::new(Run {
        load,
        numbers,
        phase: Cell::new(Phase::WarmUp),
        measured: RefCell::default(),
    });
    let connections = run.load.connections.min(run.load.callers);
    LocalSet::new()
        .run_until(async {
            let tasks: Vec<_> = (0..connections)
                .map(|at| {
                    let callers = (run.load.callers + at) / connections;
                    tokio::task::spawn_local(drive(run.clone(), callers))
                })
                .collect();
            tokio::time::sleep(slice.warm_up).await;
            let (servers, generator, start) = run.now();
            run.phase.set(Phase::Measuring);
            tokio::time::sleep(slice.measured).await;
            while run.count() < run.load.callers
                && start.elapsed() < slice.measured * MAX_SLICE_FACTOR
            {
                tokio::time::sleep(slice.measured / 10).await;
            }
            run.phase.set(Phase::Over);
            let (servers_after, generator_after, end) = run.now();
            for task in tasks {
                let ended = tokio::time::timeout(TAIL_TIMEOUT, task).await;
                ended.expect("calls must end").unwrap();
            }
            let mut measured = run.measured.take();
            measured.time = end - start;
            measured.servers = servers_after - servers;
            measured.generator = generator_after - generator;
            measured.latencies.sort_unstable();
            measured
        })
        .await
}

impl Run {
    fn now(&self) -> (Cpu, Cpu, Instant) {
        let mut servers = Cpu::default();
        for id in &self.load.servers {
            let one = cpu::process_time(*id);
            servers.ran += one.ran;
            servers.waited += one.waited;
        }
        (servers, cpu::thread_time(), Instant::now())
    }

    /// Returns the number of calls measured so far.
    fn count(&self) -> usize {
        self.measured.borrow().latencies.len()
    }

    fn next(&self) -> (Bytes, bool) {
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        (
            (self.load.requests)(number),
            number.is_multiple_of(CHECK_EVERY),
        )
    }

    fn record(&self, start: Instant, event: Event<'_>) {
        if self.phase.get() != Phase::Measuring {
            return;
        }
        let mut measured = self.measured.borrow_mut();
        match event {
            Event::Message(_, message) => {
                let took = u64::try_from(start.elapsed().as_nanos()).unwrap();
                measured.latencies.push(took);
                if let Some(Err(wrong)) = message.map(|message| (self.load.check)(message)) {
                    measured.wrong.0 += 1;
                    measured.wrong.1.get_or_insert(wrong);
                }
            }
            Event::Failed => measured.refused += 1,
            // The load generator starts no streams.
            Event::StreamStarted => {}
        }
    }
}

/// The callers of one connection.
async fn drive(run: Rc<Run>, callers: usize) {
    let mut connection = Connection::open(run.load.address, run.load.path)
        .await
        .unwrap();
    let mut starts = vec![Instant::now(); callers];
    let mut free: Vec<usize> = (0..callers).collect();
    loop {
        if run.phase.get() != Phase::Over {
            for slot in free.drain(..) {
                let (message, keep) = run.next();
                starts[slot] = Instant::now();
                connection.start_call(slot, message, keep);
            }
        }
        if connection.running() == 0 {
            return;
        }
        connection
            .poll(|slot, event| {
                run.record(starts[slot], event);
                free.push(slot);
            })
            .await
            .unwrap();
    }
}
