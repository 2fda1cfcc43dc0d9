//! A gRPC client of one method over one HTTP/2 connection that costs next to nothing, so
//! that the load generator is not what is measured.
//!
//! It knows frames (RFC 9113) and the prefix of a gRPC message, and nothing of what the
//! messages mean. Its headers go into the server's dynamic table once, as those of any
//! client do, and are six bytes from then on. It reads no header of an answer: a call has
//! succeeded if one whole message came before the stream ended, since a refused call has
//! none.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, Interest},
    net::TcpStream,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of a frame's head, in bytes.
const HEAD: usize = 9;

/// The length of the prefix of a gRPC message, in bytes: whether it is compressed, and its
/// length.
pub const PREFIX: usize = 5;

/// What a stream or a connection may send before the other side allows more, in bytes.
const FIRST_WINDOW: i64 = 65_535;

/// What this side allows the connection to send at first, and again when half is used.
const OUR_WINDOW: u32 = 1 << 30;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// What became of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The length of the message that came, and the message itself if the call was begun
    /// with the wish to have it.
    Message(usize, Option<&'a [u8]>),
    /// None came: the call was refused.
    Refused,
    /// A stream of messages has begun, which may take its time.
    Begun,
}

/// One call that runs.
#[derive(Debug)]
struct Call {
    stream: u32,
    slot: usize,
    /// The prefix of the message, as far as it came.
    prefix: [u8; PREFIX],
    received: usize,
    kept: Option<Vec<u8>>,
    /// Whether messages are handed on as they come, rather than one at the end.
    streams: bool,
}

/// A connection, and the calls that run on it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    path: &'static str,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    written: usize,
    next: u32,
    calls: Vec<Call>,
    /// How much the server lets this connection send, in bytes.
    window: i64,
    /// Messages that wait for it.
    waiting: Vec<(u32, Bytes)>,
    received: u32,
}

impl Connection {
    /// Opens a connection for calls of the method at `path`, as `/package.Service/Method`.
    pub async fn open(address: SocketAddr, path: &'static str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut outbox = PREFACE.to_vec();
        // ENABLE_PUSH 0, INITIAL_WINDOW_SIZE as large as can be.
        frame(
            &mut outbox,
            SETTINGS,
            0,
            0,
            &[0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff],
        );
        frame(&mut outbox, WINDOW_UPDATE, 0, 0, &OUR_WINDOW.to_be_bytes());
        Ok(Self {
            stream,
            path,
            inbox: Vec::with_capacity(1 << 18),
            outbox,
            written: 0,
            next: 1,
            calls: Vec::new(),
            window: FIRST_WINDOW,
            waiting: Vec::new(),
            received: 0,
        })
    }

    /// How many calls run.
    pub fn running(&self) -> usize {
        self.calls.len()
    }

    /// Begins a call with a message that already has its prefix. It is sent by the next
    /// [`Connection::turn`]. `slot` comes back with its answer.
    pub fn begin(&mut self, slot: usize, message: Bytes, keep: bool) {
        let stream = self.next;
        self.next += 2;
        let mut head = Vec::with_capacity(128);
        if stream == 1 {
            let authority = "localhost";
            head.extend([0x83, 0x86]); // :method POST, :scheme http
            literal(&mut head, 0x44, self.path); // :path
            literal(&mut head, 0x41, authority); // :authority
            literal(&mut head, 0x5f, "application/grpc"); // content-type
            head.push(0x40);
            text(&mut head, "te");
            text(&mut head, "trailers");
        } else {
            head.extend([0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe]);
        }
        frame(&mut self.outbox, HEADERS, END_HEADERS, stream, &head);
        self.calls.push(Call {
            stream,
            slot,
            prefix: [0; PREFIX],
            received: 0,
            kept: keep.then(Vec::new),
            streams: false,
        });
        self.send(stream, message);
    }

    /// Begins a call that is answered by a stream: each message of it comes with `slot`.
    pub fn begin_stream(&mut self, slot: usize, message: Bytes) {
        self.begin(slot, message, true);
        if let Some(call) = self.calls.last_mut() {
            call.streams = true;
        }
    }

    fn send(&mut self, stream: u32, message: Bytes) {
        let length = i64::try_from(message.len()).unwrap();
        assert!(
            length < FIRST_WINDOW,
            "a request larger than a first window"
        );
        if self.window < length || !self.waiting.is_empty() {
            self.waiting.push((stream, message));
            return;
        }
        self.window -= length;
        let mut rest = &message[..];
        while rest.len() > 16_384 {
            frame(&mut self.outbox, DATA, 0, stream, &rest[..16_384]);
            rest = &rest[16_384..];
        }
        frame(&mut self.outbox, DATA, END_STREAM, stream, rest);
    }

    /// Sends what has been begun, and waits for something to come; `answered` is told of
    /// each call that ended, with its slot.
    pub async fn turn(&mut self, mut answered: impl FnMut(usize, Answer<'_>)) -> io::Result<()> {
        self.flush()?;
        if self.written < self.outbox.len() {
            let either = Interest::READABLE | Interest::WRITABLE;
            if !self.stream.ready(either).await?.is_readable() {
                return Ok(());
            }
        }
        if self.stream.read_buf(&mut self.inbox).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.take(&mut answered)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.outbox.len() {
            match self.stream.try_write(&self.outbox[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.outbox.clear();
        self.written = 0;
        Ok(())
    }

    /// Takes the whole frames from what was read.
    fn take(&mut self, answered: &mut impl FnMut(usize, Answer<'_>)) -> io::Result<()> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut at = 0;
        while inbox.len() - at >= HEAD {
            let head = &inbox[at..at + HEAD];
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let Some(payload) = inbox.get(at + HEAD..at + HEAD + length) else {
                break;
            };
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            self.frame(head[3], head[4], stream, payload, answered)?;
            at += HEAD + length;
        }
        self.inbox = inbox;
        self.inbox.drain(..at);
        Ok(())
    }

    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        answered: &mut impl FnMut(usize, Answer<'_>),
    ) -> io::Result<()> {
        match kind {
            DATA => {
                self.data(flags, stream, payload, answered);
                if flags & END_STREAM != 0 {
                    self.end(stream, answered);
                }
            }
            HEADERS if flags & END_STREAM != 0 => self.end(stream, answered),
            HEADERS => {
                let streams = |call: &&Call| call.stream == stream && call.streams;
                if let Some(call) = self.calls.iter().find(streams) {
                    answered(call.slot, Answer::Begun);
                }
            }
            RST_STREAM => {
                if let Some(at) = self.calls.iter().position(|call| call.stream == stream) {
                    answered(self.calls.swap_remove(at).slot, Answer::Refused);
                }
            }
            SETTINGS if flags & ACK == 0 => frame(&mut self.outbox, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(&mut self.outbox, PING, ACK, 0, payload),
            WINDOW_UPDATE if stream == 0 => self.allow(payload),
            GOAWAY => return Err(io::Error::other("the server sent GOAWAY")),
            _ => {}
        }
        Ok(())
    }

    fn data(
        &mut self,
        flags: u8,
        stream: u32,
        payload: &[u8],
        answered: &mut impl FnMut(usize, Answer<'_>),
    ) {
        assert!(flags & PADDED == 0, "no server here pads");
        self.received += u32::try_from(payload.len()).unwrap();
        if self.received > OUR_WINDOW / 2 {
            frame(
                &mut self.outbox,
                WINDOW_UPDATE,
                0,
                0,
                &self.received.to_be_bytes(),
            );
            self.received = 0;
        }
        let Some(call) = self.calls.iter_mut().find(|call| call.stream == stream) else {
            return;
        };
        if let (true, Some(begun)) = (call.streams, &mut call.kept) {
            if begun.is_empty() {
                let taken = hand_on(call.slot, payload, answered);
                begun.extend(&payload[taken..]);
            } else {
                begun.extend(payload);
                let taken = hand_on(call.slot, begun, answered);
                begun.drain(..taken);
            }
            return;
        }
        for (at, byte) in payload
            .iter()
            .enumerate()
            .take(PREFIX.saturating_sub(call.received))
        {
            call.prefix[call.received + at] = *byte;
        }
        if let Some(kept) = &mut call.kept {
            kept.extend(payload);
        }
        call.received += payload.len();
    }

    fn end(&mut self, stream: u32, answered: &mut impl FnMut(usize, Answer<'_>)) {
        let Some(at) = self.calls.iter().position(|call| call.stream == stream) else {
            return;
        };
        let call = self.calls.swap_remove(at);
        let [compressed, length @ ..] = call.prefix;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
        let whole = compressed == 0 && call.received == PREFIX + length;
        let answer = if whole {
            Answer::Message(length, call.kept.as_deref().map(|kept| &kept[PREFIX..]))
        } else {
            Answer::Refused
        };
        answered(call.slot, answer);
    }

    fn allow(&mut self, payload: &[u8]) {
        if let Ok(more) = <[u8; 4]>::try_from(payload) {
            self.window += i64::from(u32::from_be_bytes(more));
        }
        for (stream, message) in std::mem::take(&mut self.waiting) {
            self.send(stream, message);
        }
    }
}

/// A message with its prefix, as [`Connection::begin`] takes it.
pub fn prefixed(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(PREFIX + length);
    bytes.push(0);
    bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
    message.encode(&mut bytes).unwrap();
    bytes.into()
}

/// Hands on the whole messages in what came of a stream, and says how many bytes they are.
fn hand_on(slot: usize, received: &[u8], answered: &mut impl FnMut(usize, Answer<'_>)) -> usize {
    let mut at = 0;
    while let Some((prefix, rest)) = received[at..].split_at_checked(PREFIX) {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
        let length = usize::try_from(length).unwrap();
        let Some(message) = rest.get(..length) else {
            break;
        };
        answered(slot, Answer::Message(length, Some(message)));
        at += PREFIX + length;
    }
    at
}

fn frame(into: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    into.extend(&length[1..]);
    into.extend([kind, flags]);
    into.extend(stream.to_be_bytes());
    into.extend(payload);
}

/// A header whose name is in the static table, for the dynamic one.
fn literal(into: &mut Vec<u8>, name: u8, value: &str) {
    into.push(name);
    text(into, value);
}

fn text(into: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 127, "longer than one byte says");
    into.push(length);
    into.extend(text.as_bytes());
}
