//! Bounds the length of a log line. A client chooses some values, such as the path of an unknown
//! method.

use std::{
    borrow::Cow,
    fmt::{self, Debug},
};

use serde_json::Value;
use tracing::field::Field;
use tracing_subscriber::{
    field::{MakeExt, MakeVisitor, VisitFmt, VisitOutput},
    fmt::format::{Writer, debug_fn},
};

/// The maximum length of a value in a log line. A longer one is cut.
const MAX_VALUE_BYTES: usize = 1024;

/// Cuts a value to [`MAX_VALUE_BYTES`], at a character boundary, and appends its length.
fn cut(value: &str) -> Cow<'_, str> {
    if value.len() <= MAX_VALUE_BYTES {
        return value.into();
    }
    let end = value.floor_char_boundary(MAX_VALUE_BYTES);
    format!("{}… ({} bytes)", &value[..end], value.len()).into()
}

/// Returns the format of the fields of a text line.
pub(super) fn text_fields()
-> impl for<'w> MakeVisitor<Writer<'w>, Visitor: VisitFmt + VisitOutput<fmt::Result>> {
    debug_fn(|writer, field: &Field, value: &dyn Debug| {
        let value = format!("{value:?}");
        let value = cut(&value);
        match field.name() {
            "message" => write!(writer, "{value}"),
            // Fields of the crate `log` repeat the target and the line.
            name if name.starts_with("log.") => Ok(()),
            name => write!(writer, "{name}={value}"),
        }
    })
    .delimited(" ")
}

/// Cuts the values of a JSON line.
pub(super) fn cut_json(line: &str) -> Cow<'_, str> {
    if line.len() <= MAX_VALUE_BYTES {
        return line.into();
    }
    let Ok(mut parsed) = serde_json::from_str(line) else {
        return line.into();
    };
    cut_values(&mut parsed);
    format!("{parsed}\n").into()
}

fn cut_values(value: &mut Value) {
    match value {
        Value::String(text) => *text = cut(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(cut_values),
        Value::Object(fields) => fields.values_mut().for_each(cut_values),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::{MakeWriter, layer};
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Logs `value` as text, as a message and as fields of each kind.
    fn log(value: &str) {
        let error = std::io::Error::other(value.to_owned());
        tracing::error!(text = value, debug = ?value, display = %value, last = 7, "{value}");
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::error!(error, last = 7, "short");
    }

    #[test]
    fn each_value_of_a_text_line_is_cut() {
        let written = Log::default();
        let lines = layer().fmt_fields(text_fields()).with_ansi(false);
        let lines = lines.with_writer(written.clone());

        tracing::subscriber::with_default(registry().with(lines), || log(&"ä".repeat(9_000)));

        let written = written.text();
        assert_eq!(written.lines().count(), 2, "{written}");
        for line in written.lines() {
            assert!(line.len() < 5 * MAX_VALUE_BYTES, "{} bytes", line.len());
            assert!(line.ends_with("last=7"), "{line}");
        }
    }

    #[test]
    fn each_value_of_a_json_line_is_cut() {
        let written = Log::default();
        let lines = layer().json().flatten_event(true);
        let lines = lines.with_writer(written.clone());

        tracing::subscriber::with_default(registry().with(lines), || log(&"ä".repeat(9_000)));

        let written = written.text();
        assert_eq!(written.lines().count(), 2);
        for line in written.lines() {
            let bounded = cut_json(line);
            assert!(
                bounded.len() < 5 * MAX_VALUE_BYTES,
                "{} bytes",
                bounded.len()
            );
            let parsed: Value = serde_json::from_str(&bounded).unwrap();
            assert_eq!(
                (&parsed["last"], &parsed["level"]),
                (&7.into(), &"ERROR".into())
            );
        }
    }

    #[test]
    fn short_lines_are_not_changed() {
        let value = "x".repeat(MAX_VALUE_BYTES);

        assert_eq!(cut(&value), value);
        assert_eq!(cut_json("{\"a\":1}\n"), "{\"a\":1}\n");
    }
}
