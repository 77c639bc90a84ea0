//! A call of ours that has several ways: the addresses of a user by their q, or the trunks to the outside, one after the other or at once
//! (RFC 3261 section 16.6, done by the one who calls).
//!
//! To the engine it is one leg. Each way that is tried is a leg of its own inside, with its own dialog; its events come out, and the commands to it go in,
//! under the name of the call. The first that answers is the call from then on, the others are cancelled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use super::timers::TimerId;
use super::{Alarm, Endpoint};
use crate::api::{Cause, Command, Event, Invite, LegId, Output, Target};

/// Ways of one call that are tried at most: a user's addresses are fewer, and a number has no more trunks.
const WAYS_MAX: usize = 16;
/// A phone that has not answered its INVITE at all by then (the third transmission over UDP) does not hold up the user's other phones.
const PHONE_PATIENCE: Duration = Duration::from_secs(2);

/// What those who lost are told (RFC 3326 section 2).
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// Calls with several ways.
#[derive(Debug, Default)]
pub struct Forks {
    calls: BTreeMap<LegId, Fork>,
    /// Whose way each inner leg is; those of a call that is over are kept until they are gone.
    pub(super) ways: BTreeMap<LegId, LegId>,
}

/// One call with several ways.
#[derive(Debug)]
struct Fork {
    invite: Box<Invite>,
    kind: Kind,
    /// Ways that are not tried yet, by rank.
    waiting: VecDeque<Vec<Target>>,
    trying: Vec<Branch>,
    chosen: Option<LegId>,
    timer: Option<TimerId>,
    /// The best of the failures so far.
    failure: Option<Cause>,
    /// [`Event::Trying`] has been told.
    told: bool,
    hung_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The phones of one user: whoever answers.
    User,
    /// Trunks: the next one when one does not take the call; who has been reached is not called again by another.
    Trunks,
}

/// One way that is tried.
#[derive(Clone, Copy, Debug)]
struct Branch {
    leg: LegId,
    alive: bool,
    /// Cancelled, since a later way has taken its place.
    given_up: bool,
}

impl Forks {
    fn is_idle(&self) -> bool {
        self.ways.is_empty() && self.calls.is_empty()
    }

    /// The inner legs that ring, where a call has several ways and none is chosen.
    pub(super) fn ringing(&self, call: LegId) -> Option<Vec<LegId>> {
        let fork = self.calls.get(&call).filter(|fork| fork.chosen.is_none())?;
        let rings = |branch: &&Branch| branch.alive && !branch.given_up;
        Some(
            fork.trying
                .iter()
                .filter(rings)
                .map(|branch| branch.leg)
                .collect(),
        )
    }

    /// The inner leg that stands for the call: the chosen one, or the only one.
    fn current(&self, call: LegId) -> Option<LegId> {
        let fork = self.calls.get(&call)?;
        let mut open = fork.trying.iter().filter(|branch| !branch.given_up);
        match (fork.chosen, open.next(), open.next()) {
            (Some(chosen), ..) => Some(chosen),
            (None, Some(only), None) => Some(only.leg),
            (None, ..) => None,
        }
    }
}

impl Endpoint {
    /// The leg that stands for a call of several ways; any other stands for itself.
    pub(super) fn inner_leg(&self, leg: LegId) -> LegId {
        self.forks.current(leg).unwrap_or(leg)
    }

    /// Takes what is for calls with several ways; what is left is for one leg, under its inner name.
    pub(super) fn by_fork(&mut self, now: Time, mut command: Command) -> Option<Command> {
        if let Command::Invite(invite) = command {
            return self.place(now, invite);
        }
        if self.forks.calls.is_empty() {
            return Some(command);
        }
        if let Command::PickUp { leg } = command {
            return self.who_picks_up(leg).map(|leg| Command::PickUp { leg });
        }
        let leg = leg_of_command(&mut command);
        let call = *leg;
        let Some(fork) = self.forks.calls.get_mut(&call) else {
            return Some(command);
        };
        if let (Command::Hangup { reason, .. }, None) = (&command, fork.chosen) {
            fork.hung_up = true;
            let reason = reason.clone();
            self.hang_up_all(now, call, reason.as_deref(), None);
            return None;
        }
        let current = self.forks.current(call)?;
        *leg_of_command(&mut command) = current;
        Some(command)
    }

    /// Splits a call into its ways; a call that has one way is that leg itself.
    fn place(&mut self, now: Time, invite: Invite) -> Option<Command> {
        if self.forks.calls.contains_key(&invite.leg) {
            return None;
        }
        let (kind, mut ranks) = match &invite.target {
            Target::Uri(_) | Target::Binding { .. } => return Some(Command::Invite(invite)),
            Target::User(user) => {
                // Silent phones are left out, unless there are no others.
                let reachable = self.is_reachable(user);
                let rings = |uri: &str| !reachable || !self.phones.is_silent(user, uri);
                let ranks = self.registrar.ranks(user).into_iter().map(|rank| {
                    rank.into_iter()
                        .filter(|binding| rings(&binding.uri))
                        .map(|binding| Target::Binding {
                            user: user.clone(),
                            uri: binding.uri.as_str().into(),
                        })
                        .collect()
                });
                (Kind::User, ranks.collect::<VecDeque<Vec<Target>>>())
            }
            Target::Trunks(ways) => match self.trunk_order(now, &ways.clone()) {
                Ok(order) => {
                    let ranks = order
                        .into_iter()
                        .map(|way| vec![Target::Trunks(Arc::from([way]))]);
                    (Kind::Trunks, ranks.collect())
                }
                Err(cause) => {
                    self.never_was(invite.leg, cause);
                    return None;
                }
            },
        };
        if kind == Kind::User && ranks.iter().map(Vec::len).sum::<usize>() <= 1 {
            let only = ranks.into_iter().flatten().next();
            let target = only.unwrap_or_else(|| invite.target.clone());
            return Some(Command::Invite(Invite { target, ..invite }));
        }
        let mut room = WAYS_MAX;
        for rank in &mut ranks {
            rank.truncate(room);
            room -= rank.len();
        }
        ranks.retain(|rank| !rank.is_empty());
        let call = invite.leg;
        let fork = Fork {
            invite: Box::new(invite),
            kind,
            waiting: ranks,
            trying: Vec::new(),
            chosen: None,
            timer: None,
            failure: None,
            told: false,
            hung_up: false,
        };
        self.forks.calls.insert(call, fork);
        self.next_rank(now, call);
        None
    }

    /// Tries the next ways of a call; with none left and none open it is over.
    fn next_rank(&mut self, now: Time, call: LegId) {
        let Some(fork) = self.forks.calls.get_mut(&call) else {
            return;
        };
        let Some(rank) = fork.waiting.pop_front() else {
            if fork.trying.is_empty() {
                self.fork_over(call);
            }
            return;
        };
        let patience = match fork.kind {
            Kind::User => PHONE_PATIENCE,
            Kind::Trunks => self.layer.config.dialogs.try_for,
        };
        if let Some(timer) = fork.timer.take() {
            self.layer.timers.cancel(timer);
        }
        if !fork.waiting.is_empty() {
            fork.timer = Some(
                self.layer
                    .timers
                    .set(now + patience, "next way", Alarm::Fork(call)),
            );
        }
        let mut invites = Vec::new();
        for target in rank {
            let leg = self.new_leg();
            let Some(fork) = self.forks.calls.get_mut(&call) else {
                return;
            };
            fork.trying.push(Branch {
                leg,
                alive: false,
                given_up: false,
            });
            self.forks.ways.insert(leg, call);
            let mut invite = (*fork.invite).clone();
            invite.leg = leg;
            invite.target = target;
            invites.push(invite);
        }
        for invite in invites {
            self.take_trunk(now, &invite);
            let (leg, party) = (invite.leg, party_of(&invite.target));
            self.invite(now, invite);
            if let Some(way) = self.legs.get(&leg) {
                let call_id = way.dialog.call_id.clone();
                self.layer.emit(Event::Placed {
                    leg: call,
                    call_id,
                    party,
                });
            }
        }
    }

    /// None of the ways that are tried has given a sign of life: the next ones.
    pub(super) fn no_sign_of_life(&mut self, now: Time, call: LegId) {
        let Some(fork) = self.forks.calls.get_mut(&call) else {
            return;
        };
        fork.timer = None;
        if fork.hung_up || fork.chosen.is_some() {
            return;
        }
        if fork
            .trying
            .iter()
            .any(|branch| branch.alive && !branch.given_up)
        {
            return;
        }
        if fork.kind == Kind::Trunks {
            let open = fork.trying.iter().filter(|branch| !branch.given_up);
            let legs = open.filter_map(|branch| self.legs.get(&branch.leg));
            if legs.clone().any(|leg| leg.elsewhere.is_some()) {
                // Its next server is tried before the next trunk; there are fewer each time.
                let wait = self.layer.config.dialogs.try_for;
                let timers = &mut self.layer.timers;
                let timer = timers.set(now + wait, "next way", Alarm::Fork(call));
                fork.timer = Some(timer);
                return;
            }
            // Whoever was silent is not to ring after all, when another trunk has the call.
            let silent: Vec<LegId> = fork.trying.iter().map(|branch| branch.leg).collect();
            for branch in &mut fork.trying {
                branch.given_up = true;
            }
            for leg in silent {
                self.trunk_failed(now, leg);
                self.hangup(now, leg, None);
            }
        }
        self.next_rank(now, call);
    }

    /// Ends every way of a call but one.
    fn hang_up_all(&mut self, now: Time, call: LegId, reason: Option<&str>, but: Option<LegId>) {
        let Some(fork) = self.forks.calls.get_mut(&call) else {
            return;
        };
        fork.waiting.clear();
        if let Some(timer) = fork.timer.take() {
            self.layer.timers.cancel(timer);
        }
        let others: Vec<LegId> = fork
            .trying
            .iter()
            .map(|branch| branch.leg)
            .filter(|leg| Some(*leg) != but)
            .collect();
        for leg in others {
            self.hangup(now, leg, reason.map(str::to_owned));
        }
    }

    /// Every way has come to nothing.
    fn fork_over(&mut self, call: LegId) {
        let Some(fork) = self.forks.calls.remove(&call) else {
            return;
        };
        if let Some(timer) = fork.timer {
            self.layer.timers.cancel(timer);
        }
        let cause = match fork.hung_up {
            true => Cause::HungUp,
            false => fork.failure.unwrap_or(Cause::Unreachable),
        };
        self.never_was(call, cause);
    }

    /// After each input: what inner legs have to tell becomes the calls', and what follows from it is done.
    pub(super) fn follow_up(&mut self, now: Time) {
        if self.forks.is_idle() && self.trunks.is_idle() {
            return;
        }
        let mut told = VecDeque::new();
        // Each round takes at least one way of a call or ends; ways are bounded.
        while !self.layer.out.is_empty() {
            for output in std::mem::take(&mut self.layer.out) {
                match output {
                    Output::Event(event) => told.extend(self.follow(now, event).map(Output::Event)),
                    other => told.push_back(other),
                }
            }
        }
        self.layer.out = told;
    }

    /// What an event is to the engine; `None` when it is nothing.
    fn follow(&mut self, now: Time, mut event: Event) -> Option<Event> {
        let Some(&mut leg) = leg_of_event(&mut event) else {
            return Some(event);
        };
        self.trunk_hears(now, leg, &event);
        let Some(&call) = self.forks.ways.get(&leg) else {
            return Some(event);
        };
        if let Event::Gone { cause, reason, .. } = event {
            return self.way_gone(now, call, leg, cause, reason);
        }
        let fork = self.forks.calls.get_mut(&call)?;
        if let Some(branch) = fork.trying.iter_mut().find(|branch| branch.leg == leg) {
            branch.alive = true;
        }
        let current = self.forks.current(call);
        let fork = self.forks.calls.get_mut(&call)?;
        match &mut event {
            Event::Trying { .. } if std::mem::replace(&mut fork.told, true) => return None,
            // Whom of several the caller would hear is nobody's choice: they ring, and who answers is heard.
            Event::Ringing { sdp, .. } if current.is_none() => *sdp = None,
            Event::Answered { .. } => return self.way_answered(now, call, leg, event),
            Event::Trying { .. } | Event::Ringing { .. } => {}
            _ if current != Some(leg) => return None,
            _ => {}
        }
        *leg_of_event(&mut event)? = call;
        Some(event)
    }

    fn way_answered(
        &mut self,
        now: Time,
        call: LegId,
        leg: LegId,
        mut event: Event,
    ) -> Option<Event> {
        let fork = self.forks.calls.get_mut(&call)?;
        if fork.chosen.is_some() || fork.hung_up {
            // Two answers that crossed: the second is ended.
            self.hangup(now, leg, Some(ELSEWHERE.to_owned()));
            return None;
        }
        fork.chosen = Some(leg);
        self.hang_up_all(now, call, Some(ELSEWHERE), Some(leg));
        *leg_of_event(&mut event)? = call;
        Some(event)
    }

    fn way_gone(
        &mut self,
        now: Time,
        call: LegId,
        leg: LegId,
        cause: Cause,
        reason: Option<Box<str>>,
    ) -> Option<Event> {
        self.forks.ways.remove(&leg);
        let fork = self.forks.calls.get_mut(&call)?;
        if fork.chosen == Some(leg) {
            let fork = self.forks.calls.remove(&call)?;
            if let Some(timer) = fork.timer {
                self.layer.timers.cancel(timer);
            }
            return Some(Event::Gone {
                leg: call,
                cause,
                reason,
            });
        }
        let given_up = fork
            .trying
            .iter()
            .any(|branch| branch.leg == leg && branch.given_up);
        fork.trying.retain(|branch| branch.leg != leg);
        if fork.chosen.is_some() {
            return None;
        }
        let last = !given_up && is_last_word(fork.kind, &cause);
        if !given_up || fork.failure.is_none() {
            fork.failure = Some(better(fork.failure.take(), cause));
        }
        if last {
            fork.waiting.clear();
            self.hang_up_all(now, call, None, None);
        }
        let fork = self.forks.calls.get(&call)?;
        if fork.trying.iter().all(|branch| branch.given_up) {
            self.next_rank(now, call);
        }
        None
    }
}

/// Whether a failure speaks for all ways: 6xx is the user's own word (section 21.6); a trunk that took the call and found nobody has spoken for the number.
fn is_last_word(kind: Kind, cause: &Cause) -> bool {
    match (kind, cause) {
        (Kind::User, Cause::Rejected { status, .. }) => *status >= 600,
        (Kind::Trunks, Cause::Rejected { status, .. }) => !is_failover(*status),
        (
            _,
            Cause::Bye
            | Cause::Cancelled
            | Cause::HungUp
            | Cause::NotRegistered
            | Cause::NoResponse
            | Cause::Unreachable
            | Cause::Lost,
        ) => false,
    }
}

/// Refusals that are about the trunk and not about the number called.
pub fn is_failover(status: u16) -> bool {
    matches!(status, 401 | 407 | 408 | 430 | 500..=599)
}

/// The failure that says most: the user's own word first, then what phones said, then silence (section 16.7 step 6).
fn better(one: Option<Cause>, other: Cause) -> Cause {
    let rank = |cause: &Cause| match cause {
        Cause::Rejected { status, .. } => match status {
            600.. => 5,
            486 | 480 => 4,
            300..=499 if !matches!(status, 401 | 407 | 408) => 3,
            _ => 2,
        },
        Cause::NoResponse | Cause::Unreachable | Cause::Lost => 1,
        Cause::Bye | Cause::Cancelled | Cause::HungUp | Cause::NotRegistered => 0,
    };
    match one {
        Some(one) if rank(&one) >= rank(&other) => one,
        _ => other,
    }
}

/// Who is called: a user, or the trunk that takes the call.
fn party_of(target: &Target) -> Arc<str> {
    match target {
        Target::User(user) | Target::Binding { user, .. } => user.clone(),
        Target::Uri(uri) => uri.clone(),
        Target::Trunks(ways) => ways
            .first()
            .map_or_else(|| "".into(), |way| way.trunk.clone()),
    }
}

/// The leg that a command is for.
fn leg_of_command(command: &mut Command) -> &mut LegId {
    match command {
        Command::Invite(invite) => &mut invite.leg,
        Command::Ring { leg, .. }
        | Command::Answer { leg, .. }
        | Command::Reject { leg, .. }
        | Command::Reinvite { leg, .. }
        | Command::AcceptReoffer { leg, .. }
        | Command::RejectReoffer { leg, .. }
        | Command::Hangup { leg, .. }
        | Command::Digits { leg, .. }
        | Command::AcceptRefer { leg }
        | Command::RejectRefer { leg, .. }
        | Command::ReferProgress { leg, .. }
        | Command::Refer { leg, .. }
        | Command::PickUp { leg } => leg,
    }
}

/// The leg that an event is about, if it is about one.
fn leg_of_event(event: &mut Event) -> Option<&mut LegId> {
    match event {
        Event::Incoming(incoming) => Some(&mut incoming.leg),
        Event::Trying { leg }
        | Event::Ringing { leg, .. }
        | Event::Answered { leg, .. }
        | Event::Confirmed { leg, .. }
        | Event::EarlyAnswer { leg, .. }
        | Event::Reoffered { leg, .. }
        | Event::ReofferAccepted { leg, .. }
        | Event::ReofferRejected { leg, .. }
        | Event::Digit { leg, .. }
        | Event::Referred { leg, .. }
        | Event::ReferAnswered { leg, .. }
        | Event::ReferNotified { leg, .. }
        | Event::Gone { leg, .. } => Some(leg),
        // Told of the call by its own name.
        Event::Placed { .. }
        | Event::Registration(_)
        | Event::PhoneLives { .. }
        | Event::FixedPhone { .. }
        | Event::Trunk(_)
        | Event::TrunkCall { .. }
        | Event::TrunkRefused { .. }
        | Event::Suspect(_)
        | Event::Counted { .. }
        | Event::Traffic { .. } => None,
    }
}
