//! The contract as Markdown: services with their calls, messages, fields and enumerations,
//! each with its comment.
//!
//! It knows the shape of descriptors and of Markdown, and no name of the contract.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
};

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto,
    field_descriptor_proto::{Label, Type},
    method_options::IdempotencyLevel,
};

/// Between these lines of a document the reference stands.
const MARKS: [&str; 2] = [
    "<!-- What follows is made by `cargo run -p proto --example reference`. -->\n",
    "<!-- What was made ends here. -->\n",
];

/// Where the files of the contract are, from the document.
const SOURCES: &str = "../proto/";

/// Where Google's messages are explained, and reasons of failures.
const WELL_KNOWN: &str = "https://protobuf.dev/reference/protobuf/google.protobuf/#";
const REASONS: &str = "errors.md#";

// The numbers of fields in google/protobuf/descriptor.proto, of which paths are made.
const FILE_MESSAGES: i32 = 4;
const FILE_ENUMS: i32 = 5;
const FILE_SERVICES: i32 = 6;
const MESSAGE_FIELDS: i32 = 2;
const MESSAGE_MESSAGES: i32 = 3;
const MESSAGE_ENUMS: i32 = 4;
const MESSAGE_ONEOFS: i32 = 8;
const ENUM_VALUES: i32 = 2;
const SERVICE_METHODS: i32 = 2;

/// A document with the reference of today.
///
/// # Errors
///
/// If the document has no place for it, or the contract cannot be read.
pub fn renewed(document: &str) -> Result<String, String> {
    let [begin, end] = MARKS;
    let missing = |mark: &str| format!("there is no line {mark}");
    let (before, rest) = document.split_once(begin).ok_or_else(|| missing(begin))?;
    let (_, after) = rest.split_once(end).ok_or_else(|| missing(end))?;
    let reference = reference().map_err(|error| error.to_string())?;
    Ok([before, begin, "\n", &reference, end, after].concat())
}

/// The reference of both services.
fn reference() -> Result<String, prost::DecodeError> {
    let mut text = String::new();
    for set in [
        proto::user::v1::FILE_DESCRIPTOR_SET,
        proto::post::v1::FILE_DESCRIPTOR_SET,
    ] {
        for file in FileDescriptorSet::decode(set)?.file {
            if !file.service.is_empty() {
                text.push_str(&Reference::of(&file).text);
            }
        }
    }
    Ok(text)
}

/// The reference of one file, while it is written.
struct Reference<'a> {
    file: &'a FileDescriptorProto,
    comments: HashMap<&'a [i32], &'a str>,
    text: String,
}

impl<'a> Reference<'a> {
    fn of(file: &'a FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations
            .filter(|location| location.leading_comments.is_some())
            .map(|location| (location.path.as_slice(), location.leading_comments()));
        let mut reference = Self {
            file,
            comments: comments.collect(),
            text: String::new(),
        };
        reference.services();
        reference
    }

    fn add(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn services(&mut self) {
        let file = self.file;
        let mut told = BTreeSet::new();
        for (index, service) in (0..).zip(&file.service) {
            let path = [FILE_SERVICES, index];
            let (package, name) = (file.package(), file.name());
            self.add(&format!("## {}\n", service.name()));
            self.add(&format!("`{package}`, in [`{name}`]({SOURCES}{name}).\n"));
            self.paragraphs(&path);
            self.add("| call | what it does |\n|---|---|");
            for (index, method) in (0..).zip(&service.method) {
                let comment = self.comment(&[FILE_SERVICES, path[1], SERVICE_METHODS, index]);
                let first = comment.split_inclusive(". ").next().unwrap_or_default();
                self.add(&format!(
                    "| [{0}](#{1}) | {2} |",
                    method.name(),
                    anchor(method.name()),
                    cell(first.split("\n\n").next().unwrap_or_default())
                ));
            }
            self.add("");
            for (index, method) in (0..).zip(&service.method) {
                self.method(method, &[FILE_SERVICES, path[1], SERVICE_METHODS, index]);
                told.extend([local(method.input_type()), local(method.output_type())]);
            }
            self.add(&format!("### What {} speaks of\n", service.name()));
        }
        for (index, message) in (0..).zip(&file.message_type) {
            if !told.contains(message.name()) {
                self.message(message, message.name(), &[FILE_MESSAGES, index]);
            }
        }
        for (index, kind) in (0..).zip(&file.enum_type) {
            self.enumeration(kind, kind.name(), &[FILE_ENUMS, index]);
        }
    }

    fn method(&mut self, method: &MethodDescriptorProto, path: &[i32]) {
        self.add(&format!("### {}\n", method.name()));
        self.paragraphs(path);
        let options = method.options.as_ref();
        let level = options.map(prost_types::MethodOptions::idempotency_level);
        if level == Some(IdempotencyLevel::NoSideEffects) {
            self.add("It changes nothing, so it is safe to repeat.\n");
        }
        let file = self.file;
        let kinds = [
            ("takes", method.client_streaming(), method.input_type()),
            ("gives", method.server_streaming(), method.output_type()),
        ];
        for (verb, streams, kind) in kinds {
            let name = local(kind);
            let stream = if streams { "a stream of " } else { "" };
            let found = file.message_type.iter().position(|m| m.name() == name);
            let Some(index) = found else { continue };
            let message = &file.message_type[index];
            if message.field.is_empty() {
                self.add(&format!("It {verb} {stream}`{name}`, which is empty.\n"));
                continue;
            }
            self.add(&format!("It {verb} {stream}`{name}`:\n"));
            self.fields(message, &[FILE_MESSAGES, index_of(index)]);
        }
    }

    fn message(&mut self, message: &DescriptorProto, name: &str, path: &[i32]) {
        self.add(&format!("#### {name}\n"));
        self.paragraphs(path);
        self.fields(message, path);
        for (index, nested) in (0..).zip(&message.nested_type) {
            let name = format!("{name}.{}", nested.name());
            self.message(nested, &name, &[path, &[MESSAGE_MESSAGES, index]].concat());
        }
        for (index, kind) in (0..).zip(&message.enum_type) {
            let name = format!("{name}.{}", kind.name());
            self.enumeration(kind, &name, &[path, &[MESSAGE_ENUMS, index]].concat());
        }
    }

    fn fields(&mut self, message: &DescriptorProto, path: &[i32]) {
        self.add("| field | no. | type | what it is |\n|---|---|---|---|");
        for (index, field) in (0..).zip(&message.field) {
            let comment = self.comment(&[path, &[MESSAGE_FIELDS, index]].concat());
            let row = format!(
                "| `{}` | {} | {} | {} |",
                field.name(),
                field.number(),
                self.kind(message, field),
                cell(&linked(&comment))
            );
            self.add(&row);
        }
        self.add("");
        for (index, oneof) in (0..).zip(&message.oneof_decl) {
            let comment = self.comment(&[path, &[MESSAGE_ONEOFS, index]].concat());
            if !comment.is_empty() {
                self.add(&format!("Of `{}` one is set: {comment}\n", oneof.name()));
            }
        }
    }

    fn enumeration(&mut self, kind: &EnumDescriptorProto, name: &str, path: &[i32]) {
        self.add(&format!("#### {name}\n"));
        self.paragraphs(path);
        self.add("| value | no. | what it means |\n|---|---|---|");
        for (index, value) in (0..).zip(&kind.value) {
            let comment = self.comment(&[path, &[ENUM_VALUES, index]].concat());
            let row = format!(
                "| `{}` | {} | {} |",
                value.name(),
                value.number(),
                cell(&comment)
            );
            self.add(&row);
        }
        self.add("");
    }

    /// The type of a field, as the contract writes it.
    fn kind(&self, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
        let name = match field.r#type() {
            Type::Message | Type::Enum => self.link(field.type_name()),
            // What the contract calls them: the variants are named after it.
            scalar => format!("`{}`", format!("{scalar:?}").to_lowercase()),
        };
        if field.label() == Label::Repeated {
            return format!("repeated {name}");
        }
        match field.oneof_index {
            _ if field.proto3_optional() => format!("optional {name}"),
            Some(index) => {
                let oneof = usize::try_from(index).ok().map(|i| &message.oneof_decl[i]);
                let oneof = oneof.map_or("", prost_types::OneofDescriptorProto::name);
                format!("{name}, one of `{oneof}`")
            }
            None => name,
        }
    }

    /// A type with a link to where it is explained.
    fn link(&self, full: &str) -> String {
        let name = local(full);
        if let Some(known) = full.strip_prefix(".google.protobuf.") {
            let anchor = known.to_lowercase();
            return format!("[`{known}`]({WELL_KNOWN}{anchor})");
        }
        let package = format!(".{}.", self.file.package());
        let name = full.strip_prefix(&package).unwrap_or(name);
        // Requests are explained where their call is.
        let target = name.strip_suffix("Request").unwrap_or(name);
        format!("[`{name}`](#{})", anchor(target))
    }

    fn comment(&self, path: &[i32]) -> String {
        let comment = self.comments.get(path).copied().unwrap_or_default();
        let paragraphs = comment.trim().split("\n\n");
        let joined = paragraphs.map(|paragraph| {
            let lines = paragraph
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            lines.collect::<Vec<_>>().join(" ")
        });
        joined.collect::<Vec<_>>().join("\n\n")
    }

    fn paragraphs(&mut self, path: &[i32]) {
        let comment = linked(&self.comment(path));
        for paragraph in comment.split("\n\n") {
            self.add(&wrapped(paragraph));
        }
    }
}

fn index_of(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// The last part of a full name.
fn local(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}

/// What a heading is linked by.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace('.', "")
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.trim().replace("\n\n", " ").replace('|', "\\|")
}

/// A paragraph in lines of at most 100 characters, with an empty one after it.
fn wrapped(paragraph: &str) -> String {
    let mut text = String::new();
    let mut length = 0;
    for word in paragraph.split(' ') {
        let width = word.chars().count();
        if length > 0 && length + 1 + width > 100 {
            text.push('\n');
            length = 0;
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += width;
    }
    text.push('\n');
    text
}

/// A comment with a link for each reason: what stands in the parentheses after a code, as
/// in `NOT_FOUND (USER_NOT_FOUND)`.
fn linked(comment: &str) -> String {
    let mut text = String::new();
    let mut rest = comment;
    while let Some((before, after)) = rest.split_once(" (") {
        text.push_str(before);
        text.push_str(" (");
        rest = after;
        let said = before.rsplit(' ').next().unwrap_or_default();
        let Some(end) = after.find(')').filter(|_| is_shouted(said)) else {
            continue;
        };
        for (index, word) in after[..end].split(' ').enumerate() {
            let reason = word.trim_end_matches(',');
            let space = if index == 0 { "" } else { " " };
            let _ = if is_shouted(reason) {
                let (comma, anchor) = (&word[reason.len()..], anchor(reason));
                write!(text, "{space}[`{reason}`]({REASONS}{anchor}){comma}")
            } else {
                write!(text, "{space}{word}")
            };
        }
        rest = &after[end..];
    }
    text + rest
}

/// Whether a word is a code or a reason.
fn is_shouted(word: &str) -> bool {
    word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}
