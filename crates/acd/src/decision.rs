//! Why this agent: the explanation that goes with each offer, bounded in size and in what it costs.

use std::collections::BTreeMap;

use clock::Time;

use crate::acd::{Acd, ContactRecord};
use crate::agent::Kind;
use crate::api::{Candidate, Choice, ContactId, Decision, Excluded, Name};
use crate::choosing::{ByChoice, Standing};
use crate::index::{EXAMPLES_MAX, Lacking};

/// Candidates told.
const CANDIDATES_MAX: usize = 3;
/// Overtaken contacts told.
const OVERTAKEN_MAX: usize = 5;

/// The words of an explanation, made once.
#[derive(Debug)]
pub(crate) struct Words {
    idle_seconds: Name,
    pub skill: Name,
    pub level: Name,
    pub back_off: Name,
    pub wanted: Name,
    pub priority: Name,
    pub detached: Name,
    pub state: Name,
    preferred: Name,
    worked_seconds: Name,
    levels: Name,
    around: Name,
    kinds: [Name; Kind::COUNT - 1],
}

impl Default for Words {
    fn default() -> Self {
        Words {
            idle_seconds: "idle_s".into(),
            skill: "skill".into(),
            level: "level".into(),
            back_off: "back_off".into(),
            wanted: "wanted".into(),
            priority: "priority".into(),
            detached: "detached".into(),
            state: "state".into(),
            preferred: "preferred".into(),
            worked_seconds: "worked_s".into(),
            levels: "levels".into(),
            around: "around".into(),
            kinds: Kind::REASONS.map(|(_, word)| word.into()),
        }
    }
}

impl Acd {
    /// Why `chosen` gets the contact; asked before the reservation.
    ///
    /// Counts are exact, from kept counters, but for `back_off`: it counts those whom the search met. Examples come from the first few
    /// agents, by id, who have the skills.
    pub(crate) fn explain(&self, contact: ContactId, chosen: u32) -> Decision {
        let mut decision = Decision {
            step: 0,
            chosen: self.id(chosen),
            overtaken_by: BTreeMap::new(),
            runner_up: None,
            candidates: Vec::new(),
            excluded: Vec::new(),
            overtaken: Vec::new(),
        };
        let Some(record) = self.contacts.get(&contact) else {
            return decision;
        };
        let mut apart = Lacking::default();
        let choice = self.queues[record.queue as usize].config.choice;
        let plain = choice == Choice::LongestIdle
            && record.preferred_profile.is_none()
            && record.asked.wanted.is_none();
        let (best, candidates) = if plain {
            let best = self.candidates(contact, record.profile, &mut apart);
            let candidates = best
                .iter()
                .map(|(since, agent)| self.candidate(*since, *agent));
            let candidates = candidates.collect();
            (
                best.into_iter().map(|(_, agent)| agent).collect(),
                candidates,
            )
        } else {
            self.note_apart(contact, record.profile, &mut apart);
            self.best_standings(contact, record)
        };
        let best: Vec<u32> = best;
        let second = best.into_iter().find(|agent| *agent != chosen);
        decision.runner_up = second.map(|agent| self.id(agent));
        decision.candidates = candidates;
        decision.step = record.step;
        decision.excluded = self.excluded(record.profile, &apart);
        let ahead = self.waiting.iter().take_while(|rank| *rank < record.rank);
        decision.overtaken = ahead.take(OVERTAKEN_MAX).map(|rank| rank.contact).collect();
        decision.overtaken_by = self.overtaken_by(contact);
        decision
    }

    fn note_apart(&self, contact: ContactId, profile: u32, apart: &mut Lacking) {
        for (_, agent) in self.index.ready(profile) {
            if self.agents[agent as usize].apart_from(contact, self.now) {
                note(apart, agent);
            }
        }
    }

    /// The best few where more counts than idleness.
    fn best_standings(
        &self,
        contact: ContactId,
        record: &ContactRecord,
    ) -> (Vec<u32>, Vec<Candidate>) {
        let mut best: Vec<Standing> = Vec::with_capacity(CANDIDATES_MAX + 1);
        for standing in self.standings(contact, record) {
            if let Err(at) = best.binary_search(&standing)
                && at < CANDIDATES_MAX
            {
                best.insert(at, standing);
                best.truncate(CANDIDATES_MAX);
            }
        }
        let agents = best.iter().map(|standing| standing.agent).collect();
        let told = best
            .iter()
            .map(|standing| self.standing_told(record, standing));
        (agents, told.collect())
    }

    /// The score is what the queue's choice looks at, higher is better; who is wanted or preferred comes before it.
    fn standing_told(&self, record: &ContactRecord, standing: &Standing) -> Candidate {
        let idle = self.now.since(standing.idle_since).as_secs_f64();
        let words = &self.words;
        let mut terms = BTreeMap::from([(words.idle_seconds.clone(), idle)]);
        if record.asked.wanted.is_some() {
            let wanted = f64::from(u8::from(!standing.not_wanted));
            terms.insert(words.wanted.clone(), wanted);
        }
        if record.preferred_profile.is_some() {
            let preferred = f64::from(u8::from(!standing.not_preferred));
            terms.insert(words.preferred.clone(), preferred);
        }
        let score = match standing.choice {
            ByChoice::Idle => idle,
            ByChoice::Worked(worked) => {
                terms.insert(words.worked_seconds.clone(), worked.as_secs_f64());
                -worked.as_secs_f64()
            }
            ByChoice::Levels(levels) => {
                terms.insert(words.levels.clone(), f64::from(levels.0));
                f64::from(levels.0)
            }
            ByChoice::Round { around, .. } => {
                terms.insert(words.around.clone(), f64::from(u8::from(around)));
                -f64::from(u8::from(around))
            }
        };
        Candidate {
            agent: self.id(standing.agent),
            score,
            terms,
        }
    }

    /// The best few, in order.
    fn candidates(
        &self,
        contact: ContactId,
        profile: u32,
        apart: &mut Lacking,
    ) -> Vec<(Time, u32)> {
        let mut best: Vec<(Time, u32)> = Vec::with_capacity(CANDIDATES_MAX + 1);
        for (since, agent) in self.index.ready(profile) {
            if self.agents[agent as usize].apart_from(contact, self.now) {
                note(apart, agent);
            } else if best.len() == CANDIDATES_MAX {
                break;
            } else {
                best.push((since, agent));
            }
        }
        for freed in self.free_eligible(contact, profile) {
            if let Err(at) = best.binary_search(&freed) {
                best.insert(at, freed);
                best.truncate(CANDIDATES_MAX);
            }
        }
        best
    }

    fn candidate(&self, since: Time, agent: u32) -> Candidate {
        let idle = self.now.since(since).as_secs_f64();
        Candidate {
            agent: self.id(agent),
            score: idle,
            terms: BTreeMap::from([(self.words.idle_seconds.clone(), idle)]),
        }
    }

    pub(crate) fn excluded(&self, profile: u32, apart: &Lacking) -> Vec<Excluded> {
        let profile = self.index.profile(profile);
        let mut of_kind: [Lacking; Kind::COUNT] = Default::default();
        for agent in &profile.sample {
            let examples = &mut of_kind[self.index.kind(*agent) as usize].examples;
            if examples.len() < EXAMPLES_MAX {
                examples.push(*agent);
            }
        }
        let mut excluded = Vec::new();
        for ((kind, _), word) in Kind::REASONS.iter().zip(&self.words.kinds) {
            of_kind[*kind as usize].count = profile.by_kind[*kind as usize];
            self.exclude(&mut excluded, word, &of_kind[*kind as usize]);
        }
        self.exclude(&mut excluded, &self.words.back_off, apart);
        self.exclude(&mut excluded, &self.words.skill, &profile.lack_skill);
        self.exclude(&mut excluded, &self.words.level, &profile.lack_level);
        excluded
    }

    fn exclude(&self, excluded: &mut Vec<Excluded>, reason: &Name, lacking: &Lacking) {
        if lacking.count > 0 {
            let examples = lacking
                .examples
                .iter()
                .map(|agent| self.id(*agent))
                .collect();
            excluded.push(Excluded {
                reason: reason.clone(),
                count: lacking.count,
                examples,
            });
        }
    }

    pub(crate) fn id(&self, agent: u32) -> Name {
        self.agents[agent as usize].config().id.clone()
    }
}

fn note(lacking: &mut Lacking, agent: u32) {
    lacking.count += 1;
    if lacking.examples.len() < EXAMPLES_MAX {
        lacking.examples.push(agent);
    }
}
