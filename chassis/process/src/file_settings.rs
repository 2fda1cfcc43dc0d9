//! Settings whose values stand in files, as Docker and Kubernetes hand out secrets: a
//! setting with the variable `X` may be given as `X_FILE`, the path of a file that holds
//! the value.
//!
//! A flag comes first, then `X` or `X_FILE`, then the default. `X` and `X_FILE` together
//! are refused, for nobody could tell which one was meant; so is a file that cannot be
//! read, even below a flag. An empty `X` counts as none beside a file: an image may set it,
//! and not everybody who starts a container can unset what its image sets. It knows no
//! setting by name: it goes by what clap knows.

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

/// What a value is at most, in bytes: as much as Kubernetes keeps of a secret and far more
/// than any setting needs, so that a device in the place of a file ends nothing.
const MAX_VALUE_BYTES: u64 = 1 << 20;

/// What `--help` says about it, at its end.
const HELP: &str = "\
Any variable X may be given as X_FILE, the path of a file that holds the value.";

/// Parses the command line of this process, with variables and files.
///
/// # Errors
///
/// What is wrong with it: of the kind [`ErrorKind::ValueValidation`] if it is a variable
/// or its file.
pub fn parse<C: Parser>() -> Result<C, Error> {
    parse_from(env::args_os(), |variable| env::var_os(variable))
}

/// The same with the arguments and variables of somebody.
fn parse_from<C: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<C, Error> {
    let (command, given) = apply_files(C::command(), &variable)?;
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.map_or_else(|| HELP.to_owned(), |help| format!("{help}\n\n{HELP}"));
    let mut command = command.after_help(help);
    command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| C::from_arg_matches(&matches))
        .map_err(|error| attribute_to_file(error.format(&mut command), &given))
}

/// A setting that a file gives.
struct FileSetting {
    /// As clap names it in errors, such as `--listen <ADDRESS>`.
    argument: String,
    /// Where it comes from, for people.
    source: String,
}

/// Puts what the files say in the place of the defaults.
fn apply_files(
    mut command: Command,
    variable: &impl Fn(&str) -> Option<OsString>,
) -> Result<(Command, Vec<FileSetting>), Error> {
    let mut given = Vec::new();
    // How an argument is shown is known only once all are put together, after which the
    // subcommands have copies of it.
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
        let refuse = |what: String| {
            let mut error = Error::raw(ErrorKind::ValueValidation, what);
            error.insert(
                ContextKind::InvalidArg,
                ContextValue::String(argument.clone()),
            );
            error
        };
        if variable(name).is_some_and(|value| !value.is_empty()) {
            return Err(refuse(format!(
                "{name} and {file_variable} are both set; keep one of them"
            )));
        }
        let shown = Path::new(&path).display();
        let value = read(&path).map_err(|error| {
            refuse(format!(
                "{file_variable} names the file {shown}, which cannot be read: {error}; name \
                 a file that holds the value of {name}"
            ))
        })?;
        // What is in the file may be a secret, and `--help` shows the defaults.
        command = command.mut_arg(id, |it| {
            let it = it.default_value(value).hide_default_value(true);
            it.env(None::<&str>)
        });
        given.push(FileSetting {
            argument,
            source: format!("what is in {shown}, the {file_variable}"),
        });
    }
    Ok((command, given))
}

/// Says of a value that came from a file where it came from, and not what it is.
fn attribute_to_file(mut error: Error, given: &[FileSetting]) -> Error {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        _ => return error,
    };
    if let Some(given) = given.iter().find(|given| given.argument == argument) {
        let source = ContextValue::String(given.source.clone());
        error.insert(ContextKind::InvalidValue, source);
    }
    error
}

/// What is in a file, without the line break at its end.
fn read(path: &OsStr) -> io::Result<OsString> {
    let mut value = Vec::new();
    File::open(path)?
        .take(MAX_VALUE_BYTES + 1)
        .read_to_end(&mut value)?;
    if value.len() as u64 > MAX_VALUE_BYTES {
        return Err(io::Error::other("it is longer than any setting"));
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
    struct Line {
        #[arg(long, env = "FIRST", default_value = "1")]
        first: u8,
        #[arg(long, env = "SECOND", default_value = "2", global = true)]
        second: u8,
        #[command(subcommand)]
        command: Option<Below>,
    }

    #[derive(Subcommand, Debug, PartialEq)]
    enum Below {
        Go,
    }

    fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Line, String> {
        let line = std::iter::once("program").chain(arguments.iter().copied());
        let variable = |name: &str| {
            let mut found = variables.iter().filter(|(set, _)| *set == name);
            found.next().map(|(_, value)| value.into())
        };
        parse_from(line.map(OsString::from), variable).map_err(|error| crate::usage_message(&error))
    }

    fn file(folder: &TempDir, value: &str) -> String {
        let path = folder.path().join("value");
        fs::write(&path, value).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_file_gives_the_value_of_its_variable() {
        let folder = TempDir::new().unwrap();

        for value in ["7", "7\n", "7\r\n"] {
            let path = file(&folder, value);
            let line = parse(&["go"], &[("SECOND_FILE", &path)]).unwrap();

            assert_eq!((line.first, line.second), (1, 7), "{value:?}");
        }
    }

    #[test]
    fn only_one_line_break_is_dropped() {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "7\n\n");

        assert!(parse(&[], &[("FIRST_FILE", &path)]).is_err());
    }

    #[test]
    fn a_flag_comes_before_a_file() {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "7");

        let line = parse(&["--first", "9"], &[("FIRST_FILE", &path)]).unwrap();

        assert_eq!(line.first, 9);
    }

    #[test]
    fn a_variable_and_its_file_together_are_refused() {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "7");

        let said = parse(&[], &[("FIRST", "8"), ("FIRST_FILE", &path)]).unwrap_err();

        assert!(said.contains("FIRST and FIRST_FILE are both set"), "{said}");
    }

    #[test]
    fn an_empty_variable_counts_as_none_beside_a_file() {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "7");

        let line = parse(&[], &[("FIRST", ""), ("FIRST_FILE", &path)]).unwrap();

        assert_eq!(line.first, 7);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_its_variable() {
        for path in ["/nowhere/at/all", "", "/dev/zero", "/"] {
            let said = parse(&[], &[("FIRST_FILE", path)]).unwrap_err();

            assert!(said.starts_with("error: FIRST_FILE names"), "{said}");
            assert!(said.contains(&format!("the file {path}, ")), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }

    #[test]
    fn a_wrong_value_in_a_file_is_not_shown() {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "secret");

        let said = parse(&[], &[("FIRST_FILE", &path)]).unwrap_err();

        assert!(!said.contains("secret"), "{said}");
        assert!(
            said.contains(&path) && said.contains("FIRST_FILE"),
            "{said}"
        );
        assert!(said.contains("--first"), "{said}");
    }

    #[test]
    fn the_help_says_that_files_work_and_shows_nothing_of_them() {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "77");

        let help = parse(&["--help"], &[("FIRST_FILE", &path)]).unwrap_err();

        assert!(help.contains(HELP) && help.contains("Examples"), "{help}");
        assert!(!help.contains("77"), "{help}");
    }
}
