//! The last line that a process writes, and its exit code.

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::{logging, redaction::redact, settings::LogFormat};

/// The exit code for a command line that cannot be parsed, as clap and shells use it.
const USAGE: u8 = 2;

/// The exit code for an invalid value of a setting: `EX_CONFIG` of sysexits(3).
pub(crate) const CONFIG: u8 = 78;

/// Writes the line that tells why the process ends, in the format of the log. Returns the exit
/// code.
pub(crate) fn exit_with(format: LogFormat, line: &str, exit_code: u8) -> ExitCode {
    logging::log_exit(format, &redact(line), exit_code);
    ExitCode::from(exit_code)
}

/// Returns the log format that the arguments and the environment request. It searches for the
/// setting literally, since the command line cannot be parsed.
fn requested_log_format() -> LogFormat {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != "--log-format");
    let flag = arguments.nth(1).filter(|format| format == "json");
    let flag = flag.is_some() || std::env::args_os().any(|flag| flag == "--log-format=json");
    if flag || std::env::var_os("LOG_FORMAT").is_some_and(|format| format == "json") {
        LogFormat::Json
    } else {
        LogFormat::Text
    }
}

/// Prints the requested help, or writes one line with the error in the command line. Returns the
/// exit code.
#[must_use]
pub fn usage_error(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe, as in `--help | head`, is not an error.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(USAGE)
        }
        kind => {
            let exit_code = match kind {
                // The command line was parsed, and a value in it is invalid.
                ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8 => {
                    CONFIG
                }
                _ => USAGE,
            };
            let line = usage_message(error);
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            exit_with(requested_log_format(), line, exit_code)
        }
    }
}

/// Returns the error in a command line, as one line.
#[must_use]
pub fn usage_message(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text
        .split("\n\n")
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .flat_map(str::lines)
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    format!("{}; --help lists all settings", lines.join(" "))
}
