//! Bursts: the first steps of several calls, which one thread takes without a pause between them.
//!
//! All calls of a burst arrived before its first step. The steps may therefore share a resource
//! such as a read snapshot: it contains everything that was committed before any of the calls
//! arrived. [`at_end`] releases such a resource at the end of the burst.
//!
//! This module knows neither the calls nor the resources.

use std::cell::RefCell;

type End = Box<dyn FnOnce()>;

thread_local! {
    /// The functions to call at the end of this thread's burst, or `None` outside a burst.
    static ENDS: RefCell<Option<Vec<End>>> = const { RefCell::new(None) };
}

/// Runs `steps` as one burst. The functions passed to [`at_end`] run afterwards, even if the steps
/// panic. A nested burst also ends the outer one.
pub fn run<R>(steps: impl FnOnce() -> R) -> R {
    let _end = EndOnDrop;
    ENDS.set(Some(Vec::new()));
    steps()
}

/// Registers `end` to run when this thread's burst ends. Returns `false`, and drops `end`, if no
/// burst is running.
pub fn at_end(end: impl FnOnce() + 'static) -> bool {
    ENDS.with_borrow_mut(|ends| match ends {
        Some(ends) => {
            ends.push(Box::new(end));
            true
        }
        None => false,
    })
}

/// Ends the burst when it is dropped.
struct EndOnDrop;

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        for end in ENDS.take().into_iter().flatten() {
            end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, panic::catch_unwind, rc::Rc};

    use super::*;

    /// Returns a counter, and a source of functions that increment it.
    fn counter() -> (Rc<Cell<u32>>, impl Fn() -> End) {
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let increment = move || -> End {
            let count = Rc::clone(&counted);
            Box::new(move || count.set(count.get() + 1))
        };
        (count, increment)
    }

    #[test]
    fn ends_run_once_after_all_steps() {
        let (count, increment) = counter();

        let during = run(|| {
            assert!(at_end(increment()));
            assert!(at_end(increment()));
            count.get()
        });

        assert_eq!((during, count.get()), (0, 2));
        run(|| {});
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn outside_a_burst_nothing_is_registered() {
        let (count, increment) = counter();

        assert!(!at_end(increment()));
        run(|| {});
        assert!(!at_end(increment()));

        assert_eq!(count.get(), 0);
    }

    #[test]
    fn ends_run_when_a_step_panics() {
        let ended = Rc::new(Cell::new(false));
        let end = std::panic::AssertUnwindSafe(Rc::clone(&ended));

        let panicked = catch_unwind(|| {
            run(|| {
                let end = end;
                at_end(move || end.set(true));
                panic!("a deliberate panic");
            })
        });

        assert!(panicked.is_err());
        assert!(ended.get());
    }
}
