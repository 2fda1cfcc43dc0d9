//! The blocks of a document: what stands between fences, below which heading.

/// A block.
#[derive(Debug)]
pub struct Block {
    /// The heading that it stands below.
    pub heading: String,
    /// The line of the document that is its first, from 0.
    pub line: usize,
    /// Its lines, without the fences.
    pub lines: Vec<String>,
}

/// A command with what it is to print.
#[derive(Debug)]
pub struct Command {
    /// What is typed, on one line.
    pub text: String,
    /// What is printed.
    pub output: Vec<String>,
    /// The lines of the document that the output takes: the first, and the one after.
    pub place: (usize, usize),
}

/// The blocks of a document, in their order.
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut heading = String::new();
    let mut open: Option<Block> = None;
    for (number, line) in document.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some(block) => block.lines.push(line.to_owned()),
            None if line.starts_with("```") => {
                open = Some(Block {
                    heading: heading.clone(),
                    line: number + 1,
                    lines: Vec::new(),
                });
            }
            None => {
                if let Some(text) = line.trim_start_matches('#').strip_prefix(' ')
                    && line.starts_with('#')
                {
                    text.clone_into(&mut heading);
                }
            }
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

impl Block {
    /// The commands of the block: each begins with `$ `, and goes on where a line ends with
    /// a backslash.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut goes_on = false;
        for (number, line) in (self.line..).zip(&self.lines) {
            let typed = line.strip_prefix("$ ").or(goes_on.then_some(line.trim()));
            let Some(typed) = typed else {
                let command = commands.last_mut().expect("output before any command");
                command.output.push(line.clone());
                command.place.1 = number + 1;
                continue;
            };
            let (text, more) = match typed.strip_suffix('\\') {
                Some(text) => (text, true),
                None => (typed, false),
            };
            let after = (number + 1, number + 1);
            match commands.last_mut() {
                Some(command) if goes_on => {
                    command.text.push_str(text);
                    command.place = after;
                }
                _ => commands.push(Command {
                    text: text.to_owned(),
                    output: Vec::new(),
                    place: after,
                }),
            }
            goes_on = more;
        }
        commands
    }
}
