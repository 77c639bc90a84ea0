//! Who can serve whom: an index over requirements, kept as agents and contacts come and go.
//!
//! Each distinct set of required skills is a *profile*, each distinct set of an agent's skills a *class*. A class knows the profiles
//! it satisfies, a profile has its own waiting line and its own ordered set of ready agents. So an agent who becomes ready looks
//! only at the heads of the lines that they can serve, and a contact that arrives looks at the head of one set.

use std::collections::{BTreeMap, BTreeSet};

use clock::Time;

use crate::agent::Kind;
use crate::api::Name;
use crate::line::{Line, Rank};

/// Profiles that have their own set of ready agents. A profile beyond it searches all ready agents, longest idle first.
const PROFILES_INDEXED_MAX: usize = 512;
/// Profiles kept although no contact or queue uses them now, since making one costs a pass over the agents.
const PROFILES_SPARE_MAX: usize = 256;
/// Agents of a profile from which a decision takes its examples.
const SAMPLE_MAX: usize = 64;
/// Examples of one reason in a decision.
pub(crate) const EXAMPLES_MAX: usize = 3;
/// The class of those who get no more work.
const NO_CLASS: u32 = u32::MAX;

/// Required skills and levels, by name, each level at least 1.
pub(crate) type Requirement = Vec<(Name, u8)>;

/// Agents with the same skills.
#[derive(Debug, Default)]
struct Class {
    /// Level by skill number; 0 is none.
    levels: Vec<u8>,
    /// The profiles that it satisfies, ascending.
    profiles: Vec<u32>,
    agents: Vec<u32>,
}

/// Agents whom a requirement leaves out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lacking {
    pub count: u32,
    pub examples: Vec<u32>,
}

/// A distinct requirement.
#[derive(Debug)]
pub(crate) struct Profile {
    requirement: Requirement,
    /// Numbers of the skills in it that some agent has.
    skills: Vec<u32>,
    /// Classes that satisfy it.
    classes: Vec<u32>,
    /// Queues and contacts that use it.
    users: usize,
    spare_since: u64,
    waiting: Line,
    /// Ready agents who satisfy it, longest idle first; `None` when the profile is not indexed.
    ready: Option<BTreeSet<(Time, u32)>>,
    /// How many who satisfy it are in each state.
    pub by_kind: [u32; Kind::COUNT],
    /// The first few who satisfy it.
    pub sample: Vec<u32>,
    /// Those who lack a skill altogether, and those who have all but at too low a level.
    pub lack_skill: Lacking,
    pub lack_level: Lacking,
}

/// What the index knows of an agent.
#[derive(Clone, Copy, Debug)]
struct Seat {
    class: u32,
    kind: Kind,
    ready: Option<Time>,
}

/// The index. Everything in it can be made again from agents and contacts; a new configuration does so.
#[derive(Debug, Default)]
pub(crate) struct Index {
    skills: BTreeMap<Name, u32>,
    classes: Vec<Class>,
    profiles: Vec<Profile>,
    /// The head of each profile's line, side by side for the search.
    heads: Vec<Rank>,
    by_requirement: BTreeMap<Requirement, u32>,
    free: Vec<u32>,
    spare: BTreeSet<(u64, u32)>,
    spared: u64,
    indexed: usize,
    seats: Vec<Seat>,
    ready: BTreeSet<(Time, u32)>,
}

// --- building

impl Index {
    /// An index of agents by number; `None` stands for one who gets no more work.
    pub fn new<'a>(agents: impl Iterator<Item = (Option<&'a BTreeMap<Name, u8>>, Kind)>) -> Self {
        let mut index = Index::default();
        let mut classes: BTreeMap<&BTreeMap<Name, u8>, u32> = BTreeMap::new();
        for (number, (skills, kind)) in (0u32..).zip(agents) {
            let class = match skills {
                None => NO_CLASS,
                Some(skills) => *classes
                    .entry(skills)
                    .or_insert_with(|| index.add_class(skills)),
            };
            if let Some(class) = index.classes.get_mut(class as usize) {
                class.agents.push(number);
            }
            index.seats.push(Seat {
                class,
                kind,
                ready: None,
            });
        }
        index
    }

    fn add_class(&mut self, skills: &BTreeMap<Name, u8>) -> u32 {
        let mut class = Class::default();
        for (skill, level) in skills {
            let next = self.skills.len() as u32;
            let number = *self.skills.entry(skill.clone()).or_insert(next) as usize;
            if class.levels.len() <= number {
                class.levels.resize(number + 1, 0);
            }
            class.levels[number] = *level;
        }
        self.classes.push(class);
        self.classes.len() as u32 - 1
    }

    /// The profile of this requirement, made if need be; each `acquire` is paid back by a `release`.
    pub fn acquire(&mut self, requirement: Requirement) -> u32 {
        let profile = match self.by_requirement.get(&requirement) {
            Some(profile) => *profile,
            None => self.add_profile(requirement),
        };
        self.acquire_again(profile)
    }

    /// One user more of a profile that is known.
    pub fn acquire_again(&mut self, profile: u32) -> u32 {
        let entry = &mut self.profiles[profile as usize];
        if entry.users == 0 {
            self.spare.remove(&(entry.spare_since, profile));
        }
        entry.users += 1;
        profile
    }

    pub fn release(&mut self, profile: u32) {
        let entry = &mut self.profiles[profile as usize];
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        self.spared += 1;
        entry.spare_since = self.spared;
        self.spare.insert((self.spared, profile));
        if self.spare.len() > PROFILES_SPARE_MAX {
            self.drop_oldest_spare();
        }
    }

    fn drop_oldest_spare(&mut self) {
        let Some((_, profile)) = self.spare.pop_first() else {
            return;
        };
        let entry = &mut self.profiles[profile as usize];
        if entry.ready.take().is_some() {
            self.indexed -= 1;
        }
        for class in std::mem::take(&mut entry.classes) {
            let list = &mut self.classes[class as usize].profiles;
            if let Ok(at) = list.binary_search(&profile) {
                list.remove(at);
            }
        }
        let requirement = std::mem::take(&mut entry.requirement);
        self.by_requirement.remove(&requirement);
        self.free.push(profile);
    }

    fn add_profile(&mut self, requirement: Requirement) -> u32 {
        if self.indexed >= PROFILES_INDEXED_MAX {
            self.drop_oldest_spare();
        }
        let number = self.free.pop().unwrap_or(self.profiles.len() as u32);
        let mut profile = Profile {
            skills: requirement
                .iter()
                .filter_map(|(skill, _)| self.skills.get(skill).copied())
                .collect(),
            requirement: requirement.clone(),
            classes: Vec::new(),
            users: 0,
            spare_since: self.spared,
            waiting: Line::default(),
            ready: (self.indexed < PROFILES_INDEXED_MAX).then(BTreeSet::new),
            by_kind: [0; Kind::COUNT],
            sample: Vec::new(),
            lack_skill: Lacking::default(),
            lack_level: Lacking::default(),
        };
        self.indexed += usize::from(profile.ready.is_some());
        self.enrol(number, &mut profile);
        self.by_requirement.insert(requirement, number);
        if (number as usize) < self.profiles.len() {
            self.profiles[number as usize] = profile;
        } else {
            self.profiles.push(profile);
            self.heads.push(Rank::LAST);
        }
        self.spare.insert((self.spared, number));
        number
    }

    /// Finds who satisfies a new profile, and who does not and why.
    fn enrol(&mut self, number: u32, profile: &mut Profile) {
        let needs: Vec<(Option<u32>, u8)> = profile
            .requirement
            .iter()
            .map(|(skill, level)| (self.skills.get(skill).copied(), *level))
            .collect();
        for (class_number, class) in (0u32..).zip(&mut self.classes) {
            let level = |skill: Option<u32>| {
                skill
                    .and_then(|skill| class.levels.get(skill as usize))
                    .copied()
                    .unwrap_or(0)
            };
            if needs.iter().any(|(skill, _)| level(*skill) == 0) {
                note_lacking(&mut profile.lack_skill, &class.agents);
            } else if needs.iter().any(|(skill, least)| level(*skill) < *least) {
                note_lacking(&mut profile.lack_level, &class.agents);
            } else {
                profile.classes.push(class_number);
                let at = class.profiles.partition_point(|other| *other < number);
                class.profiles.insert(at, number);
                take_smallest(&mut profile.sample, &class.agents, SAMPLE_MAX);
                for agent in &class.agents {
                    let seat = &self.seats[*agent as usize];
                    profile.by_kind[seat.kind as usize] += 1;
                    if let (Some(since), Some(ready)) = (seat.ready, &mut profile.ready) {
                        ready.insert((since, *agent));
                    }
                }
            }
        }
    }
}

fn note_lacking(lacking: &mut Lacking, agents: &[u32]) {
    lacking.count += agents.len() as u32;
    take_smallest(&mut lacking.examples, agents, EXAMPLES_MAX);
}

/// Keeps the `most` smallest of `kept` and `more`; both are ascending.
fn take_smallest(kept: &mut Vec<u32>, more: &[u32], most: usize) {
    let last = kept.last().copied().unwrap_or(u32::MAX);
    if kept.len() >= most && more.first().is_none_or(|first| *first > last) {
        return;
    }
    kept.extend(more.iter().take(most));
    kept.sort_unstable();
    kept.truncate(most);
}

// --- agents

impl Index {
    pub fn kind(&self, agent: u32) -> Kind {
        self.seats[agent as usize].kind
    }

    /// Counts an agent's state.
    pub fn set_kind(&mut self, agent: u32, kind: Kind) {
        let seat = &mut self.seats[agent as usize];
        let before = std::mem::replace(&mut seat.kind, kind);
        let Some(class) = self.classes.get(seat.class as usize) else {
            return;
        };
        if before == kind {
            return;
        }
        for profile in &class.profiles {
            let counts = &mut self.profiles[*profile as usize].by_kind;
            counts[before as usize] -= 1;
            counts[kind as usize] += 1;
        }
    }

    /// Offers the agent to contacts that arrive from now on.
    pub fn add_ready(&mut self, agent: u32, idle_since: Time) {
        if self.seats[agent as usize].ready == Some(idle_since) {
            return;
        }
        self.remove_ready(agent);
        let seat = &mut self.seats[agent as usize];
        let Some(class) = self.classes.get(seat.class as usize) else {
            return;
        };
        seat.ready = Some(idle_since);
        self.ready.insert((idle_since, agent));
        for profile in &class.profiles {
            if let Some(ready) = &mut self.profiles[*profile as usize].ready {
                ready.insert((idle_since, agent));
            }
        }
    }

    pub fn remove_ready(&mut self, agent: u32) {
        let seat = &mut self.seats[agent as usize];
        let (Some(idle_since), Some(class)) =
            (seat.ready.take(), self.classes.get(seat.class as usize))
        else {
            return;
        };
        self.ready.remove(&(idle_since, agent));
        for profile in &class.profiles {
            if let Some(ready) = &mut self.profiles[*profile as usize].ready {
                ready.remove(&(idle_since, agent));
            }
        }
    }

    pub fn anyone_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Ready agents who satisfy the profile, longest idle first, ties by agent id.
    pub fn ready(&self, profile: u32) -> impl Iterator<Item = (Time, u32)> + '_ {
        let own = self.profiles[profile as usize].ready.as_ref();
        let all = own.is_none().then_some(&self.ready);
        let searched = all
            .into_iter()
            .flatten()
            .filter(move |(_, agent)| self.satisfies(*agent, profile));
        own.into_iter().flatten().chain(searched).copied()
    }

    /// The sum of an agent's levels in the skills of a profile.
    pub fn levels(&self, agent: u32, profile: u32) -> u32 {
        let class = self.seats[agent as usize].class as usize;
        let levels = self.classes.get(class).map(|class| &class.levels);
        let skills = &self.profiles[profile as usize].skills;
        let level = |skill: &u32| Some(u32::from(*levels?.get(*skill as usize)?));
        skills.iter().filter_map(level).sum()
    }

    /// Whether an agent lacks a skill altogether; `None` when they satisfy the profile, false when only a level is too low.
    pub fn lacks_skill(&self, agent: u32, profile: u32) -> Option<bool> {
        if self.satisfies(agent, profile) {
            return None;
        }
        let class = self.seats[agent as usize].class as usize;
        let levels = self.classes.get(class).map(|class| &class.levels);
        let profile = &self.profiles[profile as usize];
        let has = |skill: &u32| {
            levels.is_some_and(|levels| levels.get(*skill as usize).is_some_and(|level| *level > 0))
        };
        let all =
            profile.skills.len() == profile.requirement.len() && profile.skills.iter().all(has);
        Some(!all)
    }

    pub fn satisfies(&self, agent: u32, profile: u32) -> bool {
        let class = self.seats[agent as usize].class as usize;
        self.classes
            .get(class)
            .is_some_and(|class| class.profiles.binary_search(&profile).is_ok())
    }
}

// --- contacts

impl Index {
    pub fn profile(&self, profile: u32) -> &Profile {
        &self.profiles[profile as usize]
    }

    pub fn wait(&mut self, profile: u32, rank: Rank) {
        let line = &mut self.profiles[profile as usize].waiting;
        line.insert(rank);
        self.heads[profile as usize] = line.head();
    }

    pub fn leave(&mut self, profile: u32, rank: Rank) {
        let line = &mut self.profiles[profile as usize].waiting;
        line.remove(rank);
        self.heads[profile as usize] = line.head();
    }

    /// The first waiting contact that this agent can serve and is not kept apart from.
    pub fn first_for(&self, agent: u32, apart: impl Fn(Rank) -> bool) -> Option<Rank> {
        let class = self
            .classes
            .get(self.seats[agent as usize].class as usize)?;
        let mut first = Rank::LAST;
        for profile in &class.profiles {
            let head = self.heads[*profile as usize];
            if head >= first {
                continue;
            }
            if !apart(head) {
                first = head;
            } else if let Some(next) = self.profiles[*profile as usize]
                .waiting
                .iter()
                .find(|rank| !apart(*rank))
            {
                first = first.min(next);
            }
        }
        (first != Rank::LAST).then_some(first)
    }

    /// Distinct requirements known now: for tests of the bounds.
    #[cfg(test)]
    pub fn profiles_known(&self) -> (usize, usize) {
        (self.by_requirement.len(), self.indexed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ContactId;

    fn skills(list: &[(&str, u8)]) -> BTreeMap<Name, u8> {
        list.iter()
            .map(|(name, level)| (Name::from(*name), *level))
            .collect()
    }

    fn requirement(list: &[(&str, u8)]) -> Requirement {
        skills(list).into_iter().collect()
    }

    #[test]
    fn finds_by_level_in_order_of_idleness() {
        let (low, high) = (skills(&[("zh", 3)]), skills(&[("zh", 8), ("en", 1)]));
        let mut index = Index::new(
            [
                (Some(&low), Kind::Ready),
                (Some(&high), Kind::Ready),
                (None, Kind::Connected),
            ]
            .into_iter(),
        );
        index.add_ready(0, Time::from_secs(1));
        index.add_ready(1, Time::from_secs(2));
        let (any, five, none) = (
            index.acquire(Vec::new()),
            index.acquire(requirement(&[("zh", 5)])),
            index.acquire(requirement(&[("fr", 1)])),
        );
        let ready = |index: &Index, profile| {
            index
                .ready(profile)
                .map(|(_, agent)| agent)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (ready(&index, any), ready(&index, five), ready(&index, none)),
            (vec![0, 1], vec![1], vec![])
        );
        assert_eq!(
            (
                index.profile(five).lack_level.count,
                index.profile(five).lack_skill.count
            ),
            (1, 0)
        );
        index.remove_ready(1);
        index.set_kind(1, Kind::Reserved);
        assert_eq!(ready(&index, five), Vec::<u32>::new());
        assert_eq!(index.profile(five).by_kind[Kind::Reserved as usize], 1);
    }

    #[test]
    fn profiles_are_bounded_and_exact_beyond_the_bound() {
        let all: BTreeMap<Name, u8> = (0..700)
            .map(|n| (Name::from(format!("s{n:03}")), 5))
            .collect();
        let mut index = Index::new([(Some(&all), Kind::Ready)].into_iter());
        index.add_ready(0, Time::from_secs(1));
        let used: Vec<u32> = (0..700)
            .map(|n| index.acquire(vec![(Name::from(format!("s{n:03}")), 5)]))
            .collect();
        assert_eq!(index.profiles_known(), (700, PROFILES_INDEXED_MAX));
        assert!(
            used.iter()
                .all(|profile| index.ready(*profile).next() == Some((Time::from_secs(1), 0)))
        );
        let rank = Rank::new(Time::ZERO, 0, ContactId(1));
        index.wait(used[699], rank);
        assert_eq!(index.first_for(0, |_| false), Some(rank));
        index.leave(used[699], rank);
        assert_eq!(index.first_for(0, |_| false), None);
        for profile in used {
            index.release(profile);
        }
        assert!(
            index.profiles_known().0 <= PROFILES_SPARE_MAX,
            "{:?}",
            index.profiles_known()
        );
        for n in 0..2_000 {
            let profile = index.acquire(vec![(Name::from(format!("x{n}")), 1)]);
            index.release(profile);
        }
        assert!(index.profiles_known().0 <= PROFILES_SPARE_MAX);
    }
}
