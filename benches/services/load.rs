//! The load generator: some callers over some connections, each of whom makes the next
//! call as soon as the one before is answered.
//!
//! It is one thread. It counts what is answered in a slice of time, after a moment in which
//! the server warms up, and takes the processors' time of the servers at both ends of it.

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
    wire::{Answer, Connection},
};

/// How many times as long a slice lasts at the most, if there are callers who have no answer yet.
const LONGEST: u32 = 8;

/// How long the calls may take that still run when a slice is over.
const REST: Duration = Duration::from_secs(20);

/// Of so many answers one is looked into.
const LOOKED_INTO: u64 = 61;

/// The requests of a method: the one with a number, with its prefix.
pub type Requests = Rc<dyn Fn(u64) -> Bytes>;

/// Says what is wrong with an answer.
pub type Check = fn(&[u8]) -> Result<(), String>;

/// What to call, and how.
#[derive(Clone)]
pub struct Load {
    /// Where.
    pub address: SocketAddr,
    /// The method, as `/package.Service/Method`.
    pub path: &'static str,
    /// What is sent.
    pub requests: Requests,
    /// What an answer has to be.
    pub check: Check,
    /// How many callers there are.
    pub callers: usize,
    /// Over how many connections.
    pub connections: usize,
    /// The processes whose time is taken.
    pub servers: Vec<u32>,
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// The moment before, which does not count.
    pub warm_up: Duration,
    /// What counts.
    pub measured: Duration,
}

/// What was measured in one slice.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// How long it was.
    pub time: Duration,
    /// How long each call took that was answered in it, in nanoseconds, in ascending order.
    pub latencies: Vec<u64>,
    /// Calls that were refused.
    pub refused: u64,
    /// What was wrong with answers that were looked into: how many, and the first.
    pub wrong: (u64, Option<String>),
    /// What the servers took.
    pub servers: Cpu,
    /// What this generator took.
    pub generator: Cpu,
}

impl Measured {
    /// Calls that were refused, and answers that were not what they have to be.
    pub fn failed(&self) -> u64 {
        self.refused + self.wrong.0
    }

    /// Calls a second.
    pub fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.time.as_secs_f64()
    }

    /// How long all but this share of the calls took at the most, in microseconds.
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

    /// What the servers took for a call, in microseconds.
    pub fn server_cpu(&self) -> f64 {
        self.servers.ran.as_secs_f64() * 1e6 / count(self.latencies.len().max(1))
    }

    /// What the generator took for a call, in microseconds.
    pub fn generator_cpu(&self) -> f64 {
        self.generator.ran.as_secs_f64() * 1e6 / count(self.latencies.len().max(1))
    }

    /// The share of the time in which the generator had something to do, whether it got a
    /// processor for it or not. Near 1, it is what limits the rate.
    pub fn busy(&self) -> f64 {
        (self.generator.ran + self.generator.waited).as_secs_f64() / self.time.as_secs_f64()
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

/// What the connections of one slice share.
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

/// Makes calls for a slice of time. `numbers` goes on where the last slice stopped, so that
/// no request comes twice.
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
            let (servers, generator, began) = run.now();
            run.phase.set(Phase::Measuring);
            tokio::time::sleep(slice.measured).await;
            while run.count() < run.load.callers && began.elapsed() < slice.measured * LONGEST {
                tokio::time::sleep(slice.measured / 10).await;
            }
            run.phase.set(Phase::Over);
            let (servers_after, generator_after, ended) = run.now();
            for task in tasks {
                let ended = tokio::time::timeout(REST, task).await;
                ended.expect("calls end").unwrap();
            }
            let mut measured = run.measured.take();
            measured.time = ended - began;
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
            let one = cpu::of_process(*id);
            servers.ran += one.ran;
            servers.waited += one.waited;
        }
        (servers, cpu::of_this_thread(), Instant::now())
    }

    /// How many calls were answered, of those that count.
    fn count(&self) -> usize {
        self.measured.borrow().latencies.len()
    }

    fn next(&self) -> (Bytes, bool) {
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        (
            (self.load.requests)(number),
            number.is_multiple_of(LOOKED_INTO),
        )
    }

    fn answered(&self, began: Instant, answer: Answer<'_>) {
        if self.phase.get() != Phase::Measuring {
            return;
        }
        let mut measured = self.measured.borrow_mut();
        match answer {
            Answer::Message(_, message) => {
                let took = u64::try_from(began.elapsed().as_nanos()).unwrap();
                measured.latencies.push(took);
                if let Some(Err(wrong)) = message.map(|message| (self.load.check)(message)) {
                    measured.wrong.0 += 1;
                    measured.wrong.1.get_or_insert(wrong);
                }
            }
            Answer::Refused => measured.refused += 1,
            // No stream is called for here.
            Answer::Begun => {}
        }
    }
}

/// The callers of one connection.
async fn drive(run: Rc<Run>, callers: usize) {
    let mut connection = Connection::open(run.load.address, run.load.path)
        .await
        .unwrap();
    let mut began = vec![Instant::now(); callers];
    let mut free: Vec<usize> = (0..callers).collect();
    loop {
        if run.phase.get() != Phase::Over {
            for slot in free.drain(..) {
                let (message, keep) = run.next();
                began[slot] = Instant::now();
                connection.begin(slot, message, keep);
            }
        }
        if connection.running() == 0 {
            return;
        }
        connection
            .turn(|slot, answer| {
                run.answered(began[slot], answer);
                free.push(slot);
            })
            .await
            .unwrap();
    }
}
