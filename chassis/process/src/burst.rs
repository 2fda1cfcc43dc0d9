//! Bursts: steps of several calls that one thread takes one after the other without a pause.
//!
//! All calls of a burst had arrived before its first step. Code that runs in such a step may
//! therefore share something with the other steps, such as a read snapshot: none of them can
//! miss what was committed before its call arrived. [`at_end`] tells it whether a burst is
//! running, and ends what it shares together with the burst.
//!
//! This module knows neither the calls nor what they share.

use std::cell::RefCell;

type End = Box<dyn FnOnce()>;

thread_local! {
    /// The functions to call at the end of this thread's burst; `None` outside of a burst.
    static ENDS: RefCell<Option<Vec<End>>> = const { RefCell::new(None) };
}

/// Takes `steps` as one burst. Whatever was given to [`at_end`] runs afterwards, even if the
/// steps panic. A burst within a burst ends what the outer one shares.
pub fn run<R>(steps: impl FnOnce() -> R) -> R {
    let _end = EndOnDrop;
    ENDS.set(Some(Vec::new()));
    steps()
}

/// Has `end` run when this thread's burst ends. Returns `false`, and drops `end`, if no burst
/// is running.
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

    /// A counter, and what counts with it.
    fn counter() -> (Rc<Cell<u32>>, impl Fn() -> End) {
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let counting = move || -> End {
            let count = Rc::clone(&counted);
            Box::new(move || count.set(count.get() + 1))
        };
        (count, counting)
    }

    #[test]
    fn ends_run_once_after_all_steps() {
        let (count, counting) = counter();

        let during = run(|| {
            assert!(at_end(counting()));
            assert!(at_end(counting()));
            count.get()
        });

        assert_eq!((during, count.get()), (0, 2));
        run(|| {});
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn outside_of_a_burst_nothing_is_kept() {
        let (count, counting) = counter();

        assert!(!at_end(counting()));
        run(|| {});
        assert!(!at_end(counting()));

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
