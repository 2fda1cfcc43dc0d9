//! A minimal HTTP/1.1 client: writes requests and parses responses.

use super::*;

/// A response over HTTP/1.1.
#[derive(Debug)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The chunks of the body.
    pub(super) chunks: Vec<Vec<u8>>,
}

impl HttpResponse {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let body = &bytes[end + 4..];
        let chunked = headers.contains_key("transfer-encoding");
        Self {
            status: status.parse().unwrap(),
            headers,
            chunks: if chunked {
                chunks(body)
            } else {
                vec![body.to_vec()]
            },
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the messages, and the headers and trailers together.
    pub(super) fn parts(&self) -> (Vec<String>, HeaderMap) {
        let (mut messages, mut trailers) = (Vec::new(), self.headers.clone());
        let body = self.chunks.concat();
        let mut rest = body.as_slice();
        while let [flag, a, b, c, d, data @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let (frame, after) = data.split_at(length);
            rest = after;
            if flag & 0x80 == 0 {
                messages.push(String::decode(frame).unwrap());
                continue;
            }
            for line in std::str::from_utf8(frame).unwrap().lines() {
                let (name, value) = line.split_once(':').unwrap();
                let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
                trailers.insert(name, value.parse().unwrap());
            }
        }
        (messages, trailers)
    }

    /// Asserts that the call succeeded, and returns its messages.
    pub(super) fn messages(&self) -> Vec<String> {
        let (messages, trailers) = self.parts();
        assert_eq!(trailers["grpc-status"], "0", "{self:?}");
        messages
    }

    /// Returns the status of a call that failed.
    pub(super) fn failure(&self) -> Status {
        Status::from_header_map(&self.parts().1).unwrap()
    }
}

/// Parses a chunked body.
fn chunks(mut chunked: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    while let Some(end) = chunked.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&chunked[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        chunks.push(chunked[end + 2..][..length].to_vec());
        chunked = &chunked[end + 2 + length + 2..];
    }
    chunks
}

/// Returns the bytes of a request.
pub(super) fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{line} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in headers {
        request.push_str(&[name, ": ", value, "\r\n"].concat());
    }
    let length = format!("content-length: {}\r\n\r\n", body.len());
    [request.as_bytes(), length.as_bytes(), body].concat()
}
