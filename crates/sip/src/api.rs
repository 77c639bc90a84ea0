//! What goes into the endpoint and what comes out of it: plain data.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::endpoint::PhoneRules;
use crate::identity::Signalled;
use crate::info::Key;
use crate::locate::{Answer, Question};
use crate::message::Message;
use crate::trunk::{Trunk, TrunkState};

/// A transport of RFC 3261 section 18 or RFC 7118.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Transport {
    /// Whether what is sent arrives or the connection ends: nothing is repeated then.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// Whether nobody on the way can read it.
    pub const fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }
}

/// One connection of a stream transport, named by the edge; never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// Where a message came from, or goes to.
///
/// For streams with `flow: None` the edge reuses or opens a connection to `remote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    pub transport: Transport,
    pub remote: SocketAddr,
    pub flow: Option<FlowId>,
}

/// One INVITE dialog seen from our side: the name under which endpoint and engine speak of it.
/// Made by [`crate::Endpoint::new_leg`] for outgoing legs and by the endpoint for incoming ones; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

/// Everything that can happen to the endpoint.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message that the edge received and parsed.
    Message { peer: Peer, message: Message },
    /// Bytes that would not parse: counted, and answered with 400 where a Via, From, To, Call-ID and CSeq can still be read.
    Malformed { peer: Peer, bytes: Bytes },
    /// The edge could not deliver to this peer (ICMP unreachable, connection refused): RFC 3261 section 8.1.3.1.
    Unreachable { peer: Peer },
    /// A connection whose far end has shown a certificate that the edge has verified: the names that it is good for
    /// (RFC 5922 section 7.1). Other connections are not told; they are known by their first message.
    FlowOpened { flow: FlowId, names: Vec<Arc<str>> },
    /// A connection is gone: bindings and transactions on it are too.
    FlowClosed { flow: FlowId },
    /// What came of an [`Edge::Resolve`].
    Resolved { question: Question, answer: Answer },
    /// What the engine wants.
    Command(Command),
    /// A new configuration: dialogs, bindings and transactions stay.
    Configure(Arc<Config>),
}

/// What the engine asks of a leg. A command that does not fit the leg's state (it has just ended) is ignored.
#[derive(Clone, Debug)]
pub enum Command {
    /// Place an outgoing call.
    Invite(Invite),
    /// 180 or 183 to the caller; repeated each minute while unanswered (RFC 3261 section 13.3.1.1).
    Ring {
        leg: LegId,
        status: u16,
        sdp: Option<Bytes>,
        headers: Vec<(String, String)>,
    },
    /// 200 to an incoming INVITE, retransmitted until the ACK.
    Answer {
        leg: LegId,
        sdp: Bytes,
        headers: Vec<(String, String)>,
    },
    /// A final failure, or a 3xx, to an incoming INVITE that is unanswered.
    Reject {
        leg: LegId,
        status: u16,
        reason: Option<String>,
        headers: Vec<(String, String)>,
    },
    /// Offer new media in an established dialog; 491 is retried inside (section 14.1).
    Reinvite { leg: LegId, sdp: Bytes },
    /// Answer an [`Event::Reoffered`].
    AcceptReoffer { leg: LegId, sdp: Bytes },
    /// Refuse an [`Event::Reoffered`] (488, 491); the dialog goes on.
    RejectReoffer { leg: LegId, status: u16 },
    /// End the leg by what its state demands: CANCEL once a provisional has come, BYE, or a failure response to an unanswered caller.
    /// A 2xx that crosses our CANCEL is ACKed and then BYEd inside. `reason` is the RFC 3326 header value.
    Hangup { leg: LegId, reason: Option<String> },
    /// Keys by INFO, one after the other; see [`crate::Endpoint::takes_info`].
    Digits { leg: LegId, pressed: Vec<Key> },
    /// 202 to an [`Event::Referred`]; unless they asked for silence, NOTIFY tells them how it goes.
    AcceptRefer { leg: LegId },
    /// Refuse an [`Event::Referred`]; the call goes on.
    RejectRefer { leg: LegId, status: u16 },
    /// How the call to the refer target goes: a final status ends the subscription. A `Hangup` after it waits until that has been told.
    ReferProgress { leg: LegId, status: u16 },
    /// Ask the far end to call somebody else (RFC 3515). The answer is [`Event::ReferAnswered`], what follows [`Event::ReferNotified`].
    Refer {
        leg: LegId,
        /// The Refer-To, in brackets.
        to: String,
        headers: Vec<(String, String)>,
    },
    /// Tell a telephone that we ring to answer, where [`crate::Endpoint::takes_pick_up`]; the 2xx says that it did.
    PickUp { leg: LegId },
}

/// An outgoing call.
#[derive(Clone, Debug)]
pub struct Invite {
    pub leg: LegId,
    pub target: Target,
    /// Shown to the called phone: display name and user part of From; host is ours.
    pub from_display: Option<String>,
    pub from_user: String,
    /// The caller wants not to be known to the called party (RFC 3323): a trusted trunk is told who it is and to keep it, others are not.
    pub private: bool,
    pub sdp: Bytes,
    /// Further headers, e.g. P-Asserted-Identity, Call-Info, Alert-Info.
    pub headers: Vec<(String, String)>,
}

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A registered user: all addresses of the highest q ring at once, those of the next when they fail.
    User(Arc<str>),
    /// A fixed SIP URI. A name is resolved (RFC 3263), and the next of its servers is tried where one does not answer.
    Uri(Arc<str>),
    /// One address of a registered user.
    Binding { user: Arc<str>, uri: Arc<str> },
    /// The outside, by the first of these trunks that takes the call.
    Trunks(Arc<[Through]>),
}

/// One way to the outside: a trunk, and both numbers as it wants to see them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Through {
    pub trunk: Arc<str>,
    /// User part of the Request-URI and To.
    pub number: String,
    /// User part of From and P-Asserted-Identity, in place of the [`Invite`]'s.
    pub caller: String,
    /// Ways of a lower rank come first; within one the calls are shared by weight.
    pub rank: u16,
    pub weight: u16,
    /// The trunk's caps do not count: a call for help.
    pub urgent: bool,
}

/// What the endpoint wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send these bytes.
    Transmit { peer: Peer, bytes: Bytes },
    /// Something that the engine wants to know.
    Event(Event),
    /// Something else that the edge is to do.
    Edge(Edge),
}

/// What the endpoint wants of the edge beside sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Ask the DNS; answer with [`Input::Resolved`], within a few seconds and in any case.
    Resolve(Question),
    /// A TLS connection that is opened to this address is for this domain: the certificate there must be good for it (RFC 5922 section 7.3).
    /// Without a word of it the certificate must be good for the address.
    Domain { remote: SocketAddr, name: Arc<str> },
    /// What goes to `remote` may use this connection, which the far end opened (RFC 5923).
    Alias { flow: FlowId, remote: SocketAddr },
    /// A host name of a trunk has other addresses now, or none: who comes from there is no stranger, and the operator wants to know.
    Host(HostNow),
}

/// A host name by which a trunk is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNow {
    pub name: Arc<str>,
    /// Whose requests are the trunk's from now on.
    pub addresses: Vec<IpAddr>,
    pub state: HostState,
}

/// What the DNS said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    Known,
    /// There is no such name, or no address under it.
    Nothing,
    /// No answer: the addresses are those that it had last, for a while.
    Failed,
}

/// What the endpoint tells the engine. Every leg ends in exactly one [`Event::Gone`]; nothing about it follows.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new call wants an answer; 100 has been sent.
    Incoming(Incoming),
    /// One of the ways of a call that has several is tried, as a dialog of its own: to this user, or by this trunk.
    Placed {
        leg: LegId,
        call_id: String,
        party: Arc<str>,
    },
    /// 100 to our INVITE: the far end lives.
    Trying { leg: LegId },
    /// A provisional above 100 to our INVITE.
    Ringing {
        leg: LegId,
        status: u16,
        sdp: Option<Bytes>,
    },
    /// A 2xx to our INVITE, already ACKed. `sdp` is the answer.
    Answered {
        leg: LegId,
        sdp: Option<Bytes>,
        peer: Peer,
    },
    /// The ACK for our 2xx has come; with `sdp` when our 2xx carried the offer.
    Confirmed { leg: LegId, sdp: Option<Bytes> },
    /// The answer to the offer in a reliable provisional of ours: the call may be heard before it is answered (RFC 3262 section 5).
    EarlyAnswer { leg: LegId, sdp: Bytes },
    /// A re-INVITE or UPDATE with an offer (or, with `None`, one that wants an offer): answer it with Accept/RejectReoffer.
    Reoffered { leg: LegId, sdp: Option<Bytes> },
    /// The far end accepted our re-INVITE.
    ReofferAccepted { leg: LegId, sdp: Option<Bytes> },
    /// The far end refused our re-INVITE; the dialog goes on with the old media.
    ReofferRejected { leg: LegId, status: u16 },
    /// A key by INFO (already answered 200).
    Digit { leg: LegId, pressed: Key },
    /// The far end asks us to call somebody else for it: answer with Accept/RejectRefer.
    Referred { leg: LegId, referral: Referral },
    /// The final response to our REFER.
    ReferAnswered { leg: LegId, status: u16 },
    /// How the far end fares with our REFER; with `last` nothing more follows.
    ReferNotified { leg: LegId, status: u16, last: bool },
    /// The leg is over. `reason` is what the far end said of it: the Reason header (RFC 3326) of its BYE, CANCEL or refusal.
    Gone {
        leg: LegId,
        cause: Cause,
        reason: Option<Box<str>>,
    },
    /// A user's bindings changed or were refreshed: `reachable` is false when none is left (unregistered, expired, connection lost), or none that is not silent.
    Registration(Registration),
    /// A user's phone has answered when it was asked whether it lives.
    PhoneLives { user: Arc<str> },
    /// A phone at a fixed address has fallen silent, or is back.
    FixedPhone { user: Arc<str>, reachable: bool },
    /// A trunk came up, went down, (un)registered, or has another number of calls.
    Trunk(TrunkState),
    /// A call by a trunk began.
    TrunkCall { trunk: Arc<str>, outbound: bool },
    /// A call by a trunk was refused for this reason: `full`, `rate`.
    TrunkRefused {
        trunk: Arc<str>,
        reason: &'static str,
    },
    /// Somebody means harm: for the operator's log.
    Suspect(Box<crate::Suspect>),
    /// Something worth counting was refused or dropped; the label is a fixed word (`bad_digest`, `stale_nonce`, `nonce_replay`,
    /// `unknown_user`, `malformed`, `too_large`, `no_transaction`, `unknown_source`, …).
    Counted { what: &'static str },
    /// One message in or out for `sip_messages_total`: method of the transaction, status class (`"2xx"`) or `"request"`.
    Traffic {
        outbound: bool,
        method: &'static str,
        class: &'static str,
    },
}

/// A REFER inside a call (RFC 3515).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// User part of the Refer-To, unescaped.
    pub to: String,
    /// The call that the new one shall take the place of (RFC 3891): an attended transfer.
    pub replaces: Replaced,
    /// Referred-By as it came (RFC 3892): a claim, kept as a fact.
    pub referred_by: Option<String>,
}

/// The dialog that a Replaces names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// There is no Replaces.
    Nothing,
    /// A call of ours.
    Leg(LegId),
    /// None of ours.
    Unknown,
}

/// A user's reachability.
#[derive(Clone, Debug)]
pub struct Registration {
    pub user: Arc<str>,
    pub reachable: bool,
    pub contacts: u32,
}

/// An incoming call.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub leg: LegId,
    pub identity: Identity,
    /// User part of the Request-URI, unescaped: the DNIS.
    pub dialled: String,
    /// Who says to be calling.
    pub caller: Caller,
    /// What else is said of them, and of the way that the call came.
    pub signalled: Signalled,
    pub call_id: String,
    /// The call of ours that this one shall take the place of (RFC 3891). Whether its caller may is the engine's to say.
    pub replaces: Option<LegId>,
    /// The offer; `None` asks us to offer in the 200.
    pub sdp: Option<Bytes>,
    pub peer: Peer,
    /// The message itself, for headers that only some flows want.
    pub message: Message,
}

/// The caller as signalled: user part and display name of P-Asserted-Identity from a trusted trunk, else of From.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    pub user: String,
    pub display: Option<String>,
    pub anonymous: bool,
}

/// On what ground the call was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Digest-authenticated as this user.
    User(Arc<str>),
    /// From a trunk's address.
    Trunk(Arc<str>),
}

/// Why a leg is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The far end hung up (BYE).
    Bye,
    /// The caller gave up before our answer (CANCEL).
    Cancelled,
    /// We hung up or gave up: BYE, CANCEL or a rejection of ours is done.
    HungUp,
    /// A final failure response to our INVITE; 3xx carries its first Contact.
    Rejected {
        status: u16,
        reason: String,
        retry_after: Option<Duration>,
        contact: Option<String>,
    },
    /// No binding for the user.
    NotRegistered,
    /// No response at all to our INVITE (timer B), or none after a provisional (timer C).
    NoResponse,
    /// The edge could not send.
    Unreachable,
    /// Our 2xx was never ACKed (RFC 3261 section 13.3.1.4), BYE sent; or the dialog died (408/481 inside it).
    Lost,
}

/// Digest algorithms of RFC 8760.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Md5,
    Sha256,
}

/// What the endpoint must know from the configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Realm of digest challenges, also the host in our From and P-Asserted-Identity when `domain` is empty.
    pub realm: String,
    /// Offered in this order, one challenge each.
    pub digest: Vec<Algorithm>,
    /// Where we listen, as others are told in Contact and Via; several where there are several addresses (IPv4 and IPv6).
    pub listeners: Vec<Listener>,
    /// Who may register and call by digest.
    pub users: Arc<std::collections::HashMap<Arc<str>, Credentials>>,
    /// Whose addresses are trusted, in order.
    pub trunks: Vec<Trunk>,
    /// Registration lifetime bounds, RFC 3261 section 10.3.
    pub expires_min: Duration,
    pub expires_max: Duration,
    pub nonce_lifetime: Duration,
    /// Bounds of every table: new work beyond them is answered 503 with Retry-After.
    pub max_transactions: usize,
    pub max_dialogs: usize,
    pub max_bindings_per_user: usize,
    /// Largest message taken from a stream (513 beyond).
    pub max_message: usize,
    /// T1 (500 ms), T2 (4 s), T4 (5 s) of RFC 3261 section 17.
    pub t1: Duration,
    pub t2: Duration,
    pub t4: Duration,
    /// Name in Server and User-Agent.
    pub product: String,
    pub dialogs: DialogRules,
    /// Known scanners get no answer at all, instead of the same challenge as everybody.
    pub silent_to_scanners: bool,
    pub phones: PhoneRules,
}

/// How dialogs are kept alive and their provisionals delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialogRules {
    /// The session interval that we ask for and the shortest that we take (RFC 4028: Session-Expires, Min-SE).
    /// A far end without session timers is asked after as often all the same.
    pub session_expires: Duration,
    pub session_expires_min: Duration,
    pub reliable: Reliable,
    /// How long a server may leave a call of ours without any answer where another one stands behind it: the next of a name's servers, the next trunk.
    /// RFC 3263 section 4.3 has it fail by timer B; nobody waits at a telephone for 32 seconds.
    pub try_for: Duration,
}

impl Default for DialogRules {
    fn default() -> Self {
        DialogRules {
            session_expires: Duration::from_secs(1800),
            session_expires_min: Duration::from_secs(90),
            reliable: Reliable::Supported,
            try_for: Duration::from_secs(4),
        }
    }
}

/// Which callers get our provisionals reliably (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliable {
    /// Those that support it, or require it.
    #[default]
    Supported,
    /// Only those that require it.
    Required,
}

/// One address at which we are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub transport: Transport,
    pub address: SocketAddr,
}

impl Listener {
    /// UDP alone at one address.
    pub fn udp(address: SocketAddr) -> Vec<Listener> {
        vec![Listener {
            transport: Transport::Udp,
            address,
        }]
    }

    /// UDP and TCP at one address.
    pub fn pair(address: SocketAddr) -> Vec<Listener> {
        [Transport::Udp, Transport::Tcp]
            .map(|transport| Listener { transport, address })
            .into()
    }
}

/// HA1 values of one user, hex, one for each algorithm that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    pub md5: Option<String>,
    pub sha256: Option<String>,
}

/// How a request was judged: see `endpoint::access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    Granted(Identity),
    Challenge(Auth),
    /// Not answered: too many wrong passwords.
    Barred,
}

/// Why a challenge is sent; the wire shows only `stale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    Missing,
    Wrong,
    UnknownUser,
    Stale,
    Replayed,
}
