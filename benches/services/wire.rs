//! A minimal gRPC client of one method over one HTTP/2 connection, so that the load generator costs
//! as little CPU time as possible.
//!
//! It implements frames (RFC 9113) and the prefix of gRPC messages, and does not decode messages.
//! Its request headers enter the server's dynamic table once and take six bytes afterwards, as
//! those of any client. It ignores response headers: a call has succeeded if one complete message
//! arrived before the end of the stream, because a failed call has none.

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

/// Length of a frame header in bytes.
const HEAD: usize = 9;

/// Length of the prefix of a gRPC message in bytes: compression flag and message length.
pub const PREFIX: usize = 5;

/// Initial flow-control window of a stream or a connection in bytes.
const INITIAL_WINDOW: i64 = 65_535;

/// Receive window of the connection in bytes. It is replenished when half is used.
const RECEIVE_WINDOW: u32 = 1 << 30;

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

/// An event of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message arrived: its length, and its bytes if the call keeps them.
    Message(usize, Option<&'a [u8]>),
    /// The call ended without a message.
    Failed,
    /// The server accepted a streaming call.
    StreamStarted,
}

/// A running call.
#[derive(Debug)]
struct Call {
    stream: u32,
    slot: usize,
    /// The received part of the message prefix.
    prefix: [u8; PREFIX],
    received: usize,
    kept: Option<Vec<u8>>,
    /// Reports each message of the stream on arrival.
    streams: bool,
}

/// A connection with its running calls.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    path: &'static str,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    written: usize,
    next: u32,
    calls: Vec<Call>,
    /// Send window of the connection in bytes.
    window: i64,
    /// Messages that wait for the send window.
    waiting: Vec<(u32, Bytes)>,
    received: u32,
}

impl Connection {
    /// Opens a connection for calls of the method `path`, as `/package.Service/Method`.
    pub async fn open(address: SocketAddr, path: &'static str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut outbox = PREFACE.to_vec();
        // ENABLE_PUSH 0, INITIAL_WINDOW_SIZE with its maximum.
        frame(
            &mut outbox,
            SETTINGS,
            0,
            0,
            &[0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff],
        );
        frame(
            &mut outbox,
            WINDOW_UPDATE,
            0,
            0,
            &RECEIVE_WINDOW.to_be_bytes(),
        );
        Ok(Self {
            stream,
            path,
            inbox: Vec::with_capacity(1 << 18),
            outbox,
            written: 0,
            next: 1,
            calls: Vec::new(),
            window: INITIAL_WINDOW,
            waiting: Vec::new(),
            received: 0,
        })
    }

    /// Returns the number of running calls.
    pub fn running(&self) -> usize {
        self.calls.len()
    }

    /// Starts a call with a message that includes its prefix. The next [`Connection::poll`] sends
    /// it. Its events carry `slot`.
    pub fn start_call(&mut self, slot: usize, message: Bytes, keep: bool) {
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

    /// Starts a server-streaming call. Each message is an event with `slot`.
    pub fn start_stream(&mut self, slot: usize, message: Bytes) {
        self.start_call(slot, message, true);
        if let Some(call) = self.calls.last_mut() {
            call.streams = true;
        }
    }

    fn send(&mut self, stream: u32, message: Bytes) {
        let length = i64::try_from(message.len()).unwrap();
        assert!(
            length < INITIAL_WINDOW,
            "a request larger than the initial window"
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

    /// Sends started calls and waits for frames. Calls `on_event` for each event, with the slot of
    /// its call.
    pub async fn poll(&mut self, mut on_event: impl FnMut(usize, Event<'_>)) -> io::Result<()> {
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
        self.take(&mut on_event)
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

    /// Processes the complete frames in the receive buffer.
    fn take(&mut self, on_event: &mut impl FnMut(usize, Event<'_>)) -> io::Result<()> {
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
            self.frame(head[3], head[4], stream, payload, on_event)?;
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
        on_event: &mut impl FnMut(usize, Event<'_>),
    ) -> io::Result<()> {
        match kind {
            DATA => {
                self.data(flags, stream, payload, on_event);
                if flags & END_STREAM != 0 {
                    self.end(stream, on_event);
                }
            }
            HEADERS if flags & END_STREAM != 0 => self.end(stream, on_event),
            HEADERS => {
                let streams = |call: &&Call| call.stream == stream && call.streams;
                if let Some(call) = self.calls.iter().find(streams) {
                    on_event(call.slot, Event::StreamStarted);
                }
            }
            RST_STREAM => {
                if let Some(at) = self.calls.iter().position(|call| call.stream == stream) {
                    on_event(self.calls.swap_remove(at).slot, Event::Failed);
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
        on_event: &mut impl FnMut(usize, Event<'_>),
    ) {
        assert!(flags & PADDED == 0, "padded frames are not supported");
        self.received += u32::try_from(payload.len()).unwrap();
        if self.received > RECEIVE_WINDOW / 2 {
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
        if let (true, Some(partial)) = (call.streams, &mut call.kept) {
            if partial.is_empty() {
                let taken = emit_messages(call.slot, payload, on_event);
                partial.extend(&payload[taken..]);
            } else {
                partial.extend(payload);
                let taken = emit_messages(call.slot, partial, on_event);
                partial.drain(..taken);
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

    fn end(&mut self, stream: u32, on_event: &mut impl FnMut(usize, Event<'_>)) {
        let Some(at) = self.calls.iter().position(|call| call.stream == stream) else {
            return;
        };
        let call = self.calls.swap_remove(at);
        let [compressed, length @ ..] = call.prefix;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
        let whole = compressed == 0 && call.received == PREFIX + length;
        let event = if whole {
            Event::Message(length, call.kept.as_deref().map(|kept| &kept[PREFIX..]))
        } else {
            Event::Failed
        };
        on_event(call.slot, event);
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

/// Encodes a message with its gRPC prefix.
pub fn prefixed(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(PREFIX + length);
    bytes.push(0);
    bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
    message.encode(&mut bytes).unwrap();
    bytes.into()
}

/// Reports the complete messages in the received bytes of a stream, and returns their total length.
fn emit_messages(
    slot: usize,
    received: &[u8],
    on_event: &mut impl FnMut(usize, Event<'_>),
) -> usize {
    let mut at = 0;
    while let Some((prefix, rest)) = received[at..].split_at_checked(PREFIX) {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
        let length = usize::try_from(length).unwrap();
        let Some(message) = rest.get(..length) else {
            break;
        };
        on_event(slot, Event::Message(length, Some(message)));
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

/// Appends a header whose name is in the static table, to be added to the dynamic table.
fn literal(into: &mut Vec<u8>, name: u8, value: &str) {
    into.push(name);
    text(into, value);
}

fn text(into: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 127, "the length must fit into 7 bits");
    into.push(length);
    into.extend(text.as_bytes());
}
