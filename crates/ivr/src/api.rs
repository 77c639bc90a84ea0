//! What goes into a session and what comes out of it: plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Language of what is said.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Lang {
    #[serde(rename = "zh-CN")]
    ZhCn,
    #[serde(rename = "en")]
    En,
}

/// Something wrong in a flow file, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub file: PathBuf,
    /// From 1; 0 when the file as a whole is meant.
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub hint: Option<String>,
}

/// Errors keep a flow from loading; warnings do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

/// A variable's value.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Value {
    Bool(bool),
    Number(#[serde(serialize_with = "number")] f64),
    Text(String),
    List(Vec<Value>),
    /// An object of a service's answer, or of what is sent to one.
    Record(BTreeMap<String, Value>),
    /// JSON's `null`.
    Nothing,
}

/// Whole numbers go out as such: there are services that take no `3.0` for a 3.
fn number<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}

/// What is known when the session begins; flows read them as variables (`call.ani`, `call.dnis`, `customer.class`, …).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub ani: String,
    pub dnis: String,
    pub lang: Option<Lang>,
    /// Filled by [`Input::Customer`] when the look-up comes back; `None` while unknown.
    pub customer: Option<BTreeMap<String, Value>>,
}

/// What can happen to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The media path is up: begin.
    Start,
    /// A key: `0`-`9`, `*`, `#`, `A`-`D`.
    Digit(char),
    /// The play with this token came to its end.
    Played(PlayToken),
    /// The customer look-up came back; an empty map is a caller that nobody knows.
    Customer(BTreeMap<String, Value>),
    /// What a service said to [`Output::LookUp`]; one that comes late is ignored.
    LookedUp { token: LookUpToken, answer: Answer },
    /// Back from a queue or transfer that did not work out, with a word: `full`, `closed`, `no_agent`, `failed`.
    Returned(String),
    /// The caller hung up.
    Hangup,
}

/// Names one play; a session never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayToken(pub u32);

/// Names one try of a look-up; a session never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookUpToken(pub u32);

/// What a flow asks of the world outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Http(Box<HttpRequest>),
    /// The customers on a telephone number: an object as expressions see `customer`, or 404.
    Customer {
        number: String,
    },
    /// Their last contacts: `{ contacts, last: { arrived, queue, agent, outcome } }`, or 404.
    History {
        number: String,
    },
    /// Whether this is a customer's PIN: 200, or 401; 404 when there is none, 423 while nobody may try.
    Pin {
        customer: String,
        pin: Pin,
    },
}

/// What a caller has keyed in secret: it is in no text that says what it holds.
#[derive(Clone, PartialEq)]
pub struct Pin(pub String);

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("****")
    }
}

/// One HTTP request with JSON in and out.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRequest {
    pub service: Arc<str>,
    pub method: &'static str,
    /// Scheme, host, port and perhaps the beginning of the path, as the flow file has them: nothing of them comes from a caller.
    pub base: Arc<str>,
    /// The environment variable that stands for `base` where it is set.
    pub base_from: Option<Arc<str>>,
    /// Path and query; what expressions gave is percent-encoded.
    pub path: String,
    pub headers: Vec<(Arc<str>, Header)>,
    pub body: Option<Value>,
    /// The environment variable with the secret that signs the request (Standard Webhooks).
    pub signed_by: Option<Arc<str>>,
    /// How long a good answer may serve others who ask the same.
    pub cache: Option<Duration>,
}

/// A header's value; secrets are put in at the very edge, so that no flow, test or log ever holds them.
#[derive(Clone, Debug, PartialEq)]
pub enum Header {
    Text(String),
    /// `before` and then the value of an environment variable.
    Secret {
        before: Arc<str>,
        variable: Arc<str>,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A whole answer with its status; a body that is no JSON is [`Answer::Failed`].
    Reply { status: u16, body: Value },
    /// None in time.
    TimedOut,
    /// Refused, broken off, unreadable, or never asked.
    Failed,
}

/// One thing to be said.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// A prompt file, `prompts/{lang}/{name}.flac`.
    File {
        lang: Lang,
        name: Arc<str>,
    },
    /// A text that is read out.
    Text {
        lang: Lang,
        text: String,
    },
    /// What each language says by a grammar of its own.
    Spoken {
        lang: Lang,
        what: Spoken,
    },
    Silence {
        ms: u32,
    },
    /// The number of the agent who has answered, digit by digit; only in `announce`.
    Agent {
        lang: Lang,
    },
}

/// A number, a date, a sum of money and the like, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Spoken {
    Number(u64),
    /// `-12.5`, with the digits after the point as they are to be said.
    Decimal {
        negative: bool,
        whole: u64,
        decimals: String,
    },
    /// One by one.
    Digits(String),
    /// A number of things, before a measure word.
    Count(u64),
    Ordinal(u64),
    /// "Agent number 1001".
    Agent(String),
    Date {
        year: Option<u16>,
        month: u8,
        day: u8,
        /// 1 (Monday) to 7, where it is to be said.
        weekday: Option<u8>,
    },
    Time {
        hour: u8,
        minute: u8,
    },
    Duration {
        seconds: u64,
    },
    Money {
        negative: bool,
        units: u64,
        hundredths: u8,
        currency: Currency,
    },
}

/// Currencies that can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Currency {
    Cny,
    Usd,
    Eur,
}

/// What a session wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Say this; `Played` comes back unless a key cut it off (`barge_in`) or another play replaced it.
    Play {
        token: PlayToken,
        prompts: Vec<Prompt>,
        barge_in: bool,
    },
    /// Stop what is being said.
    StopPlay,
    /// Ask this; `LookedUp` comes back, within `within` if it is to count.
    LookUp {
        token: LookUpToken,
        request: Request,
        within: Duration,
    },
    /// Send this to a service; nothing comes back.
    Send(Box<HttpRequest>),
    /// After an agent has hung up, this flow goes on with the caller.
    Survey(Arc<str>),
    /// What a flow returned that nobody called: a survey's results.
    Results(BTreeMap<String, Value>),
    /// A state was entered (for `ivr.step`); `input` is masked where the state is secret.
    Step {
        flow: Arc<str>,
        state: Arc<str>,
        verb: &'static str,
        input: Option<String>,
        /// The way that led here: `next`, `key 1`, `case 2`, `on_timeout`; `None` at a beginning, and after an error.
        via: Option<String>,
    },
    /// The caller's language from here on.
    Language(Lang),
    /// The session hands the caller over; it may get `Returned`.
    Exit(Exit),
}

/// How a session hands its caller over.
#[derive(Clone, Debug, PartialEq)]
pub enum Exit {
    Queue {
        queue: Arc<str>,
        skills: BTreeMap<String, u8>,
        priority: i32,
        data: BTreeMap<String, String>,
        /// What the caller hears when an agent has answered, before they talk.
        announce: Vec<Prompt>,
    },
    /// To an extension or number, within the flow's class of service.
    Transfer { to: String },
    /// `goal` is true where the flow marked self-service as done.
    Hangup { goal: bool },
}
