//! How far long work is: a bar on a terminal, a plain line now and then elsewhere.

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use migrator::{Progress, ProgressEvent};

/// Work that is done sooner is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_millis(500);

/// How often a line follows the one before it, of the same work.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// Shows it on standard error.
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
            ProgressEvent::Began { what, total } => {
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
            ProgressEvent::Ended { what } => {
                if let Some(bar) = open.remove(what) {
                    bar.finish_and_clear();
                }
            }
        }
    })
}

/// What is known of a piece of work that goes on.
struct Line {
    total: u64,
    began: Instant,
    said: Option<Instant>,
}

fn lines() -> Progress {
    let open: Mutex<HashMap<&'static str, Line>> = Mutex::default();
    Progress::new(move |event| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match event {
            ProgressEvent::Began { what, total } => {
                let line = Line {
                    total,
                    began: now,
                    said: None,
                };
                open.insert(what, line);
            }
            ProgressEvent::Advanced { what, done } => {
                if let Some(line) = open.get_mut(what)
                    && now - line.said.unwrap_or(line.began) > BETWEEN_LINES
                {
                    line.said = Some(now);
                    let percent = (done * 100).checked_div(line.total).unwrap_or(0).min(100);
                    eprintln!("{what}: {percent} %");
                }
            }
            ProgressEvent::Ended { what } => {
                if let Some(line) = open.remove(what)
                    && now - line.began > WORTH_A_LINE
                {
                    eprintln!("{what}: done in {} ms", (now - line.began).as_millis());
                }
            }
        }
    })
}
