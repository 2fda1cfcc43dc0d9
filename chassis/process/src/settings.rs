//! The log settings, which every process has, and the parsers that all settings share.
//!
//! A process reads the environment only through structs like these, so that `--help` lists every
//! setting.

use std::{fmt::Display, num::NonZeroUsize, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// The settings of the log.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogSettings {
    /// Format of the log lines.
    #[arg(long, env, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Log level, or directives by target such as `info,serving=debug`.
    #[arg(
        id = "RUST_LOG",
        long = "log",
        env = "RUST_LOG",
        value_name = "DIRECTIVES",
        default_value = "info"
    )]
    pub directives: LogDirectives,
}

/// The format of the log lines.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on standard error, for a terminal.
    Text,
    /// JSON on standard output, one object a line, for containers.
    Json,
}

/// The directives that select the log lines: each is a level, or `target=level`.
///
/// The directives of `EnvFilter` that select spans and fields are not supported. They need a regular
/// expression engine, which would make up 10 % of each binary.
#[derive(Clone, Debug)]
pub struct LogDirectives(Targets);

impl LogDirectives {
    /// Returns the filter of these directives.
    #[must_use]
    pub fn filter(&self) -> Targets {
        self.0.clone()
    }
}

impl FromStr for LogDirectives {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid =
            |why: &dyn Display| format!("{why}; write for example `info` or `info,serving=debug`");
        if text.contains('[') {
            return Err(invalid(&"spans and fields cannot be selected"));
        }
        let directives: Vec<_> = text.split(',').map(str::trim).collect();
        let directives: Vec<_> = directives.into_iter().filter(|it| !it.is_empty()).collect();
        if directives.is_empty() {
            return Ok(Self(Targets::new().with_default(LevelFilter::ERROR)));
        }
        let targets: Result<Targets, _> = directives.join(",").parse();
        targets.map(Self).map_err(|error| invalid(&error))
    }
}

/// Parses a count from 1 to 1,000,000, so that an allocation for each item fits into memory.
///
/// # Errors
///
/// The reason that it is invalid.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    up_to(text, 1_000_000)
}

/// Parses a whole number from 1 to `max`.
///
/// # Errors
///
/// The range of valid numbers.
pub fn up_to(text: &str, max: usize) -> Result<NonZeroUsize, String> {
    text.parse()
        .ok()
        .filter(|number: &NonZeroUsize| number.get() <= max)
        .ok_or_else(|| format!("give a whole number from 1 to {max}"))
}

/// Parses a duration from 1 ms to 1 day.
///
/// # Errors
///
/// The reason that it is invalid.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_zero(text)?;
    if duration < Duration::from_millis(1) {
        return Err("it is too short; give 1ms or more".into());
    }
    Ok(duration)
}

/// Parses a duration from zero to 1 day.
///
/// # Errors
///
/// The reason that it is invalid.
pub fn duration_or_zero(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_hours(24);

    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write for example 150ms, 5s or 1m"))?;
    if duration > DAY {
        return Err("it is too long; give 1day or less".into());
    }
    Ok(duration)
}

/// Returns the declared defaults of a group of settings, and ignores the environment.
///
/// # Panics
///
/// If a declared default is invalid. Each group has a test that calls this function.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the defaults are constants, and tests parse them"
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
    fn a_count_out_of_range_is_rejected() {
        for text in ["0", "-1", "1000001", "18446744073709551615", "x"] {
            assert!(count(text).is_err(), "{text} was accepted");
        }
        assert_eq!(count("1000000").unwrap().get(), 1_000_000);
    }

    #[test]
    fn a_duration_out_of_range_is_rejected() {
        for text in ["0s", "1us", "2days", "300000000000y", "5", "-1s"] {
            assert!(duration(text).is_err(), "{text} was accepted");
        }
        assert_eq!(duration("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
    }
}
