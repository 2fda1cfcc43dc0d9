//! Shows the progress of long tasks: bars on a terminal, a line every 2 s elsewhere.

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use migrator::{Progress, ProgressEvent};

/// Shorter tasks get no line at their end.
const MIN_DURATION: Duration = Duration::from_millis(500);

/// The time between two lines of a task.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Returns the progress callback, which writes to stderr.
pub fn progress() -> Progress {
    if io::stderr().is_terminal() {
        bars()
    } else {
        lines()
    }
}

fn bars() -> Progress {
    let all = MultiProgress::new();
    let open: Mutex<HashMap<&'static str, ProgressBar>> = Mutex::default();
    Progress::new(move |event| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            ProgressEvent::Started { what, total } => {
                let template = if total == 0 {
                    "{spinner} {msg} {elapsed}"
                } else {
                    "{msg} {bar:30} {percent} % {elapsed}"
                };
                let bar = all.add(ProgressBar::new(total));
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.set_message(what);
                bar.enable_steady_tick(Duration::from_millis(100));
                open.insert(what, bar);
            }
            ProgressEvent::Advanced { what, done } => {
                if let Some(bar) = open.get(what) {
                    bar.set_position(done);
                }
            }
            ProgressEvent::Finished { what } => {
                if let Some(bar) = open.remove(what) {
                    bar.finish_and_clear();
                }
            }
        }
    })
}

/// A task that is shown as lines.
struct LineTask {
    total: u64,
    started: Instant,
    printed: Option<Instant>,
}

fn lines() -> Progress {
    let open: Mutex<HashMap<&'static str, LineTask>> = Mutex::default();
    Progress::new(move |event| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match event {
            ProgressEvent::Started { what, total } => {
                let line = LineTask {
                    total,
                    started: now,
                    printed: None,
                };
                open.insert(what, line);
            }
            ProgressEvent::Advanced { what, done } => {
                if let Some(line) = open.get_mut(what)
                    && now - line.printed.unwrap_or(line.started) > LINE_INTERVAL
                {
                    line.printed = Some(now);
                    let percent = (done * 100).checked_div(line.total).unwrap_or(0).min(100);
                    eprintln!("{what}: {percent} %");
                }
            }
            ProgressEvent::Finished { what } => {
                if let Some(line) = open.remove(what)
                    && now - line.started > MIN_DURATION
                {
                    eprintln!("{what}: done in {} ms", (now - line.started).as_millis());
                }
            }
        }
    })
}
