//! CPU times of processes and threads in nanoseconds, from `schedstat` of Linux.

use std::{fs, ops::Sub, time::Duration};

/// Time on a processor, and time spent waiting for one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// Time on a processor.
    pub ran: Duration,
    /// Time in the run queue.
    pub waited: Duration,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            ran: self.ran.saturating_sub(earlier.ran),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// Returns the times of all live threads of a process. Ended threads are missing: no measured
/// process ends threads during a measurement.
pub fn process_time(id: u32) -> Cpu {
    let mut all = Cpu::default();
    let threads = fs::read_dir(format!("/proc/{id}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let one = read(&thread.path().join("schedstat"));
        all.ran += one.ran;
        all.waited += one.waited;
    }
    all
}

/// Returns the times of this thread.
pub fn thread_time() -> Cpu {
    read("/proc/thread-self/schedstat".as_ref())
}

fn read(path: &std::path::Path) -> Cpu {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|n| n.parse().unwrap_or(0));
    let mut next = || Duration::from_nanos(numbers.next().unwrap_or(0));
    Cpu {
        ran: next(),
        waited: next(),
    }
}
