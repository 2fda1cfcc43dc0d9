//! The settings of all programs, as `--help` lists them, and as the README does.

use std::collections::BTreeMap;

use crate::{
    process::{Place, run},
    program,
};

/// Flags of one run, which no variable sets and which have no default: how it speaks, and a
/// source tree in the place of what was compiled in.
const NO_SETTINGS: [&str; 2] = ["json", "project"];

/// The settings of a program: each variable with its default.
async fn settings_of(name: &str) -> BTreeMap<String, String> {
    let place = Place::new();
    let help = run({
        let mut command = place.command(program(name), &["--help"]);
        // What is set would be shown.
        command.env_clear();
        command
    })
    .await;
    let help = help.stdout.join("\n");
    let flags = help.split("\n      --").skip(1);
    flags
        .filter(|flag| !flag.starts_with("help") && !flag.starts_with("version"))
        .filter(|flag| {
            let name = flag.split([' ', '\n']).next().unwrap_or_default();
            !NO_SETTINGS.contains(&name)
        })
        .map(|flag| {
            let shown = |key: &str| {
                let (_, rest) = flag.split_once(key)?;
                Some(rest.split_once(']')?.0.to_owned())
            };
            let variable = shown("[env: ").unwrap_or_else(|| panic!("{name}: --{flag}"));
            let default = shown("[default: ").unwrap_or_else(|| panic!("{name}: --{flag}"));
            (variable.trim_end_matches('=').to_owned(), default)
        })
        .collect()
}

/// The tables of the README: each a list of rows, each a list of cells without back-quotes.
fn tables() -> Vec<Vec<Vec<String>>> {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut tables = vec![Vec::new()];
    for line in readme.lines() {
        let row = line
            .trim()
            .strip_prefix('|')
            .and_then(|row| row.strip_suffix('|'));
        match (row, tables.last_mut()) {
            (Some(row), Some(table)) => {
                let cells = row.split('|').map(|cell| cell.trim().replace('`', ""));
                table.push(cells.collect());
            }
            _ => tables.push(Vec::new()),
        }
    }
    tables
}

/// Whether it looks like the name of a variable.
fn is_variable(cell: &str) -> bool {
    cell.contains('_') && cell.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[tokio::test]
async fn the_readme_lists_every_setting_with_its_default_and_no_other() {
    let mut settings = BTreeMap::new();
    for name in ["microblog", "user-service", "post-service", "migrator"] {
        settings.extend(settings_of(name).await);
    }
    let lists_settings =
        |table: &Vec<Vec<String>>| table.iter().any(|row| settings.contains_key(&row[0]));

    let listed: BTreeMap<_, _> = tables()
        .into_iter()
        .filter(lists_settings)
        .flatten()
        .filter(|row| is_variable(&row[0]) && row.len() > 1)
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();

    assert!(settings.len() > 30, "{settings:?}");
    for (variable, default) in &settings {
        let cell = listed.get(variable);
        let cell = cell.unwrap_or_else(|| panic!("the README does not list {variable}"));
        // A remark may follow the default.
        let said = cell.split([';', ',', ' ']).next();
        assert_eq!(said, Some(default.as_str()), "the default of {variable}");
    }
    for variable in listed.keys() {
        assert!(settings.contains_key(variable), "{variable} is no setting");
    }
}

#[tokio::test]
async fn a_variable_means_the_same_to_every_program() {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();

    for name in ["microblog", "user-service", "post-service", "migrator"] {
        for (variable, default) in settings_of(name).await {
            let before = settings.insert(variable.clone(), default.clone());

            let same = before.is_none_or(|before| before == default);
            assert!(same, "{variable} has another default in {name}");
        }
    }
}
