//! Returns memory to the operating system after a burst.
//!
//! The allocators keep freed memory for the next allocations, and give it back only as a side
//! effect of them. An idle process would thus keep the memory of its largest burst. The services
//! allocate with mimalloc, and SQLite with the C library.

mod ffi;

use std::time::Duration;

use tokio::time::interval;

/// The time between two checks for memory to return. A check takes about 10 µs.
const INTERVAL: Duration = Duration::from_secs(2);

/// The processor time of the whole process within [`INTERVAL`], below which the process is idle.
/// A busy process soon uses freed memory again, and would pay for page faults.
const IDLE_CPU_TIME: Duration = Duration::from_millis(100);

/// Returns the unused memory of this thread and of SQLite periodically, until it is dropped. Each
/// thread that serves calls must run it, since mimalloc collects only the pages of the calling
/// thread.
pub async fn return_unused() {
    let mut ticks = interval(INTERVAL);
    let mut before = cpu_time();
    loop {
        ticks.tick().await;
        let now = cpu_time();
        let idle = now.saturating_sub(before) < IDLE_CPU_TIME;
        before = now;
        ffi::collect(idle);
        if idle {
            ffi::trim();
        }
    }
}

/// Returns the processor time that all threads of the process have used.
fn cpu_time() -> Duration {
    // It is negative if the system cannot tell.
    Duration::from_micros(u64::try_from(ffi::cpu_micros()).unwrap_or_default())
}
