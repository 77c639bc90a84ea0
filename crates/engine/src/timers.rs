//! The engine's own deadlines: at most one of each kind per contact, and one for the drain.

use std::collections::{BTreeMap, BTreeSet};

use clock::Time;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The customer look-up has taken too long.
    LookUp,
    /// The pop has not been confirmed as delivered: ring anyway.
    Pop,
    /// An agent's phone has given no sign of life.
    Sign,
    /// The IVR session's own deadline.
    Ivr,
    /// Speech of a text has taken too long to make.
    Speech,
    /// The next announcement to a waiting caller.
    Announce,
    /// An extension has rung long enough.
    Direct,
    /// The longest call.
    MaxCall,
    /// A call to a feature code.
    Code(sip::LegId),
    /// Who is to be added to a talk has rung long enough.
    Member(sip::LegId),
    /// A supervisor's telephone has rung long enough.
    Supervisor(sip::LegId),
    /// The streams of a contact that is over have not told what they saw.
    Quality,
    /// The drain is over.
    Drain,
}

impl Kind {
    fn reason(self) -> &'static str {
        match self {
            Kind::LookUp => "customer look-up",
            Kind::Pop => "pop delivery",
            Kind::Sign => "sign of life",
            Kind::Ivr => "ivr",
            Kind::Speech => "speech",
            Kind::Announce => "announcement",
            Kind::Direct => "extension ring",
            Kind::MaxCall => "longest call",
            Kind::Code(_) => "feature code",
            Kind::Member(_) => "conference ring",
            Kind::Supervisor(_) => "supervisor ring",
            Kind::Quality => "last of the streams",
            Kind::Drain => "drain",
        }
    }
}

/// Deadlines by time; setting one replaces the earlier one of the same owner and kind.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Time, acd::ContactId, Kind)>,
    by_owner: BTreeMap<(acd::ContactId, Kind), Time>,
}

impl Timers {
    pub(crate) fn set(&mut self, owner: acd::ContactId, kind: Kind, at: Time) {
        self.clear(owner, kind);
        self.by_time.insert((at, owner, kind));
        self.by_owner.insert((owner, kind), at);
    }

    pub(crate) fn clear(&mut self, owner: acd::ContactId, kind: Kind) {
        if let Some(at) = self.by_owner.remove(&(owner, kind)) {
            self.by_time.remove(&(at, owner, kind));
        }
    }

    /// Clears all of an owner's deadlines.
    pub(crate) fn clear_all(&mut self, owner: acd::ContactId) {
        while let Some((&(_, kind), _)) = self
            .by_owner
            .range((owner, Kind::LookUp)..=(owner, Kind::Drain))
            .next()
        {
            self.clear(owner, kind);
        }
    }

    pub(crate) fn next(&self) -> Option<(Time, &'static str)> {
        self.by_time
            .first()
            .map(|&(at, _, kind)| (at, kind.reason()))
    }

    /// Takes one deadline that has come.
    pub(crate) fn due(&mut self, now: Time) -> Option<(acd::ContactId, Kind)> {
        let &(at, owner, kind) = self.by_time.first()?;
        (at <= now).then(|| {
            self.clear(owner, kind);
            (owner, kind)
        })
    }
}
