//! The one door to the engine: a bounded channel in which calls in progress have room that new calls cannot take.
//!
//! New work is refused by how long it would wait, not by how much is in front of it (RFC 6357 section 5.1.4, RFC 8289): a queue that stands is
//! overload, a burst is not. The edge answers 503 by itself, without a transaction and without the engine: refusing must cost less than serving
//! (RFC 5390). Established calls go on.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clock::Time;
use sip::message::Message;
use sip::{Peer, Urgency};

use super::guard::Sources;
use super::queue::{self, Receiver, Sender, Unsent};

/// Everything that may wait for the engine thread.
pub const INBOX_MAX: usize = 32_768;
/// New work is refused beyond this, however fast it is served.
const NEW_WORK_MAX: usize = 8_192;
/// Messages of calls in progress are dropped beyond this (and come again); the rest is for media, commands and answers from the store.
const SIP_MAX: usize = 24_576;
/// A new call that would wait longer is refused: a tenth of T1 (RFC 3261 section 17), so that even behind others' queues nobody sends twice.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// The same for what keeps agents reachable, and for emergencies: still served well before it comes again.
const URGENT_WAIT_MAX: Duration = Duration::from_millis(200);
/// A queue is overload when it has been too long for so long: what a slow disk or another process took is made up for in this time.
const STANDING: Duration = Duration::from_millis(100);
/// Who was refused so lately says that it is overload still: the queue need not stand again before the next is refused.
const OVERLOAD_MEMORY: Duration = Duration::from_secs(1);
/// Fewer than this are served in a few milliseconds, whatever has kept the engine from them.
const STANDING_MIN: usize = 128;
/// Retry-After of a refusal: at least this many seconds, and jittered so that the refused do not all come back at once.
const RETRY_AFTER_MIN: u32 = 2;
const RETRY_AFTER_SPREAD: u32 = 8;

/// One thing for the engine thread.
#[derive(Debug)]
pub enum Work {
    /// With the time at which it came in.
    Input { at: Time, input: engine::Input },
    /// Everything before this is handled; end.
    Stop,
}

/// The sending side; cheap to clone.
#[derive(Clone)]
pub struct Door {
    sender: Sender<Work>,
    queue: Arc<Queue>,
    sources: Arc<Sources>,
}

/// The engine's side.
pub struct Inbox {
    receiver: Receiver<Work>,
    queue: Arc<Queue>,
}

/// What both sides know of the queue between them.
#[derive(Debug, Default)]
struct Queue {
    /// When what the engine took last had come in: what is at the head now came no earlier.
    head: AtomicU64,
    /// Since when the queue has been too long without a break, in nanoseconds; 0: it is not.
    standing: AtomicU64,
    /// When somebody was refused last.
    refused: AtomicU64,
    turned_away: TurnedAway,
}

/// What did not come in, since last asked.
#[derive(Debug, Default)]
pub struct TurnedAway {
    waiting: AtomicU64,
    queue: AtomicU64,
    source: AtomicU64,
    shut_out: AtomicU64,
    dropped: AtomicU64,
    too_large: AtomicU64,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Taken,
    /// Answer 503 with this Retry-After, in seconds.
    Refused {
        retry_after: u32,
    },
    /// Gone; retransmission is the sender's.
    Dropped,
}

impl Inbox {
    /// Waits for the next thing, at most until `until`.
    pub fn recv(&mut self, until: Option<Instant>) -> Option<Work> {
        let work = self.receiver.recv(until)?;
        Some(self.taken(work))
    }

    /// The next thing, if there is one.
    pub fn try_recv(&mut self) -> Option<Work> {
        let work = self.receiver.try_recv()?;
        Some(self.taken(work))
    }

    fn taken(&self, work: Work) -> Work {
        if let Work::Input { at, .. } = work {
            self.queue.head.store(at.as_nanos(), Ordering::Relaxed);
        }
        work
    }

    /// Moves what was turned away since the last call to the counters of `/metrics`; `counters` is asked for only when there is something.
    pub fn count_turned_away<C>(&self, counters: impl FnOnce() -> C)
    where
        C: std::ops::DerefMut<Target = metrics::Counters>,
    {
        let TurnedAway {
            waiting,
            queue,
            source,
            shut_out,
            dropped,
            too_large,
        } = &self.queue.turned_away;
        let take = |count: &AtomicU64| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed),
        };
        let refused = [("queue", take(queue)), ("waiting_time", take(waiting))];
        let lost = [
            ("inbox_full", take(dropped)),
            ("source_rate", take(source)),
            ("source_shut_out", take(shut_out)),
            ("too_large", take(too_large)),
        ];
        if refused.iter().chain(&lost).all(|(_, count)| *count == 0) {
            return;
        }
        let mut counters = counters();
        for (reason, count) in refused.into_iter().filter(|(_, count)| *count > 0) {
            *counters.overload_rejected.entry(reason).or_default() += count;
        }
        for (what, count) in lost.into_iter().filter(|(_, count)| *count > 0) {
            *counters.sip_refused.entry(what).or_default() += count;
        }
    }
}

impl Queue {
    /// How long the head of the queue has waited, at most: `waiting` things are in it.
    fn wait(&self, at: Time, waiting: usize) -> Duration {
        if waiting == 0 {
            return Duration::ZERO;
        }
        at.since(Time::from_nanos(self.head.load(Ordering::Relaxed)))
    }

    /// Whether the queue is one that stands: too long without a break.
    fn stands(&self, at: Time, waiting: usize) -> Option<Duration> {
        let wait = self.wait(at, waiting);
        if wait < WAIT_MAX || waiting < STANDING_MIN {
            self.standing.store(0, Ordering::Relaxed);
            return None;
        }
        let since = match self.standing.load(Ordering::Relaxed) {
            0 => {
                self.standing.store(at.as_nanos(), Ordering::Relaxed);
                at
            }
            since => Time::from_nanos(since),
        };
        let refused = Time::from_nanos(self.refused.load(Ordering::Relaxed));
        let overload = at.since(since) >= STANDING || at.since(refused) < OVERLOAD_MEMORY;
        overload.then_some(wait)
    }

    /// Why new work of this urgency has to be refused, as the counter that says so.
    fn refuses(&self, at: Time, waiting: usize, urgency: Urgency) -> Option<&AtomicU64> {
        let wait = self.stands(at, waiting);
        let too_long = match urgency {
            Urgency::Dialog => return None,
            Urgency::Urgent => wait.is_some_and(|wait| wait >= URGENT_WAIT_MAX),
            Urgency::New => wait.is_some(),
        };
        if too_long {
            Some(&self.turned_away.waiting)
        } else {
            (waiting >= NEW_WORK_MAX).then_some(&self.turned_away.queue)
        }
    }
}

impl Door {
    /// A door and what comes through it.
    pub fn new() -> (Door, Inbox) {
        let (sender, receiver) = queue::bounded(INBOX_MAX);
        let queue = Arc::<Queue>::default();
        let inbox = Inbox {
            receiver,
            queue: queue.clone(),
        };
        let sources = Arc::default();
        (
            Door {
                sender,
                queue,
                sources,
            },
            inbox,
        )
    }

    /// A message and how urgent it is; what is to be sent back where it is refused.
    pub fn message(
        &self,
        at: Time,
        peer: Peer,
        message: Message,
        urgency: Urgency,
    ) -> Option<Bytes> {
        if sip::acknowledges_refusal(&message) {
            return None;
        }
        if urgency != Urgency::Dialog && !self.admits_new(at, &peer) {
            return None;
        }
        if let Some(retry_after) = self.refuses(at, urgency) {
            return sip::overload_response(&message, &peer, retry_after);
        }
        self.put(at, sip::Input::Message { peer, message });
        None
    }

    /// A SIP input. `new_work` is a request that would begin something: it is refused first.
    pub fn sip(&self, at: Time, input: sip::Input, new_work: bool) -> Admission {
        let urgency = match &input {
            sip::Input::Message { message, .. } if sip::acknowledges_refusal(message) => {
                return Admission::Taken;
            }
            sip::Input::Message { peer, message } => self.urgency(peer, message),
            _ if new_work => Urgency::New,
            _ => Urgency::Dialog,
        };
        if urgency != Urgency::Dialog
            && let sip::Input::Message { peer, .. } | sip::Input::Malformed { peer, .. } = &input
            && !self.admits_new(at, peer)
        {
            return Admission::Dropped;
        }
        match self.refuses(at, urgency) {
            Some(retry_after) => Admission::Refused { retry_after },
            None => self.put(at, input),
        }
    }

    /// What a message is worth, as [`sip::urgency`] has it; but a telephone of ours that calls for help is never refused.
    pub fn urgency(&self, peer: &Peer, message: &Message) -> Urgency {
        match sip::urgency(message) {
            Urgency::New | Urgency::Urgent if self.sources.calls_for_help(peer, message) => {
                Urgency::Dialog
            }
            urgency => urgency,
        }
    }

    /// Who may send how much.
    pub fn sources(&self) -> Arc<Sources> {
        self.sources.clone()
    }

    /// Whether a datagram from there is worth parsing.
    pub fn admits(&self, at: Time, source: IpAddr) -> bool {
        self.noted(self.sources.admits(at, source))
    }

    fn admits_new(&self, at: Time, peer: &Peer) -> bool {
        self.noted(self.sources.admits_new(at, peer))
    }

    fn noted(&self, admitted: bool) -> bool {
        if !admitted {
            let count = &self.queue.turned_away.source;
            count.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// The Retry-After of new work that has to be refused.
    fn refuses(&self, at: Time, urgency: Urgency) -> Option<u32> {
        if urgency == Urgency::Dialog {
            return None;
        }
        let count = self.queue.refuses(at, self.sender.waiting(), urgency)?;
        self.queue.refused.store(at.as_nanos(), Ordering::Relaxed);
        count.fetch_add(1, Ordering::Relaxed);
        Some(retry_after(at))
    }

    fn put(&self, at: Time, input: sip::Input) -> Admission {
        let waiting = self.sender.waiting();
        if waiting == 0 {
            // Whatever comes now is the head.
            self.queue.head.store(at.as_nanos(), Ordering::Relaxed);
        }
        if waiting >= SIP_MAX {
            return self.dropped();
        }
        let input = engine::Input::Sip(input);
        match self.sender.try_send(Work::Input { at, input }) {
            Ok(()) => Admission::Taken,
            Err(Unsent::Full(_) | Unsent::Closed(_)) => self.dropped(),
        }
    }

    /// When what the engine took last had come in.
    pub fn head(&self) -> Time {
        Time::from_nanos(self.queue.head.load(Ordering::Relaxed))
    }

    /// Counts a source that the kernel drops for a while.
    pub fn shut_out(&self) {
        let count = &self.queue.turned_away.shut_out;
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message that the edge does not take for its size.
    pub fn too_large(&self) {
        self.queue
            .turned_away
            .too_large
            .fetch_add(1, Ordering::Relaxed);
    }

    fn dropped(&self) -> Admission {
        self.queue
            .turned_away
            .dropped
            .fetch_add(1, Ordering::Relaxed);
        Admission::Dropped
    }

    /// Anything else; waits for room. False when the engine is gone.
    pub fn send(&self, at: Time, input: engine::Input) -> bool {
        self.sender.send(Work::Input { at, input })
    }

    /// The same without waiting, for threads that must not: false when there is no room, and the input is counted as dropped.
    pub fn offer(&self, at: Time, input: engine::Input) -> bool {
        match self.sender.try_send(Work::Input { at, input }) {
            Ok(()) => true,
            Err(Unsent::Full(_) | Unsent::Closed(_)) => self.dropped() == Admission::Taken,
        }
    }

    /// The same for a media event, which comes back where there is no room: to be offered again.
    pub fn offer_media(&self, at: Time, event: media::Event) -> Result<(), media::Event> {
        let input = engine::Input::Media(event);
        match self.sender.try_send(Work::Input { at, input }) {
            Err(Unsent::Full(Work::Input {
                input: engine::Input::Media(event),
                ..
            })) => Err(event),
            // Without the engine nobody waits for it.
            Ok(()) | Err(Unsent::Full(_) | Unsent::Closed(_)) => Ok(()),
        }
    }

    /// Ends the engine thread after what is in front.
    pub fn stop(&self) {
        self.sender.send(Work::Stop);
    }
}

/// Jittered by the time's low digits: cheap, and different for each refusal.
fn retry_after(at: Time) -> u32 {
    let mixed = ((at.as_nanos() / 1000).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
    RETRY_AFTER_MIN + mixed % RETRY_AFTER_SPREAD
}

#[cfg(test)]
mod tests {
    use sip::Transport;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn request(method: &str, more: &str) -> sip::Input {
        let text = format!(
            "{method} sip:2000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n"
        );
        sip::Input::Message {
            peer: peer(),
            message: Message::parse(Bytes::from(text)).unwrap(),
        }
    }

    fn peer() -> Peer {
        Peer {
            transport: Transport::Udp,
            remote: "127.0.0.1:9".parse().unwrap(),
            flow: None,
        }
    }

    fn comes(door: &Door, at: Time, method: &str, more: &str) -> Admission {
        let input = request(method, more);
        let new =
            matches!(&input, sip::Input::Message { message, .. } if sip::is_new_work(message));
        door.sip(at, input, new)
    }

    fn is_refused(admission: Admission) -> bool {
        matches!(admission, Admission::Refused { .. })
    }

    /// Each millisecond 20 calls come and the engine takes `served`: when the first is refused, how many are afterwards, and how long the last that were taken had waited.
    fn a_second_of_calls(served: usize) -> (Option<u32>, u32, Duration) {
        let (door, mut inbox) = Door::new();
        let start = Time::from_secs(100);
        let (mut first, mut refused, mut waited) = (None, 0, Duration::ZERO);
        for ms in 0..1_000 {
            let now = start + ms * MS;
            for _ in 0..20 {
                if is_refused(comes(&door, now, "INVITE", "")) {
                    first = first.or(Some(ms));
                    refused += 1;
                }
            }
            for work in (0..served).map_while(|_| inbox.try_recv()) {
                if let Work::Input { at, .. } = work {
                    waited = now.since(at);
                }
            }
        }
        (first, refused, waited)
    }

    #[test]
    fn a_queue_that_stands_refuses_new_work_and_no_more_than_it_must() {
        assert_eq!(a_second_of_calls(20).0, None);
        let (first, refused, waited) = a_second_of_calls(10);
        assert!(
            first.is_some_and(|ms| (190..210).contains(&ms)),
            "half of all stay: 50 ms of them after 100 ms, and that for 100 ms: {first:?}"
        );
        assert!(
            (9_000..9_700).contains(&refused),
            "what cannot be served, and no more: {refused}"
        );
        assert!(waited < 60 * MS, "{waited:?}");
    }

    #[test]
    fn who_belongs_to_a_call_never_waits_outside_and_who_keeps_agents_reachable_waits_less() {
        let (door, mut inbox) = Door::new();
        let start = Time::from_secs(100);
        for ms in 0..400 {
            comes(&door, start + ms * MS, "BYE", "");
        }
        // The engine takes one that came at 300 ms: the next have waited for 100 ms.
        (0..=250).for_each(|_| drop(inbox.try_recv()));
        let now = start + 350 * MS;
        comes(&door, now, "INVITE", "");
        let now = now + 110 * MS;
        assert!(is_refused(comes(&door, now, "INVITE", "")));
        assert!(is_refused(comes(&door, now, "REGISTER", "")));
        assert_eq!(comes(&door, now, "BYE", ""), Admission::Taken);
        let later = start + 440 * MS;
        assert!(is_refused(comes(&door, later, "INVITE", "")));
        let known = "Authorization: Digest username=\"1001\"\r\n";
        assert_eq!(comes(&door, later, "REGISTER", known), Admission::Taken);
        assert_eq!(
            comes(&door, later, "INVITE", "Priority: emergency\r\n"),
            Admission::Taken
        );
        let late = start + 900 * MS;
        assert!(is_refused(comes(&door, late, "REGISTER", known)));
        assert_eq!(comes(&door, late, "BYE", ""), Admission::Taken);
    }

    #[test]
    fn a_refusal_is_counted_answered_and_its_ack_goes_no_further() {
        let (door, mut inbox) = Door::new();
        let start = Time::from_secs(100);
        for ms in 0..400 {
            comes(&door, start + ms * MS, "INVITE", "");
        }
        let mut counters = metrics::Counters::default();
        inbox.count_turned_away(|| &mut counters);
        let refused = counters.overload_rejected["waiting_time"];
        assert!(refused > 0, "{counters:?}");
        let waiting = std::iter::from_fn(|| inbox.try_recv()).count() as u64;
        assert_eq!(waiting + refused, 400);
        let sip::Input::Message { peer, message } = request("INVITE", "") else {
            panic!("a message")
        };
        let response = sip::overload_response(&message, &peer, 7).unwrap();
        let response = Message::parse(response).unwrap();
        assert_eq!(response.header_named("Retry-After"), Some("7"));
        let ack = format!(
            "ACK sip:2000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: {}\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
            response.to_raw()
        );
        let message = Message::parse(Bytes::from(ack)).unwrap();
        door.sip(start, sip::Input::Message { peer, message }, false);
        assert!(inbox.try_recv().is_none());
    }
}
