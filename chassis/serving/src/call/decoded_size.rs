//! The bytes that a message takes when it is decoded, computed while it arrives.
//!
//! A message of 4 MiB can hold 2 million empty elements of 2 bytes, each of which takes some 100
//! bytes when it is decoded. Nested messages and packed numbers multiply, too.

use super::message_types::{Content, Field, MessageTypes, TypeIndex};

/// The depth of nested messages beyond which prost fails.
const MAX_DEPTH: usize = 100;

/// Reads a Protobuf message that arrives in parts, and adds up the bytes of its fields.
#[derive(Debug)]
pub(super) struct DecodedSize {
    /// The bytes of the fields that have started, besides the length of the message.
    pub(super) bytes: usize,
    message: Level,
    /// The messages around `message`.
    parents: Vec<Level>,
    state: State,
    /// The field that is being read, unless it is unknown.
    field: Option<Field>,
    /// The varint that is being read.
    value: u64,
    shift: u32,
}

/// A message that is being read.
#[derive(Clone, Copy, Debug)]
struct Level {
    message: Option<TypeIndex>,
    /// The bytes that follow.
    rest: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Tag,
    Varint,
    Length,
    /// The number of bytes to skip.
    Skip(u64),
    /// The number of bytes of packed varints.
    Packed(u64),
}

impl DecodedSize {
    /// Starts to read a message of this type. A message of no type has no bytes.
    pub(super) fn new(message: Option<TypeIndex>) -> Self {
        Self {
            bytes: 0,
            message: Level {
                message,
                rest: u64::MAX,
            },
            parents: Vec::new(),
            state: State::Tag,
            field: None,
            value: 0,
            shift: 0,
        }
    }

    /// Reads the next part of the message. A malformed message is counted somehow: decoding it
    /// fails.
    pub(super) fn read(&mut self, types: &MessageTypes, mut data: &[u8]) {
        if self.message.message.is_none() {
            return;
        }
        while let [byte, after @ ..] = data {
            if let State::Skip(left) | State::Packed(left) = self.state {
                let length = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let (part, after) = data.split_at(length);
                let left = left - length as u64;
                if let (State::Packed(_), Some(field)) = (self.state, self.field) {
                    self.bytes += field.bytes * part.iter().filter(|byte| **byte < 0x80).count();
                    self.state = State::Packed(left);
                } else {
                    self.state = State::Skip(left);
                }
                if left == 0 {
                    self.state = State::Tag;
                }
                data = after;
                continue;
            }
            while self.message.rest == 0
                && let Some(parent) = self.parents.pop()
            {
                self.message = parent;
                (self.state, self.value, self.shift) = (State::Tag, 0, 0);
            }
            data = after;
            self.message.rest -= 1;
            self.value |= u64::from(byte & 0x7f).checked_shl(self.shift).unwrap_or(0);
            self.shift += 7;
            if byte & 0x80 == 0 {
                self.shift = 0;
                let value = std::mem::take(&mut self.value);
                self.end_varint(types, value);
            }
        }
    }

    fn end_varint(&mut self, types: &MessageTypes, value: u64) {
        self.state = match self.state {
            State::Tag => {
                let message = self.message.message;
                self.field = message.and_then(|message| types.field(message, value >> 3));
                let wire_type = value & 7;
                if wire_type != 2 {
                    self.bytes += self.field.map_or(0, |field| field.bytes);
                }
                match wire_type {
                    0 => State::Varint,
                    1 => self.skip(8),
                    2 => State::Length,
                    5 => self.skip(4),
                    _ => State::Tag,
                }
            }
            State::Length => self.start_content(value),
            _ => State::Tag,
        };
    }

    /// Starts to read the content of a length-delimited field.
    fn start_content(&mut self, length: u64) -> State {
        let Some(Field { content, bytes, .. }) = self.field else {
            return self.skip(length);
        };
        match content {
            Content::Varints => match self.skip(length) {
                State::Skip(left) => State::Packed(left),
                state => state,
            },
            Content::Fixed(size) => {
                let count = usize::try_from(length / size).unwrap_or(usize::MAX);
                self.bytes = self.bytes.saturating_add(bytes.saturating_mul(count));
                self.skip(length)
            }
            Content::Message(message) if self.parents.len() < MAX_DEPTH => {
                self.bytes += bytes;
                let rest = length.min(self.message.rest);
                self.message.rest -= rest;
                let message = Some(message);
                self.parents.push(std::mem::replace(
                    &mut self.message,
                    Level { message, rest },
                ));
                State::Tag
            }
            Content::Text | Content::Message(_) => {
                self.bytes += bytes;
                self.skip(length)
            }
        }
    }

    /// Skips the next bytes of the message.
    fn skip(&mut self, length: u64) -> State {
        let length = length.min(self.message.rest);
        self.message.rest -= length;
        match length {
            0 => State::Tag,
            length => State::Skip(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
        field_descriptor_proto::{Label, Type},
    };

    use super::*;

    /// The bytes of an element of a repeated field that is a number or a text.
    const NUMBER: usize = 4 * 8;
    const TEXT: usize = 4 * 32 + 16;

    /// Returns a message type with repeated numbers, texts, fixed numbers, and messages of its type.
    fn types() -> (MessageTypes, Option<TypeIndex>) {
        let kinds = [Type::Int64, Type::String, Type::Fixed32, Type::Message];
        let fields = (1..).zip(kinds).map(|(number, kind)| FieldDescriptorProto {
            number: Some(number),
            r#type: Some(kind.into()),
            type_name: Some(".test.Node".into()),
            label: Some(Label::Repeated.into()),
            ..Default::default()
        });
        let message = DescriptorProto {
            name: Some("Node".into()),
            field: fields.collect(),
            ..Default::default()
        };
        let file = FileDescriptorProto {
            package: Some("test".into()),
            message_type: vec![message],
            ..Default::default()
        };
        let (types, names) =
            MessageTypes::from_descriptor_set(&FileDescriptorSet { file: vec![file] });
        (types, names.get(".test.Node").copied())
    }

    #[test]
    fn elements_are_counted_however_the_message_is_split() {
        let (types, node) = types();
        let size = types.field(node.unwrap(), 4).unwrap().bytes;
        // A number, 3 packed numbers of 4 bytes, an empty text, a text, 2 packed fixed numbers, and 2
        // unknown fields.
        let fields = [
            &[
                0x08, 0x96, 0x01, 0x0a, 4, 1, 0x96, 0x01, 2, 0x12, 0, 0x12, 2, 8, 8,
            ][..],
            &[0x1a, 8, 1, 1, 1, 1, 1, 1, 1, 1, 0x82, 0x7d, 1, 8, 0x29],
            &[8; 8],
        ]
        .concat();
        let nested = [&[0x22, u8::try_from(fields.len()).unwrap()], &fields[..]].concat();
        let message = [&fields[..], &nested, &[0x22, 0], &nested, &fields].concat();
        let expected = 4 * (6 * NUMBER + 2 * TEXT) + 3 * size;

        for length in 1..=message.len() {
            let mut decoded = DecodedSize::new(node);
            for part in message.chunks(length) {
                decoded.read(&types, part);
            }
            assert_eq!(decoded.bytes, expected, "parts of {length} bytes");
        }
    }

    #[test]
    fn malformed_and_deep_messages_are_read_to_their_end() {
        let (types, node) = types();
        let deep = [0x22, 0x7f].repeat(100_000);
        let longest = [
            &[0x22][..],
            &[0xff; 8],
            &[0x7f, 0x0a],
            &[0xff; 9],
            &[1, 1, 1],
        ]
        .concat();

        for message in [
            deep,
            longest,
            vec![0x80; 1000],
            vec![0xff; 1000],
            vec![0x24; 9],
        ] {
            let mut decoded = DecodedSize::new(node);
            decoded.read(&types, &message);
            assert!(decoded.parents.len() <= MAX_DEPTH);
        }
    }
}
