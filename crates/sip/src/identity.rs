//! What the headers of a call say of who calls and of the way that it came: P-Asserted-Identity (RFC 3325), Privacy (RFC 3323), Diversion (RFC 5806),
//! History-Info (RFC 7044), P-Called-Party-ID (RFC 7315 section 4.2).
//!
//! All of them are claims of whoever sent the message. Only a trunk that is trusted is believed when it asserts an identity; the rest is kept as it was said,
//! a bounded part of it. What nobody can read is passed over and counted: a call is not refused for it.

use crate::api::Caller;
use crate::message::{HeaderName, Host, Message, NameAddr, unescape};

/// Diversions that are kept, the last ones first as they stand in the message; real chains have two or three.
const DIVERSIONS_MAX: usize = 8;
/// Entries of History-Info that are kept: the first ones, who say what was dialled at first.
const HISTORY_MAX: usize = 16;
/// Longest text that is kept of any one parameter or address, in bytes: one line of a record, whatever a far end writes.
const TEXT_MAX: usize = 120;

/// Who is not to be known.
pub const ANONYMOUS: &str = "anonymous";

/// Where a request comes from, as far as it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A trunk in our trust domain (RFC 3324).
    Trusted,
    /// Another trunk: its From is a claim, its assertions are nothing.
    Foreign,
    /// A user of ours, known by digest.
    User,
}

/// What a call says of itself beside From and To.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signalled {
    /// The identity that a trusted trunk asserts: a number, or a user with its host.
    pub asserted: Option<String>,
    /// Whether the caller wants not to be known.
    pub private: bool,
    /// The latest first.
    pub diversions: Vec<Diversion>,
    /// In the order of their index.
    pub history: Vec<Stop>,
    /// Whom it was for, before the last proxy put the address of a contact there.
    pub called_party: Option<String>,
    /// Values that could not be read, or were too many.
    pub passed_over: u32,
}

/// One time that the call was sent on (RFC 5806).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diversion {
    /// Who sent it on: a number, a user with its host, or [`ANONYMOUS`].
    pub from: String,
    /// `unconditional`, `user-busy`, `no-answer`, …
    pub reason: Option<String>,
    pub counter: Option<u32>,
}

/// One target that the call has had (RFC 7044).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// As [`Diversion::from`].
    pub target: String,
    /// `1.2.1`
    pub index: String,
    /// Why it went on from there: the Reason in the URI, e.g. `SIP;cause=302`.
    pub reason: Option<String>,
}

impl Signalled {
    /// Reads what a call says of itself. Users of ours assert nothing, and calls do not come to us by them.
    pub fn of(message: &Message, source: Source) -> Signalled {
        let mut signalled = Signalled {
            private: wants_privacy(message, &["id", "user", "header"]),
            ..Signalled::default()
        };
        if source == Source::User {
            return signalled;
        }
        if source == Source::Trusted {
            signalled.asserted = signalled.address(message, HeaderName::PAssertedIdentity);
        }
        signalled.called_party = signalled.named_address(message, "P-Called-Party-ID");
        signalled.read_diversions(message);
        signalled.read_history(message);
        signalled
    }

    /// The first value of a header that can be read.
    fn address(&mut self, message: &Message, name: HeaderName) -> Option<String> {
        for value in message.values(name) {
            match NameAddr::parse(value, name.as_str()) {
                Ok(address) => return Some(party(&address)),
                Err(_) => self.passed_over += 1,
            }
        }
        None
    }

    fn named_address(&mut self, message: &Message, name: &'static str) -> Option<String> {
        let value = message.header_named(name)?;
        let read = NameAddr::parse(value, name).ok();
        self.passed_over += u32::from(read.is_none());
        read.map(|address| party(&address))
    }

    fn read_diversions(&mut self, message: &Message) {
        for value in message.values(HeaderName::Diversion) {
            let read = NameAddr::parse(value, "Diversion").ok();
            let Some(address) = read.filter(|_| self.diversions.len() < DIVERSIONS_MAX) else {
                self.passed_over += 1;
                continue;
            };
            let param = |name| address.params.get(name).map(unquoted);
            let hidden =
                param("privacy").is_some_and(|privacy| !privacy.eq_ignore_ascii_case("off"));
            self.diversions.push(Diversion {
                from: if hidden {
                    ANONYMOUS.to_owned()
                } else {
                    party(&address)
                },
                reason: param("reason").filter(|reason| !reason.is_empty()).map(cut),
                counter: param("counter").and_then(|counter| counter.parse().ok()),
            });
        }
    }

    fn read_history(&mut self, message: &Message) {
        let all_hidden = wants_privacy(message, &["history"]);
        for value in message.values(HeaderName::HistoryInfo) {
            let read = NameAddr::parse(value, "History-Info").ok();
            let Some(address) = read.filter(|_| self.history.len() < HISTORY_MAX) else {
                self.passed_over += 1;
                continue;
            };
            let header = |wanted: &str| {
                let mut headers = address.uri.headers();
                let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| unescape(value.unwrap_or_default()))
            };
            let hidden = all_hidden || header("Privacy").is_some();
            self.history.push(Stop {
                target: if hidden {
                    ANONYMOUS.to_owned()
                } else {
                    party(&address)
                },
                // RFC 7044 section 5 wants one; a list without is still a list.
                index: cut(unquoted(address.params.get("index").unwrap_or_default())),
                reason: header("Reason").map(|reason| cut(&reason)),
            });
        }
    }
}

/// Who says to be calling: the identity asserted by a trusted trunk, else From. One who wants not to be known is known only to those who are trusted with it.
pub fn caller(message: &Message, source: Source) -> Caller {
    let private = wants_privacy(message, &["id", "user", "header"]);
    let mut assertions = message.addresses(HeaderName::PAssertedIdentity);
    let asserted = match source {
        Source::Trusted => assertions.find_map(Result::ok),
        Source::Foreign | Source::User => None,
    };
    if private && asserted.is_none() && source == Source::Foreign {
        return Caller {
            user: String::new(),
            display: None,
            anonymous: true,
        };
    }
    let Some(address) = asserted.or_else(|| message.from().ok()) else {
        return Caller::default();
    };
    let user = address.uri.user().unwrap_or_default().into_owned();
    let nowhere = matches!(address.uri.host, Host::Name(name) if name.eq_ignore_ascii_case("anonymous.invalid"));
    let hidden = user.is_empty() || user.eq_ignore_ascii_case(ANONYMOUS);
    Caller {
        display: address.display().map(|name| name.into_owned()),
        anonymous: private || nowhere || hidden,
        user,
    }
}

/// Whether Privacy has one of these words (RFC 3323 section 4.2; RFC 7044 section 10.1).
fn wants_privacy(message: &Message, words: &[&str]) -> bool {
    let mut given = message
        .values(HeaderName::Privacy)
        .flat_map(|value| value.split(';'));
    given.any(|word| {
        let word = word.trim();
        words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted))
    })
}

/// A number, or a user with its host; a host alone, or another URI as it is.
fn party(address: &NameAddr<'_>) -> String {
    let uri = &address.uri;
    match uri.user() {
        // What follows a semicolon in the user part is the number's, not part of it (RFC 3261 section 19.1.6).
        Some(user) => {
            let number = user.split(';').next().unwrap_or_default();
            let digits = number.strip_prefix('+').unwrap_or(number);
            let is_number = !digits.is_empty()
                && digits
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b"-.()*#".contains(&byte));
            match uri.host {
                Host::Name("") => cut(number),
                _ if is_number => cut(number),
                _ => cut(&format!("{number}@{}", uri.host)),
            }
        }
        None if uri.host != Host::Name("") => cut(&uri.host.to_string()),
        None => cut(address.uri_text),
    }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signalled(headers: &str, source: Source) -> Signalled {
        Signalled::of(&message(headers), source)
    }

    fn message(headers: &str) -> Message {
        let text = format!(
            "INVITE sip:2000@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1\r\nFrom: <sip:13800138000@10.0.0.2>;tag=1\r\nTo: <sip:2000@10.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:a@10.0.0.2>\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        Message::parse(text.into()).expect("a message")
    }

    #[test]
    fn a_trusted_trunk_alone_asserts() {
        let headers = "P-Asserted-Identity: \"Wang\" <sip:+8613900139000@carrier.example;user=phone>, <tel:+8613900139000>\r\n";
        let of = |source| signalled(headers, source).asserted;
        assert_eq!(of(Source::Trusted).as_deref(), Some("+8613900139000"));
        assert_eq!((of(Source::Foreign), of(Source::User)), (None, None));
        let who = |source| caller(&message(headers), source).user;
        assert_eq!(who(Source::Trusted), "+8613900139000");
        assert_eq!(who(Source::Foreign), "13800138000");
        assert_eq!(who(Source::User), "13800138000");
    }

    #[test]
    fn who_is_private_is_known_to_the_trusted_alone() {
        let headers = "Privacy: critical ;ID\r\nP-Asserted-Identity: <tel:+8613900139000;phone-context=x>\r\n";
        let who = |source| caller(&message(headers), source);
        let trusted = who(Source::Trusted);
        assert_eq!(
            (trusted.user.as_str(), trusted.anonymous),
            ("+8613900139000", true)
        );
        let foreign = who(Source::Foreign);
        assert_eq!((foreign.user.as_str(), foreign.anonymous), ("", true));
        assert!(!caller(&message("Privacy: none\r\n"), Source::Foreign).anonymous);
    }

    #[test]
    fn diversions_are_read_in_every_form_and_the_broken_passed_over() {
        let signalled = signalled(
            "Diversion: <sip:+861065520001@pbx.example>;reason=no-answer;counter=2;screen=no\r\n\
             Diversion: \"Hall, East\" <sip:hall@pbx.example>;reason=\"user-busy\", <tel:+861065520002>;privacy=full;reason=unconditional\r\n\
             Diversion: <sip:broken\r\nDiversion: sip:95188@pbx.example;counter=many\r\n",
            Source::Foreign,
        );
        let read: Vec<_> = signalled
            .diversions
            .iter()
            .map(|one| (one.from.as_str(), one.reason.as_deref(), one.counter))
            .collect();
        assert_eq!(
            read,
            [
                ("+861065520001", Some("no-answer"), Some(2)),
                ("hall@pbx.example", Some("user-busy"), None),
                ("anonymous", Some("unconditional"), None),
                ("95188", None, None),
            ]
        );
        assert_eq!(signalled.passed_over, 1);
    }

    #[test]
    fn history_keeps_index_and_the_reason_in_the_uri() {
        let signalled = signalled(
            "History-Info: <sip:+861065520001@example.com>;index=1, <sip:bob@192.0.2.3?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%22>;index=1.1;rc=1\r\n\
             History-Info: <sip:carol@192.0.2.4?Privacy=history&Reason=SIP%3Bcause%3D486>;index=1.2;mp=1\r\nP-Called-Party-ID: <sip:2000@home.example>\r\n",
            Source::Trusted,
        );
        let read: Vec<_> = signalled
            .history
            .iter()
            .map(|one| {
                (
                    one.target.as_str(),
                    one.index.as_str(),
                    one.reason.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            read,
            [
                ("+861065520001", "1", None),
                ("bob@192.0.2.3", "1.1", Some("SIP;cause=302;text=\"Moved\"")),
                ("anonymous", "1.2", Some("SIP;cause=486")),
            ]
        );
        assert_eq!(signalled.called_party.as_deref(), Some("2000"));
    }

    #[test]
    fn however_much_is_said_little_is_kept() {
        let long = "x".repeat(300);
        let many = |name: &str| {
            format!("{name}: <sip:{long}@pbx.example>;reason={long};index={long}\r\n").repeat(30)
        };
        let signalled = signalled(
            &(many("Diversion") + &many("History-Info")),
            Source::Trusted,
        );
        assert_eq!(signalled.diversions.len(), DIVERSIONS_MAX);
        assert_eq!(signalled.history.len(), HISTORY_MAX);
        assert_eq!(signalled.passed_over, 60 - 8 - 16);
        let texts = signalled
            .diversions
            .iter()
            .flat_map(|one| [&one.from, one.reason.as_ref().expect("a reason")]);
        assert!(
            texts
                .chain(signalled.history.iter().map(|one| &one.index))
                .all(|text| text.len() == TEXT_MAX)
        );
    }
}
