//! Names of header fields, known ones as an enum.

use std::fmt;

/// A header field's name (RFC 3261 section 20 and the IANA registry); names that are not listed are [`HeaderName::Other`],
/// found by text with [`super::Message::header_named`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum HeaderName {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    MaxForwards,
    ContentLength,
    ContentType,
    ContentEncoding,
    ContentDisposition,
    ContentLanguage,
    Route,
    RecordRoute,
    Expires,
    MinExpires,
    Require,
    ProxyRequire,
    Supported,
    Unsupported,
    Allow,
    Accept,
    AcceptEncoding,
    AcceptLanguage,
    Authorization,
    ProxyAuthorization,
    WwwAuthenticate,
    ProxyAuthenticate,
    AuthenticationInfo,
    UserAgent,
    Server,
    Subject,
    ReferTo,
    ReferredBy,
    ReplyTo,
    Event,
    AllowEvents,
    SubscriptionState,
    SessionExpires,
    MinSe,
    RAck,
    RSeq,
    Reason,
    RetryAfter,
    Warning,
    Date,
    Timestamp,
    Priority,
    Organization,
    InReplyTo,
    MimeVersion,
    PAssertedIdentity,
    PPreferredIdentity,
    PChargingVector,
    Privacy,
    RemotePartyId,
    Replaces,
    Diversion,
    HistoryInfo,
    AlertInfo,
    CallInfo,
    ErrorInfo,
    AnswerMode,
    Path,
    ServiceRoute,
    SipEtag,
    SipIfMatch,
    UserToUser,
    RequestDisposition,
    AcceptContact,
    RejectContact,
    Identity,
    /// Any other name.
    Other,
}

/// Name, text as written by us, and compact form (RFC 3261 section 7.3.3; 0 where there is none), in the enum's order.
const TABLE: [(HeaderName, &str, u8); 72] = [
    (HeaderName::Via, "Via", b'v'),
    (HeaderName::From, "From", b'f'),
    (HeaderName::To, "To", b't'),
    (HeaderName::CallId, "Call-ID", b'i'),
    (HeaderName::CSeq, "CSeq", 0),
    (HeaderName::Contact, "Contact", b'm'),
    (HeaderName::MaxForwards, "Max-Forwards", 0),
    (HeaderName::ContentLength, "Content-Length", b'l'),
    (HeaderName::ContentType, "Content-Type", b'c'),
    (HeaderName::ContentEncoding, "Content-Encoding", b'e'),
    (HeaderName::ContentDisposition, "Content-Disposition", 0),
    (HeaderName::ContentLanguage, "Content-Language", 0),
    (HeaderName::Route, "Route", 0),
    (HeaderName::RecordRoute, "Record-Route", 0),
    (HeaderName::Expires, "Expires", 0),
    (HeaderName::MinExpires, "Min-Expires", 0),
    (HeaderName::Require, "Require", 0),
    (HeaderName::ProxyRequire, "Proxy-Require", 0),
    (HeaderName::Supported, "Supported", b'k'),
    (HeaderName::Unsupported, "Unsupported", 0),
    (HeaderName::Allow, "Allow", 0),
    (HeaderName::Accept, "Accept", 0),
    (HeaderName::AcceptEncoding, "Accept-Encoding", 0),
    (HeaderName::AcceptLanguage, "Accept-Language", 0),
    (HeaderName::Authorization, "Authorization", 0),
    (HeaderName::ProxyAuthorization, "Proxy-Authorization", 0),
    (HeaderName::WwwAuthenticate, "WWW-Authenticate", 0),
    (HeaderName::ProxyAuthenticate, "Proxy-Authenticate", 0),
    (HeaderName::AuthenticationInfo, "Authentication-Info", 0),
    (HeaderName::UserAgent, "User-Agent", 0),
    (HeaderName::Server, "Server", 0),
    (HeaderName::Subject, "Subject", b's'),
    (HeaderName::ReferTo, "Refer-To", b'r'),
    (HeaderName::ReferredBy, "Referred-By", b'b'),
    (HeaderName::ReplyTo, "Reply-To", 0),
    (HeaderName::Event, "Event", b'o'),
    (HeaderName::AllowEvents, "Allow-Events", b'u'),
    (HeaderName::SubscriptionState, "Subscription-State", 0),
    (HeaderName::SessionExpires, "Session-Expires", b'x'),
    (HeaderName::MinSe, "Min-SE", 0),
    (HeaderName::RAck, "RAck", 0),
    (HeaderName::RSeq, "RSeq", 0),
    (HeaderName::Reason, "Reason", 0),
    (HeaderName::RetryAfter, "Retry-After", 0),
    (HeaderName::Warning, "Warning", 0),
    (HeaderName::Date, "Date", 0),
    (HeaderName::Timestamp, "Timestamp", 0),
    (HeaderName::Priority, "Priority", 0),
    (HeaderName::Organization, "Organization", 0),
    (HeaderName::InReplyTo, "In-Reply-To", 0),
    (HeaderName::MimeVersion, "MIME-Version", 0),
    (HeaderName::PAssertedIdentity, "P-Asserted-Identity", 0),
    (HeaderName::PPreferredIdentity, "P-Preferred-Identity", 0),
    (HeaderName::PChargingVector, "P-Charging-Vector", 0),
    (HeaderName::Privacy, "Privacy", 0),
    (HeaderName::RemotePartyId, "Remote-Party-ID", 0),
    (HeaderName::Replaces, "Replaces", 0),
    (HeaderName::Diversion, "Diversion", 0),
    (HeaderName::HistoryInfo, "History-Info", 0),
    (HeaderName::AlertInfo, "Alert-Info", 0),
    (HeaderName::CallInfo, "Call-Info", 0),
    (HeaderName::ErrorInfo, "Error-Info", 0),
    (HeaderName::AnswerMode, "Answer-Mode", 0),
    (HeaderName::Path, "Path", 0),
    (HeaderName::ServiceRoute, "Service-Route", 0),
    (HeaderName::SipEtag, "SIP-ETag", 0),
    (HeaderName::SipIfMatch, "SIP-If-Match", 0),
    (HeaderName::UserToUser, "User-to-User", 0),
    (HeaderName::RequestDisposition, "Request-Disposition", b'd'),
    (HeaderName::AcceptContact, "Accept-Contact", b'a'),
    (HeaderName::RejectContact, "Reject-Contact", b'j'),
    (HeaderName::Identity, "Identity", b'y'),
];

/// Longest known name.
const LONGEST: usize = 20;
/// Most known names that share a length; the compiler stops at an index out of bounds if this is too small.
const BUCKET: usize = 12;
/// Initials (lower case) and positions in [`TABLE`] by length of the name, so that a line's name is compared with hardly
/// more than one candidate.
static BY_LENGTH: [[(u8, u8); BUCKET]; LONGEST + 1] = by_length();
const EMPTY: (u8, u8) = (u8::MAX, u8::MAX);

const fn by_length() -> [[(u8, u8); BUCKET]; LONGEST + 1] {
    let mut index = [[EMPTY; BUCKET]; LONGEST + 1];
    let mut entry = 0;
    while entry < TABLE.len() {
        let name = TABLE[entry].1.as_bytes();
        let mut slot = 0;
        while index[name.len()][slot].0 != EMPTY.0 {
            slot += 1;
        }
        index[name.len()][slot] = (name[0].to_ascii_lowercase(), entry as u8);
        entry += 1;
    }
    index
}

impl HeaderName {
    /// Which header this name means; any case, full or compact form.
    pub fn of(name: &[u8]) -> HeaderName {
        if let &[letter] = name {
            let letter = letter.to_ascii_lowercase();
            return TABLE
                .iter()
                .find(|entry| entry.2 == letter && letter != 0)
                .map_or(HeaderName::Other, |entry| entry.0);
        }
        let Some(candidates) = BY_LENGTH.get(name.len()) else {
            return HeaderName::Other;
        };
        let Some(first) = name.first().map(u8::to_ascii_lowercase) else {
            return HeaderName::Other;
        };
        for &(initial, candidate) in candidates {
            if initial != first {
                // The empty slots at the end have an initial that no name has.
                continue;
            }
            if let Some((header, text, _)) = TABLE.get(usize::from(candidate))
                && name.eq_ignore_ascii_case(text.as_bytes())
            {
                return *header;
            }
        }
        HeaderName::Other
    }

    /// The name as we write it; empty for [`HeaderName::Other`].
    pub fn as_str(self) -> &'static str {
        TABLE.get(self as usize).map_or("", |entry| entry.1)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case_and_in_its_place() {
        for (position, (name, text, compact)) in TABLE.iter().enumerate() {
            assert_eq!(*name as usize, position, "{text} is out of order");
            assert_eq!(name.as_str(), *text);
            assert_eq!(HeaderName::of(text.as_bytes()), *name);
            assert_eq!(HeaderName::of(text.to_ascii_uppercase().as_bytes()), *name);
            assert_eq!(HeaderName::of(text.to_ascii_lowercase().as_bytes()), *name);
            if *compact != 0 {
                assert_eq!(HeaderName::of(&[*compact]), *name);
                assert_eq!(HeaderName::of(&[compact.to_ascii_uppercase()]), *name);
            }
        }
        assert_eq!(HeaderName::of(b"X-Foo"), HeaderName::Other);
        assert_eq!(HeaderName::of(b"z"), HeaderName::Other);
        assert_eq!(HeaderName::of(b"\0"), HeaderName::Other);
        assert_eq!(HeaderName::of(b""), HeaderName::Other);
        assert_eq!(HeaderName::of(&[b'a'; 300]), HeaderName::Other);
        assert_eq!(HeaderName::Other.as_str(), "");
    }
}
