//! Why this agent: the explanation that goes with each offer, bounded in size and in what it costs.

use std::collections::BTreeMap;

use clock::Time;

use crate::acd::Acd;
use crate::agent::Kind;
use crate::api::{Candidate, ContactId, Decision, Excluded, Name};
use crate::index::{EXAMPLES_MAX, Lacking};

/// Candidates told.
const CANDIDATES_MAX: usize = 3;
/// Overtaken contacts told.
const OVERTAKEN_MAX: usize = 5;

/// The words of an explanation, made once.
#[derive(Debug)]
pub(crate) struct Words {
    idle_seconds: Name,
    skill: Name,
    level: Name,
    back_off: Name,
    kinds: [Name; Kind::COUNT - 1],
}

impl Default for Words {
    fn default() -> Self {
        Words {
            idle_seconds: "idle_s".into(),
            skill: "skill".into(),
            level: "level".into(),
            back_off: "back_off".into(),
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
            runner_up: None,
            candidates: Vec::new(),
            excluded: Vec::new(),
            overtaken: Vec::new(),
        };
        let Some(record) = self.contacts.get(&contact) else {
            return decision;
        };
        let mut apart = Lacking::default();
        let best = self.candidates(contact, record.profile, &mut apart);
        decision.runner_up = best
            .iter()
            .map(|(_, agent)| *agent)
            .find(|agent| *agent != chosen)
            .map(|agent| self.id(agent));
        decision.candidates = best
            .into_iter()
            .map(|(since, agent)| self.candidate(since, agent))
            .collect();
        decision.excluded = self.excluded(record.profile, &apart);
        let ahead = self.waiting.iter().take_while(|rank| *rank < record.rank);
        decision.overtaken = ahead.take(OVERTAKEN_MAX).map(|rank| rank.contact).collect();
        decision
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

    fn excluded(&self, profile: u32, apart: &Lacking) -> Vec<Excluded> {
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

    fn id(&self, agent: u32) -> Name {
        self.agents[agent as usize].config().id.clone()
    }
}

fn note(lacking: &mut Lacking, agent: u32) {
    lacking.count += 1;
    if lacking.examples.len() < EXAMPLES_MAX {
        lacking.examples.push(agent);
    }
}
