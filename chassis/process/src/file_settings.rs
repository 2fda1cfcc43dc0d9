//! Settings from files, as Docker and Kubernetes mount secrets: `X_FILE` names a file with the value
//! of the environment variable `X`.
//!
//! A flag has precedence over `X` or `X_FILE`, and these over the default. Both `X` and `X_FILE` are
//! an error, since they are ambiguous; so is an unreadable file, even if a flag overrides it. An
//! empty `X` counts as unset, since a container cannot always unset a variable of its image.
//!
//! This module reads the settings from clap, and knows none of them by name.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStringExt,
    path::Path,
};

use clap::{
    Command, Error, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// The maximum size of a value: the limit of a Kubernetes secret, and more than any setting needs.
/// It ends the read of an endless device such as `/dev/zero`.
const MAX_VALUE_BYTES: u64 = 1 << 20;

/// The last lines of `--help`.
const HELP: &str = "\
Any variable X may be given as X_FILE, the path of a file that holds the value.";

/// Parses the arguments and the environment of this process, with values from files.
///
/// # Errors
///
/// The error of clap, of kind [`ErrorKind::ValueValidation`] if a variable or its file is invalid.
pub fn parse<C: Parser>() -> Result<C, Error> {
    parse_from(env::args_os(), |variable| env::var_os(variable))
}

/// Parses `arguments`, with `variable` as the environment.
fn parse_from<C: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<C, Error> {
    let (command, settings) = apply_files(C::command(), &variable)?;
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.map_or_else(|| HELP.to_owned(), |help| format!("{help}\n\n{HELP}"));
    let mut command = command.after_help(help);
    command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| C::from_arg_matches(&matches))
        .map_err(|error| attribute_to_file(error.format(&mut command), &settings))
}

/// A setting whose value comes from a file.
struct FileSetting {
    /// The argument as clap names it in errors, such as `--listen <ADDRESS>`.
    argument: String,
    /// The description of the file for error messages.
    source: String,
}

/// Replaces the defaults of settings by the values from files.
fn apply_files(
    mut command: Command,
    variable: &impl Fn(&str) -> Option<OsString>,
) -> Result<(Command, Vec<FileSetting>), Error> {
    let mut settings = Vec::new();
    // clap knows the displayed form of an argument only after `build`, which also copies global
    // arguments into the subcommands. So build a clone, and change the arguments of the original.
    let mut built = command.clone();
    built.build();
    for argument in built.get_arguments() {
        let Some(name) = argument.get_env().and_then(OsStr::to_str) else {
            continue;
        };
        let (id, argument) = (argument.get_id().clone(), argument.to_string());
        let file_variable = format!("{name}_FILE");
        let Some(path) = variable(&file_variable) else {
            continue;
        };
        let invalid = |message: String| {
            let mut error = Error::raw(ErrorKind::ValueValidation, message);
            error.insert(
                ContextKind::InvalidArg,
                ContextValue::String(argument.clone()),
            );
            error
        };
        if variable(name).is_some_and(|value| !value.is_empty()) {
            return Err(invalid(format!(
                "{name} and {file_variable} are both set; keep one of them"
            )));
        }
        let shown = Path::new(&path).display();
        let value = read(&path).map_err(|error| {
            invalid(format!(
                "{file_variable} names the file {shown}, which cannot be read: {error}; name \
                 a file that holds the value of {name}"
            ))
        })?;
        // `--help` shows defaults, and the value may be a secret.
        command = command.mut_arg(id, |it| {
            let it = it.default_value(value).hide_default_value(true);
            it.env(None::<&str>)
        });
        settings.push(FileSetting {
            argument,
            source: format!("the content of {shown}, the {file_variable}"),
        });
    }
    Ok((command, settings))
}

/// Names the file instead of the value in an error, since the value may be a secret.
fn attribute_to_file(mut error: Error, settings: &[FileSetting]) -> Error {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        _ => return error,
    };
    if let Some(setting) = settings.iter().find(|setting| setting.argument == argument) {
        let source = ContextValue::String(setting.source.clone());
        error.insert(ContextKind::InvalidValue, source);
    }
    error
}

/// Returns the content of a file, without the line break at its end.
fn read(path: &OsStr) -> io::Result<OsString> {
    let mut value = Vec::new();
    File::open(path)?
        .take(MAX_VALUE_BYTES + 1)
        .read_to_end(&mut value)?;
    if value.len() as u64 > MAX_VALUE_BYTES {
        return Err(io::Error::other("it is larger than any valid value"));
    }
    if value.ends_with(b"\n") {
        value.pop();
        if value.ends_with(b"\r") {
            value.pop();
        }
    }
    Ok(OsString::from_vec(value))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Subcommand;
    use tempfile::TempDir;

    use super::*;

    #[derive(Parser, Debug, PartialEq)]
    #[command(after_help = "Examples")]
    struct Settings {
        #[arg(long, env = "FIRST", default_value = "1")]
        first: u8,
        #[arg(long, env = "SECOND", default_value = "2", global = true)]
        second: u8,
        #[command(subcommand)]
        command: Option<Subcommands>,
    }

    #[derive(Subcommand, Debug, PartialEq)]
    enum Subcommands {
        Go,
    }

    fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
        let arguments = std::iter::once("program").chain(arguments.iter().copied());
        let variable = |name: &str| {
            let mut found = variables.iter().filter(|(set, _)| *set == name);
            found.next().map(|(_, value)| value.into())
        };
        parse_from(arguments.map(OsString::from), variable)
            .map_err(|error| crate::usage_message(&error))
    }

    fn file(directory: &TempDir, value: &str) -> String {
        let path = directory.path().join("value");
        fs::write(&path, value).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_file_gives_the_value_of_its_variable() {
        let directory = TempDir::new().unwrap();

        for value in ["7", "7\n", "7\r\n"] {
            let path = file(&directory, value);
            let settings = parse(&["go"], &[("SECOND_FILE", &path)]).unwrap();

            assert_eq!((settings.first, settings.second), (1, 7), "{value:?}");
        }
    }

    #[test]
    fn only_one_line_break_is_dropped() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "7\n\n");

        assert!(parse(&[], &[("FIRST_FILE", &path)]).is_err());
    }

    #[test]
    fn a_flag_comes_before_a_file() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "7");

        let settings = parse(&["--first", "9"], &[("FIRST_FILE", &path)]).unwrap();

        assert_eq!(settings.first, 9);
    }

    #[test]
    fn a_variable_together_with_its_file_is_rejected() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "7");

        let error = parse(&[], &[("FIRST", "8"), ("FIRST_FILE", &path)]).unwrap_err();

        assert!(
            error.contains("FIRST and FIRST_FILE are both set"),
            "{error}"
        );
    }

    #[test]
    fn an_empty_variable_does_not_override_its_file() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "7");

        let settings = parse(&[], &[("FIRST", ""), ("FIRST_FILE", &path)]).unwrap();

        assert_eq!(settings.first, 7);
    }

    #[test]
    fn an_unreadable_file_is_named_with_its_variable() {
        for path in ["/nowhere/at/all", "", "/dev/zero", "/"] {
            let error = parse(&[], &[("FIRST_FILE", path)]).unwrap_err();

            assert!(error.starts_with("error: FIRST_FILE names"), "{error}");
            assert!(error.contains(&format!("the file {path}, ")), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn an_invalid_value_in_a_file_is_not_shown() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "secret");

        let error = parse(&[], &[("FIRST_FILE", &path)]).unwrap_err();

        assert!(!error.contains("secret"), "{error}");
        assert!(
            error.contains(&path) && error.contains("FIRST_FILE"),
            "{error}"
        );
        assert!(error.contains("--first"), "{error}");
    }

    #[test]
    fn help_mentions_files_and_hides_their_values() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "77");

        let help = parse(&["--help"], &[("FIRST_FILE", &path)]).unwrap_err();

        assert!(help.contains(HELP) && help.contains("Examples"), "{help}");
        assert!(!help.contains("77"), "{help}");
    }
}
