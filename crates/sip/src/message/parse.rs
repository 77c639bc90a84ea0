//! From bytes to ranges (RFC 3261 sections 7, 18.3 and 25).

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr2};

use super::text::is_token;
use super::{HeaderName, Method};

/// Largest start line and headers together, in bytes: a datagram's size, so that ranges fit 16 bits.
pub const MAX_HEAD: usize = 65_535;
/// Most header lines of one message.
pub const MAX_HEADERS: usize = 256;
/// Header lines that fit without growing; a usual INVITE has about fifteen.
const USUAL_HEADERS: usize = 24;

/// Why a message could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("no start line")]
    Empty,
    #[error("malformed start line")]
    StartLine,
    #[error("version not supported")]
    Version,
    #[error("status code out of range")]
    Status,
    #[error("head without an empty line at its end")]
    Truncated,
    #[error("malformed header line")]
    HeaderLine,
    #[error("too many or too long headers")]
    TooLarge,
    #[error("missing {0}")]
    Missing(&'static str),
    #[error("more than one {0}")]
    Repeated(&'static str),
    #[error("malformed CSeq")]
    CSeq,
    #[error("CSeq names another method")]
    CSeqMethod,
    #[error("malformed Content-Length")]
    ContentLength,
    #[error("body shorter than Content-Length")]
    ShortBody,
}

impl ParseError {
    /// The status that a request with this fault is answered with.
    pub const fn status(self) -> u16 {
        match self {
            ParseError::Version => 505,
            ParseError::TooLarge => 513,
            _ => 400,
        }
    }
}

/// One header line; positions in the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub start: u16,
    pub name_end: u16,
    pub value_start: u16,
    pub value_end: u16,
    pub name: HeaderName,
}

#[derive(Clone, Debug)]
pub(super) enum Start {
    Request { method: Method, uri: (u16, u16) },
    Response { status: u16, reason: (u16, u16) },
}

/// What a [`super::Message`] points to.
#[derive(Debug)]
pub(super) struct Parts {
    /// From the start line on.
    pub raw: Bytes,
    /// The head with folds and foreign bytes replaced, where there are any.
    patched: Option<Box<str>>,
    pub start: Start,
    pub spans: Vec<Span>,
    pub body: Range<usize>,
}

/// The lines of a head, before anything is known to be right about them.
struct Lines {
    start: Range<usize>,
    spans: Vec<Span>,
    head: usize,
    folded: bool,
}

impl Parts {
    pub fn parse(datagram: Bytes) -> Result<Parts, ParseError> {
        let raw = without_leading_lines(datagram)?;
        let lines = Lines::scan(&raw, Fault::Stop)?;
        let start = Start::parse(&raw[lines.start.clone()])?;
        check_mandatory(&raw, &lines.spans, &start)?;
        let body = match declared_length(&raw, &lines.spans)? {
            None => lines.head..raw.len(),
            Some(length) if length <= raw.len() - lines.head => lines.head..lines.head + length,
            Some(_) => return Err(ParseError::ShortBody),
        };
        Ok(Parts {
            patched: patch(&raw, &lines),
            start,
            spans: lines.spans,
            body,
            raw,
        })
    }

    /// As much as is there of a request, so that it can be refused politely.
    pub fn salvage(datagram: Bytes) -> Option<Parts> {
        let raw = without_leading_lines(datagram).ok()?;
        let mut lines = Lines::scan(&raw, Fault::Skip).ok()?;
        let line = &raw[lines.start.clone()];
        let method = std::str::from_utf8(line.split(|&byte| byte == b' ').next()?).ok()?;
        if method.len() >= 4 && method.as_bytes()[..4].eq_ignore_ascii_case(b"SIP/") {
            return None;
        }
        let start = Start::Request {
            method: Method::parse(method)?,
            uri: (0, 0),
        };
        let mut seen = [false; 4];
        lines.spans.retain(
            |span| match SINGLE.iter().position(|name| *name == span.name) {
                Some(single) => !std::mem::replace(&mut seen[single], true),
                None => true,
            },
        );
        let body = lines.head..lines.head;
        Some(Parts {
            patched: patch(&raw, &lines),
            start,
            spans: lines.spans,
            body,
            raw,
        })
    }

    /// Text of the head. Ranges end at ASCII bytes, so that they cut no character.
    pub fn text(&self, start: u16, end: u16) -> &str {
        let range = usize::from(start)..usize::from(end);
        match &self.patched {
            Some(head) => head.get(range).unwrap_or_default(),
            None => std::str::from_utf8(&self.raw[range]).unwrap_or_default(),
        }
    }

    pub fn value(&self, span: &Span) -> &str {
        self.text(span.value_start, span.value_end)
    }
}

/// Senders may put empty lines before a message (RFC 3261 section 7.5).
fn without_leading_lines(datagram: Bytes) -> Result<Bytes, ParseError> {
    let skip = datagram
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))
        .ok_or(ParseError::Empty)?;
    Ok(if skip == 0 {
        datagram
    } else {
        datagram.slice(skip..)
    })
}

/// What to do about a header line that is none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Stop,
    Skip,
}

impl Lines {
    fn scan(raw: &[u8], fault: Fault) -> Result<Lines, ParseError> {
        let bounded = &raw[..raw.len().min(MAX_HEAD)];
        let cut_off = if raw.len() > MAX_HEAD {
            ParseError::TooLarge
        } else {
            ParseError::Truncated
        };
        let (end, mut at) = line_end(bounded, 0, fault)?.ok_or(cut_off)?;
        let mut lines = Lines {
            start: 0..end,
            spans: Vec::with_capacity(USUAL_HEADERS),
            head: 0,
            folded: false,
        };
        loop {
            let Some((mut end, mut next)) = line_end(bounded, at, fault)? else {
                return if fault == Fault::Skip {
                    Ok(Lines {
                        head: bounded.len(),
                        ..lines
                    })
                } else {
                    Err(cut_off)
                };
            };
            if end == at {
                lines.head = next;
                return Ok(lines);
            }
            while matches!(bounded.get(next), Some(b' ' | b'\t')) {
                lines.folded = true;
                let Some(more) = line_end(bounded, next, fault)? else {
                    return Err(cut_off);
                };
                (end, next) = more;
            }
            match span(bounded, at..end) {
                Some(span) if lines.spans.len() < MAX_HEADERS => lines.spans.push(span),
                Some(_) => return Err(ParseError::TooLarge),
                None if fault == Fault::Skip => {}
                None => return Err(ParseError::HeaderLine),
            }
            at = next;
        }
    }
}

/// End of the line that starts at `from`, and start of the next one. Lines end in CRLF; a bare LF is tolerated, a bare CR is not.
fn line_end(bytes: &[u8], from: usize, fault: Fault) -> Result<Option<(usize, usize)>, ParseError> {
    let mut search = from;
    while let Some(found) = memchr2(b'\r', b'\n', &bytes[search..]) {
        let at = search + found;
        if bytes[at] == b'\n' {
            return Ok(Some((at, at + 1)));
        }
        match bytes.get(at + 1) {
            Some(b'\n') => return Ok(Some((at, at + 2))),
            None => return Ok(None),
            Some(_) if fault == Fault::Skip => search = at + 1,
            Some(_) => return Err(ParseError::HeaderLine),
        }
    }
    Ok(None)
}

/// One header line, folds included: `name HCOLON value`.
fn span(bytes: &[u8], line: Range<usize>) -> Option<Span> {
    let colon = line.start + memchr(b':', &bytes[line.clone()])?;
    let name = bytes[line.start..colon].trim_ascii_end();
    if !is_token(name) {
        return None;
    }
    let value = &bytes[colon + 1..line.end];
    let value_start = line.end - value.trim_ascii_start().len();
    let value_end = value_start + bytes[value_start..line.end].trim_ascii_end().len();
    let position = |at: usize| u16::try_from(at).ok();
    Some(Span {
        start: position(line.start)?,
        name_end: position(line.start + name.len())?,
        value_start: position(value_start)?,
        value_end: position(value_end)?,
        name: HeaderName::of(name),
    })
}

/// The head as text where it has folds or bytes that are no UTF-8; the same length, so that ranges keep their meaning.
fn patch(raw: &[u8], lines: &Lines) -> Option<Box<str>> {
    let head = &raw[..lines.head];
    if !lines.folded && std::str::from_utf8(head).is_ok() {
        return None;
    }
    let mut text = String::with_capacity(head.len());
    for chunk in head.utf8_chunks() {
        text.extend(chunk.valid().chars().map(|character| {
            if matches!(character, '\r' | '\n') {
                ' '
            } else {
                character
            }
        }));
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    Some(text.into_boxed_str())
}

impl Start {
    fn parse(line: &[u8]) -> Result<Start, ParseError> {
        if line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"SIP/") {
            return Start::response(line);
        }
        let first = memchr(b' ', line).ok_or(ParseError::StartLine)?;
        let second = first + 1 + memchr(b' ', &line[first + 1..]).ok_or(ParseError::StartLine)?;
        let method = std::str::from_utf8(&line[..first])
            .ok()
            .and_then(Method::parse)
            .ok_or(ParseError::StartLine)?;
        let version = &line[second + 1..];
        if second == first + 1 || memchr2(b' ', b'\t', version).is_some() {
            return Err(ParseError::StartLine);
        }
        check_version(version)?;
        Ok(Start::Request {
            method,
            uri: (position(first + 1)?, position(second)?),
        })
    }

    fn response(line: &[u8]) -> Result<Start, ParseError> {
        let space = memchr(b' ', line).ok_or(ParseError::StartLine)?;
        check_version(&line[..space])?;
        let rest = &line[space + 1..];
        let end = memchr(b' ', rest).unwrap_or(rest.len());
        if !rest[..end].iter().all(u8::is_ascii_digit) || end == 0 {
            return Err(ParseError::StartLine);
        }
        let code = std::str::from_utf8(&rest[..end])
            .ok()
            .filter(|text| text.len() == 3)
            .and_then(|text| text.parse().ok());
        let status = code
            .filter(|status| (100..700).contains(status))
            .ok_or(ParseError::Status)?;
        let reason = (
            position((space + 2 + end).min(line.len()))?,
            position(line.len())?,
        );
        Ok(Start::Response { status, reason })
    }
}

fn position(at: usize) -> Result<u16, ParseError> {
    u16::try_from(at).map_err(|_| ParseError::TooLarge)
}

fn check_version(text: &[u8]) -> Result<(), ParseError> {
    if text.eq_ignore_ascii_case(b"SIP/2.0") {
        Ok(())
    } else if text.len() > 4 && text[..4].eq_ignore_ascii_case(b"SIP/") {
        Err(ParseError::Version)
    } else {
        Err(ParseError::StartLine)
    }
}

/// Headers of which a message has exactly one.
const SINGLE: [HeaderName; 4] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
];

fn check_mandatory(raw: &[u8], spans: &[Span], start: &Start) -> Result<(), ParseError> {
    let mut seen: [Option<&Span>; 4] = [None; 4];
    let mut via = false;
    for span in spans {
        via |= span.name == HeaderName::Via;
        if let Some(single) = SINGLE.iter().position(|name| *name == span.name)
            && seen[single].replace(span).is_some()
        {
            return Err(ParseError::Repeated(span.name.as_str()));
        }
    }
    if !via {
        return Err(ParseError::Missing("Via"));
    }
    for (single, name) in SINGLE.iter().enumerate() {
        if seen[single].is_none_or(|span| span.value_start == span.value_end) {
            return Err(ParseError::Missing(name.as_str()));
        }
    }
    let Some(span) = seen[3] else {
        return Err(ParseError::Missing("CSeq"));
    };
    let value = &raw[usize::from(span.value_start)..usize::from(span.value_end)];
    let (_, method) = split_cseq(value).ok_or(ParseError::CSeq)?;
    match start {
        Start::Request { method: wanted, .. } if wanted.as_str().as_bytes() != method => {
            Err(ParseError::CSeqMethod)
        }
        _ => Ok(()),
    }
}

/// Number and method name; the number is below 2^31 by RFC 3261 section 8.1.1.5, and we take all of 32 bits.
fn split_cseq(value: &[u8]) -> Option<(u32, &[u8])> {
    let digits = value.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = std::str::from_utf8(&value[..digits]).ok()?.parse().ok()?;
    let rest = &value[digits..];
    let method = rest.trim_ascii_start();
    (method.len() < rest.len() && is_token(method)).then_some((number, method))
}

/// Number and method of a CSeq value.
pub(super) fn cseq(value: &str) -> Option<(u32, Method)> {
    let (number, method) = split_cseq(value.as_bytes())?;
    Some((number, Method::parse(std::str::from_utf8(method).ok()?)?))
}

fn declared_length(raw: &[u8], spans: &[Span]) -> Result<Option<usize>, ParseError> {
    let mut length = None;
    for span in spans
        .iter()
        .filter(|span| span.name == HeaderName::ContentLength)
    {
        let value = &raw[usize::from(span.value_start)..usize::from(span.value_end)];
        if length.replace(number(value)?).is_some() {
            return Err(ParseError::Repeated("Content-Length"));
        }
    }
    Ok(length)
}

fn number(value: &[u8]) -> Result<usize, ParseError> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = digits.then(|| std::str::from_utf8(value).ok()).flatten();
    text.and_then(|text| text.parse::<u32>().ok())
        .map(|length| length as usize)
        .ok_or(ParseError::ContentLength)
}

/// End of the head that starts at 0: just behind the empty line. `from` is where to go on searching.
pub(crate) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut search = from;
    while let Some(found) = memchr(b'\n', &bytes[search..]) {
        let next = search + found + 1;
        match (bytes.get(next), bytes.get(next + 1)) {
            (Some(b'\n'), _) => return Some(next + 1),
            (Some(b'\r'), Some(b'\n')) => return Some(next + 2),
            _ => search = next,
        }
    }
    None
}

/// Content-Length of a whole head, for cutting a stream into messages.
///
/// # Errors
/// [`ParseError::ContentLength`] when it is missing, repeated or no number: the stream cannot be followed any further.
pub(crate) fn content_length(head: &[u8]) -> Result<usize, ParseError> {
    let lines = Lines::scan(head, Fault::Skip)?;
    declared_length(head, &lines.spans)
        .ok()
        .flatten()
        .ok_or(ParseError::ContentLength)
}
