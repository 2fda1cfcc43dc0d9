//! Questions on a terminal, here a pseudo-terminal.

use std::{
    fs::File,
    io::{Read, Write},
    process::Stdio,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Tree, USERS};

const BIO: &str = "bio text not null default ''";

/// Opens a pseudo-terminal: the side of the person, and the side of the program.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let program = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    (File::from(person), program)
}

/// Runs `migrate about` on a terminal with these answers. Returns the output and the exit code.
fn migrate(tree: &Tree, arguments: &[&str], answers: &str) -> (String, i32) {
    let (mut person, program) = terminal();
    let mut command = tree.program(&[&["migrate", "about"], arguments].concat());
    let mut child = command
        .stdin(Stdio::from(program.try_clone().unwrap()))
        .stderr(Stdio::from(program))
        .spawn()
        .unwrap();
    // Otherwise the program's side of the terminal would stay open.
    drop(command);
    person.write_all(answers.as_bytes()).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    // Reading a terminal whose other side is closed fails with an error instead of an end of file.
    while let Ok(read @ 1..) = person.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..read]);
    }
    let code = child.wait().unwrap().code().unwrap();
    (String::from_utf8(seen).unwrap(), code)
}

/// Returns a tree in which a column was replaced by another one.
fn ambiguous() -> Tree {
    let tree = Tree::new();
    tree.declare_column(BIO);
    tree.done(&["migrate", "add bio"]);
    tree.edit(USERS, BIO, "about text not null default ''");
    tree
}

#[test]
fn a_terminal_asks_for_a_rename() {
    let tree = ambiguous();

    let (seen, code) = migrate(&tree, &[], "what?\ny\n");

    let question = "Was column users.about called bio before? [y/n] ";
    assert_eq!(code, 0, "{seen}");
    assert_eq!(seen.matches(question).count(), 2, "{seen}");
    let up = tree.migration(USERS, "0004_about.up.sql");
    assert!(
        up.contains("alter table users rename column bio to about;"),
        "{up}"
    );
}

#[test]
fn a_no_reports_the_destroyed_column() {
    let tree = ambiguous();

    let (refused, code) = migrate(&tree, &[], "n\n");
    let before = tree.migrations(USERS);
    let (seen, allowed) = migrate(&tree, &["--allow-data-loss"], "n\n");

    assert_eq!(code, 7, "{refused}");
    assert!(
        refused.contains("would destroy column users.bio"),
        "{refused}"
    );
    assert_eq!(before.len(), 4);
    assert_eq!(allowed, 0, "{seen}");
    let up = tree.migration(USERS, "0004_about.up.sql");
    assert!(up.contains("-- @destroys column users.bio"), "{up}");
}

#[test]
fn json_output_asks_nothing() {
    let tree = ambiguous();

    let (seen, code) = migrate(&tree, &["--json"], "y\n");

    assert_eq!(code, 7, "{seen}");
    assert!(!seen.contains("[y/n]"), "{seen}");
}
