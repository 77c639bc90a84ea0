//! From values to bytes.

use std::fmt::{self, Display, Write};
use std::net::SocketAddr;

use bytes::Bytes;

use super::via::Via;
use super::{HeaderName, Message, Method, is_token};

/// Room for a message without a body; a usual response needs 400 to 600 bytes.
const USUAL_SIZE: usize = 1024;

/// Writes one message. Headers stand in the order of the calls; Content-Length is written by [`Builder::finish`].
///
/// No value can break out of its line: CR, LF and NUL become spaces.
///
/// ```
/// use sip::message::{Builder, HeaderName, Message, Method};
/// let bytes = Builder::request(&Method::Options, "sip:1001@127.0.0.1")
///     .header(HeaderName::Via, "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1")
///     .header(HeaderName::From, "<sip:a@127.0.0.1>;tag=1")
///     .header(HeaderName::To, "<sip:1001@127.0.0.1>")
///     .header(HeaderName::CallId, "1@127.0.0.1")
///     .header(HeaderName::CSeq, "1 OPTIONS")
///     .finish();
/// assert_eq!(Message::parse(bytes)?.method(), Some(&Method::Options));
/// # Ok::<(), sip::message::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    /// Head, then the last `body` bytes of body: one allocation serves both.
    bytes: Vec<u8>,
    body: usize,
}

/// Writes text into a line of the head.
struct Line<'a>(&'a mut Vec<u8>);

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_clean(self.0, text.as_bytes());
        Ok(())
    }
}

fn push_clean(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.extend_from_slice(bytes);
    for byte in &mut out[start..] {
        if matches!(*byte, b'\r' | b'\n' | 0) {
            *byte = b' ';
        }
    }
}

/// Copies what the sender wrote; a NUL may be part of its quoted strings.
fn push_lines_joined(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.extend_from_slice(bytes);
    for byte in &mut out[start..] {
        if matches!(*byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}

/// Writes a Request-URI: white space and controls, which would end it, are escaped.
struct UriText<'a>(&'a mut Vec<u8>);

impl Write for UriText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                0..=b' ' | 0x7f => self.0.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                _ => self.0.push(byte),
            }
        }
        Ok(())
    }
}

impl Builder {
    /// A request for `uri`.
    pub fn request(method: &Method, uri: impl Display) -> Builder {
        let mut bytes = Vec::with_capacity(USUAL_SIZE);
        bytes.extend_from_slice(method.as_str().as_bytes());
        bytes.push(b' ');
        // Writing into a Vec cannot fail; what a Display refuses to write is simply not there.
        let _ = write!(UriText(&mut bytes), "{uri}");
        bytes.extend_from_slice(b" SIP/2.0\r\n");
        Builder { bytes, body: 0 }
    }

    /// A response without any header.
    pub fn response(status: u16, reason: impl Display) -> Builder {
        let mut bytes = Vec::with_capacity(USUAL_SIZE);
        let _ = write!(Line(&mut bytes), "SIP/2.0 {status:03} {reason}");
        bytes.extend_from_slice(b"\r\n");
        Builder { bytes, body: 0 }
    }

    /// The same for a plain phrase, which most are: formatting costs more than the rest of a short response.
    fn plain_response(status: u16, reason: &str) -> Builder {
        let mut bytes = Vec::with_capacity(USUAL_SIZE);
        bytes.extend_from_slice(b"SIP/2.0 ");
        push_number(&mut bytes, status.into());
        bytes.push(b' ');
        push_clean(&mut bytes, reason.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        Builder { bytes, body: 0 }
    }

    /// A response to `request` with what RFC 3261 section 8.2.6.2 wants copied: every Via, From, To, Call-ID, CSeq.
    /// `to_tag` is added where To has none.
    pub fn response_to(
        request: &Message,
        status: u16,
        reason: impl Display,
        to_tag: Option<&str>,
    ) -> Builder {
        Builder::response(status, reason)
            .copy(request, HeaderName::Via)
            .answer(request, to_tag)
    }

    /// As [`Builder::response_to`], with `received` and `rport` of the topmost Via filled in from where the request
    /// came (RFC 3261 section 18.2.1, RFC 3581 section 4).
    pub fn response_via(
        request: &Message,
        status: u16,
        reason: &str,
        to_tag: Option<&str>,
        source: SocketAddr,
    ) -> Builder {
        Builder::plain_response(status, reason)
            .copy_vias(request, source)
            .answer(request, to_tag)
    }

    fn answer(self, request: &Message, to_tag: Option<&str>) -> Builder {
        let to_tag = to_tag.filter(|_| match request.to() {
            Ok(to) => to.tag().is_none(),
            Err(_) => !request.to_raw().to_ascii_lowercase().contains(";tag"),
        });
        self.copy(request, HeaderName::From)
            .copy_with(request, HeaderName::To, to_tag)
            .copy(request, HeaderName::CallId)
            .copy(request, HeaderName::CSeq)
    }

    /// Every Via of `request`, the topmost with `received` and `rport` by `source`; one that cannot be read is copied as it is.
    pub fn copy_vias(mut self, request: &Message, source: SocketAddr) -> Builder {
        let mut first = true;
        for value in request.values(HeaderName::Via) {
            self = match Via::parse(value) {
                Ok(via) if first => self.line(HeaderName::Via.as_str(), |out| {
                    push_seen(out, &via, source);
                }),
                _ => self.text(HeaderName::Via, value),
            };
            first = false;
        }
        self
    }

    /// One header line. [`HeaderName::Other`] and Content-Length are not written.
    pub fn header(self, name: HeaderName, value: impl Display) -> Builder {
        if matches!(name, HeaderName::Other | HeaderName::ContentLength) {
            return self;
        }
        self.line(name.as_str(), |out| {
            let _ = write!(Line(out), "{value}");
        })
    }

    /// The same for what is text already.
    pub fn text(self, name: HeaderName, value: &str) -> Builder {
        if matches!(name, HeaderName::Other | HeaderName::ContentLength) {
            return self;
        }
        self.line(name.as_str(), |out| push_clean(out, value.as_bytes()))
    }

    /// One header line of any name. A name that is no token is not written, nor is Content-Length.
    pub fn raw_header(self, name: &str, value: &str) -> Builder {
        if !is_token(name.as_bytes())
            || HeaderName::of(name.as_bytes()) == HeaderName::ContentLength
        {
            return self;
        }
        self.line(name, |out| push_clean(out, value.as_bytes()))
    }

    /// Every line of this header in `message`, byte for byte (folds become spaces).
    pub fn copy(self, message: &Message, name: HeaderName) -> Builder {
        self.copy_with(message, name, None)
    }

    fn copy_with(mut self, message: &Message, name: HeaderName, tag: Option<&str>) -> Builder {
        if name == HeaderName::ContentLength {
            return self;
        }
        for span in message.spans(name) {
            let value =
                &message.parts.raw[usize::from(span.value_start)..usize::from(span.value_end)];
            self = self.line(name.as_str(), |out| {
                push_lines_joined(out, value);
                if let Some(tag) = tag {
                    out.extend_from_slice(b";tag=");
                    push_clean(out, tag.as_bytes());
                }
            });
        }
        self
    }

    /// The body, with its Content-Type; replaces one given before. Nothing is written for an empty one.
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Builder {
        self.bytes.truncate(self.bytes.len() - self.body);
        self.body = 0;
        if body.is_empty() {
            return self;
        }
        let mut with_type = self.header(HeaderName::ContentType, content_type);
        with_type.bytes.extend_from_slice(body);
        with_type.body = body.len();
        with_type
    }

    /// The message.
    pub fn finish(mut self) -> Bytes {
        let length = self.body;
        self = self.line("Content-Length", |out| push_number(out, length as u64));
        let head = self.bytes.len() - self.body;
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes[head..].rotate_left(length);
        // Transactions keep it for half a minute, in their tens of thousands: without the room that was not needed.
        self.bytes.shrink_to_fit();
        Bytes::from(self.bytes)
    }

    /// Writes a line behind the head, that is in front of the body.
    fn line(mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) -> Builder {
        let head = self.bytes.len() - self.body;
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        value(&mut self.bytes);
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes[head..].rotate_left(self.body);
        self
    }
}

/// A Via as the receiver of its request writes it back.
fn push_seen(out: &mut Vec<u8>, via: &Via<'_>, source: SocketAddr) {
    out.extend_from_slice(b"SIP/");
    push_clean(out, via.version.as_bytes());
    out.push(b'/');
    push_clean(out, via.transport_text.as_bytes());
    out.push(b' ');
    push_clean(out, via.sent_by.as_bytes());
    let mut wants_port = false;
    for (name, value) in via.params {
        if name.eq_ignore_ascii_case("rport") {
            wants_port = true;
        } else if !name.eq_ignore_ascii_case("received") {
            out.push(b';');
            push_clean(out, name.as_bytes());
            if let Some(value) = value {
                out.push(b'=');
                push_clean(out, value.as_bytes());
            }
        }
    }
    if wants_port {
        out.extend_from_slice(b";rport=");
        push_number(out, source.port().into());
    }
    if wants_port || via.host.ip() != Some(source.ip()) {
        out.extend_from_slice(b";received=");
        // Writing into a Vec cannot fail.
        let _ = write!(Line(out), "{}", source.ip());
    }
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// `text` as a quoted string, quotes on (RFC 3261 section 25.1).
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(if character.is_control() {
            ' '
        } else {
            character
        });
    }
    out.push('"');
    out
}

/// A refusal for a request that would not parse but whose Via and CSeq can still be found, to be sent to where
/// [`Via::response_address`] of its Via says or back on the connection: by these two its sender knows it again (RFC 3261 section 17.1.3).
/// `None` for responses, ACKs and anything less readable.
pub fn best_effort_response(
    bytes: &[u8],
    source: SocketAddr,
    status: u16,
    reason: &str,
) -> Option<Bytes> {
    let request = refusable(Bytes::copy_from_slice(bytes))?;
    Some(Builder::response_via(&request, status, reason, None, source).finish())
}

/// Whatever can be read of a request that would not parse, if it can be refused.
pub(crate) fn refusable(bytes: Bytes) -> Option<Message> {
    let request = Message::salvage(bytes)?;
    if request.method() == Some(&Method::Ack) {
        return None;
    }
    request.top_via().ok()?;
    request
        .header(HeaderName::CSeq)
        .filter(|value| !value.is_empty())?;
    Some(request)
}
