//! Errors of settings that show neither the content of a file nor the password in a URL.

use std::{error::Error as _, path::Path};

use clap::{
    Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::FileSetting;

/// Returns the error of a setting.
pub(super) fn invalid(argument: &str, message: String) -> Error {
    let mut error = Error::raw(ErrorKind::ValueValidation, message);
    let argument = ContextValue::String(argument.to_owned());
    error.insert(ContextKind::InvalidArg, argument);
    error
}

/// Returns a text of the context of an error.
fn context(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// Names the file instead of its content in an error, and keeps only the hint of the reason.
pub(super) fn hide_content(error: Error, settings: &[FileSetting]) -> Error {
    let argument = context(&error, ContextKind::InvalidArg);
    let value = context(&error, ContextKind::InvalidValue);
    // A flag may override the file, and be invalid.
    let mut settings = settings.iter();
    let Some(setting) =
        settings.find(|it| Some(&*it.argument) == argument && value == Some(&it.value))
    else {
        return error;
    };
    let hint = hint(&error);
    let FileSetting {
        argument,
        variable,
        path,
        ..
    } = setting;
    let path = Path::new(path).display();
    let message = format!(
        "{variable} names the file {path}, whose content is not a valid value for \
         '{argument}'{hint}"
    );
    invalid(argument, message)
}

/// Returns the hint in the reason of an error, which the parsers of settings write last. The text
/// before it may quote a part of the value.
fn hint(error: &Error) -> String {
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    let last = reason.rsplit("; ").next().unwrap_or_default();
    if last.starts_with("write ") || last.starts_with("give ") {
        format!("; {last}")
    } else {
        String::new()
    }
}

/// The form in which clap shows the value of a setting that is a URL.
pub(super) const URL: &str = "<URL>";

/// Shows only the scheme of an invalid URL that may contain a password, as user information or as an
/// option.
pub(super) fn hide_password(error: Error) -> Error {
    let argument = context(&error, ContextKind::InvalidArg).unwrap_or_default();
    let value = context(&error, ContextKind::InvalidValue).unwrap_or_default();
    if !argument.ends_with(URL) || !value.contains(['@', '?', '=']) {
        return error;
    }
    let scheme = value.split_once("://").map(|(scheme, _)| scheme);
    let scheme = scheme.filter(|it| it.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let shown = scheme.map_or_else(|| "…".to_owned(), |scheme| format!("{scheme}://…"));
    let hint = hint(&error);
    let message = format!(
        "invalid value '{shown}' for '{argument}', which is not shown in full since it may contain \
         a password{hint}"
    );
    invalid(argument, message)
}
