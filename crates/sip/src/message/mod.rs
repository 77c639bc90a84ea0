//! Messages: zero-copy parse, lazily typed headers, and a builder.
//!
//! [`Message::parse`] finds the lines and checks what every message must have; From, Via, URIs and the like are read when
//! they are asked for, and borrow from the message. Folded lines and bytes that are not UTF-8 are rare: only then is a
//! copy of the head made, of the same length, with spaces for folds and `?` for such bytes.

mod address;
mod builder;
mod method;
mod name;
mod parse;
mod text;
mod uri;
mod via;

use std::sync::Arc;

use bytes::Bytes;

pub use address::{NameAddr, Params, ParamsIter};
pub use builder::{Builder, best_effort_response, quoted};
pub use method::{KNOWN_METHODS, Method};
pub use name::HeaderName;
pub use parse::{MAX_HEAD, MAX_HEADERS, ParseError};
pub use text::Values;
pub use uri::{Host, Scheme, Uri, escape_user, unescape};
pub use via::{BRANCH_COOKIE, DEFAULT_PORT, DEFAULT_TLS_PORT, Via};

pub(crate) use address::closing_quote;
pub(crate) use builder::refusable;
pub(crate) use parse::{content_length, head_end};
pub(crate) use text::{find_outside, is_token, trim, unquote};

use parse::{Parts, Span, Start};

/// A header that does not follow its grammar: 400 for a request, drop for a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad {field}: {what}")]
pub struct FieldError {
    /// The header's name.
    pub field: &'static str,
    /// What is wrong, in a few words.
    pub what: &'static str,
}

/// A parsed message: the datagram's bytes shared, headers as ranges, typed when asked for. Cloning counts a reference.
#[derive(Clone)]
pub struct Message {
    parts: Arc<Parts>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl Message {
    /// Reads one message by the rules for datagrams (RFC 3261 section 18.3): the body is as long as Content-Length says,
    /// what follows is ignored; without Content-Length it goes to the end.
    ///
    /// Checked here: start line, header lines, exactly one From, To, Call-ID and CSeq, at least one Via, a CSeq that names the
    /// request's method, Content-Length. Everything else is checked when it is read; see [`Message::check`].
    ///
    /// # Errors
    /// [`ParseError`], which knows the status to answer with.
    pub fn parse(datagram: Bytes) -> Result<Message, ParseError> {
        Parts::parse(datagram).map(|parts| Message {
            parts: Arc::new(parts),
        })
    }

    /// Whatever can be read of a request that [`Message::parse`] refuses.
    fn salvage(datagram: Bytes) -> Option<Message> {
        Parts::salvage(datagram).map(|parts| Message {
            parts: Arc::new(parts),
        })
    }

    /// Reads what every request needs typed: Request-URI, From, To, top Via, Max-Forwards.
    ///
    /// # Errors
    /// The first field that is wrong: answer 400.
    pub fn check(&self) -> Result<(), FieldError> {
        if self.is_request() {
            self.request_uri()?;
        }
        self.top_via()?;
        self.from()?;
        self.to()?;
        self.max_forwards()?;
        Ok(())
    }

    /// True for a request, false for a response.
    pub fn is_request(&self) -> bool {
        matches!(self.parts.start, Start::Request { .. })
    }

    /// The request's method; `None` for a response (see [`Message::cseq`]).
    pub fn method(&self) -> Option<&Method> {
        match &self.parts.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The Request-URI as written; empty for a response.
    pub fn request_uri_raw(&self) -> &str {
        match self.parts.start {
            Start::Request {
                uri: (start, end), ..
            } => self.parts.text(start, end),
            Start::Response { .. } => "",
        }
    }

    /// The Request-URI.
    ///
    /// # Errors
    /// [`FieldError`] when it is malformed, or carries headers (RFC 3261 section 19.1.1 forbids them here).
    pub fn request_uri(&self) -> Result<Uri<'_>, FieldError> {
        let uri = Uri::parse(self.request_uri_raw())?;
        if uri.headers().next().is_some() {
            return Err(FieldError {
                field: "Request-URI",
                what: "headers are not allowed here",
            });
        }
        Ok(uri)
    }

    /// The response's status, 100–699; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        match self.parts.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// The response's reason phrase; empty for a request.
    pub fn reason(&self) -> &str {
        match self.parts.start {
            Start::Request { .. } => "",
            Start::Response {
                reason: (start, end),
                ..
            } => self.parts.text(start, end),
        }
    }

    /// Number and method of CSeq.
    ///
    /// # Errors
    /// Never for a message that [`Message::parse`] gave out.
    pub fn cseq(&self) -> Result<(u32, Method), FieldError> {
        let text = self.header(HeaderName::CSeq).unwrap_or_default();
        parse::cseq(text).ok_or(FieldError {
            field: "CSeq",
            what: "number and method expected",
        })
    }

    /// Call-ID as written; never empty in a message that [`Message::parse`] gave out.
    pub fn call_id(&self) -> &str {
        self.header(HeaderName::CallId).unwrap_or_default()
    }

    /// From as written.
    pub fn from_raw(&self) -> &str {
        self.header(HeaderName::From).unwrap_or_default()
    }

    /// To as written.
    pub fn to_raw(&self) -> &str {
        self.header(HeaderName::To).unwrap_or_default()
    }

    /// From.
    ///
    /// # Errors
    /// [`FieldError`] when it is malformed.
    pub fn from(&self) -> Result<NameAddr<'_>, FieldError> {
        NameAddr::parse(self.from_raw(), "From")
    }

    /// To.
    ///
    /// # Errors
    /// [`FieldError`] when it is malformed.
    pub fn to(&self) -> Result<NameAddr<'_>, FieldError> {
        NameAddr::parse(self.to_raw(), "To")
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// [`FieldError`] when it is malformed.
    pub fn top_via(&self) -> Result<Via<'_>, FieldError> {
        Via::parse(self.values(HeaderName::Via).next().unwrap_or_default())
    }

    /// Every Via, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, FieldError>> {
        self.values(HeaderName::Via).map(Via::parse)
    }

    /// The value of the first line of this header, white space around it off. Nothing for [`HeaderName::Other`].
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers(name).next()
    }

    /// The value of every line of this header, in order, not split at commas.
    pub fn headers(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.spans(name).map(|span| self.parts.value(span))
    }

    /// The values of this header, in order: a line may hold several, separated by commas. For headers whose grammar is a list.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.headers(name).flat_map(Values::new)
    }

    /// The value of the first line whose name is this one, in any case (full or compact as written by the sender).
    pub fn header_named(&self, name: &str) -> Option<&str> {
        let known = HeaderName::of(name.as_bytes());
        if known != HeaderName::Other {
            return self.header(known);
        }
        let mut lines = self
            .lines()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        lines.next().map(|(_, value)| value)
    }

    /// Every header line as written: name and value.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.spans.iter().map(|span| {
            (
                self.parts.text(span.start, span.name_end),
                self.parts.value(span),
            )
        })
    }

    /// Every Contact. `*` is an error here; see [`Message::is_wildcard_contact`].
    pub fn contacts(&self) -> impl Iterator<Item = Result<NameAddr<'_>, FieldError>> {
        self.addresses(HeaderName::Contact)
    }

    /// True for `Contact: *` (RFC 3261 section 10.2.2).
    pub fn is_wildcard_contact(&self) -> bool {
        self.header(HeaderName::Contact) == Some("*")
    }

    /// Every Route, topmost first.
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, FieldError>> {
        self.addresses(HeaderName::Route)
    }

    /// Every Record-Route, topmost first.
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, FieldError>> {
        self.addresses(HeaderName::RecordRoute)
    }

    /// Every value of a header that is a list of addresses, e.g. P-Asserted-Identity.
    pub fn addresses(
        &self,
        name: HeaderName,
    ) -> impl Iterator<Item = Result<NameAddr<'_>, FieldError>> {
        self.values(name)
            .map(move |value| NameAddr::parse(value, name.as_str()))
    }

    /// Max-Forwards, when it is there.
    ///
    /// # Errors
    /// [`FieldError`] when it is not a number of 0 to 255 (RFC 3261 section 20.22).
    pub fn max_forwards(&self) -> Result<Option<u8>, FieldError> {
        let Some(text) = self.header(HeaderName::MaxForwards) else {
            return Ok(None);
        };
        let number = text::saturating_number(text).and_then(|number| u8::try_from(number).ok());
        number.map(Some).ok_or(FieldError {
            field: "Max-Forwards",
            what: "0 to 255 expected",
        })
    }

    /// Expires in seconds; too large a number saturates, nonsense counts as 3600 (RFC 3261 section 20.10).
    pub fn expires(&self) -> Option<u32> {
        self.header(HeaderName::Expires)
            .map(|text| text::saturating_number(text).unwrap_or(3600))
    }

    /// Option tags that we must understand.
    pub fn require(&self) -> impl Iterator<Item = &str> {
        self.values(HeaderName::Require)
    }

    /// The body, shared with the datagram.
    pub fn body(&self) -> Bytes {
        self.parts.raw.slice(self.parts.body.clone())
    }

    /// True when the body is of this media type, e.g. `application/sdp`; parameters are not looked at.
    pub fn is_content(&self, media_type: &str) -> bool {
        let text = self.header(HeaderName::ContentType).unwrap_or_default();
        let end = text.find(';').unwrap_or(text.len());
        match (text[..end].split_once('/'), media_type.split_once('/')) {
            (Some((kind, sub)), Some((wanted, wanted_sub))) => {
                trim(kind).eq_ignore_ascii_case(wanted)
                    && trim(sub).eq_ignore_ascii_case(wanted_sub)
            }
            _ => false,
        }
    }

    /// The whole message as received, from its start line to the end of its body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.parts.raw[..self.parts.body.end]
    }

    /// The same, shared instead of borrowed.
    pub fn raw(&self) -> Bytes {
        self.parts.raw.slice(..self.parts.body.end)
    }

    fn spans(&self, name: HeaderName) -> impl Iterator<Item = &Span> {
        self.parts
            .spans
            .iter()
            .filter(move |span| span.name == name && name != HeaderName::Other)
    }
}
