//! The settings of the programs, as `--help` lists them.

use std::{collections::BTreeMap, path::PathBuf, process::Command, sync::LazyLock, time::Duration};

use chassis::process::settings::duration_or_zero;

/// What SQLite itself reads of the environment.
const SQLITE: [&str; 1] = ["SQLITE_TMPDIR"];

/// Of each program, once.
static SETTINGS: LazyLock<BTreeMap<&str, BTreeMap<String, String>>> = LazyLock::new(|| {
    let programs = ["migrator", "user-service", "post-service"];
    programs.map(|program| (program, ask(program))).into()
});

/// Each variable of a program, with its default.
pub fn of(program: &str) -> &'static BTreeMap<String, String> {
    &SETTINGS[program]
}

fn ask(program: &str) -> BTreeMap<String, String> {
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

/// Whether a program reads the variable, or the file that it names.
pub fn reads(program: &str, variable: &str) -> bool {
    let settings = of(program);
    let value = variable.strip_suffix("_FILE").unwrap_or(variable);
    settings.contains_key(variable) || settings.contains_key(value) || SQLITE.contains(&variable)
}

/// How long a service takes to drain at the most, where it is given `environment`.
pub fn drain(program: &str, environment: &BTreeMap<String, String>) -> Duration {
    let defaults = of(program);
    let duration = |name: &str| {
        let value = environment.get(name).unwrap_or(&defaults[name]);
        duration_or_zero(value).unwrap()
    };
    duration("DRAIN_DELAY") + duration("DRAIN_TIMEOUT")
}

/// How long a service waits for the database, where it is given `environment`.
pub fn database_startup_timeout(program: &str, environment: &BTreeMap<String, String>) -> Duration {
    let defaults = of(program);
    let value = environment.get("DATABASE_STARTUP_TIMEOUT");
    duration_or_zero(value.unwrap_or(&defaults["DATABASE_STARTUP_TIMEOUT"])).unwrap()
}
