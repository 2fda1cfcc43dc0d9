//! Asks on the terminal whether an object was renamed.

use std::io::{self, BufRead, IsTerminal, Write};

use migrator::Question;

/// Reports whether stdin and stderr are terminals.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks which of the old names the new object had. Returns `None` if it is a new object.
pub fn renamed(question: &Question) -> Option<String> {
    let new = question.subject();
    let mut candidates = question.candidates();
    let old = candidates.find(|old| yes(&format!("Was {new} called {old} before?")));
    old.map(str::to_owned)
}

/// Asks until the answer is `y` or `n`. The end of the input counts as `n`.
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
