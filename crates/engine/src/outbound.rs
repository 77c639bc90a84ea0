//! Calls to the outside: who may call what, by which trunks, and the call itself.
//!
//! **Class of service.** A number that is not this centre's can be called only by somebody whose classes name it: an agent (`may_call` in agents.toml),
//! or a caller whose entry number allows it to the flow that it starts (`may_call` of a route). Without such a grant there are internal numbers only.
//! An unauthenticated source, a caller's digits, a REFER and a 302 have no classes of their own, so that none of them can make a leg to the outside:
//! whoever wants one asks `Engine::destination` with the classes of the agent or the entry on whose account it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use clock::Time;
use sip::{Cause, Identity, Incoming, LegId};

use crate::Engine;
use crate::api::{Count, Output, Route};
use crate::contact::{Leg, LegState, Stage, Talk};
use crate::event::EventKind;
use crate::journal::millis;
use crate::timers::Kind;

type Name = Arc<str>;

/// How long somebody outside may ring before we give up: longer than any voicemail's patience.
const OUTSIDE_RING: std::time::Duration = std::time::Duration::from_secs(120);

/// Digits of a number that is dialled as it is, without country and area: emergency and service numbers.
const SHORT_DIGITS: std::ops::RangeInclusive<usize> = 2..=6;
/// Digits of an international number (ITU-T E.164); fewer are nobody's.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// The class whose numbers every agent may call, whatever `may_call` says, in a full centre and by a full trunk: somebody's life may hang on it.
pub const EMERGENCY: &str = "emergency";

/// Who may call out, and by which trunks. The default lets nobody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outbound {
    pub rules: Vec<Rule>,
    /// How each trunk wants to see numbers.
    pub dialling: BTreeMap<Name, Dialling>,
    /// What the flow of an entry number may call for its callers.
    pub entries: BTreeMap<Name, Arc<[Name]>>,
}

/// Numbers that begin so are of this class and leave by these trunks.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The beginning of an international number (`+86`, `+`), or a whole short number (`110`). The longest that fits decides.
    pub number: Name,
    /// What `may_call` names.
    pub class: Name,
    pub trunks: Vec<Share>,
    /// The number that the called party sees, in place of the trunk's.
    pub caller_id: Option<Name>,
}

/// A trunk's part in the calls of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub trunk: Name,
    /// Lower ranks are tried first; within one, calls are shared by weight.
    pub rank: u16,
    pub weight: u16,
}

/// How a trunk writes numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialling {
    /// Whose national numbers it speaks.
    pub country: Name,
    pub format: Format,
    /// Digits taken off the front of what the format gives, then what is put before it.
    pub strip: usize,
    pub prefix: String,
    /// The number that called parties see.
    pub caller_id: Option<Name>,
}

/// The written form of a number towards a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `+8613800138000`
    Plus,
    /// `8613800138000`
    E164,
    /// As it is dialled in the trunk's country: `13800138000`, abroad with the country's international prefix.
    National,
}

/// What a number leads to, for somebody who may call it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Destination {
    /// A number of this centre.
    Inside(Route),
    Outside(Outside),
}

/// A number outside that may be called, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outside {
    /// E.164, or a short number.
    pub(crate) number: Name,
    pub(crate) class: Name,
    /// What the called party sees; empty shows nothing.
    pub(crate) caller_id: Name,
    pub(crate) ways: Arc<[sip::Through]>,
}

/// Why a number may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barred {
    /// Nobody's number, or no rule leads there.
    Unknown,
    /// There is such a number, and not for the one who asks.
    Class,
}

impl Barred {
    pub(crate) fn status(self) -> u16 {
        match self {
            Barred::Unknown => 404,
            Barred::Class => 403,
        }
    }
}

impl Outbound {
    /// A number outside for somebody with these classes. `country` reads numbers without a country code.
    fn outside(&self, dialled: &str, country: &str, classes: &[Name]) -> Result<Outside, Barred> {
        let number = called_number(dialled, country).ok_or(Barred::Unknown)?;
        let rule = self.rule(&number).ok_or(Barred::Unknown)?;
        if !classes.contains(&rule.class) {
            return Err(Barred::Class);
        }
        let ways: Arc<[sip::Through]> = rule
            .trunks
            .iter()
            .filter_map(|share| {
                let dialling = self.dialling.get(&share.trunk)?;
                let caller = rule.caller_id.as_ref().or(dialling.caller_id.as_ref());
                Some(sip::Through {
                    trunk: share.trunk.clone(),
                    number: dialling.write(&number),
                    caller: caller
                        .map(|caller| dialling.write(caller))
                        .unwrap_or_default(),
                    rank: share.rank,
                    weight: share.weight,
                    urgent: *rule.class == *EMERGENCY,
                })
            })
            .collect();
        let shown = rule.caller_id.clone().or_else(|| {
            let first = self.dialling.get(&rule.trunks.first()?.trunk)?;
            first.caller_id.clone()
        });
        Ok(Outside {
            number: number.into(),
            class: rule.class.clone(),
            caller_id: shown.unwrap_or_else(|| "".into()),
            ways,
        })
    }

    /// The rule of the longest beginning; a short number is meant whole.
    fn rule(&self, number: &str) -> Option<&Rule> {
        let fits = |rule: &&Rule| match rule.number.starts_with('+') {
            true => number.starts_with(&*rule.number),
            false => *rule.number == *number,
        };
        self.rules
            .iter()
            .filter(fits)
            .max_by_key(|rule| rule.number.len())
    }
}

impl Dialling {
    /// A number as this trunk wants to see it. Short numbers are the same everywhere.
    fn write(&self, number: &str) -> String {
        let Some(digits) = number.strip_prefix('+') else {
            return number.to_owned();
        };
        let plain = match self.format {
            Format::Plus => number.to_owned(),
            Format::E164 => digits.to_owned(),
            Format::National => crm::Number::parse(number, &self.country)
                .dialled_in(&self.country)
                .unwrap_or_else(|| number.to_owned()),
        };
        let rest: String = plain.chars().skip(self.strip).collect();
        format!("{}{rest}", self.prefix)
    }
}

/// What was dialled as an E.164 number or a short number; `None` when nobody could have that number.
fn called_number(dialled: &str, country: &str) -> Option<String> {
    if let Some(e164) = crm::Number::parse(dialled, country).e164 {
        return Some(e164);
    }
    // Number plans change faster than the library's copy: an international number in form is let to the rules as it is.
    let digits = dialled.strip_prefix('+').unwrap_or(dialled);
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = match dialled.starts_with('+') {
        true => E164_DIGITS.contains(&digits.len()) && !digits.starts_with('0'),
        false => SHORT_DIGITS.contains(&digits.len()),
    };
    (all_digits && fits).then(|| dialled.to_owned())
}

impl Engine {
    /// What a dialled number leads to for somebody with these classes: this centre's numbers for everybody, others by class of service. Whether the one
    /// who asks may dial extensions at all (callers from trunks may not) is for the one who calls this to know.
    pub(crate) fn destination(
        &self,
        dialled: &str,
        classes: &[Name],
    ) -> Result<Destination, Barred> {
        if let Some(route) = self.config.routes.get(dialled) {
            return Ok(Destination::Inside(route.clone()));
        }
        self.config
            .outbound
            .outside(dialled, &self.config.country, classes)
            .map(Destination::Outside)
    }

    /// What an agent may call outside: emergency numbers in any case.
    pub(crate) fn classes_of_agent(&self, agent: &str) -> Arc<[Name]> {
        let Some(account) = self.config.agents.get(agent) else {
            return [].into();
        };
        let emergency: Name = EMERGENCY.into();
        if account.may_call.contains(&emergency) {
            return account.may_call.clone();
        }
        account
            .may_call
            .iter()
            .cloned()
            .chain([emergency])
            .collect()
    }

    /// Whether an agent's telephone calls for help: such a call is let in when no other is.
    pub(crate) fn is_emergency(&self, incoming: &Incoming) -> bool {
        let Identity::User(agent) = &incoming.identity else {
            return false;
        };
        let classes = self.classes_of_agent(agent);
        matches!(
            self.destination(&incoming.dialled, &classes),
            Ok(Destination::Outside(outside)) if *outside.class == *EMERGENCY
        )
    }

    /// What the flow that an entry number starts may call outside for its callers.
    pub(crate) fn classes_of_entry(&self, dialled: &str) -> Arc<[Name]> {
        self.config
            .outbound
            .entries
            .get(dialled)
            .map_or_else(|| [].into(), Arc::clone)
    }

    /// Calls somebody outside for a contact whose caller waits: an agent's phone that dialled, or a caller whose flow transfers.
    pub(crate) fn call_outside(&mut self, now: Time, number: acd::ContactId, outside: &Outside) {
        match self.place_outside(now, number, outside) {
            Some(leg) => {
                if let Some(contact) = self.contacts.get_mut(&number) {
                    contact.stage = Stage::Outside {
                        leg,
                        since: now,
                        answered: false,
                    };
                }
                self.timers.set(number, Kind::Direct, now + OUTSIDE_RING);
            }
            None => {
                self.journal.put(Output::Count(Count::OverloadRejected {
                    reason: "rtp_ports",
                }));
                self.outside_failed(now, number, 503);
            }
        }
    }

    /// A leg to the outside for a contact, its stream on the caller's plane. `None`: no port is free there.
    pub(crate) fn place_outside(
        &mut self,
        now: Time,
        number: acd::ContactId,
        outside: &Outside,
    ) -> Option<LegId> {
        let contact = self.contacts.get(&number)?;
        let (caller, id) = (contact.caller, contact.id.clone());
        // What the far end sees is a number of ours: only who calls from inside has a say in it.
        let private = contact.withheld && contact.by.is_some();
        let plane = self.legs.get(&caller)?.port?.plane;
        let help = *outside.class == *EMERGENCY;
        let port = self.ports.take_on(plane).or_else(|| {
            help.then(|| self.ports.take_for_help(Some(plane)))
                .flatten()
        })?;
        let leg = self.sip.new_leg();
        let mut record = Leg::new(Some(port), LegState::Inviting, None);
        record.contact = Some(number);
        record.party = Some("outside".into());
        self.legs.insert(leg, record);
        self.open_stream(leg, port);
        let target = sip::Target::Trunks(outside.ways.clone());
        self.heads_for(now, leg, &target);
        let Some(sdp) = self.prepare_offer(leg, caller) else {
            self.drop_leg(leg);
            return None;
        };
        self.tell_sip(
            now,
            sip::Command::Invite(sip::Invite {
                leg,
                target,
                from_display: None,
                from_user: outside.caller_id.to_string(),
                private,
                sdp,
                headers: vec![("X-Cordboard-Contact".to_owned(), id.to_string())],
            }),
        );
        Some(leg)
    }

    /// The far end rings, or speaks before it answers: the caller hears the same.
    pub(crate) fn outside_rings(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        sdp: Option<&Bytes>,
    ) {
        let Some(caller) = self.contacts.get(&number).map(|contact| contact.caller) else {
            return;
        };
        if sdp.is_none() || !self.take_answer(leg, sdp) {
            return self.ring_caller(now, number);
        }
        let Some(record) = self.legs.get_mut(&caller) else {
            return;
        };
        if !matches!(record.state, LegState::Inviting | LegState::Ringing) {
            return;
        }
        record.state = LegState::Ringing;
        // Without an offer of the caller's there is nowhere to speak to yet.
        let local = record.local.clone().filter(|_| record.negotiated.is_some());
        let status = if local.is_some() { 183 } else { 180 };
        self.tell_sip(
            now,
            sip::Command::Ring {
                leg: caller,
                status,
                sdp: local,
                headers: vec![],
            },
        );
        self.bridge(caller, leg);
    }

    /// Somebody outside has answered. `fits` says that there is a common codec.
    pub(crate) fn outside_answered(
        &mut self,
        now: Time,
        number: acd::ContactId,
        leg: LegId,
        fits: bool,
    ) {
        if !fits {
            self.end_leg(now, leg, Some("SIP;cause=488;text=\"Not Acceptable Here\""));
            return self.outside_failed(now, number, 488);
        }
        self.timers.clear(number, Kind::Direct);
        self.answer_caller(now, number);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let Stage::Outside {
            since, answered, ..
        } = &mut contact.stage
        else {
            return;
        };
        *answered = true;
        let (caller, rang_ms, id) = (contact.caller, millis(now - *since), contact.id.clone());
        if let Some(agent) = contact.by.clone() {
            contact.stage = Stage::Talking(Talk::new(agent.clone(), leg, None, now));
            contact.answered_agent = Some(agent.clone());
            let group = self.group_of(&agent);
            let kind = EventKind::ContactAnswered {
                contact: id,
                queue: None,
                visit: 0,
                agent,
                group,
                wait_ms: 0,
                rang_ms,
                transferred: false,
            };
            self.note(now, number, kind);
        }
        self.begin_talk(now, number, caller, leg);
    }

    /// The leg to the outside is over: it was refused, or, once answered, hung up.
    pub(crate) fn outside_gone(&mut self, now: Time, number: acd::ContactId, cause: &Cause) {
        let answered = matches!(
            self.contacts.get(&number).map(|contact| &contact.stage),
            Some(Stage::Outside { answered: true, .. })
        );
        if answered {
            return self.close(now, number, "outside_bye");
        }
        let status = match cause {
            // Where a redirection leads is nobody's class of service; a challenge is for us alone: an agent's phone would answer it.
            Cause::Rejected {
                status: 300..=399, ..
            } => 480,
            Cause::Rejected {
                status: 401 | 407, ..
            } => 503,
            Cause::Rejected { status, .. } => *status,
            Cause::NotRegistered | Cause::Unreachable | Cause::NoResponse => 503,
            Cause::Bye | Cause::Cancelled | Cause::HungUp | Cause::Lost => 480,
        };
        self.outside_failed(now, number, status);
    }

    /// Nobody outside picks up.
    pub(crate) fn outside_unanswered(&mut self, now: Time, number: acd::ContactId, leg: LegId) {
        self.end_leg(now, leg, None);
        self.outside_failed(now, number, 480);
    }

    fn outside_failed(&mut self, now: Time, number: acd::ContactId, status: u16) {
        self.timers.clear(number, Kind::Direct);
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.stage = Stage::Ivr;
        }
        if self.return_to_flow(now, number, "failed") {
            return;
        }
        let Some(caller) = self.contacts.get(&number).map(|contact| contact.caller) else {
            return;
        };
        if self
            .legs
            .get(&caller)
            .is_some_and(|leg| matches!(leg.state, LegState::Inviting | LegState::Ringing))
        {
            self.tell_sip(
                now,
                sip::Command::Reject {
                    leg: caller,
                    status,
                    reason: None,
                    headers: vec![],
                },
            );
        }
        self.close(now, number, "outside_failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Arc<[Name]> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn rule(number: &str, class: &str, trunks: &[(&str, u16)]) -> Rule {
        Rule {
            number: number.into(),
            class: class.into(),
            trunks: trunks
                .iter()
                .map(|&(trunk, rank)| Share {
                    trunk: trunk.into(),
                    rank,
                    weight: 1,
                })
                .collect(),
            caller_id: None,
        }
    }

    fn dialling(format: Format, strip: usize, prefix: &str) -> Dialling {
        Dialling {
            country: "CN".into(),
            format,
            strip,
            prefix: prefix.into(),
            caller_id: Some("+861065529988".into()),
        }
    }

    fn outbound() -> Outbound {
        Outbound {
            rules: vec![
                rule("+", "international", &[("b", 0)]),
                rule("+86", "national", &[("a", 0), ("b", 1)]),
                rule("+8613", "mobile", &[("a", 0)]),
                rule("110", "emergency", &[("a", 0)]),
            ],
            dialling: BTreeMap::from([
                ("a".into(), dialling(Format::National, 0, "9")),
                ("b".into(), dialling(Format::E164, 0, "")),
            ]),
            entries: BTreeMap::new(),
        }
    }

    fn ask(dialled: &str, classes: &[&str]) -> Result<Outside, Barred> {
        outbound().outside(dialled, "CN", &names(classes))
    }

    #[test]
    fn the_longest_beginning_names_the_class() {
        let class = |dialled| {
            let all = ["international", "national", "mobile", "emergency"];
            ask(dialled, &all).map(|outside| outside.class.to_string())
        };
        assert_eq!(class("01065529988").as_deref(), Ok("national"));
        assert_eq!(class("13800138000").as_deref(), Ok("mobile"));
        assert_eq!(class("+4930123456").as_deref(), Ok("international"));
        assert_eq!(class("004930123456").as_deref(), Ok("international"));
        assert_eq!(class("110").as_deref(), Ok("emergency"));
        assert_eq!(class("119"), Err(Barred::Unknown), "no rule has it");
        assert_eq!(
            class("1101"),
            Err(Barred::Unknown),
            "a short number is meant whole"
        );
        assert_eq!(class("alice"), Err(Barred::Unknown));
        assert_eq!(class(""), Err(Barred::Unknown));
        assert_eq!(class("+86138;phone-context=x@evil"), Err(Barred::Unknown));
    }

    #[test]
    fn without_the_class_nothing_goes_out() {
        assert_eq!(ask("13800138000", &[]), Err(Barred::Class));
        assert_eq!(ask("13800138000", &["national"]), Err(Barred::Class));
        assert_eq!(
            ask("+4930123456", &["national", "mobile"]),
            Err(Barred::Class)
        );
        assert!(ask("01065529988", &["national"]).is_ok());
        let nobody = Outbound::default().outside("01065529988", "CN", &names(&["national"]));
        assert_eq!(nobody, Err(Barred::Unknown), "the default has no rules");
    }

    #[test]
    fn each_trunk_sees_its_own_form() {
        let outside = ask("+861065529988", &["national"]).expect("allowed");
        let ways: Vec<(&str, &str, &str, u16)> = outside
            .ways
            .iter()
            .map(|way| (&*way.trunk, &*way.number, &*way.caller, way.rank))
            .collect();
        assert_eq!(
            ways,
            [
                ("a", "901065529988", "901065529988", 0),
                ("b", "861065529988", "861065529988", 1)
            ]
        );
        assert_eq!(
            dialling(Format::National, 0, "").write("+13125550142"),
            "0013125550142"
        );
        assert_eq!(
            dialling(Format::Plus, 3, "0").write("+861065529988"),
            "01065529988"
        );
        assert_eq!(dialling(Format::National, 0, "9").write("110"), "110");
    }
}
