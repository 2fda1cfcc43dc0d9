//! Checks that the commands, variables, services and links in `docs/operations.md` exist.
//! `tests/containers/run` runs its commands.

use std::{path::PathBuf, process::Command};

use crate::{compose::compose, settings, tree::read};

/// Names in capitals that are neither settings nor variables of the compose file.
const OTHER_NAMES: [&str; 9] = [
    "COMPOSE_PROFILES",
    "DATABASE_REPLACED",
    "EX_CONFIG",
    "EX_TEMPFAIL",
    "MEMORY_LIMIT",
    "NOT_SERVING",
    "REQUEST_ID_STORAGE_FULL",
    "STORAGE_FULL",
    "X_FILE",
];

fn page() -> String {
    read("docs/operations.md")
}

/// Returns the commands of its blocks, each in one line.
fn commands() -> Vec<String> {
    let page = page().replace("\\\n", " ");
    let blocks = page.split("```console\n").skip(1);
    let blocks = blocks.filter_map(|block| Some(block.split_once("\n```")?.0));
    let lines = blocks.flat_map(str::lines);
    lines
        .filter_map(|line| line.strip_prefix("$ ").map(str::to_owned))
        .collect()
}

/// Returns the standard output of the migrator for `arguments`.
fn migrator(arguments: &[&str]) -> String {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_microblog")).with_file_name("migrator");
    let output = Command::new(path).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn named_migrator_subcommands_and_flags_exist() {
    let mut found = 0;
    for command in commands() {
        let words: Vec<_> = command.split_whitespace().collect();
        let run = words.iter().position(|word| *word == "run");
        let Some(run) = run.filter(|_| words.starts_with(&["docker", "compose"])) else {
            continue;
        };
        let after = &words[run + 1..];
        let Some(at) = after
            .iter()
            .position(|word| ["migrator", "backup"].contains(word))
        else {
            continue;
        };

        let help = migrator(&[after[at + 1], "--help"]);

        let usage = format!("migrator {}", after[at + 1]);
        assert!(help.contains(&usage), "{command}: {help}");
        for flag in after[at + 2..].iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "{command}: unknown {flag}");
        }
        found += 1;
    }
    assert!(found >= 10, "only {found} found");
}

#[test]
fn named_variables_are_settings_or_compose_variables() {
    // Without the output of the commands.
    let page = page();
    let text: String = page
        .split("```")
        .filter(|part| !part.starts_with("console\n"))
        .collect();
    let text = text + &commands().join("\n");
    let file = read("docker-compose.yml");
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let names: Vec<_> = text
        .split(|c: char| !is_name(c))
        .filter(|name| name.contains('_') && name.len() > 3 && !name.starts_with('_'))
        .collect();

    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let programs = ["migrator", "user-service", "post-service"];
        let setting = programs
            .iter()
            .any(|program| settings::reads(program, name));
        let compose = file.contains(&format!("${{{name}:-"));

        assert!(setting || compose || OTHER_NAMES.contains(&name), "{name}");
    }
}

#[test]
fn named_services_and_profiles_are_in_the_compose_file() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let (mut found, mut profiles) = (0, 0);
    for command in commands() {
        let words: Vec<_> = command.split_whitespace().collect();
        let verb = words
            .iter()
            .position(|word| matches!(*word, "run" | "logs" | "exec" | "create"));
        if let Some(verb) = verb.filter(|_| command.contains("docker compose ")) {
            let mut after = words[verb..].iter();
            assert!(
                after.any(|word| services.contains_key(word.trim_end_matches(';'))),
                "{command}"
            );
            found += 1;
        }
        let set = command.split("COMPOSE_PROFILES=").skip(1);
        for set in set.filter(|set| !set.starts_with('.')) {
            let names = set.split(|c: char| !c.is_ascii_lowercase() && c != ',');
            for profile in names.take(1).flat_map(|names| names.split(',')) {
                let known = &compose["services"][profile]["profiles"];
                assert_eq!(*known, serde_json::json!([profile]), "{command}");
                profiles += 1;
            }
        }
    }
    assert!(found > 10 && profiles == 3, "{found} and {profiles} found");
}

#[test]
fn exit_codes_match_the_help_of_the_migrator() {
    let codes = |text: &str, indent: &str, end: &str| -> Vec<u8> {
        let rows = text.lines().filter_map(|line| line.strip_prefix(indent));
        rows.filter_map(|row| row.split_once(end)?.0.parse().ok())
            .collect()
    };
    let explained = codes(&page(), "| ", " |");
    let help = migrator(&["--help"]);
    let (_, listed) = help.split_once("Exit codes:").unwrap();

    // 137 comes from the kernel.
    let explained: Vec<_> = explained.into_iter().filter(|code| *code != 137).collect();

    assert!(explained.len() > 8, "{explained:?}");
    assert_eq!(explained, codes(listed, "  ", " "));
}
