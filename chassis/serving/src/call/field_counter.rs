//! Counts the fields of a message before it is decoded.
//!
//! A message of 4 MiB can hold 2 million empty elements of 2 bytes, each of which takes some 100
//! bytes when it is decoded.

/// Counts the top-level fields of a Protobuf message that arrives in parts.
#[derive(Debug, Default)]
pub(super) struct FieldCounter {
    /// The number of fields that have started.
    pub(super) count: usize,
    state: State,
    /// The varint that is being read.
    value: u64,
    shift: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Tag,
    Varint,
    Length,
    Skip(u64),
}

impl FieldCounter {
    /// Counts the fields that start in the next part of the message. A malformed message is counted
    /// somehow: decoding it fails.
    pub(super) fn read(&mut self, mut data: &[u8]) {
        while let Some((byte, rest)) = data.split_first() {
            if let State::Skip(left) = self.state {
                let skipped = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                data = &data[skipped..];
                self.skip(left - skipped as u64);
                continue;
            }
            data = rest;
            self.value |= u64::from(byte & 0x7f).checked_shl(self.shift).unwrap_or(0);
            self.shift += 7;
            if byte & 0x80 == 0 {
                let value = std::mem::take(&mut self.value);
                self.shift = 0;
                self.end_varint(value);
            }
        }
    }

    fn end_varint(&mut self, value: u64) {
        match self.state {
            State::Tag => {
                self.count += 1;
                match value & 7 {
                    0 => self.state = State::Varint,
                    1 => self.skip(8),
                    2 => self.state = State::Length,
                    5 => self.skip(4),
                    _ => self.state = State::Tag,
                }
            }
            State::Length => self.skip(value),
            State::Varint | State::Skip(_) => self.state = State::Tag,
        }
    }

    fn skip(&mut self, left: u64) {
        self.state = match left {
            0 => State::Tag,
            left => State::Skip(left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_however_the_message_is_split() {
        // A varint, an empty element, 2 bytes, a fixed64, a fixed32, and a long tag.
        let message = [
            &[0x08, 0x96, 0x01, 0x12, 0, 0x12, 2, 8, 8, 0x19][..],
            &[8; 8],
            &[0x25, 8, 8, 8, 8, 0x82, 0x7d, 1, 8],
        ]
        .concat();

        for size in 1..=message.len() {
            let mut counter = FieldCounter::default();
            for part in message.chunks(size) {
                counter.read(part);
            }
            assert_eq!(counter.count, 6, "parts of {size} bytes");
        }
    }
}
