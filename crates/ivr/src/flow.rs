//! A flow as it runs: states by number, texts compiled, targets resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use minijinja::value::Value as Jinja;

use crate::api::Lang;
use crate::digits::CheckDigit;
use crate::expr::{Expr, Text};
use crate::hours::Calendar;
use crate::spoken::Kind;

/// Index of a state in its flow.
pub(crate) type StateId = usize;

/// One checked flow.
#[derive(Debug)]
pub struct Flow {
    pub(crate) name: Arc<str>,
    pub(crate) file: PathBuf,
    /// The first is the one spoken until the caller's own is known.
    pub(crate) languages: Vec<Lang>,
    pub(crate) start: StateId,
    pub(crate) states: Vec<State>,
    /// Keys that work in every state that listens.
    pub(crate) keys: BTreeMap<char, Command>,
    pub(crate) transfers: Transfers,
    /// What a caller of this flow may hand in, with the values it has otherwise.
    pub(crate) arguments: BTreeMap<Arc<str>, Jinja>,
    pub(crate) variables: BTreeMap<Arc<str>, Jinja>,
    pub(crate) defaults: Defaults,
    pub(crate) demand: Option<Demand>,
    pub(crate) version: String,
}

/// A name for a flow's text: the same for the same text, another for another (FNV-1a, 64 bits; a name, no proof).
pub fn version(text: &str) -> String {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = text.bytes().fold(START, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    format!("{hash:016x}")
}

/// What of a flow its tests must walk through before it may load, in per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    pub states: usize,
    pub branches: usize,
    /// Where it stands in the file.
    pub line: usize,
    pub column: usize,
}

impl Flow {
    /// Its name, by which numbers and other flows lead to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Languages it speaks, the default one first.
    pub fn languages(&self) -> &[Lang] {
        &self.languages
    }

    /// Names this text of it: see [`version`].
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The coverage without which it may not load.
    pub fn demand(&self) -> Option<Demand> {
        self.demand
    }

    /// Names of its states in the file's order.
    pub fn states(&self) -> impl Iterator<Item = &str> {
        self.states.iter().map(|state| &*state.name)
    }

    /// Folders of prompts that numbers, dates and the like in it are said with, each once.
    pub fn grammar_folders(&self) -> BTreeSet<&'static str> {
        self.says()
            .filter_map(|say| match say {
                Say::Spoken { kind, .. } => Some(kind.folders()),
                Say::Agent => Some(Kind::Agent.folders()),
                Say::File { .. } | Say::Text(_) | Say::Silence { .. } => None,
            })
            .flatten()
            .copied()
            .collect()
    }

    /// Texts that are read out, by language; `None` for one that is only known in a call.
    pub fn texts(&self) -> BTreeSet<(Lang, Option<&str>)> {
        self.says()
            .filter_map(|say| match say {
                Say::Text(texts) => Some(texts),
                Say::File { .. } | Say::Agent | Say::Spoken { .. } | Say::Silence { .. } => None,
            })
            .flatten()
            .map(|(lang, text)| (*lang, text.constant()))
            .collect()
    }

    /// All that it may say.
    fn says(&self) -> impl Iterator<Item = &Say> {
        let defaults = &self.defaults;
        let always = [
            &defaults.asking.no_input,
            &defaults.asking.wrong_key,
            &defaults.goodbye,
            &defaults.error,
        ];
        let states = self.states.iter().flat_map(|state| state.verb.says());
        always.into_iter().flatten().chain(states)
    }

    /// Names of the flows that it calls.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &str> {
        self.states.iter().filter_map(|state| match &state.verb {
            Verb::Call { flow, .. } => Some(&**flow),
            _ => None,
        })
    }

    /// Names of the flows that go on with its callers after an agent.
    pub(crate) fn surveys(&self) -> impl Iterator<Item = &str> {
        self.states.iter().filter_map(|state| match &state.verb {
            Verb::Survey { flow, .. } => Some(&**flow),
            _ => None,
        })
    }
}

/// What holds where a state says nothing else.
#[derive(Debug)]
pub(crate) struct Defaults {
    pub(crate) asking: Asking,
    pub(crate) inter_digit: Duration,
    pub(crate) wait_customer: Duration,
    pub(crate) barge_in: bool,
    pub(crate) goodbye: Vec<Say>,
    pub(crate) error: Vec<Say>,
    pub(crate) on_error: Option<StateId>,
    pub(crate) on_returned: Option<StateId>,
}

/// Where a transfer may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfers {
    /// Only to numbers of this centre.
    Internal,
    /// To any telephone number as well.
    External,
}

/// One state: a name and exactly one verb.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) name: Arc<str>,
    pub(crate) span: Range<usize>,
    /// Entering it is what the caller came for.
    pub(crate) goal: bool,
    pub(crate) verb: Verb,
}

/// What a state does.
#[derive(Debug)]
pub(crate) enum Verb {
    Say {
        speech: Speech,
        next: StateId,
    },
    Menu {
        speech: Speech,
        keys: BTreeMap<char, Command>,
        asking: Asking,
    },
    Collect {
        speech: Speech,
        collect: Collect,
        asking: Asking,
        next: StateId,
    },
    Confirm {
        speech: Speech,
        yes: (char, StateId),
        no: (char, StateId),
        asking: Asking,
    },
    Decide {
        cases: Vec<(Expr, StateId)>,
        otherwise: StateId,
        wait_customer: Option<Duration>,
    },
    Set {
        values: Vec<(Arc<str>, Text)>,
        constants: Vec<(Arc<str>, Jinja)>,
        language: Option<Lang>,
        next: StateId,
    },
    Hours {
        calendar: Calendar,
        open: StateId,
        closed: StateId,
    },
    LookUp(Box<LookUp>),
    Authenticate {
        speech: Speech,
        asking: Asking,
        authenticate: Box<Authenticate>,
    },
    Message(Box<Message>),
    /// After an agent has hung up, this flow goes on with the caller.
    Survey {
        flow: Arc<str>,
        next: StateId,
    },
    Queue {
        queue: Arc<str>,
        skills: BTreeMap<String, u8>,
        priority: Text,
        data: Vec<(String, Text)>,
        /// What the caller hears when an agent has answered.
        announce: Vec<Say>,
        returned: Returned,
    },
    Transfer {
        to: Text,
        returned: Returned,
    },
    Call {
        flow: Arc<str>,
        with: Vec<(Arc<str>, Text)>,
        results: Vec<(Arc<str>, Arc<str>)>,
        next: StateId,
    },
    Return {
        results: Vec<(Arc<str>, Text)>,
    },
    Hangup {
        speech: Option<Speech>,
    },
}

/// Names of all verbs, as they stand in a file.
pub(crate) const VERBS: [&str; 16] = [
    "say",
    "menu",
    "collect",
    "confirm",
    "authenticate",
    "lookup",
    "message",
    "decide",
    "set",
    "hours",
    "queue",
    "survey",
    "transfer",
    "call",
    "return",
    "hangup",
];

impl Verb {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Verb::Say { .. } => "say",
            Verb::Menu { .. } => "menu",
            Verb::Collect { .. } => "collect",
            Verb::Confirm { .. } => "confirm",
            Verb::Decide { .. } => "decide",
            Verb::Set { .. } => "set",
            Verb::Hours { .. } => "hours",
            Verb::LookUp(_) => "lookup",
            Verb::Authenticate { .. } => "authenticate",
            Verb::Message(_) => "message",
            Verb::Survey { .. } => "survey",
            Verb::Queue { .. } => "queue",
            Verb::Transfer { .. } => "transfer",
            Verb::Call { .. } => "call",
            Verb::Return { .. } => "return",
            Verb::Hangup { .. } => "hangup",
        }
    }

    /// All that it may say.
    fn says(&self) -> Vec<&Say> {
        let said = match self {
            Verb::Say { speech, .. } => Some(speech),
            Verb::Hangup { speech } => speech.as_ref(),
            Verb::LookUp(look_up) => look_up.speech.as_ref(),
            _ => self.asking().map(|(speech, _)| speech),
        };
        let asked_again = self
            .asking()
            .into_iter()
            .flat_map(|(_, asking)| asking.no_input.iter().chain(&asking.wrong_key));
        let more: &[Say] = match self {
            Verb::Authenticate { authenticate, .. } => &authenticate.wrong,
            Verb::Queue { announce, .. } => announce,
            _ => &[],
        };
        said.into_iter()
            .flat_map(|speech| &speech.items)
            .chain(asked_again)
            .chain(more)
            .collect()
    }

    /// What the state listens for, when it listens.
    pub(crate) fn asking(&self) -> Option<(&Speech, &Asking)> {
        match self {
            Verb::Menu { speech, asking, .. }
            | Verb::Collect { speech, asking, .. }
            | Verb::Confirm { speech, asking, .. }
            | Verb::Authenticate { speech, asking, .. } => Some((speech, asking)),
            Verb::Say { .. }
            | Verb::Decide { .. }
            | Verb::Set { .. }
            | Verb::Hours { .. }
            | Verb::LookUp(_)
            | Verb::Message(_)
            | Verb::Survey { .. }
            | Verb::Queue { .. }
            | Verb::Transfer { .. }
            | Verb::Call { .. }
            | Verb::Return { .. }
            | Verb::Hangup { .. } => None,
        }
    }

    /// Every way out of the state with its target; `None` is the goodbye that ends the call. What keys of the whole flow do is apart.
    pub(crate) fn branches(&self, defaults: &Defaults) -> Vec<(Branch, Option<StateId>)> {
        let mut branches = match self {
            Verb::Say { next, .. }
            | Verb::Collect { next, .. }
            | Verb::Set { next, .. }
            | Verb::Survey { next, .. }
            | Verb::Call { next, .. } => {
                vec![(Branch::Next, Some(*next))]
            }
            Verb::Menu { keys, .. } => keys
                .iter()
                .filter_map(|(key, command)| match command {
                    Command::Go(target) => Some((Branch::Key(*key), Some(*target))),
                    Command::Repeat | Command::Back => None,
                })
                .collect(),
            Verb::Confirm { yes, no, .. } => vec![
                (Branch::Key(yes.0), Some(yes.1)),
                (Branch::Key(no.0), Some(no.1)),
            ],
            Verb::Decide {
                cases, otherwise, ..
            } => {
                let cases = cases
                    .iter()
                    .enumerate()
                    .map(|(number, (_, target))| (Branch::Case(number), Some(*target)));
                cases
                    .chain([(Branch::Otherwise, Some(*otherwise))])
                    .collect()
            }
            Verb::Hours { open, closed, .. } => {
                vec![(Branch::Open, Some(*open)), (Branch::Closed, Some(*closed))]
            }
            Verb::LookUp(look_up) => look_up.branches(),
            Verb::Message(message) => vec![(Branch::Next, Some(message.next))],
            Verb::Authenticate { authenticate, .. } => authenticate.branches(),
            Verb::Queue { returned, .. } | Verb::Transfer { returned, .. } => {
                returned.branches(defaults)
            }
            Verb::Return { .. } | Verb::Hangup { .. } => Vec::new(),
        };
        if let Some((_, asking)) = self.asking() {
            branches.push((Branch::Unanswered, asking.on_retries));
        }
        branches
    }
}

/// A way out of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Branch {
    Next,
    Key(char),
    Case(usize),
    Otherwise,
    Open,
    Closed,
    /// Retries are used up.
    Unanswered,
    Returned(Word),
    /// A service has nothing of the kind.
    Missing,
    /// It did not answer as it should.
    Failed,
    /// It did not answer in time.
    TimedOut,
    /// Who the caller is was not proved.
    Refused,
    /// Nobody may try any more, for a while.
    Locked,
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Branch::Next => f.write_str("next"),
            Branch::Key(key) => write!(f, "key {key}"),
            Branch::Case(number) => write!(f, "case {}", number + 1),
            Branch::Otherwise => f.write_str("otherwise"),
            Branch::Open => f.write_str("open"),
            Branch::Closed => f.write_str("closed"),
            Branch::Unanswered => f.write_str("on_retries"),
            Branch::Returned(word) => f.write_str(word.key()),
            Branch::Missing => f.write_str("on_missing"),
            Branch::Failed => f.write_str("on_failed"),
            Branch::TimedOut => f.write_str("on_timeout"),
            Branch::Refused => f.write_str("on_refused"),
            Branch::Locked => f.write_str("on_locked"),
        }
    }
}

/// Why a caller came back from a queue or transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    Full,
    Closed,
    NoAgent,
    Busy,
    NoAnswer,
    Failed,
    /// Anything that has no path of its own.
    Other,
}

impl Word {
    pub(crate) const ALL: [Word; 7] = [
        Word::Full,
        Word::Closed,
        Word::NoAgent,
        Word::Busy,
        Word::NoAnswer,
        Word::Failed,
        Word::Other,
    ];

    pub(crate) fn parse(word: &str) -> Word {
        Word::ALL
            .into_iter()
            .find(|known| &known.key()["on_".len()..] == word)
            .unwrap_or(Word::Other)
    }

    /// The key that declares its path.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Word::Full => "on_full",
            Word::Closed => "on_closed",
            Word::NoAgent => "on_no_agent",
            Word::Busy => "on_busy",
            Word::NoAnswer => "on_no_answer",
            Word::Failed => "on_failed",
            Word::Other => "on_other",
        }
    }
}

/// Where to go with a caller who came back.
#[derive(Debug, Default)]
pub(crate) struct Returned {
    pub(crate) paths: BTreeMap<Word, StateId>,
}

impl Returned {
    /// The branch taken for a word: its own, else `on_other`, else the flow's default.
    pub(crate) fn branch(&self, word: Word, defaults: &Defaults) -> (Branch, Option<StateId>) {
        match (self.paths.get(&word), self.paths.get(&Word::Other)) {
            (Some(target), _) => (Branch::Returned(word), Some(*target)),
            (None, Some(target)) => (Branch::Returned(Word::Other), Some(*target)),
            (None, None) => (Branch::Returned(Word::Other), defaults.on_returned),
        }
    }

    fn branches(&self, defaults: &Defaults) -> Vec<(Branch, Option<StateId>)> {
        let words: BTreeSet<Word> = self.paths.keys().copied().chain([Word::Other]).collect();
        words
            .into_iter()
            .map(|word| self.branch(word, defaults))
            .collect()
    }
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Go(StateId),
    /// Say this state's prompt again.
    Repeat,
    /// To the state that listened before this one.
    Back,
}

/// How a state listens.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) first_digit: Duration,
    /// How often it asks again after silence or a wrong key.
    pub(crate) retries: u8,
    pub(crate) no_input: Vec<Say>,
    pub(crate) wrong_key: Vec<Say>,
    pub(crate) on_retries: Option<StateId>,
}

/// What is collected.
#[derive(Debug)]
pub(crate) struct Collect {
    pub(crate) variable: Arc<str>,
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) terminator: Option<char>,
    pub(crate) secret: bool,
    pub(crate) inter_digit: Duration,
    /// What the whole must look like.
    pub(crate) matching: Option<regex_lite::Regex>,
    pub(crate) check: Option<CheckDigit>,
}

impl Collect {
    /// Whether a key is one of what is collected.
    pub(crate) fn takes(&self, key: char) -> bool {
        key.is_ascii_digit() || key == '*' && self.check == Some(CheckDigit::IdCard)
    }

    pub(crate) fn is_sound(&self, digits: &str) -> bool {
        self.matching
            .as_ref()
            .is_none_or(|matching| matching.is_match(digits))
            && self.check.is_none_or(|check| check.holds(digits))
    }
}

/// An identified caller proves to be who they are.
#[derive(Debug)]
pub(crate) struct Authenticate {
    /// The customer's id.
    pub(crate) customer: Text,
    pub(crate) collect: Collect,
    /// Wrong PINs before the call goes another way.
    pub(crate) tries: u8,
    pub(crate) wrong: Vec<Say>,
    pub(crate) next: StateId,
    /// Tries are used up, or there is no PIN.
    pub(crate) on_refused: StateId,
    /// The customer is locked out for a while.
    pub(crate) on_locked: Option<StateId>,
    /// It could not be found out.
    pub(crate) on_failed: Option<StateId>,
}

impl Authenticate {
    /// Where a call goes by a branch; what has no path of its own is refused.
    pub(crate) fn path(&self, branch: Branch) -> (Branch, StateId) {
        let own = match branch {
            Branch::Next => Some(self.next),
            Branch::Locked => self.on_locked,
            Branch::Failed => self.on_failed,
            _ => None,
        };
        own.map_or((Branch::Refused, self.on_refused), |to| (branch, to))
    }

    fn branches(&self) -> Vec<(Branch, Option<StateId>)> {
        [
            (Branch::Next, Some(self.next)),
            (Branch::Refused, Some(self.on_refused)),
            (Branch::Locked, self.on_locked),
            (Branch::Failed, self.on_failed),
        ]
        .into_iter()
        .filter(|(_, to)| to.is_some())
        .collect()
    }
}

/// A text for somebody's telephone or mailbox, by a service.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) service: Arc<Service>,
    pub(crate) path: Text,
    pub(crate) kind: Arc<str>,
    pub(crate) to: Text,
    /// One for each language of the flow.
    pub(crate) texts: Vec<(Lang, Text)>,
    pub(crate) next: StateId,
}

/// A question to a service or to the customers' records.
#[derive(Debug)]
pub(crate) struct LookUp {
    pub(crate) question: Question,
    /// Said while the answer is waited for.
    pub(crate) speech: Option<Speech>,
    pub(crate) results: Vec<Wanted>,
    /// Longest wait for one try.
    pub(crate) timeout: Duration,
    /// Further tries after one that failed or was too late.
    pub(crate) retries: u8,
    pub(crate) next: StateId,
    pub(crate) on_missing: Option<StateId>,
    pub(crate) on_failed: StateId,
    pub(crate) on_timeout: Option<StateId>,
}

impl LookUp {
    /// Where a call goes by a branch; what has no path of its own fails.
    pub(crate) fn path(&self, branch: Branch) -> (Branch, StateId) {
        let own = match branch {
            Branch::Next => Some(self.next),
            Branch::Missing => self.on_missing,
            Branch::TimedOut => self.on_timeout,
            _ => None,
        };
        own.map_or((Branch::Failed, self.on_failed), |to| (branch, to))
    }

    fn branches(&self) -> Vec<(Branch, Option<StateId>)> {
        [
            (Branch::Next, Some(self.next)),
            (Branch::Missing, self.on_missing),
            (Branch::Failed, Some(self.on_failed)),
            (Branch::TimedOut, self.on_timeout),
        ]
        .into_iter()
        .filter(|(_, to)| to.is_some())
        .collect()
    }
}

/// Who is asked what.
#[derive(Debug)]
pub(crate) enum Question {
    Http(HttpQuestion),
    /// Whose is this telephone number?
    Customer(Text),
    /// What contacts were there with whoever has this number?
    History(Text),
}

impl Question {
    /// In a line, for people.
    pub(crate) fn told(&self) -> String {
        match self {
            Question::Http(http) => format!("{} {}", http.method, http.path.source()),
            Question::Customer(_) => "customer".to_owned(),
            Question::History(_) => "history".to_owned(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct HttpQuestion {
    pub(crate) service: Arc<Service>,
    pub(crate) method: &'static str,
    pub(crate) path: Text,
    pub(crate) headers: Vec<(Arc<str>, HeaderText)>,
    pub(crate) body: Option<Vec<(Arc<str>, Body)>>,
    pub(crate) cache: Option<Duration>,
}

/// A place on the web, declared in `[services]`.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) url: Arc<str>,
    pub(crate) url_from: Option<Arc<str>>,
    pub(crate) headers: Vec<(Arc<str>, HeaderText)>,
    pub(crate) signed_by: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) enum HeaderText {
    Text(Arc<Text>),
    Secret {
        before: Arc<str>,
        variable: Arc<str>,
    },
}

/// A value of a JSON body.
#[derive(Debug)]
pub(crate) enum Body {
    Text(Text),
    Constant(Jinja),
    Record(Vec<(Arc<str>, Body)>),
}

/// What a look-up takes from an answer.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) variable: Arc<str>,
    /// Names of fields, and numbers of elements from 0.
    pub(crate) path: Vec<Box<str>>,
    /// Stands for what is not there.
    pub(crate) otherwise: Option<Jinja>,
}

/// Something to say and how.
#[derive(Debug)]
pub(crate) struct Speech {
    pub(crate) items: Vec<Say>,
    pub(crate) every_language: bool,
    pub(crate) barge_in: bool,
}

/// One element of what is said.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// `lang` where the author fixed it.
    File {
        name: Arc<str>,
        lang: Option<Lang>,
    },
    Spoken {
        kind: Kind,
        text: Arc<Text>,
    },
    /// Read out, by language.
    Text(BTreeMap<Lang, Arc<Text>>),
    Silence {
        ms: u32,
    },
    /// The number of the agent who has answered, digit by digit.
    Agent,
}
