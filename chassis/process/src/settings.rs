//! The settings of every process, and the parsers that all settings share.
//!
//! Nothing is read from the environment but through such structs and those of the
//! binaries that embed them, so `--help` lists all settings.

use std::{fmt::Display, num::NonZeroUsize, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogSettings {
    /// How a line of the log looks.
    #[arg(long, env, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: a level, or directives such as `info,serving=debug`.
    #[arg(
        id = "RUST_LOG",
        long = "log",
        env = "RUST_LOG",
        value_name = "DIRECTIVES",
        default_value = "info"
    )]
    pub directives: LogDirectives,
}

/// How a line of the log looks.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, on standard error.
    Text,
    /// One JSON object a line, on standard output: for containers.
    Json,
}

/// Which lines are logged, checked when the process starts.
///
/// Each is a level or `target=level`. Those of `EnvFilter` that look into spans and fields
/// are not known here: they take a regular expression engine, a tenth of each program.
#[derive(Clone, Debug)]
pub struct LogDirectives(Targets);

impl LogDirectives {
    /// The filter that they mean.
    #[must_use]
    pub fn filter(&self) -> Targets {
        self.0.clone()
    }
}

impl FromStr for LogDirectives {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            |why: &dyn Display| format!("{why}; write for example `info` or `info,serving=debug`");
        if text.contains('[') {
            return Err(wrong(&"spans and fields cannot be selected"));
        }
        let directives: Vec<_> = text.split(',').map(str::trim).collect();
        let directives: Vec<_> = directives.into_iter().filter(|it| !it.is_empty()).collect();
        if directives.is_empty() {
            return Ok(Self(Targets::new().with_default(LevelFilter::ERROR)));
        }
        let targets: Result<Targets, _> = directives.join(",").parse();
        targets.map(Self).map_err(|error| wrong(&error))
    }
}

/// A number of things: 1 to a million, so that what is made for each fits into memory.
///
/// # Errors
///
/// What is wrong with it, for people.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    within(text, 1_000_000)
}

/// A whole number from 1 to `most`.
///
/// # Errors
///
/// The numbers that are allowed, for people.
pub fn within(text: &str, most: usize) -> Result<NonZeroUsize, String> {
    text.parse()
        .ok()
        .filter(|number: &NonZeroUsize| number.get() <= most)
        .ok_or_else(|| format!("give a whole number from 1 to {most}"))
}

/// A time that something may take: a millisecond to a day.
///
/// # Errors
///
/// What is wrong with it, for people.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_zero(text)?;
    if duration < Duration::from_millis(1) {
        return Err("it is too short; give 1ms or more".into());
    }
    Ok(duration)
}

/// A time that something may take, or none at all: up to a day.
///
/// # Errors
///
/// What is wrong with it, for people.
pub fn duration_or_zero(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write for example 150ms, 5s or 1m"))?;
    if duration > DAY {
        return Err("it is too long; give 1day or less".into());
    }
    Ok(duration)
}

/// The documented defaults of a group of settings, whatever the environment says: they
/// stand in one place, the declarations.
///
/// # Panics
///
/// If a declared default is no valid value, which a test of this module would show.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the defaults are constants of this module"
)]
pub fn defaults<S: Args>() -> S {
    let mut command = S::augment_args(clap::Command::new("defaults"));
    let names: Vec<_> = command
        .get_arguments()
        .map(|argument| argument.get_id().clone())
        .collect();
    for name in names {
        command = command.mut_arg(name, |argument| argument.env(None::<&str>));
    }
    let matches = command
        .try_get_matches_from(["defaults"])
        .expect("the declared defaults parse");
    S::from_arg_matches(&matches).expect("the declared defaults parse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value() {
        let logs: LogSettings = defaults();
        assert_eq!(logs.log_format, LogFormat::Text);
    }

    #[test]
    fn a_number_that_could_not_work_is_refused() {
        for text in ["0", "-1", "1000001", "18446744073709551615", "x"] {
            assert!(count(text).is_err(), "{text} was accepted");
        }
        assert_eq!(count("1000000").unwrap().get(), 1_000_000);
    }

    #[test]
    fn a_time_that_could_not_work_is_refused() {
        for text in ["0s", "1us", "2days", "300000000000y", "5", "-1s"] {
            assert!(duration(text).is_err(), "{text} was accepted");
        }
        assert_eq!(duration("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
    }
}
