//! Reads the settings of the programs from their `--help`.

use std::{collections::BTreeMap, path::PathBuf, process::Command, sync::LazyLock, time::Duration};

use chassis::process::settings::duration_or_zero;

/// Environment variables that SQLite reads.
const SQLITE: [&str; 1] = ["SQLITE_TMPDIR"];

/// Settings of each program, read once.
static SETTINGS: LazyLock<BTreeMap<&str, BTreeMap<String, String>>> = LazyLock::new(|| {
    let programs = ["migrator", "user-service", "post-service"];
    programs.map(|program| (program, read_help(program))).into()
});

/// Returns the variables of a program with their defaults.
pub fn settings(program: &str) -> &'static BTreeMap<String, String> {
    &SETTINGS[program]
}

fn read_help(program: &str) -> BTreeMap<String, String> {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_microblog")).with_file_name(program);
    let help = Command::new(&path).env_clear().arg("--help").output();
    let help = help.unwrap_or_else(|error| {
        panic!(
            "{}: {error}; `cargo test --workspace` builds it",
            path.display()
        )
    });
    let help = String::from_utf8(help.stdout).unwrap();
    let shown = |flag: &str, key: &str| {
        let (_, rest) = flag.split_once(key)?;
        Some(rest.split_once(']')?.0.trim_end_matches('=').to_owned())
    };
    let flags = help.split("\n      --").skip(1);
    flags
        .filter_map(|flag| Some((shown(flag, "[env: ")?, shown(flag, "[default: ")?)))
        .collect()
}

/// Reports whether a program reads a variable, directly or as the name of a file.
pub fn reads(program: &str, variable: &str) -> bool {
    let settings = settings(program);
    let value = variable.strip_suffix("_FILE").unwrap_or(variable);
    settings.contains_key(variable) || settings.contains_key(value) || SQLITE.contains(&variable)
}

/// Returns the maximum duration of a drain with this environment.
pub fn drain(program: &str, environment: &BTreeMap<String, String>) -> Duration {
    let defaults = settings(program);
    let duration = |name: &str| {
        let value = environment.get(name).unwrap_or(&defaults[name]);
        duration_or_zero(value).unwrap()
    };
    duration("DRAIN_DELAY") + duration("DRAIN_TIMEOUT")
}

/// Returns the time that a service waits for the database at startup with this environment.
pub fn database_startup_timeout(program: &str, environment: &BTreeMap<String, String>) -> Duration {
    let defaults = settings(program);
    let value = environment.get("DATABASE_STARTUP_TIMEOUT");
    duration_or_zero(value.unwrap_or(&defaults["DATABASE_STARTUP_TIMEOUT"])).unwrap()
}
