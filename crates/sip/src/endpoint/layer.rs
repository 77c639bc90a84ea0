//! The transaction layer: both tables, every timer, and the way out. It knows no leg and no dialog.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;

use super::congestion::{Datagram, DatagramsOnly};
use super::keys::{Key, Keys, Table};
use super::local::Local;
use super::timers::{TimerId, Timers};
use super::uac_auth::Wallet;
use super::{Alarm, reason};
use crate::api::{Config, Event, FlowId, LegId, Output, Peer, Transport};
use crate::message::{Builder, HeaderName, Message, Method, Via};
use crate::transaction::client::Client;
use crate::transaction::client_invite::ClientInvite;
use crate::transaction::server::Server;
use crate::transaction::server_invite::ServerInvite;
use crate::transaction::{Fired, Send, Set, Step, Times};

/// Room for in-dialog requests beyond the table's bound: new work is refused at 1×, work in dialogs at this multiple.
const IN_DIALOG_ROOM: usize = 2;

/// Answered transactions linger for stragglers, 32 s on datagrams. They don't count as work, but their memory is bounded too,
/// at this multiple of the table's bound.
const LINGER_ROOM: usize = 8;

/// Timer C (section 16.6): the longest silence after a provisional; it must be more than three minutes.
pub const TIMER_C: Duration = Duration::from_secs(181);

/// 2xx of different branches of one INVITE that are ACKed and ended; what comes beyond is dropped.
pub const FORKS_MAX: usize = 8;

pub struct Layer {
    pub config: Arc<Config>,
    pub local: Local,
    pub keys: Keys,
    pub out: VecDeque<Output>,
    /// What trunks have asked of us by way of digest.
    pub wallet: Wallet,
    pub timers: Timers<Alarm>,
    /// Boxed, as they linger in their tens of thousands and a table keeps up to half of its room empty.
    servers: Table<Box<ServerTx>>,
    /// Server transactions that have no final response yet.
    unanswered: usize,
    /// From tag, Call-ID and CSeq of new requests, to find merged ones (section 8.2.2.2).
    merges: Table<Key>,
    clients: Table<Box<ClientTx>>,
    /// Repetitions in and out since the start.
    pub repeated: [u64; 2],
    /// Client transactions without a final response by destination: whom an unreachable peer or a closed flow concerns.
    pending: BTreeSet<(SocketAddr, Key)>,
    pub(super) datagrams_only: DatagramsOnly,
}

enum ServerMachine {
    Invite(ServerInvite),
    Other(Server),
}

struct ServerTx {
    machine: ServerMachine,
    /// Where responses go.
    peer: Peer,
    method: &'static str,
    /// As long as a response may have to be made from it.
    asked: Option<Box<Asked>>,
    last: Option<Bytes>,
    status: u16,
    repeat: Option<TimerId>,
    lasting: Option<TimerId>,
    merge: Option<Key>,
    leg: Option<LegId>,
}

/// A request without a final response, and where it came from.
struct Asked {
    message: Message,
    source: SocketAddr,
}

enum ClientMachine {
    Invite(ClientInvite),
    Other(Client),
}

struct ClientTx {
    machine: ClientMachine,
    peer: Peer,
    method: &'static str,
    /// Empty once there is a final response: what may be needed then is in that.
    request: Bytes,
    purpose: Purpose,
    repeat: Option<TimerId>,
    lasting: Option<TimerId>,
    /// The ACK of a failure.
    ack: Option<Bytes>,
    /// ACKs of 2xx by the To tag that they answered: sent again when the 2xx comes again.
    acks: Vec<(Box<str>, Bytes, Peer)>,
    /// The datagram that it would have been, were it not too large for one.
    datagram: Option<Box<Datagram>>,
}

/// Who waits for the outcome of a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Invite(LegId),
    Reinvite(LegId),
    /// An UPDATE with an offer.
    Update(LegId),
    /// An UPDATE without one: a sign of life.
    Refresh(LegId),
    Bye(LegId),
    Info(LegId),
    Prack(LegId),
    /// A trunk's registration.
    Register(u16),
    /// Whether a trunk lives.
    Options(u16),
    /// Whether a phone lives.
    Phone(u32),

    Refer(LegId),
    Notify(LegId),
    /// A telephone that is told to answer: its call goes on whatever it says.
    PickUp,
    /// An INVITE that has gone to another server, since this one was silent.
    Abandoned,
    /// Nobody: a CANCEL, the BYE of a stray fork.
    Loose,
}

/// A response that means something to who sent the request.
pub struct News {
    pub key: Key,
    pub purpose: Purpose,
    pub sent: Sent,
}

/// What was sent and where to, to be sent again in another form; empty when the transaction has dropped it.
pub struct Sent {
    pub request: Bytes,
    pub peer: Peer,
}

/// Which server transaction a request belongs to.
pub enum Match {
    New,
    /// A repetition; it has been dealt with.
    Again,
}

/// What an ACK met.
pub enum AckMatch {
    /// A refusal of ours, or nothing to tell: done.
    Absorbed,
    /// No transaction that would swallow it: it may belong to a dialog.
    Pass,
}

impl Layer {
    pub fn new(config: Arc<Config>, seed: [u8; 32]) -> Layer {
        Layer {
            local: Local::new(&config),
            config,
            keys: Keys::new(seed),
            out: VecDeque::new(),
            wallet: Wallet::default(),
            timers: Timers::new(),
            servers: Table::default(),
            unanswered: 0,
            merges: Table::default(),
            clients: Table::default(),
            repeated: [0; 2],
            pending: BTreeSet::new(),
            datagrams_only: DatagramsOnly::default(),
        }
    }

    pub fn configure(&mut self, config: Arc<Config>) {
        self.local = Local::new(&config);
        self.config = config;
    }

    pub fn transactions(&self) -> (usize, usize) {
        (self.servers.len(), self.clients.len())
    }

    pub fn emit(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    pub fn count(&mut self, what: &'static str) {
        self.emit(Event::Counted { what });
    }

    pub fn transmit(
        &mut self,
        peer: Peer,
        bytes: Bytes,
        method: &'static str,
        class: &'static str,
    ) {
        self.emit(Event::Traffic {
            outbound: true,
            method,
            class,
        });
        self.out.push_back(Output::Transmit { peer, bytes });
    }

    fn times(&self, peer: &Peer) -> Times {
        let Config { t1, t2, t4, .. } = *self.config;
        Times {
            t1,
            t2,
            t4,
            reliable: peer.transport.is_reliable(),
        }
    }

    /// True when new work must be refused.
    pub fn is_full(&self) -> bool {
        self.unanswered + self.pending.len() >= self.config.max_transactions || self.is_brimful()
    }

    /// True when not even work in dialogs can be taken.
    pub fn is_brimful(&self) -> bool {
        self.unanswered + self.pending.len()
            >= self.config.max_transactions.saturating_mul(IN_DIALOG_ROOM)
            || self.servers.len() + self.clients.len()
                >= self.config.max_transactions.saturating_mul(LINGER_ROOM)
    }

    // --- server transactions

    /// The key of the server transaction that a request belongs to (section 17.2.3). An ACK or CANCEL names the INVITE's by
    /// giving its method. Branches without the cookie are of RFC 2543 and no names: Call-ID, From tag and CSeq number stand in.
    pub fn server_key(&self, message: &Message, via: &Via<'_>, method: &Method) -> Key {
        let name = method.as_str().as_bytes();
        let port = via.port.unwrap_or(0).to_be_bytes();
        let mut text = [0u8; 48];
        let host = host_bytes(via, &mut text);
        match via.branch().filter(|_| via.has_cookie()) {
            Some(branch) => self.keys.key(&[branch.as_bytes(), host, &port, name]),
            None => {
                let from = message
                    .from()
                    .ok()
                    .and_then(|from| from.tag())
                    .unwrap_or_default();
                let cseq = message.cseq().map_or(0, |(number, _)| number).to_be_bytes();
                let branch = via.branch().unwrap_or_default().as_bytes();
                self.keys.key(&[
                    message.call_id().as_bytes(),
                    from.as_bytes(),
                    &cseq,
                    branch,
                    host,
                    &port,
                    name,
                ])
            }
        }
    }

    /// The key by which a request that came over two ways is found (section 8.2.2.2).
    pub fn merge_key(&self, message: &Message) -> Key {
        let from = message
            .from()
            .ok()
            .and_then(|from| from.tag())
            .unwrap_or_default();
        let cseq = message.header(HeaderName::CSeq).unwrap_or_default();
        self.keys.key(&[
            b"merge",
            from.as_bytes(),
            message.call_id().as_bytes(),
            cseq.as_bytes(),
        ])
    }

    pub fn is_merged(&self, merge: &Key) -> bool {
        self.merges.contains_key(merge)
    }

    /// Where responses to a request go (section 18.2.2, RFC 3581 section 4).
    pub fn reply_peer(via: &Via<'_>, peer: Peer) -> Peer {
        match peer.transport {
            Transport::Udp => Peer {
                remote: via.response_address(peer.remote),
                ..peer
            },
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => peer,
        }
    }

    /// Looks a request up; a repetition gets what its transaction has for it.
    pub fn receive(&mut self, now: Time, key: Key) -> Match {
        let Some(tx) = self.servers.get(&key) else {
            return Match::New;
        };
        let step = match &tx.machine {
            ServerMachine::Invite(machine) => machine.request_again(),
            ServerMachine::Other(machine) => machine.request_again(),
        };
        self.repeated[0] += 1;
        self.apply_server(now, key, step);
        Match::Again
    }

    pub fn receive_ack(&mut self, now: Time, key: Key) -> AckMatch {
        let Some(tx) = self.servers.get_mut(&key) else {
            return AckMatch::Pass;
        };
        let ServerMachine::Invite(machine) = &mut tx.machine else {
            return AckMatch::Pass;
        };
        let Config { t1, t2, t4, .. } = *self.config;
        let step = machine.ack(&Times {
            t1,
            t2,
            t4,
            reliable: tx.peer.transport != Transport::Udp,
        });
        self.apply_server(now, key, step);
        if step.pass {
            AckMatch::Pass
        } else {
            AckMatch::Absorbed
        }
    }

    /// The leg of the INVITE transaction of this key, and whether that is still unanswered.
    pub fn invite_of(&self, key: Key) -> Option<(Option<LegId>, bool)> {
        let tx = self.servers.get(&key)?;
        Some((tx.leg, tx.asked.is_some()))
    }

    /// Opens a server transaction for a request that is new.
    pub fn open(
        &mut self,
        key: Key,
        message: &Message,
        method: &Method,
        peer: Peer,
        merge: Option<Key>,
        leg: Option<LegId>,
    ) {
        let Ok(via) = message.top_via() else { return };
        let machine = match method {
            Method::Invite => ServerMachine::Invite(ServerInvite::start()),
            _ => ServerMachine::Other(Server::start()),
        };
        if let Some(merge) = merge {
            self.merges.insert(merge, key);
        }
        let tx = ServerTx {
            machine,
            peer: Layer::reply_peer(&via, peer),
            method: method.label(),
            asked: Some(Box::new(Asked {
                message: message.clone(),
                source: peer.remote,
            })),
            last: None,
            status: 0,
            repeat: None,
            lasting: None,
            merge,
            leg,
        };
        self.servers.insert(key, Box::new(tx));
        self.unanswered += 1;
    }

    /// Answers a request: what section 8.2.6 wants copied, then what `more` adds. `None` when it was answered before.
    pub fn respond(
        &mut self,
        now: Time,
        key: Key,
        status: u16,
        phrase: Option<&str>,
        to_tag: Option<&str>,
        more: impl FnOnce(Builder, &Message) -> Builder,
    ) -> Option<(Bytes, Peer)> {
        let times = self.times(&self.servers.get(&key)?.peer);
        let tx = self.servers.get_mut(&key)?;
        let Asked {
            message: request,
            source,
        } = tx.asked.as_deref()?;
        let step = match &mut tx.machine {
            ServerMachine::Invite(machine) => machine.respond(status, &times)?,
            ServerMachine::Other(machine) => machine.respond(&times)?,
        };
        let builder = Builder::response_via(
            request,
            status,
            phrase.unwrap_or_else(|| reason(status)),
            to_tag,
            *source,
        );
        let bytes = more(builder, request)
            .text(HeaderName::Server, &self.config.product)
            .finish();
        tx.last = Some(bytes.clone());
        tx.status = status;
        if status >= 200 {
            tx.asked = None;
            self.unanswered -= 1;
        }
        let peer = tx.peer;
        self.apply_server(now, key, step);
        // A 2xx is the dialog's to repeat (section 13.3.1.4): keeping it here as well would only hold memory.
        if (200..300).contains(&status)
            && let Some(tx) = self.servers.get_mut(&key)
            && matches!(tx.machine, ServerMachine::Invite(_))
        {
            tx.last = None;
        }
        Some((bytes, peer))
    }

    /// Answers with a status and nothing more.
    pub fn answer(&mut self, now: Time, key: Key, status: u16, to_tag: Option<&str>) {
        self.respond(now, key, status, None, to_tag, |builder, _| builder);
    }

    /// Sends the last provisional once more.
    pub fn repeat_provisional(&mut self, now: Time, key: Key) {
        self.apply_server(
            now,
            key,
            Step {
                send: Send::Repeat,
                ..Step::default()
            },
        );
    }

    /// Answers without keeping anything (section 8.2.7): under a flood of refusals memory must not grow.
    pub fn refuse(
        &mut self,
        message: &Message,
        peer: Peer,
        status: u16,
        more: impl FnOnce(Builder) -> Builder,
    ) {
        let tag = super::overload::stateless_tag(message);
        // What a Via says that cannot be read is not known: its request is answered to where it came from.
        let (builder, to) = match message.top_via() {
            Ok(via) => (
                Builder::response_via(message, status, reason(status), Some(&tag), peer.remote),
                Layer::reply_peer(&via, peer),
            ),
            Err(_) => (
                Builder::response_to(message, status, reason(status), Some(&tag)),
                peer,
            ),
        };
        let bytes = more(builder)
            .text(HeaderName::Server, &self.config.product)
            .finish();
        let method = message.method().map_or("OTHER", Method::label);
        self.transmit(to, bytes, method, class(status));
    }

    fn apply_server(&mut self, now: Time, key: Key, step: Step) {
        let Some(tx) = self.servers.get_mut(&key) else {
            return;
        };
        if step.send == Send::Repeat
            && let Some(bytes) = &tx.last
        {
            let (peer, bytes, method, class) =
                (tx.peer, bytes.clone(), tx.method, class(tx.status));
            self.repeated[1] += 1;
            self.transmit(peer, bytes, method, class);
        }
        let Some(tx) = self.servers.get_mut(&key) else {
            return;
        };
        if step.over {
            self.close_server(key);
            return;
        }
        change(
            &mut self.timers,
            &mut tx.repeat,
            step.repeat,
            now,
            Alarm::Server(key, Fired::Repeat),
        );
        change(
            &mut self.timers,
            &mut tx.lasting,
            step.last,
            now,
            Alarm::Server(key, Fired::Last),
        );
    }

    /// Forgets a transaction, answered or not.
    pub fn close_server(&mut self, key: Key) {
        let Some(tx) = self.servers.remove(&key) else {
            return;
        };
        for timer in [tx.repeat, tx.lasting].into_iter().flatten() {
            self.timers.cancel(timer);
        }
        if let Some(merge) = tx.merge {
            self.merges.remove(&merge);
        }
        if tx.asked.is_some() {
            self.unanswered -= 1;
        }
    }

    pub fn server_fired(&mut self, now: Time, key: Key, fired: Fired) {
        let Some(tx) = self.servers.get(&key) else {
            return;
        };
        let times = self.times(&tx.peer);
        let Some(tx) = self.servers.get_mut(&key) else {
            return;
        };
        let step = match &mut tx.machine {
            ServerMachine::Invite(machine) => machine.fired(fired, &times),
            ServerMachine::Other(machine) => machine.fired(fired),
        };
        self.apply_server(now, key, step);
        if step.timed_out {
            self.count("no_ack");
        }
    }

    // --- client transactions

    /// Sends a request and waits for what comes of it.
    pub fn request(
        &mut self,
        now: Time,
        peer: Peer,
        branch: &str,
        method: &Method,
        request: Bytes,
        purpose: Purpose,
    ) -> Key {
        let key = self
            .keys
            .key(&[branch.as_bytes(), method.as_str().as_bytes()]);
        let (peer, request, datagram) = self.by_size(now, peer, request);
        let times = self.times(&peer);
        let (machine, step) = match method {
            Method::Invite => {
                let (machine, step) = ClientInvite::start(&times);
                (ClientMachine::Invite(machine), step)
            }
            _ => {
                let (machine, step) = Client::start(&times);
                (ClientMachine::Other(machine), step)
            }
        };
        let method = method.label();
        self.transmit(peer, request.clone(), method, "request");
        let tx = ClientTx {
            machine,
            peer,
            method,
            request,
            purpose,
            repeat: None,
            lasting: None,
            ack: None,
            acks: Vec::new(),
            datagram,
        };
        self.clients.insert(key, Box::new(tx));
        self.pending.insert((peer.remote, key));
        self.apply_client(now, key, step, None);
        key
    }

    /// Takes a response; what it means to whom, if it is news.
    pub fn response(&mut self, now: Time, message: &Message) -> Option<News> {
        let via = message.top_via().ok()?;
        let (_, method) = message.cseq().ok()?;
        let status = message.status()?;
        let key = self
            .keys
            .key(&[via.branch()?.as_bytes(), method.as_str().as_bytes()]);
        let Some(tx) = self.clients.get(&key) else {
            self.count("no_transaction");
            return None;
        };
        let times = self.times(&tx.peer);
        let tx = self.clients.get_mut(&key)?;
        let purpose = tx.purpose;
        let sent = Sent {
            request: tx.request.clone(),
            peer: tx.peer,
        };
        let step = match &mut tx.machine {
            ClientMachine::Invite(machine) => machine.response(status, &times),
            ClientMachine::Other(machine) => machine.response(status, &times),
        };
        tx.datagram = None;
        if status >= 200 {
            self.pending.remove(&(tx.peer.remote, key));
        }
        self.apply_client(now, key, step, Some(message));
        // A leg that rings has its own timer C, which cancels; a re-INVITE that hangs is a dialog that does not respond.
        if status < 200
            && matches!(purpose, Purpose::Reinvite(_))
            && let Some(tx) = self.clients.get_mut(&key)
        {
            change(
                &mut self.timers,
                &mut tx.lasting,
                Set::After(TIMER_C, "timer C"),
                now,
                Alarm::Client(key, Fired::Last),
            );
        }
        step.pass.then_some(News { key, purpose, sent })
    }

    fn apply_client(&mut self, now: Time, key: Key, step: Step, response: Option<&Message>) {
        let Some(tx) = self.clients.get_mut(&key) else {
            return;
        };
        let (peer, method) = (tx.peer, tx.method);
        let send = match step.send {
            Send::Nothing => None,
            Send::Repeat => {
                self.repeated[1] += 1;
                Some((tx.request.clone(), method))
            }
            Send::Ack => {
                if tx.ack.is_none() {
                    tx.ack = response.and_then(|response| failure_ack(&tx.request, response));
                }
                tx.ack.clone().map(|ack| (ack, "ACK"))
            }
        };
        if let Some((bytes, method)) = send {
            self.transmit(peer, bytes, method, "request");
        }
        if step.over {
            self.close_client(key);
            return;
        }
        let Some(tx) = self.clients.get_mut(&key) else {
            return;
        };
        if response.is_some_and(|response| response.status() >= Some(200)) {
            tx.request = Bytes::new();
        }
        change(
            &mut self.timers,
            &mut tx.repeat,
            step.repeat,
            now,
            Alarm::Client(key, Fired::Repeat),
        );
        change(
            &mut self.timers,
            &mut tx.lasting,
            step.last,
            now,
            Alarm::Client(key, Fired::Last),
        );
    }

    fn close_client(&mut self, key: Key) {
        let Some(tx) = self.clients.remove(&key) else {
            return;
        };
        for timer in [tx.repeat, tx.lasting].into_iter().flatten() {
            self.timers.cancel(timer);
        }
        self.pending.remove(&(tx.peer.remote, key));
    }

    /// A timer of a client transaction; its purpose if that is given up.
    pub fn client_fired(&mut self, now: Time, key: Key, fired: Fired) -> Option<Purpose> {
        let times = self.times(&self.clients.get(&key)?.peer);
        let tx = self.clients.get_mut(&key)?;
        let purpose = tx.purpose;
        let step = match &mut tx.machine {
            ClientMachine::Invite(machine) => machine.fired(fired),
            ClientMachine::Other(machine) => machine.fired(fired, &times),
        };
        self.apply_client(now, key, step, None);
        step.timed_out.then_some(purpose)
    }

    /// Cancels an INVITE of ours that has had a provisional (section 9.1).
    pub fn cancel(&mut self, now: Time, key: Key, cause: Option<&str>) {
        let Some(tx) = self.clients.get(&key) else {
            return;
        };
        let ClientMachine::Invite(machine) = &tx.machine else {
            return;
        };
        let step = machine.cancelled(&self.times(&tx.peer));
        let peer = tx.peer;
        if let Some((branch, cancel)) = cancel_of(&tx.request, cause) {
            self.request(now, peer, &branch, &Method::Cancel, cancel, Purpose::Loose);
        }
        self.apply_client(now, key, step, None);
    }

    /// An INVITE that nobody waits for any more: it is not repeated, and what comes of it after all is ended.
    pub fn abandon(&mut self, key: Key) {
        let Some(tx) = self.clients.get_mut(&key) else {
            return;
        };
        tx.purpose = Purpose::Abandoned;
        if let Some(timer) = tx.repeat.take() {
            self.timers.cancel(timer);
        }
    }

    /// Cancels at the first provisional: the timer of a cancelled INVITE is set from then on.
    pub fn cancel_once(&mut self, now: Time, key: Key) {
        if self
            .clients
            .get(&key)
            .is_some_and(|tx| tx.lasting.is_none())
        {
            self.cancel(now, key, None);
        }
    }

    /// The ACK already sent for the 2xx with this To tag goes out again; false if there was none.
    pub fn ack_again(&mut self, key: Key, tag: &str) -> bool {
        let Some(tx) = self.clients.get(&key) else {
            return false;
        };
        let Some((_, bytes, peer)) = tx.acks.iter().find(|(known, ..)| **known == *tag) else {
            return false;
        };
        let (bytes, peer) = (bytes.clone(), *peer);
        self.transmit(peer, bytes, "ACK", "request");
        true
    }

    /// Sends the ACK of a 2xx and keeps it for its repetitions.
    pub fn ack(&mut self, key: Key, tag: &str, bytes: Bytes, peer: Peer) {
        if let Some(tx) = self.clients.get_mut(&key) {
            tx.acks.reserve_exact(1);
            tx.acks.push((tag.into(), bytes.clone(), peer));
        }
        self.transmit(peer, bytes, "ACK", "request");
    }

    /// The ACK of the first 2xx to an INVITE of ours.
    pub fn first_ack(&self, key: Key) -> Option<Bytes> {
        let (_, bytes, _) = self.clients.get(&key)?.acks.first()?;
        Some(bytes.clone())
    }

    /// Where an INVITE of ours went, if another fork's 2xx may still be taken.
    pub fn forked(&self, key: Key) -> Option<Peer> {
        let tx = self.clients.get(&key)?;
        (tx.acks.len() < FORKS_MAX).then_some(tx.peer)
    }

    /// Where the request of a client transaction went.
    pub fn peer_of(&self, key: Key) -> Option<Peer> {
        self.clients.get(&key).map(|tx| tx.peer)
    }

    /// Ends all unfinished client transactions to a peer that cannot be reached (section 8.1.3.1).
    pub fn unreachable(&mut self, now: Time, peer: &Peer) -> Vec<Purpose> {
        let remote = peer.remote;
        let keys: Vec<Key> = self
            .pending
            .iter()
            .filter(|(at, _)| *at == remote)
            .map(|(_, key)| *key)
            .collect();
        self.give_up(now, keys, |tx| tx.peer.transport == peer.transport)
    }

    /// Ends all unfinished client transactions on a connection that is gone.
    pub fn flow_closed(&mut self, now: Time, flow: FlowId) -> Vec<Purpose> {
        let keys: Vec<Key> = self.pending.iter().map(|(_, key)| *key).collect();
        self.give_up(now, keys, |tx| tx.peer.flow == Some(flow))
    }

    fn give_up(
        &mut self,
        now: Time,
        keys: Vec<Key>,
        concerns: impl Fn(&ClientTx) -> bool,
    ) -> Vec<Purpose> {
        let mut purposes = Vec::new();
        for key in keys {
            let Some(tx) = self.clients.get_mut(&key).filter(|tx| concerns(tx)) else {
                continue;
            };
            if let Some(datagram) = tx.datagram.take() {
                self.as_datagram(now, key, *datagram);
                continue;
            }
            purposes.push(tx.purpose);
            self.close_client(key);
        }
        purposes
    }

    /// A request that was too large for a datagram found no connection: it goes as one after all, from the transaction's beginning.
    fn as_datagram(&mut self, now: Time, key: Key, datagram: Datagram) {
        let Datagram { peer, request } = datagram;
        self.datagrams_only.learn(now, peer.remote);
        let times = self.times(&peer);
        let Some(tx) = self.clients.get_mut(&key) else {
            return;
        };
        let step = match &mut tx.machine {
            ClientMachine::Invite(machine) => {
                let (begun, step) = ClientInvite::start(&times);
                *machine = begun;
                step
            }
            ClientMachine::Other(machine) => {
                let (begun, step) = Client::start(&times);
                *machine = begun;
                step
            }
        };
        tx.peer = peer;
        tx.request = request.clone();
        let method = tx.method;
        self.transmit(peer, request, method, "request");
        self.apply_client(now, key, step, None);
    }
}

fn change(
    timers: &mut Timers<Alarm>,
    timer: &mut Option<TimerId>,
    set: Set,
    now: Time,
    alarm: Alarm,
) {
    match set {
        Set::Keep => {}
        Set::Clear => {
            if let Some(id) = timer.take() {
                timers.cancel(id);
            }
        }
        Set::After(wait, name) => {
            if let Some(id) = timer.take() {
                timers.cancel(id);
            }
            *timer = Some(timers.set(now + wait, name, alarm));
        }
    }
}

/// The sent-by host as bytes that do not depend on how it was written.
fn host_bytes<'a>(via: &Via<'_>, text: &'a mut [u8; 48]) -> &'a [u8] {
    match via.host.ip() {
        Some(std::net::IpAddr::V4(address)) => {
            text[..4].copy_from_slice(&address.octets());
            &text[..4]
        }
        Some(std::net::IpAddr::V6(address)) => {
            text[..16].copy_from_slice(&address.octets());
            &text[..16]
        }
        None => {
            let crate::message::Host::Name(name) = via.host else {
                return &[];
            };
            let length = name.len().min(text.len());
            for (to, from) in text.iter_mut().zip(name.bytes()) {
                *to = from.to_ascii_lowercase();
            }
            &text[..length]
        }
    }
}

/// The ACK of a failure (section 17.1.1.3): everything from our INVITE, its credentials too (section 22.1), but To, which is the response's.
fn failure_ack(request: &Bytes, response: &Message) -> Option<Bytes> {
    let invite = Message::parse(request.clone()).ok()?;
    let (number, _) = invite.cseq().ok()?;
    let ack = Builder::request(&Method::Ack, invite.request_uri_raw())
        .copy(&invite, HeaderName::Via)
        .copy(&invite, HeaderName::Route)
        .header(HeaderName::MaxForwards, 70)
        .copy(&invite, HeaderName::From)
        .header(HeaderName::To, response.to_raw())
        .copy(&invite, HeaderName::CallId)
        .header(HeaderName::CSeq, format_args!("{number} ACK"))
        .copy(&invite, HeaderName::Authorization)
        .copy(&invite, HeaderName::ProxyAuthorization);
    Some(ack.finish())
}

/// The CANCEL of our INVITE (section 9.1) and the branch that they share.
fn cancel_of(request: &Bytes, cause: Option<&str>) -> Option<(String, Bytes)> {
    let invite = Message::parse(request.clone()).ok()?;
    let (number, _) = invite.cseq().ok()?;
    let branch = invite.top_via().ok()?.branch()?.to_owned();
    let mut cancel = Builder::request(&Method::Cancel, invite.request_uri_raw())
        .copy(&invite, HeaderName::Via)
        .copy(&invite, HeaderName::Route)
        .header(HeaderName::MaxForwards, 70)
        .copy(&invite, HeaderName::From)
        .copy(&invite, HeaderName::To)
        .copy(&invite, HeaderName::CallId)
        .header(HeaderName::CSeq, format_args!("{number} CANCEL"));
    if let Some(cause) = cause {
        cancel = cancel.header(HeaderName::Reason, cause);
    }
    Some((branch, cancel.finish()))
}

/// Status class as a metric's label.
pub fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "6xx",
    }
}
