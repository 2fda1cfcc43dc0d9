//! Splits a document into its fenced code blocks and their commands.

use std::ops::Range;

/// A fenced code block.
#[derive(Debug)]
pub struct Block {
    /// The heading above the block.
    pub heading: String,
    /// Line number of its first line in the document, from 0.
    pub line: usize,
    /// Lines without the fences.
    pub lines: Vec<String>,
}

/// A command with its expected output.
#[derive(Debug)]
pub struct Command {
    /// The command on one line.
    pub text: String,
    /// The expected output.
    pub output: Vec<String>,
    /// Line numbers of the output in the document, from 0.
    pub output_lines: Range<usize>,
}

/// Returns the code blocks of a document in order.
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
    assert!(open.is_none(), "a block without a closing fence");
    blocks
}

impl Block {
    /// Returns the commands of the block. A command starts with `$ ` and continues after a line
    /// that ends with a backslash.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut continues = false;
        for (number, line) in (self.line..).zip(&self.lines) {
            let typed = line.strip_prefix("$ ").or(continues.then_some(line.trim()));
            let Some(typed) = typed else {
                let command = commands.last_mut().expect("output before any command");
                command.output.push(line.clone());
                command.output_lines.end = number + 1;
                continue;
            };
            let (text, more) = match typed.strip_suffix('\\') {
                Some(text) => (text, true),
                None => (typed, false),
            };
            let after = number + 1..number + 1;
            match commands.last_mut() {
                Some(command) if continues => {
                    command.text.push_str(text);
                    command.output_lines = after;
                }
                _ => commands.push(Command {
                    text: text.to_owned(),
                    output: Vec::new(),
                    output_lines: after,
                }),
            }
            continues = more;
        }
        commands
    }
}
