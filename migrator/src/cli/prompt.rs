//! Questions that only the person who changed the schema can answer.

use std::io::{self, BufRead, IsTerminal, Write};

use migrator::Question;

/// Whether there is somebody to ask.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Which of the old names a new one had, or `None` if it is another thing.
pub fn renamed(question: &Question) -> Option<String> {
    let new = question.subject();
    let mut candidates = question.candidates();
    let old = candidates.find(|old| yes(&format!("Is {new} what was called {old} before?")));
    old.map(str::to_owned)
}

/// Asks, and waits for `y` or `n`. The end of the input is a no.
fn yes(question: &str) -> bool {
    let mut lines = io::stdin().lock().lines();
    loop {
        eprint!("{question} [y/n] ");
        let _ = io::stderr().flush();
        let Some(Ok(line)) = lines.next() else {
            return false;
        };
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return true,
            "n" | "no" => return false,
            _ => {}
        }
    }
}
