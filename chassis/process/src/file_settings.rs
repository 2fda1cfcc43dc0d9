//! Settings from files, as Docker and Kubernetes mount secrets: `X_FILE` names a file with the value
//! of the environment variable `X`.
//!
//! A flag has precedence over `X` or `X_FILE`, and these over the default. Both `X` and `X_FILE` are
//! an error, since they are ambiguous; so is an unreadable file, even if a flag overrides it. An
//! empty `X` counts as unset, since a container cannot always unset a variable of its image.
//!
//! No error shows the content of a file, or the password in a URL. This module reads the settings
//! from clap, and knows none of them by name.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    path::Path,
};

use clap::{Command, Error, Parser};

use self::errors::{URL, hide_content, hide_password, invalid};
use crate::redaction::{self, Redaction};

mod errors;

/// The maximum size of a value: the limit of a Kubernetes secret, and more than any setting needs.
/// It ends the read of an endless device such as `/dev/zero`.
const MAX_VALUE_BYTES: u64 = 1 << 20;

/// The last lines of `--help`.
const HELP: &str = "\
Any variable X may be given as X_FILE, the path of a file that holds the value.";

/// Parses the arguments and the environment of this process, with values from files. Their values
/// are hidden in all later output.
///
/// # Errors
///
/// The error of clap, of kind `ValueValidation` if a variable or its file is invalid.
pub fn parse<C: Parser>() -> Result<C, Error> {
    let (parsed, settings) = parse_from(env::args_os(), |variable| env::var_os(variable));
    let mut redaction = Redaction::default();
    for setting in &settings {
        redaction.add(&setting.value, &setting.variable);
    }
    redaction::install(redaction);
    parsed
}

/// Parses `arguments`, with `variable` as the environment. Returns the settings from files, too.
fn parse_from<C: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> (Result<C, Error>, Vec<FileSetting>) {
    let (command, settings) = match apply_files(C::command(), &variable) {
        Ok(applied) => applied,
        Err(error) => return (Err(error), Vec::new()),
    };
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.map_or_else(|| HELP.to_owned(), |help| format!("{help}\n\n{HELP}"));
    let mut command = command.after_help(help);
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| C::from_arg_matches(&matches))
        .map_err(|error| hide_password(hide_content(error, &settings)).format(&mut command));
    (parsed, settings)
}

/// A setting whose value comes from a file.
struct FileSetting {
    /// The argument as clap names it in errors, such as `--listen <ADDRESS>`.
    argument: String,
    /// The variable with the path of the file.
    variable: String,
    /// The path of the file.
    path: OsString,
    /// The content of the file.
    value: String,
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
        if argument.ends_with(URL) {
            // `--help` would show a password in the variable.
            command = command.mut_arg(&id, |it| it.hide_env_values(true));
        }
        let file_variable = format!("{name}_FILE");
        let Some(path) = variable(&file_variable) else {
            continue;
        };
        if variable(name).is_some_and(|value| !value.is_empty()) {
            return Err(invalid(
                &argument,
                format!("{name} and {file_variable} are both set; keep one of them"),
            ));
        }
        let value = read(&path).map_err(|error| {
            let shown = Path::new(&path).display();
            invalid(
                &argument,
                format!(
                    "{file_variable} names the file {shown}, which cannot be read: {error}; name \
                     a file that holds the value of {name}"
                ),
            )
        })?;
        // `--help` shows defaults, and the value may be a secret.
        let default = value.clone();
        command = command.mut_arg(id, |it| {
            let it = it.default_value(default).hide_default_value(true);
            it.env(None::<&str>)
        });
        settings.push(FileSetting {
            argument,
            variable: file_variable,
            path,
            value,
        });
    }
    Ok((command, settings))
}

/// Returns the content of a file, without the line break at its end.
fn read(path: &OsStr) -> io::Result<String> {
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
    String::from_utf8(value).map_err(|_| io::Error::other("its content is not UTF-8"))
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
        #[arg(long, env = "ORIGIN", value_name = "URL", default_value = "a:", value_parser = url)]
        origin: String,
        #[arg(long, env = "WAIT", default_value = "1s", value_parser = crate::settings::duration)]
        wait: std::time::Duration,
        #[command(subcommand)]
        command: Option<Subcommands>,
    }

    fn url(text: &str) -> Result<String, String> {
        match text {
            "a:" => Ok(text.to_owned()),
            _ => Err(format!("`{text}` is unusable; write for example a:")),
        }
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
        let (parsed, _) = parse_from(arguments.map(OsString::from), variable);
        parsed.map_err(|error| crate::usage_message(&error))
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
    fn no_reason_quotes_the_content_of_a_file() {
        let directory = TempDir::new().unwrap();

        for (variable, value, hint) in [
            ("ORIGIN_FILE", "secret://x; y", "; write for example a:"),
            ("ORIGIN_FILE", "", "; write for example a:"),
            (
                "WAIT_FILE",
                "5secrets",
                "; write for example 150ms, 5s or 1m",
            ),
            ("WAIT_FILE", "9999999days", "; give 1day or less"),
            ("FIRST_FILE", "999", "'--first <FIRST>'"),
        ] {
            let path = file(&directory, value);
            let error = parse(&[], &[(variable, &path)]).unwrap_err();

            assert!(value.is_empty() || !error.contains(value), "{error}");
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains(hint), "{error}");
            assert!(error.contains(&path) && error.contains(variable), "{error}");
        }
    }

    #[test]
    fn an_invalid_flag_is_not_attributed_to_the_file() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "7");

        let error = parse(&["--first", "x"], &[("FIRST_FILE", &path)]).unwrap_err();

        assert!(
            error.contains("'x'") && !error.contains("FIRST_FILE"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_named() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "");
        fs::write(&path, b"7\xff").unwrap();

        let error = parse(&[], &[("FIRST_FILE", &path)]).unwrap_err();

        assert!(
            error.contains("FIRST_FILE names") && error.contains("not UTF-8"),
            "{error}"
        );
        assert!(error.contains(&path), "{error}");
    }

    #[test]
    fn errors_hide_the_password_in_a_url() {
        for (url, shown) in [
            ("b://user:secret@host", "'b://…'"),
            ("b://secret@host/p?x", "'b://…'"),
            ("b:x?key=secret", "'…'"),
            ("host=x password=secret", "'…'"),
            ("secret:pw@host", "'…'"),
            ("b:plain", "'b:plain'"),
        ] {
            let error = parse(&["--origin", url], &[]).unwrap_err();

            let hidden = error.contains(shown) && !error.contains("secret");
            assert!(hidden, "{error}");
            assert!(error.contains("write for example a:"), "{error}");
        }
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
