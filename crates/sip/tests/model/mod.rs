//! A message as values, strategies that make them, and two ways to write one: plainly, and in every disguise that RFC 3261 section 7.3 permits.
#![allow(dead_code, clippy::unwrap_used)]

use bytes::Bytes;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use sip::message::{Builder, HeaderName, Message, Method, NameAddr, Uri, quoted, unescape};

/// A URI in its parts, escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriModel {
    pub scheme: String,
    pub user: Option<String>,
    pub password: Option<String>,
    pub host: String,
    pub port: Option<u16>,
    pub params: Vec<(String, Option<String>)>,
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressModel {
    pub display: Option<String>,
    pub uri: UriModel,
    pub params: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViaModel {
    pub transport: String,
    pub host: String,
    pub port: Option<u16>,
    pub params: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartModel {
    Request {
        method: String,
        uri: UriModel,
    },
    Response {
        status: u16,
        reason: String,
        method: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageModel {
    pub start: StartModel,
    pub vias: Vec<ViaModel>,
    pub from: AddressModel,
    pub to: AddressModel,
    pub call_id: String,
    pub cseq: u32,
    pub max_forwards: Option<u8>,
    pub contacts: Vec<AddressModel>,
    pub routes: Vec<AddressModel>,
    pub supported: Vec<String>,
    pub subject: Option<String>,
    pub unknown: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

// --- strategies

pub fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,10}"
}

/// Names of parameters that mean nothing to us.
fn param_name() -> impl Strategy<Value = String> {
    "p[A-Za-z0-9._-]{0,8}"
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]([a-z0-9-]{0,6}[a-z0-9])?(\\.[a-z]{2,5}){0,2}",
        any::<[u8; 4]>().prop_map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        any::<[u16; 8]>().prop_map(|groups| format!("[{}]", std::net::Ipv6Addr::from(groups))),
        any::<[u8; 4]>()
            .prop_map(|octets| format!("[::ffff:{}]", std::net::Ipv4Addr::from(octets))),
        select(vec!["[2001:db8::1]".to_owned(), "[::]".to_owned()]),
    ]
}

/// Text of a user part: digits, names, Chinese, and what must be escaped.
fn user() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9+*#]{1,12}",
        "[a-z0-9._-]{1,12}",
        select(vec![
            "王芳".to_owned(),
            "a@b:c".to_owned(),
            "null-\0-null".to_owned(),
            "50% off; really?".to_owned()
        ]),
        "\\PC{1,6}",
    ]
}

/// Escapes all that RFC 3261 does not call unreserved.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

fn uri_params() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    let one = prop_oneof![
        select(vec![
            ("transport".to_owned(), Some("tcp".to_owned())),
            ("user".to_owned(), Some("phone".to_owned())),
            ("lr".to_owned(), None),
            ("maddr".to_owned(), Some("[2001:db8::7]".to_owned())),
        ]),
        (param_name(), option::of("[A-Za-z0-9._~-]{1,8}")),
    ];
    prop::collection::vec(one, 0..3)
}

pub fn uri() -> impl Strategy<Value = UriModel> {
    let sip = (
        select(vec!["sip", "sips"]),
        option::of((user(), option::of("[a-z0-9&=+$,]{1,6}"))),
        host(),
        option::of(any::<u16>()),
        uri_params(),
        prop::collection::vec((param_name(), "[a-z0-9 <>:;]{1,8}"), 0..2),
    );
    let sip = sip.prop_map(|(scheme, user, host, port, params, headers)| {
        let (user, password) = user.map_or((None, None), |(user, password)| (Some(user), password));
        UriModel {
            scheme: scheme.to_owned(),
            user,
            password,
            host,
            port,
            params,
            headers,
        }
    });
    let tel = ("\\+[0-9]{4,14}", uri_params()).prop_map(|(number, params)| UriModel {
        scheme: "tel".to_owned(),
        user: Some(number),
        password: None,
        host: String::new(),
        port: None,
        params,
        headers: Vec::new(),
    });
    prop_oneof![6 => sip, 1 => tel]
}

/// A display name: none, quoted with anything printable in it, Chinese among it.
fn display() -> impl Strategy<Value = Option<String>> {
    option::of(prop_oneof![
        "[A-Za-z][A-Za-z ]{0,10}[a-z]",
        select(vec![
            "王 芳".to_owned(),
            "a \"b\" \\c".to_owned(),
            "x <sip:y@z>, q".to_owned(),
            "大停電;tag=1".to_owned()
        ]),
        "\\PC{1,8}",
    ])
}

fn header_params() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    let value = prop_oneof![
        "[A-Za-z0-9._~-]{1,8}",
        "[a-z ;,<>@=王]{0,8}".prop_map(|text| format!("\"{text}\"")),
    ];
    prop::collection::vec((param_name(), option::of(value)), 0..3)
}

pub fn address() -> impl Strategy<Value = AddressModel> {
    (display(), uri(), header_params()).prop_map(|(display, uri, params)| AddressModel {
        display,
        uri,
        params,
    })
}

fn tagged() -> impl Strategy<Value = AddressModel> {
    (address(), option::of(token())).prop_map(|(mut address, tag)| {
        address
            .params
            .extend(tag.map(|tag| ("tag".to_owned(), Some(tag))));
        address
    })
}

fn via() -> impl Strategy<Value = ViaModel> {
    let rport = option::of(option::of(any::<u16>()));
    (
        select(vec!["UDP", "TCP", "TLS", "WS", "WSS", "SCTP", "UNKNOWN"]),
        host(),
        option::of(any::<u16>()),
        token(),
        rport,
        header_params(),
    )
        .prop_map(|(transport, host, port, branch, rport, more)| {
            let mut params = vec![("branch".to_owned(), Some(format!("z9hG4bK{branch}")))];
            params
                .extend(rport.map(|port| ("rport".to_owned(), port.map(|port| port.to_string()))));
            params.extend(more);
            ViaModel {
                transport: transport.to_owned(),
                host,
                port,
                params,
            }
        })
}

fn method() -> impl Strategy<Value = String> {
    let known: Vec<String> = sip::message::KNOWN_METHODS
        .iter()
        .map(ToString::to_string)
        .collect();
    prop_oneof![6 => select(known), 1 => "[A-Z]{3,12}", 1 => token()]
}

fn start() -> impl Strategy<Value = StartModel> {
    let no_headers = |mut uri: UriModel| {
        uri.headers.clear();
        uri
    };
    prop_oneof![
        3 => (method(), uri().prop_map(no_headers)).prop_map(|(method, uri)| StartModel::Request { method, uri }),
        1 => (100u16..700, "[A-Za-z王 ]{0,10}", method())
            .prop_map(|(status, reason, method)| StartModel::Response { status, reason: reason.trim().to_owned(), method }),
    ]
}

/// A value of an unknown header: no controls, no white space at its ends or twice running (a fold is one space).
fn value() -> impl Strategy<Value = String> {
    "[!-~äé王]{1,8}( [!-~äé王]{1,8}){0,4}"
}

pub fn message() -> impl Strategy<Value = MessageModel> {
    let head = (
        start(),
        prop::collection::vec(via(), 1..4),
        tagged(),
        tagged(),
        "[!-+--~]{1,20}",
        0..=u32::MAX >> 1,
    );
    let rest = (
        option::of(any::<u8>()),
        prop::collection::vec(address(), 0..3),
        prop::collection::vec(address(), 0..3),
        prop::collection::vec(token(), 0..3),
        option::of(value()),
        prop::collection::vec(("X-[A-Za-z0-9.!%*_+`'~-]{1,8}", value()), 0..5),
        option::of(prop::collection::vec(any::<u8>(), 1..120)),
    );
    (head, rest).prop_map(
        |(
            (start, vias, from, to, call_id, cseq),
            (max_forwards, contacts, routes, supported, subject, unknown, body),
        )| MessageModel {
            start,
            vias,
            from,
            to,
            call_id,
            cseq,
            max_forwards,
            contacts,
            routes,
            supported,
            subject,
            unknown,
            body,
        },
    )
}

// --- from values to text

fn params_text(params: &[(String, Option<String>)]) -> String {
    params
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!(";{name}={value}"),
            None => format!(";{name}"),
        })
        .collect()
}

impl UriModel {
    pub fn text(&self) -> String {
        let UriModel {
            scheme,
            user,
            password,
            host,
            port,
            params,
            headers,
        } = self;
        let mut text = format!("{scheme}:");
        if scheme == "tel" {
            text.push_str(user.as_deref().unwrap());
            return text + &params_text(params);
        }
        if let Some(user) = user {
            text.push_str(&escaped(user));
            if let Some(password) = password {
                text.push_str(&format!(":{password}"));
            }
            text.push('@');
        }
        text.push_str(host);
        if let Some(port) = port {
            text.push_str(&format!(":{port}"));
        }
        text.push_str(&params_text(params));
        for (n, (name, value)) in headers.iter().enumerate() {
            text.push_str(&format!(
                "{}{name}={}",
                if n == 0 { '?' } else { '&' },
                escaped(value)
            ));
        }
        text
    }
}

impl AddressModel {
    pub fn text(&self) -> String {
        let name = self
            .display
            .as_deref()
            .map_or_else(String::new, |name| format!("{} ", quoted(name)));
        format!("{name}<{}>{}", self.uri.text(), params_text(&self.params))
    }
}

impl ViaModel {
    pub fn text(&self) -> String {
        let port = self
            .port
            .map_or_else(String::new, |port| format!(":{port}"));
        format!(
            "SIP/2.0/{} {}{port}{}",
            self.transport,
            self.host,
            params_text(&self.params)
        )
    }
}

impl MessageModel {
    pub fn method(&self) -> &str {
        match &self.start {
            StartModel::Request { method, .. } | StartModel::Response { method, .. } => method,
        }
    }

    /// Start line and header lines, lists as lists of values.
    fn lines(&self) -> (String, Vec<(String, Vec<String>)>) {
        let start = match &self.start {
            StartModel::Request { method, uri } => format!("{method} {} SIP/2.0", uri.text()),
            StartModel::Response { status, reason, .. } => format!("SIP/2.0 {status} {reason}"),
        };
        let texts = |addresses: &[AddressModel]| {
            addresses.iter().map(AddressModel::text).collect::<Vec<_>>()
        };
        let mut lines = vec![
            (
                "Via".to_owned(),
                self.vias.iter().map(ViaModel::text).collect(),
            ),
            ("From".to_owned(), vec![self.from.text()]),
            ("To".to_owned(), vec![self.to.text()]),
            ("Call-ID".to_owned(), vec![self.call_id.clone()]),
            (
                "CSeq".to_owned(),
                vec![format!("{} {}", self.cseq, self.method())],
            ),
            ("Contact".to_owned(), texts(&self.contacts)),
            ("Route".to_owned(), texts(&self.routes)),
            ("Supported".to_owned(), self.supported.clone()),
        ];
        if let Some(hops) = self.max_forwards {
            lines.push(("Max-Forwards".to_owned(), vec![hops.to_string()]));
        }
        if let Some(subject) = &self.subject {
            lines.push(("Subject".to_owned(), vec![subject.clone()]));
        }
        lines.extend(
            self.unknown
                .iter()
                .map(|(name, value)| (name.clone(), vec![value.clone()])),
        );
        if self.body.is_some() {
            lines.push((
                "Content-Type".to_owned(),
                vec!["application/octet-stream".to_owned()],
            ));
        }
        (start, lines)
    }

    /// By the builder, one value a line.
    pub fn write(&self) -> Bytes {
        let mut builder = match &self.start {
            StartModel::Request { method, uri } => {
                Builder::request(&Method::parse(method).unwrap(), uri.text())
            }
            StartModel::Response { status, reason, .. } => Builder::response(*status, reason),
        };
        for (name, values) in self.lines().1 {
            if name == "Content-Type" {
                continue;
            }
            for value in values {
                builder = match HeaderName::of(name.as_bytes()) {
                    HeaderName::Other => builder.raw_header(&name, &value),
                    known => builder.header(known, &value),
                };
            }
        }
        builder
            .body(
                "application/octet-stream",
                self.body.as_deref().unwrap_or_default(),
            )
            .finish()
    }

    /// By hand, as `disguise` says for each line: compact names, odd case, white space and folds wherever they may stand,
    /// values together on one line or apart.
    pub fn write_disguised(&self, disguise: &[u8]) -> Bytes {
        let mut bits = disguise.iter().copied().cycle();
        let mut next = move || bits.next().unwrap_or_default();
        let (start, mut lines) = self.lines();
        let body = self.body.as_deref().unwrap_or_default();
        lines.push(("Content-Length".to_owned(), vec![body.len().to_string()]));
        let mut text = start + "\r\n";
        for (name, values) in lines {
            let together = next() & 1 == 0 && name != "CSeq";
            let groups: Vec<Vec<String>> = if together {
                vec![values]
                    .into_iter()
                    .filter(|values| !values.is_empty())
                    .collect()
            } else {
                values.into_iter().map(|value| vec![value]).collect()
            };
            for group in groups {
                text.push_str(&disguised_name(&name, next()));
                text.push_str(
                    [":", " :", "\t: ", ":  ", ": \r\n ", " : \r\n\t"][usize::from(next() % 6)],
                );
                let comma = [",", ", ", " ,", ",\r\n  ", " \r\n , "][usize::from(next() % 5)];
                text.push_str(&group.join(comma));
                text.push_str(["\r\n", " \r\n", "\t\r\n"][usize::from(next() % 3)]);
            }
        }
        text.push_str("\r\n");
        [text.as_bytes(), body].concat().into()
    }
}

fn disguised_name(name: &str, how: u8) -> String {
    let compact = match name {
        "Via" => "v",
        "From" => "f",
        "To" => "t",
        "Call-ID" => "i",
        "Contact" => "m",
        "Content-Length" => "l",
        "Content-Type" => "c",
        "Subject" => "s",
        "Supported" => "k",
        other => other,
    };
    match how % 5 {
        0 => name.to_owned(),
        1 => compact.to_owned(),
        2 => compact.to_ascii_uppercase(),
        3 => name.to_ascii_uppercase(),
        _ => name.to_ascii_lowercase(),
    }
}

// --- from what was parsed back to values

fn owned<'a>(
    params: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Vec<(String, Option<String>)> {
    params
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
        .collect()
}

impl UriModel {
    pub fn read(uri: &Uri<'_>) -> UriModel {
        let headers = uri.headers().map(|(name, value)| {
            (
                name.to_owned(),
                unescape(value.unwrap_or_default()).into_owned(),
            )
        });
        UriModel {
            scheme: uri.scheme.to_string(),
            user: uri.user().map(|user| user.into_owned()),
            password: uri.password.map(str::to_owned),
            host: uri.host.to_string(),
            port: uri.port,
            params: owned(uri.params()),
            headers: headers.collect(),
        }
    }
}

impl AddressModel {
    pub fn read(address: &NameAddr<'_>) -> AddressModel {
        AddressModel {
            display: address.display().map(|name| name.into_owned()),
            uri: UriModel::read(&address.uri),
            params: owned(address.params),
        }
    }
}

impl MessageModel {
    pub fn read(message: &Message) -> MessageModel {
        let (cseq, method) = message.cseq().unwrap();
        let start = match message.method() {
            Some(method) => StartModel::Request {
                method: method.to_string(),
                uri: UriModel::read(&message.request_uri().unwrap()),
            },
            None => StartModel::Response {
                status: message.status().unwrap(),
                reason: message.reason().to_owned(),
                method: method.to_string(),
            },
        };
        let vias = message.vias().map(|via| {
            let via = via.unwrap();
            ViaModel {
                transport: via.transport_text.to_owned(),
                host: via.host.to_string(),
                port: via.port,
                params: owned(via.params),
            }
        });
        let addresses = |name| {
            message
                .addresses(name)
                .map(|address| AddressModel::read(&address.unwrap()))
                .collect()
        };
        let unknown = message
            .lines()
            .filter(|(name, _)| name.starts_with(['X', 'x']) && name.len() > 1);
        MessageModel {
            start,
            vias: vias.collect(),
            from: AddressModel::read(&message.from().unwrap()),
            to: AddressModel::read(&message.to().unwrap()),
            call_id: message.call_id().to_owned(),
            cseq,
            max_forwards: message.max_forwards().unwrap(),
            contacts: addresses(HeaderName::Contact),
            routes: addresses(HeaderName::Route),
            supported: message
                .values(HeaderName::Supported)
                .map(str::to_owned)
                .collect(),
            subject: message.header(HeaderName::Subject).map(str::to_owned),
            unknown: unknown
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: Some(message.body().to_vec()).filter(|body| !body.is_empty()),
        }
    }

    /// Names of unknown headers in lower case: their case is the sender's.
    pub fn in_any_case(mut self) -> MessageModel {
        for (name, _) in &mut self.unknown {
            name.make_ascii_lowercase();
        }
        self
    }
}
