//! How each leg of a contact sounded. A stream tells what it has seen when it ends, a moment after its contact has: `contact.closed` waits for that.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use sip::LegId;

use crate::Engine;
use crate::contact::Contact;
use crate::event::{LegQuality, Outcome};
use crate::timers::Kind;

type Name = Arc<str>;

/// Longest wait for the streams of a contact that is over: they end at their plane's next wake-up, unless that hangs.
const PATIENCE: Duration = Duration::from_secs(1);
/// Legs of one contact whose quality is kept; a contact that was passed on more often keeps its first ones.
const LEGS_MAX: usize = 16;

/// What is not settled yet.
#[derive(Debug, Default)]
pub(crate) struct Qualities {
    /// Streams that have been told to end, with the contact and the party that they belonged to.
    ending: BTreeMap<LegId, (acd::ContactId, Name)>,
    /// Contacts that are over, for their last event.
    closing: HashMap<acd::ContactId, Closing>,
}

#[derive(Debug)]
struct Closing {
    contact: Contact,
    outcome: Outcome,
    cause: Name,
    duration: Duration,
    /// Streams that have not told yet.
    awaited: usize,
}

impl Qualities {
    pub(crate) fn is_empty(&self) -> bool {
        self.closing.is_empty()
    }

    /// Contacts whose last event is still to come.
    pub(crate) fn closing(&self) -> usize {
        self.closing.len()
    }
}

impl Engine {
    /// Ends a leg's stream; what it has seen will be its contact's.
    pub(crate) fn close_stream(&mut self, leg: LegId) {
        let Some(record) = self.legs.get(&leg).filter(|record| record.port.is_some()) else {
            return;
        };
        if let Some(number) = record.contact {
            let party = record.party.clone().unwrap_or_else(|| "caller".into());
            self.qualities.ending.insert(leg, (number, party));
        }
        let stream = crate::legs::stream(leg);
        self.media(leg, media::Command::Close { stream });
    }

    /// A stream has ended.
    pub(crate) fn stream_closed(&mut self, now: Time, leg: LegId, stats: &media::Stats) {
        let Some((number, party)) = self.qualities.ending.remove(&leg) else {
            return;
        };
        let closing = self.qualities.closing.get_mut(&number);
        let (contact, awaited) = match closing {
            Some(closing) => (&mut closing.contact, Some(&mut closing.awaited)),
            None => match self.contacts.get_mut(&number) {
                Some(contact) => (contact, None),
                None => return, // told too late
            },
        };
        let silent = stats.packets_in == 0 && stats.packets_out == 0;
        if !silent && contact.quality.len() < LEGS_MAX {
            contact.quality.push(quality(party, stats));
        }
        if let Some(awaited) = awaited {
            *awaited = awaited.saturating_sub(1);
            if *awaited == 0 {
                self.quality_settled(now, number);
            }
        }
    }

    /// A contact is over: its last event is written as soon as its streams have told what they saw.
    pub(crate) fn closed(
        &mut self,
        now: Time,
        number: acd::ContactId,
        mut contact: Contact,
        outcome: Outcome,
        cause: &str,
    ) {
        self.end_recording(now, number, &mut contact);
        let awaited = self.qualities.ending.values();
        let awaited = awaited.filter(|(owner, _)| *owner == number).count();
        let closing = Closing {
            duration: now - contact.arrived,
            contact,
            outcome,
            cause: cause.into(),
            awaited,
        };
        self.qualities.closing.insert(number, closing);
        if awaited == 0 {
            self.quality_settled(now, number);
        } else {
            self.timers.set(number, Kind::Quality, now + PATIENCE);
        }
    }

    /// Nothing more is to come, or not in time.
    pub(crate) fn quality_settled(&mut self, now: Time, number: acd::ContactId) {
        self.timers.clear(number, Kind::Quality);
        if let Some(closing) = self.qualities.closing.remove(&number) {
            let Closing {
                contact,
                outcome,
                cause,
                duration,
                ..
            } = closing;
            self.note_closed(now, contact, outcome, cause, duration);
        }
        self.drained_check();
    }
}

/// What a stream has seen, as events have it: hundredths are all that these numbers are worth.
fn quality(leg: Name, stats: &media::Stats) -> LegQuality {
    let hundredths = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
    LegQuality {
        leg,
        packets_in: stats.packets_in,
        packets_out: stats.packets_out,
        lost: stats.lost,
        rejected: stats.rejected,
        jitter_ms: hundredths(stats.jitter_ms),
        round_trip_ms: stats.round_trip_ms.map(hundredths),
        mos: stats.mos.map(hundredths),
        far_lost: stats.far.map(|far| far.lost),
        far_jitter_ms: stats.far.map(|far| hundredths(far.jitter_ms)),
        far_mos: stats.far.map(|far| hundredths(far.mos)),
    }
}
