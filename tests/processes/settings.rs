//! The settings of all programs: `--help` and `docs/configuration.md` list the same ones.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    process::{TestDir, run},
    program,
};

const PROGRAMS: [&str; 4] = ["microblog", "user-service", "post-service", "migrator"];

/// Flags of one run, which have neither a variable nor a default.
const NOT_SETTINGS: [&str; 3] = ["help", "version", "json"];

/// Variables whose default depends on the program. The migrator waits longer for the write lock
/// than a service: no caller waits for it.
const DIFFERENT_DEFAULTS: [&str; 1] = ["LOCK_TIMEOUT"];

/// The heading in `--help` of settings that no group has.
const NO_HEADING: &str = "Options";

/// A setting of a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Setting {
    variable: String,
    default: String,
    /// The heading that lists it.
    heading: String,
}

/// Returns the settings that `--help` of a program lists.
async fn settings_of(name: &str) -> Vec<Setting> {
    let dir = TestDir::new();
    let help = run({
        let mut command = dir.command(program(name), &["--help"]);
        // The help shows the values of variables that are set.
        command.env_clear();
        command
    })
    .await;
    let help = help.stdout.join("\n");
    let mut settings = Vec::new();
    let mut heading = "";
    // Each block is a flag; the heading of the next group ends it.
    for block in help.split("\n      --") {
        let flag = block.split([' ', '\n']).next().unwrap_or_default();
        if !heading.is_empty() && !NOT_SETTINGS.contains(&flag) {
            let shown = |key: &str| {
                let (_, rest) = block.split_once(key)?;
                Some(rest.split_once(']')?.0.trim_end_matches('=').to_owned())
            };
            settings.push(Setting {
                variable: shown("[env: ").unwrap_or_else(|| panic!("{name}: --{block}")),
                default: shown("[default: ").unwrap_or_else(|| panic!("{name}: --{block}")),
                heading: heading.to_owned(),
            });
        }
        let is_heading = |line: &&str| line.starts_with(|c: char| c.is_ascii_uppercase());
        let mut headings = block
            .lines()
            .filter(is_heading)
            .filter_map(|line| line.strip_suffix(':'));
        heading = headings.next_back().unwrap_or(heading);
    }
    settings
}

/// Returns the settings that the tables of `docs/configuration.md` list.
fn documented() -> Vec<Setting> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut heading = "";
    let mut settings = Vec::new();
    for line in document.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text;
        }
        let cells: Vec<_> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        if let ["", variable, default, _, _, ""] = cells[..]
            && variable.starts_with(|c: char| c.is_ascii_uppercase())
        {
            settings.push(Setting {
                variable: variable.to_owned(),
                default: default.to_owned(),
                heading: heading.to_owned(),
            });
        }
    }
    settings
}

#[tokio::test]
async fn the_configuration_page_lists_every_setting_with_its_default() {
    let mut settings = Vec::new();
    for name in PROGRAMS {
        settings.extend(settings_of(name).await);
    }
    let documented = documented();

    let pairs = |settings: &[Setting]| -> BTreeSet<(String, String)> {
        settings
            .iter()
            .map(|setting| (setting.variable.clone(), setting.default.clone()))
            .collect()
    };
    assert!(settings.len() > 30, "{settings:?}");
    assert_eq!(pairs(&documented), pairs(&settings));
    assert_eq!(documented.len(), pairs(&documented).len(), "a row is twice");
    for setting in settings.iter().filter(|it| it.heading != NO_HEADING) {
        assert!(
            documented.contains(setting),
            "{setting:?} has another heading"
        );
    }
}

#[tokio::test]
async fn a_variable_has_the_same_default_in_every_program() {
    let mut defaults: BTreeMap<String, String> = BTreeMap::new();

    for name in PROGRAMS {
        for Setting {
            variable, default, ..
        } in settings_of(name).await
        {
            if DIFFERENT_DEFAULTS.contains(&variable.as_str()) {
                continue;
            }
            let before = defaults.insert(variable.clone(), default.clone());

            let same = before.is_none_or(|before| before == default);
            assert!(same, "{variable} has another default in {name}");
        }
    }
}
