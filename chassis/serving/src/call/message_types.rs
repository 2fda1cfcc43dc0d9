//! The types of messages, as far as the memory of a decoded message depends on them.
//!
//! They come from descriptors, so that no message is named here. The sizes are upper bounds of those
//! of prost, which keeps a nested message within its parent.

use std::collections::HashMap;

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// The size of a `String`, a `Vec<u8>` or a `Bytes`.
const TEXT_BYTES: usize = 32;

/// The size of a `Vec` or of a map.
const CONTAINER_BYTES: usize = 48;

/// The size of a number.
const NUMBER_BYTES: usize = 8;

/// The bytes by which the allocation of a text can exceed its length.
const ROUNDING_BYTES: usize = 16;

/// The largest number of elements that a `Vec` has allocated for each of its elements: 4 for the
/// first one, and later twice its elements, beside the old allocation of half of that.
const GROWTH: usize = 4;

/// A message type in [`MessageTypes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeIndex(usize);

/// The message types of a server.
#[derive(Debug, Default)]
pub(crate) struct MessageTypes(Vec<Vec<Field>>);

/// A field of a message type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    number: u64,
    pub(super) content: Content,
    /// The bytes that each occurrence takes, besides its content.
    pub(super) bytes: usize,
}

/// The content of a field, if it is length-delimited.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Text,
    Message(TypeIndex),
    /// Packed numbers of a variable length.
    Varints,
    /// Packed numbers of this length.
    Fixed(u64),
}

impl MessageTypes {
    /// Collects the message types of a descriptor set. Returns them by their full names, too.
    pub(super) fn from_descriptor_set(
        set: &FileDescriptorSet,
    ) -> (Self, HashMap<String, TypeIndex>) {
        let mut messages = Vec::new();
        for file in &set.file {
            let package = match file.package() {
                "" => String::new(),
                package => format!(".{package}"),
            };
            collect(&package, &file.message_type, &mut messages);
        }
        let names: HashMap<_, _> = (messages.iter().enumerate())
            .map(|(index, (name, _))| (name.clone(), TypeIndex(index)))
            .collect();
        let mut sizes = Sizes {
            messages: &messages,
            names: &names,
            known: vec![None; messages.len()],
        };
        let types = (messages.iter())
            .map(|(_, message)| {
                message
                    .field
                    .iter()
                    .map(|field| sizes.field(field))
                    .collect()
            })
            .collect();
        (Self(types), names)
    }

    /// Returns a field of a message type, or `None` if it is unknown. Decoding skips unknown fields.
    pub(super) fn field(&self, message: TypeIndex, number: u64) -> Option<Field> {
        let fields = self.0.get(message.0)?;
        fields.iter().find(|field| field.number == number).copied()
    }
}

/// Collects messages and the messages that are nested in them, by their full names.
fn collect<'a>(
    scope: &str,
    messages: &'a [DescriptorProto],
    collected: &mut Vec<(String, &'a DescriptorProto)>,
) {
    for message in messages {
        let name = format!("{scope}.{}", message.name());
        collect(&name, &message.nested_type, collected);
        collected.push((name, message));
    }
}

/// The sizes of decoded messages.
struct Sizes<'a> {
    messages: &'a [(String, &'a DescriptorProto)],
    names: &'a HashMap<String, TypeIndex>,
    /// The sizes that are known. That of a message is 0 while it is being computed.
    known: Vec<Option<usize>>,
}

impl Sizes<'_> {
    /// Returns the size of a message. A message that contains itself is in a `Box` there.
    fn message(&mut self, index: TypeIndex) -> usize {
        if let Some(size) = self.known[index.0] {
            return size;
        }
        self.known[index.0] = Some(0);
        let (_, message) = self.messages[index.0];
        let mut size = 0;
        // The members of a oneof share their bytes.
        let mut oneofs = vec![0; message.oneof_decl.len()];
        for field in &message.field {
            let bytes = NUMBER_BYTES
                + match field.label() {
                    Label::Repeated => CONTAINER_BYTES,
                    _ => self.element(field),
                };
            let index = field
                .oneof_index
                .and_then(|index| usize::try_from(index).ok());
            match index.and_then(|index| oneofs.get_mut(index)) {
                Some(largest) => *largest = bytes.max(*largest),
                None => size += bytes,
            }
        }
        size += oneofs.iter().sum::<usize>();
        self.known[index.0] = Some(size);
        size
    }

    /// Returns the size of a value of a field.
    fn element(&mut self, field: &FieldDescriptorProto) -> usize {
        match self.content(field) {
            Content::Text => TEXT_BYTES,
            Content::Message(index) => self.message(index),
            Content::Varints | Content::Fixed(_) => NUMBER_BYTES,
        }
    }

    fn content(&self, field: &FieldDescriptorProto) -> Content {
        match field.r#type() {
            Type::Message | Type::Group => match self.names.get(field.type_name()) {
                Some(&index) => Content::Message(index),
                None => Content::Text,
            },
            Type::String | Type::Bytes => Content::Text,
            Type::Double | Type::Fixed64 | Type::Sfixed64 => Content::Fixed(8),
            Type::Float | Type::Fixed32 | Type::Sfixed32 => Content::Fixed(4),
            _ => Content::Varints,
        }
    }

    fn field(&mut self, field: &FieldDescriptorProto) -> Field {
        let content = self.content(field);
        let element = self.element(field);
        let rounding = match content {
            Content::Text => ROUNDING_BYTES,
            _ => 0,
        };
        let bytes = match (field.label(), content) {
            (Label::Repeated, _) => GROWTH * element,
            // Its parent contains it, unless it is in a `Box`.
            (_, Content::Message(_)) => element,
            _ => 0,
        };
        Field {
            number: u64::try_from(field.number()).unwrap_or(0),
            content,
            bytes: bytes + rounding,
        }
    }
}
