//! Committed events go in once; the board, the numbers and every client of the stream are served from here.
//!
//! An event is serialised once for all clients, and not at all while nobody listens. Each client has a bounded queue of batches; a client whose
//! queue is full is closed (4008). A batch that every client has written to its socket (or dropped) calls `delivered`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use engine::event::{Event, EventKind};
use metrics::Fold;
use tokio::sync::{Notify, mpsc};

use crate::board::{self, Board};
use crate::cloud::cloud_event;

type Name = Arc<str>;

/// Events kept in memory for those who resume; older ones come from the log.
const RING_MAX: usize = 8_192;
/// Batches that may wait for one client.
const CLIENT_BATCHES_MAX: usize = 1_024;
/// Clients at a time.
pub const CLIENTS_MAX: usize = 2_000;

/// Called with the sequence up to which every client has been served.
pub type Delivered = Box<dyn Fn(u64) + Send + Sync>;
/// Called with the number of clients when it changes.
pub type Audience = Box<dyn Fn(usize) + Send + Sync>;

/// Board and numbers, always at the same sequence.
pub struct State {
    pub board: Board,
    pub fold: Fold,
    ring: VecDeque<Line>,
    clients: Vec<Client>,
}

/// One event, ready to send.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) sequence: u64,
    pub(crate) text: Utf8Bytes,
    scope: Scope,
    /// The agent who placed the call, where it is another one's event: an agent who consults must see it answered and over.
    placed: Option<Name>,
}

/// Which agents an event concerns; whoever oversees gets every event.
#[derive(Clone)]
enum Scope {
    Everybody,
    Overseers,
    Agent(Option<Name>),
    /// Whoever serves this queue, and this agent.
    Queue(Name, Option<Name>),
}

/// Who listens: decides which events are theirs.
#[derive(Clone, Debug)]
pub(crate) enum Listener {
    Overseer,
    Agent {
        id: Name,
        queues: std::collections::BTreeSet<Name>,
    },
}

struct Client {
    id: u64,
    queue: mpsc::Sender<Arc<Batch>>,
    slow: Arc<Notify>,
}

/// Events published together. Dropped by the last client that has written it, and that is when it is delivered.
pub(crate) struct Batch {
    pub(crate) lines: Vec<Line>,
    last: u64,
    hub: std::sync::Weak<Hub>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            (hub.delivered)(self.last);
        }
    }
}

/// A client's end.
pub(crate) struct Subscription {
    pub(crate) batches: mpsc::Receiver<Arc<Batch>>,
    pub(crate) slow: Arc<Notify>,
    id: u64,
    hub: Arc<Hub>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.id);
    }
}

/// See the module's text.
pub struct Hub {
    node: Name,
    state: Mutex<State>,
    delivered: Delivered,
    audience: Audience,
    next_client: AtomicU64,
    clients: AtomicUsize,
    slow_closed: AtomicU64,
}

impl Hub {
    /// A hub over what a snapshot or a replay gave (both at the same sequence).
    pub fn new(
        node: Name,
        board: Board,
        fold: Fold,
        delivered: Delivered,
        audience: Audience,
    ) -> Arc<Hub> {
        let state = State {
            board,
            fold,
            ring: VecDeque::new(),
            clients: Vec::new(),
        };
        Arc::new(Hub {
            node,
            state: Mutex::new(state),
            delivered,
            audience,
            next_client: AtomicU64::new(1),
            clients: AtomicUsize::new(0),
            slow_closed: AtomicU64::new(0),
        })
    }

    /// Takes committed events, in order: call it as soon as they are on disk, and before the answers that wait for them are given. What has been
    /// published already (a replay) is passed over. Never blocks on a client.
    pub fn publish(self: &Arc<Self>, events: &[Event]) {
        let Some(last) = events.last().map(|event| event.sequence) else {
            return;
        };
        let mut state = self.lock();
        let State {
            board,
            fold,
            ring,
            clients,
        } = &mut *state;
        let mut lines = Vec::new();
        for event in events {
            fold.apply(event);
            if !board.apply(event) {
                continue;
            }
            if clients.is_empty() {
                ring.clear(); // the log has it for whoever comes
            } else {
                lines.push(Line {
                    sequence: event.sequence,
                    text: cloud_event(event, &self.node).into(),
                    scope: scope(event, board),
                    placed: placed_by(event, board),
                });
            }
        }
        for line in &lines {
            if ring.len() >= RING_MAX {
                ring.pop_front();
            }
            ring.push_back(line.clone());
        }
        let batch = Arc::new(Batch {
            lines,
            last,
            hub: Arc::downgrade(self),
        });
        let before = clients.len();
        clients.retain(|client| {
            let kept = client.queue.try_send(batch.clone()).is_ok();
            if !kept {
                client.slow.notify_one();
            }
            kept
        });
        let left = clients.len();
        drop(state);
        if left != before {
            self.slow_closed
                .fetch_add((before - left) as u64, Ordering::Relaxed);
            self.count(left);
        }
        drop(batch); // outside the lock: with no client this is the delivery
    }

    /// Looks at board and numbers, which are at the same sequence. Keep it short: publishing waits.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Copies of board and numbers for a snapshot; nothing personal is in their serialised form.
    pub fn snapshot(&self) -> (Board, Fold) {
        self.read(|state| (state.board.clone(), state.fold.clone()))
    }

    /// Tells that the store's index has the contacts that were closed up to this sequence.
    pub fn indexed(&self, sequence: u64) {
        self.lock().board.indexed(sequence);
    }

    /// Lets go of the events kept for those who resume: somebody has been erased, and they read the log instead, where that person is no more.
    pub(crate) fn forget_lines(&self) {
        self.lock().ring.clear();
    }

    /// Clients now.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Clients closed because they could not keep up, since the process began.
    pub fn slow_closed(&self) -> u64 {
        self.slow_closed.load(Ordering::Relaxed)
    }

    /// Registers a client: from the state that `look` sees on, every event comes. With `after`, the events from there to now are given too;
    /// `Err` when memory no longer has them: read the log up to the sequence in it and ask again.
    pub(crate) fn join<T>(
        self: &Arc<Self>,
        after: Option<u64>,
        look: impl FnOnce(&State) -> T,
    ) -> Result<(T, Vec<Line>, Subscription), Missing> {
        let mut state = self.lock();
        if state.clients.len() >= CLIENTS_MAX {
            return Err(Missing::Full);
        }
        let now = state.board.sequence();
        let mut missed = Vec::new();
        if let Some(after) = after.filter(|after| *after < now) {
            match state.ring.front() {
                Some(first) if first.sequence <= after + 1 => {
                    missed.extend(
                        state
                            .ring
                            .iter()
                            .filter(|line| line.sequence > after)
                            .cloned(),
                    );
                }
                first => {
                    return Err(Missing::Older {
                        until: first.map_or(now, |line| line.sequence - 1),
                    });
                }
            }
        }
        let (sender, batches) = mpsc::channel(CLIENT_BATCHES_MAX);
        let slow = Arc::new(Notify::new());
        let id = self.next_client.fetch_add(1, Ordering::Relaxed);
        state.clients.push(Client {
            id,
            queue: sender,
            slow: slow.clone(),
        });
        let seen = look(&state);
        let count = state.clients.len();
        drop(state);
        self.count(count);
        Ok((
            seen,
            missed,
            Subscription {
                batches,
                slow,
                id,
                hub: self.clone(),
            },
        ))
    }

    fn leave(&self, id: u64) {
        let mut state = self.lock();
        state.clients.retain(|client| client.id != id);
        let count = state.clients.len();
        drop(state);
        self.count(count);
    }

    fn count(&self, count: usize) {
        if self.clients.swap(count, Ordering::Relaxed) != count {
            (self.audience)(count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a client could not join at once.
pub(crate) enum Missing {
    /// The log has the events up to `until`.
    Older {
        until: u64,
    },
    Full,
}

impl Line {
    /// A line from the log, for one who resumes from far back.
    pub(crate) fn from_log(event: &Event, node: &str) -> Line {
        Line {
            sequence: event.sequence,
            text: cloud_event(event, node).into(),
            scope: scope_alone(&event.kind),
            placed: None,
        }
    }

    /// Whether this listener gets it.
    pub(crate) fn is_for(&self, listener: &Listener) -> bool {
        let Listener::Agent { id, queues } = listener else {
            return true;
        };
        if self.placed.as_ref() == Some(id) {
            return true;
        }
        match &self.scope {
            Scope::Everybody => true,
            Scope::Overseers => false,
            Scope::Agent(agent) => agent.as_ref() == Some(id),
            Scope::Queue(queue, agent) => queues.contains(queue) || agent.as_ref() == Some(id),
        }
    }
}

/// The scope of an event by itself, with the contact's agent where it names none.
fn scope(event: &Event, board: &Board) -> Scope {
    match scope_alone(&event.kind) {
        Scope::Overseers => {
            let contact = board::contact_of(&event.kind).and_then(|id| board.contacts.get(id));
            contact.map_or(Scope::Overseers, |contact| {
                Scope::Agent(contact.agent.clone())
            })
        }
        known => known,
    }
}

/// Who placed the call that is answered or over. Nothing personal is in these.
fn placed_by(event: &Event, board: &Board) -> Option<Name> {
    match &event.kind {
        EventKind::ContactAnswered { contact, .. } | EventKind::ContactClosed { contact, .. } => {
            board.contact(&contact.0)?.by.clone()
        }
        _ => None,
    }
}

fn scope_alone(kind: &EventKind) -> Scope {
    match kind {
        EventKind::QueueChanged { .. } | EventKind::NodeStarted { .. } => Scope::Everybody,
        // Nothing personal is in these: a desk may show its queues' length.
        EventKind::ContactQueued { queue, .. } | EventKind::ContactLeftQueue { queue, .. } => {
            Scope::Queue(queue.clone(), None)
        }
        EventKind::ContactAbandoned {
            queue: Some(queue), ..
        } => Scope::Queue(queue.clone(), None),
        EventKind::ContactAnswered {
            queue: Some(queue),
            agent,
            ..
        } => Scope::Queue(queue.clone(), Some(agent.clone())),
        EventKind::ContactOfferEnded { agent, .. } | EventKind::ContactAnswered { agent, .. } => {
            Scope::Agent(Some(agent.clone()))
        }
        EventKind::ContactOffered { agent, .. } => Scope::Agent(Some(agent.clone())),
        EventKind::AgentState { agent, .. }
        | EventKind::ContactTransferFailed { from: agent, .. }
        | EventKind::ContactDisposition { agent, .. } => Scope::Agent(Some(agent.clone())),
        EventKind::ContactHeld {
            agent: Some(agent), ..
        }
        | EventKind::ContactResumed {
            agent: Some(agent), ..
        }
        | EventKind::ContactRecording {
            agent: Some(agent), ..
        }
        | EventKind::ContactClosed {
            agent: Some(agent), ..
        }
        | EventKind::ContactTransferred {
            from: Some(agent), ..
        }
        | EventKind::ContactArrived {
            by: Some(agent), ..
        } => Scope::Agent(Some(agent.clone())),
        EventKind::ContactArrived { .. }
        | EventKind::ContactJoined { .. }
        | EventKind::ContactLeft { .. }
        | EventKind::ContactIdentified { .. }
        | EventKind::ContactHeld { .. }
        | EventKind::ContactResumed { .. }
        | EventKind::ContactRecording { .. }
        | EventKind::RecordingSaved { .. }
        | EventKind::RecordingFailed { .. }
        | EventKind::ContactTransferred { .. }
        | EventKind::ContactAbandoned { .. }
        | EventKind::ContactClosed { .. }
        | EventKind::IvrStep { .. }
        | EventKind::ContactSurveyed { .. }
        | EventKind::ConfigApplied { .. }
        | EventKind::Audit { .. } => Scope::Overseers,
    }
}
