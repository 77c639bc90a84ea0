//! The floor: one thread in which callers dial, press keys and give up, and agents register, pick up and hang up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clock::Time;
use mio::{Events, Interest, Poll, Token};
use server::clock::Clock;
use sip::{Command, Event, LegId};

use super::desk::{Desk, Wish};
use super::line::{Line, Sound};
use super::pace::Pace;
use super::people::{Caller, Chance, Manner, Public};
use super::registration::Registration;
use super::voice::Voices;

/// Most calls at once; a call beyond is not made, as if the carrier had no line.
const CALLS_MAX: usize = 250;
/// How often speech is looked after: a quarter of a packet.
const TICK: Duration = Duration::from_millis(5);
/// How often somebody looks whether it is over.
const STOP_CHECK: Duration = Duration::from_millis(100);
/// Between two agents' first registrations, and before the first call.
const BETWEEN_AGENTS: Duration = Duration::from_millis(30);
const BEFORE_CALLS: Duration = Duration::from_millis(500);
/// The longest that anybody stays in a call.
const CALL_MAX: Duration = Duration::from_secs(600);
/// An agent without a call for this long looks at the desk whether they are ready at all.
const IDLE: Duration = Duration::from_secs(120);
/// How long the end may take.
const END: Duration = Duration::from_secs(3);
/// The arrivals' own stream of chance: callers have numbers from 1.
const ARRIVALS: u64 = 0;

/// What was seen, for the last line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    dialled: u64,
    not_dialled: u64,
    refused: u64,
    gave_up: u64,
    talks: u64,
    rang_in_vain: u64,
    busy: u64,
    left_over: u64,
    callers: Sound,
    agents: Sound,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            dialled,
            not_dialled,
            refused,
            gave_up,
            talks,
            rang_in_vain,
            busy,
            left_over,
            callers,
            agents,
        } = self;
        write!(
            f,
            "{dialled} calls ({not_dialled} not made, {refused} refused, {gave_up} gave up), {talks} answered by agents ({rang_in_vain} rang in vain, {busy} busy); \
             {} of {} callers and {} of {} agents on a call heard something; {} RTP packets sent, {} heard; {left_over} calls left over",
            callers.calls_heard,
            callers.calls,
            agents.calls_heard,
            agents.calls,
            callers.sent + agents.sent,
            callers.heard + agents.heard,
        )
    }
}

/// What somebody is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// The next caller dials.
    Dial,
    Press(LegId, char),
    /// A caller has waited long enough.
    GiveUp(LegId),
    CallerHangsUp(LegId),
    PickUp(LegId),
    AgentHangsUp(LegId),
    /// An agent, by place, is back at the desk.
    Return(usize),
}

/// Somebody on the phone.
struct Calling {
    caller: Caller,
    talking: bool,
}

/// A call at an agent's phone.
struct Ringing {
    agent: usize,
    manner: Manner,
    /// Whose call it is, as [`Caller::key`].
    key: String,
    offer: Option<Bytes>,
    up: bool,
}

struct Agent {
    registration: Registration,
    calls: u64,
    last_call: Time,
}

/// See the module.
pub struct Floor {
    clock: Clock,
    centre: SocketAddr,
    pace: Pace,
    seed: u64,
    desk: Desk,
    poll: Poll,
    voices: Voices,
    public: Public,
    arrivals: Chance,
    /// The carrier's side: all callers.
    trunk: Line,
    /// The agents' phones.
    phones: Line,
    calling: BTreeMap<LegId, Calling>,
    /// Callers by key, so that an agent's phone knows who is on it: nobody calls twice at once.
    by_key: BTreeMap<String, LegId>,
    ringing: BTreeMap<LegId, Ringing>,
    agents: Vec<Agent>,
    /// Bounded by the calls and agents: a few each.
    deeds: BTreeSet<(Time, Deed)>,
    next_tick: Time,
    tally: Tally,
}

impl Floor {
    /// Sockets and people; nothing is sent yet.
    ///
    /// # Errors
    /// When the system gives no socket or no random numbers.
    pub fn open(centre: SocketAddr, pace: Pace, seed: u64, desk: Desk) -> anyhow::Result<Floor> {
        let clock = Clock::start(Time::ZERO);
        let now = clock.now();
        let mut trunk = Line::open("callers", centre, random()?)?;
        let mut phones = Line::open("agents", centre, random()?)?;
        let poll = Poll::new()?;
        for (token, line) in [&mut trunk, &mut phones].into_iter().enumerate() {
            poll.registry()
                .register(&mut line.sip, Token(token), Interest::READABLE)?;
        }
        let salt = u64::from_be_bytes(random()?);
        let agents = (0u32..)
            .zip(pace.extensions())
            .map(|(at, user)| {
                let first = now + BETWEEN_AGENTS * at;
                Agent {
                    registration: Registration::new(user, phones.address, centre, salt, first),
                    calls: 0,
                    last_call: first,
                }
            })
            .collect::<Vec<_>>();
        let first = now + BEFORE_CALLS + BETWEEN_AGENTS * agents.len() as u32;
        Ok(Floor {
            clock,
            centre,
            pace,
            seed,
            desk,
            poll,
            voices: Voices::make(),
            public: Public::new(seed, pace),
            arrivals: Chance::new(seed, ARRIVALS),
            trunk,
            phones,
            calling: BTreeMap::new(),
            by_key: BTreeMap::new(),
            ringing: BTreeMap::new(),
            agents,
            deeds: BTreeSet::from([(first, Deed::Dial)]),
            next_tick: now,
            tally: Tally::default(),
        })
    }

    /// Lets it happen until told to stop, then ends what is up.
    pub fn run(mut self, stop: &AtomicBool) -> Tally {
        let mut events = Events::with_capacity(4);
        let mut over_at = None;
        loop {
            let now = self.clock.now();
            if over_at.is_none() && stop.load(Ordering::Acquire) {
                self.end(now);
                over_at = Some(now + END);
            }
            let more = self.step(now);
            if over_at.is_some_and(|at| self.is_over() || at <= now) {
                break;
            }
            let wait = if more { Duration::ZERO } else { self.wait(now) };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::warn!(%error, "the traffic ends");
                break;
            }
        }
        let left: Vec<LegId> = self.calling.keys().copied().collect();
        left.into_iter().for_each(|leg| self.trunk.silence(leg));
        let left: Vec<LegId> = self.ringing.keys().copied().collect();
        left.into_iter().for_each(|leg| self.phones.silence(leg));
        self.tally.left_over = (self.calling.len() + self.ringing.len()) as u64;
        self.tally.callers = self.trunk.sound();
        self.tally.agents = self.phones.sound();
        self.tally
    }

    /// Everything that has come and everything that is due. True when more may have come.
    fn step(&mut self, now: Time) -> bool {
        let mut more = self.trunk.receive(now, |_| {});
        let mut sends: Vec<Bytes> = Vec::new();
        let agents = &mut self.agents;
        more |= self.phones.receive(now, |message| {
            let owner = agents
                .iter_mut()
                .find(|agent| agent.registration.owns(message));
            sends.extend(owner.and_then(|agent| agent.registration.answered(now, message)));
        });
        for line in [&mut self.trunk, &mut self.phones] {
            if line
                .endpoint
                .poll_timeout()
                .is_some_and(|(at, _)| at <= now)
            {
                line.endpoint.handle_timeout(now);
            }
        }
        sends.extend(
            self.agents
                .iter_mut()
                .filter_map(|agent| agent.registration.handle_timeout(now)),
        );
        sends
            .iter()
            .for_each(|bytes| self.phones.send(self.centre, bytes));
        while let Some((_, deed)) = self.deeds.first().copied().filter(|(at, _)| *at <= now) {
            self.deeds.pop_first();
            self.happen(now, deed);
        }
        if self.next_tick <= now {
            self.next_tick = now + TICK;
            self.trunk.speak(now, &self.voices);
            self.phones.speak(now, &self.voices);
        }
        while let Some(event) = self.trunk.poll_event() {
            self.caller_event(now, event);
        }
        while let Some(event) = self.phones.poll_event() {
            self.agent_event(now, event);
        }
        more
    }

    /// How long nothing is due.
    fn wait(&self, now: Time) -> Duration {
        let lines = [&self.trunk, &self.phones];
        let talking = lines.iter().any(|line| !line.is_silent());
        let timers = lines
            .iter()
            .filter_map(|line| line.endpoint.poll_timeout().map(|(at, _)| at));
        let registrations = self
            .agents
            .iter()
            .filter_map(|agent| agent.registration.poll_timeout());
        timers
            .chain(registrations)
            .chain(self.deeds.first().map(|(at, _)| *at))
            .chain(talking.then_some(self.next_tick))
            .map(|at| at.since(now))
            .min()
            .unwrap_or(STOP_CHECK)
            .min(STOP_CHECK)
    }

    fn plan(&mut self, at: Time, deed: Deed) {
        self.deeds.insert((at, deed));
    }

    fn happen(&mut self, now: Time, deed: Deed) {
        match deed {
            Deed::Dial => self.dial(now),
            Deed::Press(leg, key) => self.trunk.press(leg, key),
            Deed::GiveUp(leg) => {
                if self
                    .calling
                    .get(&leg)
                    .is_some_and(|calling| !calling.talking)
                {
                    self.tally.gave_up += 1;
                    self.trunk.hang_up(now, leg);
                }
            }
            Deed::CallerHangsUp(leg) => self.trunk.hang_up(now, leg),
            Deed::PickUp(leg) => self.pick_up(now, leg),
            Deed::AgentHangsUp(leg) => self.phones.hang_up(now, leg),
            Deed::Return(agent) => self
                .desk
                .wish(self.agents[agent].registration.user(), Wish::Return),
        }
    }

    /// The next caller dials, and the one after that is planned.
    fn dial(&mut self, now: Time) {
        let next = self.arrivals.exponential(self.pace.between_calls());
        self.plan(now + next, Deed::Dial);
        self.look_at_the_idle(now);
        let by_key = &self.by_key;
        let caller = self.public.next(|key| by_key.contains_key(key));
        if self.calling.len() >= CALLS_MAX || by_key.contains_key(&caller.key) {
            self.tally.not_dialled += 1;
            return;
        }
        self.tally.dialled += 1;
        let leg = self
            .trunk
            .dial(now, caller.dials, &caller.number, caller.ulaw);
        self.plan(now + caller.patience, Deed::GiveUp(leg));
        self.plan(now + CALL_MAX, Deed::CallerHangsUp(leg));
        self.by_key.insert(caller.key.clone(), leg);
        let talking = false;
        self.calling.insert(leg, Calling { caller, talking });
    }

    /// Whoever had no call for long makes sure that they are ready: a wish may have been lost, or a kept data directory remembers a break.
    fn look_at_the_idle(&mut self, now: Time) {
        for agent in &mut self.agents {
            if now.since(agent.last_call) > IDLE {
                agent.last_call = now;
                self.desk.wish(agent.registration.user(), Wish::Return);
            }
        }
    }

    fn caller_event(&mut self, now: Time, event: Event) {
        match event {
            Event::Answered { leg, sdp, .. } => {
                let understood = self.trunk.answered(
                    now,
                    leg,
                    &sdp.unwrap_or_default(),
                    leg.0 as usize * 2,
                    ssrc(leg, 1),
                );
                let Some(calling) = self.calling.get(&leg).filter(|_| understood) else {
                    return self.trunk.hang_up(now, leg);
                };
                for (after, key) in calling.caller.keys.clone() {
                    self.plan(now + after, Deed::Press(leg, key));
                }
            }
            Event::Reoffered { leg, sdp } => self.trunk.reoffered(now, leg, sdp.as_deref()),
            Event::Gone { leg, cause, .. } => {
                self.trunk.silence(leg);
                if let Some(calling) = self.calling.remove(&leg) {
                    self.by_key.remove(&calling.caller.key);
                }
                if matches!(
                    cause,
                    sip::Cause::Rejected { .. } | sip::Cause::NoResponse | sip::Cause::Unreachable
                ) {
                    self.tally.refused += 1;
                }
            }
            _ => {}
        }
    }

    fn agent_event(&mut self, now: Time, event: Event) {
        match event {
            Event::Incoming(incoming) => self.ring(now, incoming),
            Event::Reoffered { leg, sdp } => self.phones.reoffered(now, leg, sdp.as_deref()),
            Event::Gone { leg, .. } => {
                self.phones.silence(leg);
                if let Some(ringing) = self.ringing.remove(&leg) {
                    self.after_call(now, ringing);
                }
            }
            _ => {}
        }
    }

    /// An agent's phone rings, and the agent has their manner.
    fn ring(&mut self, now: Time, incoming: sip::Incoming) {
        let leg = incoming.leg;
        let reject = |status| Command::Reject {
            leg,
            status,
            reason: None,
            headers: Vec::new(),
        };
        let place = self
            .agents
            .iter()
            .position(|agent| agent.registration.user() == incoming.dialled);
        let Some(place) = place else {
            return self.phones.command(now, reject(404));
        };
        let agent = &mut self.agents[place];
        agent.calls += 1;
        agent.last_call = now;
        let manner = Manner::of(self.seed, place, agent.calls, &self.pace);
        if manner == Manner::Busy {
            self.tally.busy += 1;
            return self.phones.command(now, reject(486));
        }
        if let Manner::PicksUp { after, .. } = manner {
            self.plan(now + after, Deed::PickUp(leg));
        }
        let ringing = Ringing {
            agent: place,
            manner,
            key: incoming.caller.user,
            offer: incoming.sdp,
            up: false,
        };
        self.ringing.insert(leg, ringing);
        let ring = Command::Ring {
            leg,
            status: 180,
            sdp: None,
            headers: Vec::new(),
        };
        self.phones.command(now, ring);
    }

    fn pick_up(&mut self, now: Time, leg: LegId) {
        let Some(ringing) = self.ringing.get_mut(&leg) else {
            return;
        };
        let Manner::PicksUp {
            talks, hangs_up, ..
        } = ringing.manner
        else {
            return;
        };
        let offer = ringing.offer.take().unwrap_or_default();
        let voice = ringing.agent * 2 + 1;
        if !self.phones.answer(now, leg, &offer, voice, ssrc(leg, 2)) {
            return self.phones.hang_up(now, leg);
        }
        ringing.up = true;
        self.tally.talks += 1;
        let caller = self.by_key.get(&ringing.key).copied();
        if let Some(calling) = caller.and_then(|caller| self.calling.get_mut(&caller)) {
            calling.talking = true;
        }
        match caller {
            Some(caller) if !hangs_up => {
                self.plan(now + talks, Deed::CallerHangsUp(caller));
                // Should the caller have gone astray, the agent does not sit there for ever.
                self.plan(now + talks * 2, Deed::AgentHangsUp(leg));
            }
            _ => self.plan(now + talks, Deed::AgentHangsUp(leg)),
        }
    }

    /// What an agent does when their phone is quiet again.
    fn after_call(&mut self, now: Time, ringing: Ringing) {
        match ringing.manner {
            Manner::LetsRing { back } => {
                self.tally.rang_in_vain += 1;
                self.plan(now + back, Deed::Return(ringing.agent));
            }
            Manner::PicksUp {
                pause: Some(pause), ..
            } if ringing.up => {
                self.desk
                    .wish(self.agents[ringing.agent].registration.user(), Wish::Pause);
                self.plan(now + pause, Deed::Return(ringing.agent));
            }
            Manner::PicksUp { .. } | Manner::Busy => {}
        }
    }

    /// Nobody dials any more, everybody hangs up, the agents unregister.
    fn end(&mut self, now: Time) {
        self.deeds.clear();
        let callers: Vec<LegId> = self.calling.keys().copied().collect();
        callers
            .into_iter()
            .for_each(|leg| self.trunk.hang_up(now, leg));
        let phones: Vec<LegId> = self.ringing.keys().copied().collect();
        phones
            .into_iter()
            .for_each(|leg| self.phones.hang_up(now, leg));
        self.agents
            .iter_mut()
            .for_each(|agent| agent.registration.end(now));
    }

    fn is_over(&self) -> bool {
        self.calling.is_empty()
            && self.ringing.is_empty()
            && self.agents.iter().all(|agent| agent.registration.is_over())
    }
}

/// A stream's source, unlike those of its line and of the other one.
fn ssrc(leg: LegId, line: u32) -> u32 {
    (leg.0 as u32).wrapping_mul(0x9E37_79B1).rotate_left(3) ^ line
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}
