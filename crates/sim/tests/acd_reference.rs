//! The distributor against the naive reference: the same random inputs, the same offers and states, and the invariants after every step.
//!
//! `ACD_SEED=n` runs one seed alone, `ACD_SEEDS=n` runs so many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use acd::{
    Absence, Acd, Agent, Availability, Choice, Config, ContactId, Enqueue, Input, Name,
    OfferResult, Output, Queue, State, Step, Wanted, Withdrawal,
};
use clock::Time;
use sim::dice::Dice;
use sim::reference::{Reference, Told};

const SEEDS: u64 = 2_000;
const STEPS: usize = 200;
const SKILLS: [&str; 4] = ["zh", "en", "billing", "tech"];

#[test]
fn does_what_the_reference_does() {
    agree(0);
}

#[test]
fn does_what_the_reference_does_in_the_second_quarter() {
    agree(1);
}

#[test]
fn does_what_the_reference_does_in_the_third_quarter() {
    agree(2);
}

#[test]
fn does_what_the_reference_does_in_the_last_quarter() {
    agree(3);
}

/// A quarter of the seeds: the quarters run beside each other.
fn agree(quarter: u64) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match number("ACD_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let each = number("ACD_SEEDS").unwrap_or(SEEDS) / 4;
            quarter * each..(quarter + 1) * each
        }
    };
    let mut offers = 0;
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            run.run();
            run.offers
        });
        assert!(outcome.is_ok(), "failed with ACD_SEED={seed}");
        offers += outcome.unwrap_or_default();
    }
    assert!(offers > 0, "a test that offers nothing proves nothing");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    for seed in 0..10 {
        let mut run = Run::new(seed);
        run.run();
        let log = serde_json::to_string(&run.inputs).expect("inputs are plain data");
        let again: Vec<(Time, Input)> = serde_json::from_str(&log).expect("as written");
        assert_eq!(again, run.inputs);
        assert_eq!(bytes(&run.inputs), run.outputs, "ACD_SEED={seed}");
        assert_eq!(bytes(&again), run.outputs, "ACD_SEED={seed}");
    }
}

/// The outputs of a log of inputs. It has no time-outs of its own: an input takes what is due before it.
fn bytes(inputs: &[(Time, Input)]) -> String {
    let mut acd = Acd::new();
    let mut text = String::new();
    for (now, input) in inputs {
        acd.handle(*now, input.clone());
        write(&mut text, &drain(&mut acd));
    }
    text
}

fn write(text: &mut String, outputs: &[Output]) {
    for output in outputs {
        text.push_str(&serde_json::to_string(output).expect("outputs are plain data"));
        text.push('\n');
    }
}

fn drain(acd: &mut Acd) -> Vec<Output> {
    std::iter::from_fn(|| acd.poll_output()).collect()
}

fn one_in(dice: &mut Dice, sides: u64) -> bool {
    dice.below(sides) == 0
}

fn any_of<T: Clone>(dice: &mut Dice, items: &[T]) -> Option<T> {
    (!items.is_empty()).then(|| items[dice.below(items.len() as u64) as usize].clone())
}

fn some_skills(dice: &mut Dice, most: u64, level: u64) -> BTreeMap<Name, u8> {
    let count = dice.below(most + 1);
    (0..count)
        .map(|_| {
            (
                SKILLS[dice.below(4) as usize].into(),
                dice.below(level + 1) as u8,
            )
        })
        .collect()
}

fn some_steps(dice: &mut Dice) -> Vec<Step> {
    let mut after = Duration::ZERO;
    (0..dice.below(4))
        .map(|_| {
            after += Duration::from_secs(dice.below(10));
            Step {
                after,
                skills: one_in(dice, 3).then(|| some_skills(dice, 2, 2)),
                at_most: some_skills(dice, 2, 2),
                anyone: one_in(dice, 5),
            }
        })
        .collect()
}

struct Run {
    dice: Dice,
    now: Time,
    acd: Acd,
    reference: Reference,
    config: Config,
    agents_most: u64,
    next_contact: u64,
    contacts: Vec<ContactId>,
    /// Visits that began and have not ended, by the inputs and refusals alone.
    visits: usize,
    offers: usize,
    shown: BTreeMap<Name, State>,
    inputs: Vec<(Time, Input)>,
    outputs: String,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let config = Config {
            back_off: Duration::from_secs(dice.below(12)),
            ..Config::default()
        };
        Run {
            dice,
            now: Time::from_secs(1_000),
            acd: Acd::new(),
            reference: Reference::new(),
            config,
            agents_most: if seed.is_multiple_of(10) { 25 } else { 6 },
            next_contact: 1,
            contacts: Vec::new(),
            visits: 0,
            offers: 0,
            shown: BTreeMap::new(),
            inputs: Vec::new(),
            outputs: String::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..3 {
            self.change_config();
        }
        let config = Arc::new(self.config.clone());
        self.step(Input::Configure { config });
        for _ in 0..STEPS {
            self.pass_time();
            let input = self.input();
            self.step(input);
        }
    }

    /// Often nothing, sometimes exactly to the next deadline, sometimes past several.
    fn pass_time(&mut self) {
        match self.dice.below(10) {
            0..4 => {}
            4..7 => self.now += Duration::from_millis(self.dice.below(1_500)),
            7..9 => {
                self.now = self
                    .acd
                    .poll_timeout()
                    .map_or(self.now, |(at, _)| self.now.max(at))
            }
            _ => self.now += Duration::from_secs(self.dice.below(40)),
        }
    }

    fn step(&mut self, input: Input) {
        if self
            .acd
            .poll_timeout()
            .is_some_and(|(at, _)| at <= self.now)
        {
            self.acd.handle_timeout(self.now);
            let told = self.reference.handle_timeout(self.now);
            self.check(told);
        }
        let began = match &input {
            Input::Enqueue(enqueue) => !self.queued(enqueue.contact),
            Input::Take {
                contact,
                agent,
                queue,
            } => {
                self.acd.queues().any(|known| known == queue)
                    && match self.acd.state(agent) {
                        Some(State::Occupied { call, .. }) => call == contact,
                        Some(
                            State::Reserved { .. } | State::Connected { .. } | State::WrapUp { .. },
                        )
                        | None => false,
                        Some(_) => true,
                    }
            }
            _ => false,
        };
        let ended = match &input {
            Input::Withdraw { contact, .. } => self.queued(*contact),
            Input::Finished { contact, agent, .. } => {
                matches!(self.acd.state(agent), Some(State::Connected { contact: present, .. }) if present == contact)
            }
            _ => false,
        };
        self.visits = self.visits + usize::from(began) - usize::from(ended);
        self.inputs.push((self.now, input.clone()));
        let told = self.reference.handle(self.now, input.clone());
        self.visits -= told
            .iter()
            .filter(|told| matches!(told, Told::Refused { .. }))
            .count();
        self.acd.handle(self.now, input);
        self.check(told);
    }

    fn queued(&self, contact: ContactId) -> bool {
        self.acd.position(contact).is_some() || self.acd.offered_to(contact).is_some()
    }
}

// --- chance

impl Run {
    fn input(&mut self) -> Input {
        let agents: Vec<Name> = self.acd.agents().map(|(id, _)| id.clone()).collect();
        let agent = any_of(&mut self.dice, &agents).unwrap_or_else(|| "nobody".into());
        let contact = any_of(&mut self.dice, &self.contacts).unwrap_or(ContactId(0));
        let call = ContactId(1_000_000 + self.dice.below(3));
        match self.dice.below(50) {
            44..46 => Input::Detach {
                contact,
                ahead: self.dice.below(3) as u32,
            },
            46..48 => Input::Attach { contact },
            48 => Input::ExtendWrapUp {
                agent,
                by: Duration::from_secs(self.dice.below(5)),
            },
            49 => Input::NewDay,
            40 => Input::KeepApart { contact, agent },
            41..44 => self.pass_on(agent),
            0..12 => self.enqueue(),
            12..14 => Input::Withdraw {
                contact,
                why: if one_in(&mut self.dice, 2) {
                    Withdrawal::Moved
                } else {
                    Withdrawal::CallerGone
                },
            },
            14..24 => self.offer_result(&agents),
            24..29 => self.finished(&agents),
            29 => Input::EndWrapUp { agent },
            30..33 => Input::Availability {
                agent,
                availability: self.wish(),
            },
            33..35 => Input::Presence {
                agent,
                reachable: !one_in(&mut self.dice, 3),
            },
            35 => Input::Occupy { agent, call },
            36..38 => Input::Vacate { agent, call },
            38 => {
                self.change_config();
                Input::Configure {
                    config: Arc::new(self.config.clone()),
                }
            }
            _ => Input::Offer {
                contact,
                agent,
                result: OfferResult::Busy,
            },
        }
    }

    /// A call that rings outside the distributor becomes a queue's work, or work on one contact becomes work on another.
    fn pass_on(&mut self, agent: Name) -> Input {
        let present = match self.acd.state(&agent) {
            Some(State::Connected { contact, .. }) => Some(*contact),
            Some(State::Occupied { call, .. }) => Some(*call),
            _ => None,
        };
        let fresh = ContactId(self.next_contact);
        self.next_contact += 1;
        if one_in(&mut self.dice, 2) {
            let from = present.unwrap_or(fresh);
            return Input::Join {
                agent,
                from,
                into: fresh,
            };
        }
        let queues: Vec<Name> = self.acd.queues().cloned().collect();
        Input::Take {
            contact: present.unwrap_or(fresh),
            agent,
            queue: any_of(&mut self.dice, &queues).unwrap_or_else(|| "nowhere".into()),
        }
    }

    fn enqueue(&mut self) -> Input {
        let dice = &mut self.dice;
        let names: Vec<Name> = self.acd.queues().cloned().collect();
        let queue = if one_in(dice, 20) {
            None
        } else {
            any_of(dice, &names)
        };
        let known = any_of(dice, &self.contacts).filter(|_| one_in(dice, 15));
        let contact = known.unwrap_or(ContactId(self.next_contact));
        self.next_contact += 1;
        self.contacts.push(contact);
        Input::Enqueue(Enqueue {
            contact,
            queue: queue.unwrap_or_else(|| "nowhere".into()),
            skills: if one_in(dice, 2) {
                some_skills(dice, 2, 3)
            } else {
                BTreeMap::new()
            },
            priority: if one_in(dice, 4) {
                dice.below(60) as i32 - 20
            } else {
                0
            },
            class: any_of(dice, &["a".into(), "b".into()]),
            since: one_in(dice, 6)
                .then(|| Time::from_secs(900) + Duration::from_secs(dice.below(400))),
            preferred: if one_in(dice, 3) {
                some_skills(dice, 2, 3)
            } else {
                BTreeMap::new()
            },
            wanted: one_in(dice, 4).then(|| Wanted {
                agent: format!("{:02}", dice.below(self.agents_most)).into(),
                patience: Duration::from_secs(dice.below(20)),
            }),
        })
    }

    fn offer_result(&mut self, agents: &[Name]) -> Input {
        let ringing = agents
            .iter()
            .filter_map(|agent| match self.acd.state(agent) {
                Some(State::Reserved { contact, .. }) => Some((agent.clone(), *contact)),
                _ => None,
            });
        let ringing: Vec<(Name, ContactId)> = ringing.collect();
        let (agent, contact) =
            any_of(&mut self.dice, &ringing).unwrap_or(("nobody".into(), ContactId(0)));
        let result = match self.dice.below(14) {
            0..5 => OfferResult::Answered,
            5..7 => OfferResult::Busy,
            7..9 => OfferResult::Declined,
            9 => OfferResult::Redirected,
            10..12 => OfferResult::Unreachable,
            12 => OfferResult::NotRegistered,
            _ => OfferResult::Failed,
        };
        Input::Offer {
            contact,
            agent,
            result,
        }
    }

    fn finished(&mut self, agents: &[Name]) -> Input {
        let talking = agents
            .iter()
            .filter_map(|agent| match self.acd.state(agent) {
                Some(State::Connected { contact, .. }) => Some((agent.clone(), *contact)),
                _ => None,
            });
        let talking: Vec<(Name, ContactId)> = talking.collect();
        let (agent, contact) =
            any_of(&mut self.dice, &talking).unwrap_or(("nobody".into(), ContactId(0)));
        Input::Finished {
            contact,
            agent,
            wrap_up: !one_in(&mut self.dice, 4),
        }
    }

    fn wish(&mut self) -> Availability {
        match self.dice.below(6) {
            0 => Availability::LoggedOut,
            1 => Availability::NotReady {
                reason: "lunch".into(),
            },
            2 => Availability::NotReady {
                reason: "training".into(),
            },
            _ => Availability::Ready,
        }
    }

    /// Some agents and queues come, go or change.
    fn change_config(&mut self) {
        let dice = &mut self.dice;
        for _ in 0..self.agents_most {
            let id: Name = format!("{:02}", dice.below(self.agents_most)).into();
            if one_in(dice, 3) {
                self.config.agents.retain(|agent| agent.id != id);
                continue;
            }
            let agent = Agent {
                id: id.clone(),
                group: "all".into(),
                skills: some_skills(dice, 4, 4),
                auto_ready: !one_in(dice, 3),
                wrap_up: one_in(dice, 3).then(|| Duration::from_secs(dice.below(3))),
                fixed: one_in(dice, 2),
            };
            match self.config.agents.iter_mut().find(|agent| agent.id == id) {
                Some(place) if one_in(dice, 2) => *place = agent,
                Some(_) => {}
                None => self.config.agents.push(agent),
            }
        }
        for name in ["support", "sales", "vip"] {
            if one_in(dice, 4) {
                self.config.queues.retain(|queue| &*queue.name != name);
            } else if one_in(dice, 2) {
                self.config.queues.retain(|queue| &*queue.name != name);
                self.config.queues.push(Queue {
                    name: name.into(),
                    skills: some_skills(dice, 2, 2),
                    ring: Duration::from_secs(1 + dice.below(5)),
                    wrap_up: Duration::from_secs(dice.below(4)),
                    priority: dice.below(20) as i32,
                    class_credit: BTreeMap::from([("a".into(), dice.below(60) as i32)]),
                    max_waiting: 1 + dice.below(12) as usize,
                    steps: some_steps(dice),
                    choice: [
                        Choice::LongestIdle,
                        Choice::LeastOccupied,
                        Choice::MostSkilled,
                        Choice::RoundRobin,
                    ][dice.below(4) as usize],
                    max_wait: one_in(dice, 3).then(|| Duration::from_secs(3 + dice.below(40))),
                    empty: [
                        Absence::NoSkill,
                        Absence::NobodyLoggedIn,
                        Absence::AllOnBreak,
                    ]
                    .into_iter()
                    .filter(|_| one_in(dice, 4))
                    .collect(),
                });
            }
        }
    }
}

// --- what must hold

impl Run {
    fn check(&mut self, told: Vec<Told>) {
        let left = told.iter().filter(|told| matches!(told, Told::Left { .. }));
        self.visits -= left.count();
        let outputs = drain(&mut self.acd);
        write(&mut self.outputs, &outputs);
        let real: Vec<Told> = outputs.iter().filter_map(Told::of).collect();
        assert_eq!(real, told, "offers at {:?}", self.now);
        self.check_states(&outputs);
        self.check_deadlines();
        self.check_lines();
        self.check_decisions(&outputs);
        assert_eq!(
            self.reference.neglected(),
            None,
            "somebody waits while an eligible agent is ready"
        );
    }

    fn check_states(&mut self, outputs: &[Output]) {
        let states: Vec<(Name, State)> = self
            .acd
            .agents()
            .map(|(id, state)| (id.clone(), state.clone()))
            .collect();
        assert_eq!(states, self.reference.states());
        for output in outputs {
            let Output::Agent {
                agent,
                state,
                idle_since,
            } = output
            else {
                continue;
            };
            let before = self.shown.insert(agent.clone(), state.clone());
            assert_ne!(before.as_ref(), Some(state), "told once per change");
            assert_eq!(idle_since.is_some(), *state == State::Ready);
        }
        self.shown
            .retain(|agent, _| self.acd.state(agent).is_some());
        assert_eq!(
            states,
            self.shown.clone().into_iter().collect::<Vec<_>>(),
            "every change is told"
        );
    }

    /// One owner for each unit of capacity, and a deadline that comes for what time ends.
    fn check_deadlines(&self) {
        let next = self.acd.poll_timeout().map(|(at, _)| at);
        assert_eq!(next, self.reference.poll_timeout());
        assert!(
            next.is_none_or(|next| next > self.now),
            "nothing due is left"
        );
        let mut ringing = BTreeSet::new();
        for (id, state) in self.acd.agents() {
            assert!(
                self.acd.work(id).count() <= 1,
                "one unit of capacity, one owner"
            );
            match state {
                State::Reserved { contact, until, .. } => {
                    assert!(ringing.insert(*contact), "a contact rings at one agent");
                    assert_eq!(self.acd.offered_to(*contact), Some(id));
                    assert!(next.is_some_and(|next| next <= *until));
                }
                State::WrapUp { until, .. } => assert!(next.is_some_and(|next| next <= *until)),
                State::LoggedOut | State::NotReady { .. } | State::Ready | State::Unreachable => {
                    assert_eq!(self.acd.work(id).count(), 0)
                }
                State::Connected { .. } | State::Occupied { .. } => {
                    assert_eq!(self.acd.work(id).count(), 1)
                }
            }
        }
    }

    /// Every place, and waiting + offered + connected = visits that began and have not ended.
    fn check_lines(&self) {
        let queues: Vec<Name> = self.acd.queues().cloned().collect();
        assert_eq!(queues, self.reference.queues());
        let mut counted = 0;
        for queue in &queues {
            let line = self.reference.line(queue);
            let counts = self.acd.counts(queue);
            counted += counts.waiting + counts.offered + counts.connected;
            assert_eq!(self.acd.waiting(queue), line.len());
            for (at, contact) in (1u32..).zip(line) {
                assert_eq!(self.acd.position(contact), Some(at), "position in {queue}");
            }
        }
        assert_eq!(counted, self.visits, "waiting + offered + connected");
    }

    fn check_decisions(&mut self, outputs: &[Output]) {
        for output in outputs {
            let Output::Offered {
                decision,
                agent,
                contact,
                ..
            } = output
            else {
                continue;
            };
            self.offers += 1;
            assert_eq!(&decision.chosen, agent);
            assert_eq!(
                decision.candidates.first().map(|best| &best.agent),
                Some(agent)
            );
            assert_eq!(
                decision.candidates.get(1).map(|second| &second.agent),
                decision.runner_up.as_ref()
            );
            assert!(
                decision.candidates.len() <= 3
                    && decision.overtaken.len() <= 5
                    && !decision.overtaken.contains(contact)
            );
            assert!(
                decision
                    .excluded
                    .iter()
                    .all(|excluded| excluded.count > 0 && excluded.examples.len() <= 3)
            );
        }
    }
}
