//! What processes and threads took of the processors, to the nanosecond, as Linux tells it
//! in `schedstat`.

use std::{fs, ops::Sub, time::Duration};

/// Time on a processor, and time spent waiting for one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// On a processor.
    pub ran: Duration,
    /// Ready to run, while others did.
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

/// What all threads of a process took since they began. Those that ended are missing:
/// what is measured here ends none while it is measured.
pub fn of_process(id: u32) -> Cpu {
    let mut all = Cpu::default();
    let threads = fs::read_dir(format!("/proc/{id}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let one = read(&thread.path().join("schedstat"));
        all.ran += one.ran;
        all.waited += one.waited;
    }
    all
}

/// What this thread took since it began.
pub fn of_this_thread() -> Cpu {
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
