//! The last line that a process writes, and its exit code.

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::{logging, settings::LogFormat};

/// Exit code of a command line that cannot be understood.
const USAGE: u8 = 2;

/// Exit code of a setting whose value cannot work: `EX_CONFIG` of sysexits(3).
pub(crate) const CONFIG: u8 = 78;

/// Says in one line why the process ends, and with which code.
pub(crate) fn exit_with(format: LogFormat, line: &str, exit_code: u8) -> ExitCode {
    match format {
        LogFormat::Text => eprintln!("error: {line}"),
        LogFormat::Json => logging::log_exit(line, exit_code),
    }
    ExitCode::from(exit_code)
}

/// How the log would look, had the command line been understood: what is asked for in so
/// many words.
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

/// Says what is wrong with the command line, in one line, or prints the help that was
/// asked for.
#[must_use]
pub fn usage_error(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help that cannot be written, to a closed pipe, is nobody's failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(USAGE)
        }
        kind => {
            let exit_code = match kind {
                // The command line was understood; a value in it cannot work.
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

/// What is wrong with a command line, in one line.
#[must_use]
pub fn usage_message(error: &clap::Error) -> String {
    let text = error.to_string();
    let said: Vec<_> = text
        .split("\n\n")
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .flat_map(str::lines)
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    format!("{}; --help lists all settings", said.join(" "))
}
