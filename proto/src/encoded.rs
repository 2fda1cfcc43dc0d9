//! Messages that are encoded where they are made.
//!
//! A message of prost owns all that it says, so whoever answers with it copies what is stored
//! into it, and has it copied out again. What answers often and much writes its answer down
//! at once instead, field by field, in the encoding of Protobuf
//! (<https://protobuf.dev/programming-guides/encoding/>).

use std::{fmt, marker::PhantomData};

use bytes::{Buf, BufMut, Bytes};
use chrono::{DateTime, Utc};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};

use crate::timestamp;

/// A message of type `M`, encoded.
#[derive(Clone)]
pub struct Encoded<M> {
    bytes: Bytes,
    message: PhantomData<fn() -> M>,
}

impl<M> Encoded<M> {
    /// A message of what `fields` writes, which takes about so many bytes.
    #[must_use]
    pub fn new(about: usize, fields: impl FnOnce(&mut Fields)) -> Self {
        let mut message = Fields(Vec::with_capacity(about));
        fields(&mut message);
        Self {
            bytes: message.0.into(),
            message: PhantomData,
        }
    }

    /// The message whose encoding this is.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self {
            bytes,
            message: PhantomData,
        }
    }

    /// The encoding.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl<M: Message> From<M> for Encoded<M> {
    fn from(message: M) -> Self {
        Self {
            bytes: message.encode_to_vec().into(),
            message: PhantomData,
        }
    }
}

impl<M> fmt::Debug for Encoded<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoded").field(&self.bytes).finish()
    }
}

impl<M> Default for Encoded<M> {
    fn default() -> Self {
        Self {
            bytes: Bytes::new(),
            message: PhantomData,
        }
    }
}

/// What tonic sends it by. It is not there to be received.
impl<M> Message for Encoded<M> {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.bytes);
    }

    fn merge_field(
        &mut self,
        number: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, number, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// The fields of a message, which are written one after the other. Their numbers and types
/// are those of the contract; a value that is the default of its type is left out, as proto3
/// has it.
#[derive(Debug)]
pub struct Fields(Vec<u8>);

/// The wire types of the encoding.
const VARINT: u8 = 0;
const LENGTH_DELIMITED: u8 = 2;

impl Fields {
    /// An `int64`.
    pub fn int64(&mut self, number: u8, value: i64) {
        if value != 0 {
            self.optional_int64(number, Some(value));
        }
    }

    /// An `optional int64`.
    pub fn optional_int64(&mut self, number: u8, value: Option<i64>) {
        if let Some(value) = value {
            self.key(number, VARINT);
            self.varint(value.cast_unsigned());
        }
    }

    /// A `repeated int64`.
    pub fn repeated_int64(&mut self, number: u8, values: impl IntoIterator<Item = i64>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            self.message(number, |packed| {
                for value in values {
                    packed.varint(value.cast_unsigned());
                }
            });
        }
    }

    /// An enumeration, by its number.
    pub fn enumeration(&mut self, number: u8, value: impl Into<i32>) {
        self.int64(number, value.into().into());
    }

    /// A `string`.
    pub fn string(&mut self, number: u8, text: &str) {
        if !text.is_empty() {
            self.key(number, LENGTH_DELIMITED);
            self.varint(text.len() as u64);
            self.0.extend_from_slice(text.as_bytes());
        }
    }

    /// A `google.protobuf.Timestamp`.
    pub fn timestamp(&mut self, number: u8, time: DateTime<Utc>) {
        let time = timestamp::encode(time);
        self.message(number, |fields| {
            fields.int64(1, time.seconds);
            fields.int64(2, time.nanos.into());
        });
    }

    /// The fields of a message of the same type, as they are encoded: messages one after the
    /// other are one message that has the fields of all.
    pub fn merge(&mut self, encoded: &[u8]) {
        self.0.extend_from_slice(encoded);
    }

    /// A message, which is there even if it says nothing.
    pub fn message(&mut self, number: u8, fields: impl FnOnce(&mut Self)) {
        self.key(number, LENGTH_DELIMITED);
        // Most are short enough for a length of one byte.
        let begin = self.0.len() + 1;
        self.0.push(0);
        fields(self);
        let end = self.0.len();
        let mut length = end - begin;
        if length >= 0x80 {
            // The others make room for the rest of it.
            let more = usize::try_from(length.ilog2() / 7).unwrap_or(0);
            self.0.resize(end + more, 0);
            self.0.copy_within(begin..end, begin + more);
        }
        let mut at = begin - 1;
        while length >= 0x80 {
            self.0[at] = low_bits(length as u64) | 0x80;
            length >>= 7;
            at += 1;
        }
        self.0[at] = low_bits(length as u64);
    }

    fn key(&mut self, number: u8, wire_type: u8) {
        self.varint(u64::from(number) << 3 | u64::from(wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(low_bits(value) | 0x80);
            value >>= 7;
        }
        self.0.push(low_bits(value));
    }
}

/// The lowest seven bits.
fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        post::v1::{Author, ListPostsResponse, Post, author::State},
        user::v1::BatchGetUsersResponse,
    };

    /// A post whose body has so many bytes.
    fn post(id: i64, length: usize) -> Post {
        let time = DateTime::from_timestamp_micros(1_700_000_000_123_456 * id.signum());
        let time = time.map(timestamp::encode);
        Post {
            id,
            body: "x".repeat(length),
            create_time: time,
            author_id: id,
            author: Some(Author {
                state: State::Resolved.into(),
                nickname: "susan".into(),
            }),
            update_time: time,
            etag: id.to_string(),
        }
    }

    fn written(fields: &mut Fields, post: &Post) {
        let time = |time: Option<prost_types::Timestamp>| timestamp::decode(time.unwrap()).unwrap();
        fields.int64(1, post.id);
        fields.string(2, &post.body);
        fields.timestamp(3, time(post.create_time));
        fields.int64(4, post.author_id);
        fields.message(5, |fields| {
            let author = post.author.as_ref().unwrap();
            fields.enumeration(1, author.state());
            fields.string(2, &author.nickname);
        });
        fields.timestamp(6, time(post.update_time));
        fields.string(7, &post.etag);
    }

    #[test]
    fn what_is_written_is_what_prost_would_write() {
        // Lengths of one, two and three bytes, and one more and less than where they change.
        let lengths = (0..300).chain(16_250..16_400).chain([2_097_152]);
        let ids = [1, 0, -1, i64::MIN, i64::MAX].into_iter().cycle();
        let posts: Vec<_> = ids.zip(lengths).map(|(id, len)| post(id, len)).collect();
        let message = ListPostsResponse {
            posts,
            next_page_token: "next".into(),
            total_size: Some(0),
        };

        let encoded = Encoded::<ListPostsResponse>::new(0, |fields| {
            for post in &message.posts {
                fields.message(1, |fields| written(fields, post));
            }
            fields.string(2, &message.next_page_token);
            fields.optional_int64(3, message.total_size);
        });

        assert_eq!(encoded.bytes, message.encode_to_vec());
    }

    #[test]
    fn numbers_are_packed_and_none_are_nothing() {
        for missing_ids in [vec![], vec![1, 300, -1], (0..1000).collect()] {
            let message = BatchGetUsersResponse {
                users: vec![],
                missing_ids,
            };

            let encoded = Encoded::<BatchGetUsersResponse>::new(0, |fields| {
                fields.repeated_int64(2, message.missing_ids.iter().copied());
            });

            assert_eq!(encoded.bytes, message.encode_to_vec());
        }
    }

    #[test]
    fn what_is_encoded_is_sent_as_it_is() {
        let message = BatchGetUsersResponse {
            users: vec![],
            missing_ids: vec![7],
        };

        let encoded = Encoded::from(message.clone());

        assert_eq!(encoded.encoded_len(), message.encoded_len());
        assert_eq!(encoded.encode_to_vec(), message.encode_to_vec());
    }
}
