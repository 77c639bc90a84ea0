//! How long a decision takes, beside its budget (DESIGN section 7): `cargo run --release -p acd --example routing_speed`.
//!
//! A decision is one input with all its outputs taken: counted apart are those where an agent becomes free and contacts wait, and those
//! where a contact arrives and agents are ready. Time is real here, and only here.

#![expect(clippy::print_stdout, reason = "an example prints what it measured")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acd::{Acd, Agent, Config, ContactId, Enqueue, Input, Name, OfferResult, Output, Queue};
use clock::Time;

const BUDGET_MEDIAN_US: f64 = 20.0;
const BUDGET_P99_US: f64 = 200.0;
const SKILLS: u64 = 50;
const WAITING: u64 = 5_000;
const DECISIONS: u64 = 20_000;

fn main() {
    println!("budget of a decision: median {BUDGET_MEDIAN_US} µs, p99 {BUDGET_P99_US} µs");
    println!(
        "1000 agents (5-15 of 50 skills), 50 queues, half the contacts ask for a level of their own:"
    );
    under_load(|dice, queue| {
        if dice.below(2) == 0 {
            BTreeMap::new()
        } else {
            [(skill(queue), 1 + dice.below(10) as u8)].into()
        }
    });
    println!(
        "the same, each contact with two more skills and levels by chance (nearly every requirement distinct):"
    );
    under_load(|dice, _| {
        (0..2)
            .map(|_| (skill(dice.below(SKILLS)), 1 + dice.below(6) as u8))
            .collect()
    });
    println!("1000 agents mostly ready, nobody waits:");
    at_ease();
    println!("6000 agents, one queue:");
    one_queue();
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

fn skill(number: u64) -> Name {
    format!("skill{number:02}").into()
}

fn queue_name(number: u64) -> Name {
    format!("queue{number:02}").into()
}

struct Centre {
    acd: Acd,
    now: Time,
    dice: Dice,
    next: u64,
    /// Agents in conversation.
    talking: Vec<(Name, ContactId)>,
}

impl Centre {
    fn new(agents: u64, queues: u64) -> Self {
        let mut dice = Dice(1);
        let agents = (0..agents).map(|number| {
            let skills = match queues {
                1 => [(skill(0), 5)].into(),
                _ => (0..5 + dice.below(11))
                    .map(|_| (skill(dice.below(SKILLS)), 1 + dice.below(10) as u8))
                    .collect(),
            };
            Agent {
                id: format!("{number:04}").into(),
                group: "all".into(),
                skills,
                auto_ready: true,
                wrap_up: None,
                fixed: true,
            }
        });
        let agents = agents.collect();
        let queues = (0..queues).map(|number| Queue {
            name: queue_name(number),
            skills: [(skill(number), 1)].into(),
            ring: Duration::from_secs(20),
            wrap_up: Duration::ZERO,
            priority: 0,
            class_credit: BTreeMap::new(),
            max_waiting: 100_000,
            ..Queue::default()
        });
        let config = Config {
            seed: 1,
            queues: queues.collect(),
            agents,
            back_off: Duration::from_secs(10),
        };
        let mut centre = Centre {
            acd: Acd::new(),
            now: Time::from_secs(1),
            dice,
            next: 0,
            talking: Vec::new(),
        };
        centre.input(Input::Configure {
            config: Arc::new(config),
        });
        centre
    }

    /// One input and all its outputs; how long it took, and who was offered.
    fn input(&mut self, input: Input) -> (Duration, Vec<(Name, ContactId)>) {
        self.now += Duration::from_micros(500);
        let start = Instant::now();
        self.acd.handle(self.now, input);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.acd.poll_output()).collect();
        let took = start.elapsed();
        let offered = outputs.into_iter().filter_map(|output| match output {
            Output::Offered { agent, contact, .. } => Some((agent, contact)),
            Output::OfferEnded { .. }
            | Output::Agent { .. }
            | Output::Refused { .. }
            | Output::Left { .. }
            | Output::Turn { .. } => None,
        });
        (took, offered.collect())
    }

    fn arrive(&mut self, queue: u64, skills: BTreeMap<Name, u8>) -> (Duration, bool) {
        self.next += 1;
        let enqueue = Enqueue {
            contact: ContactId(self.next),
            queue: queue_name(queue),
            skills,
            priority: 0,
            class: None,
            ..Enqueue::default()
        };
        let (took, offered) = self.input(Input::Enqueue(enqueue));
        (took, self.answer(offered))
    }

    fn answer(&mut self, offered: Vec<(Name, ContactId)>) -> bool {
        let any = !offered.is_empty();
        for (agent, contact) in offered {
            self.input(Input::Offer {
                contact,
                agent: agent.clone(),
                result: OfferResult::Answered,
            });
            self.talking.push((agent, contact));
        }
        any
    }

    fn finish_one(&mut self) -> (Duration, bool) {
        let at = self.dice.below(self.talking.len() as u64) as usize;
        let (agent, contact) = self.talking.swap_remove(at);
        let (took, offered) = self.input(Input::Finished {
            contact,
            agent,
            wrap_up: true,
        });
        (took, self.answer(offered))
    }
}

fn under_load(skills: impl Fn(&mut Dice, u64) -> BTreeMap<Name, u8>) {
    let mut centre = Centre::new(1_000, SKILLS);
    let (mut decisions, mut arrivals, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting = 0u64;
    while (decisions.len() as u64) < DECISIONS {
        while waiting < WAITING {
            let queue = centre.dice.below(SKILLS);
            let skills = skills(&mut centre.dice, queue);
            let (took, offered) = centre.arrive(queue, skills);
            if !offered {
                waiting += 1;
                arrivals.push(took);
            }
        }
        let (took, offered) = centre.finish_one();
        if offered {
            waiting -= 1;
            decisions.push(took);
        }
        let start = Instant::now();
        let position = centre.acd.position(ContactId(centre.next));
        positions.push(start.elapsed());
        std::hint::black_box(position);
    }
    tell("agent becomes free: decision", decisions);
    tell("contact arrives and waits", arrivals);
    tell("position asked", positions);
}

fn at_ease() {
    let mut centre = Centre::new(1_000, SKILLS);
    let (mut decisions, mut ends) = (Vec::new(), Vec::new());
    while (decisions.len() as u64) < DECISIONS {
        let queue = centre.dice.below(SKILLS);
        let (took, offered) = centre.arrive(queue, BTreeMap::new());
        if offered {
            decisions.push(took);
        }
        while centre.talking.len() > 200 {
            ends.push(centre.finish_one().0);
        }
    }
    tell("contact arrives: decision", decisions);
    tell("agent becomes ready", ends);
}

fn one_queue() {
    let mut centre = Centre::new(6_000, 1);
    let start = Instant::now();
    let mut decisions = Vec::new();
    for _ in 0..100_000 {
        decisions.push(centre.arrive(0, BTreeMap::new()).0);
        while centre.talking.len() > 4_000 {
            centre.finish_one();
        }
    }
    let whole = start.elapsed().as_secs_f64() / 100_000.0;
    tell("contact arrives: decision", decisions);
    println!(
        "  arrive + answer + finish: {:.1} µs a contact, {:.2} % of a core at 2000 contacts/s",
        whole * 1e6,
        whole * 2_000.0 * 100.0
    );
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: f64| {
        took.get((took.len() as f64 * share) as usize)
            .map_or(0.0, |took| took.as_nanos() as f64 / 1e3)
    };
    let (median, p99) = (at(0.5), at(0.99));
    let verdict = if median <= BUDGET_MEDIAN_US && p99 <= BUDGET_P99_US {
        "within"
    } else {
        "OVER"
    };
    println!(
        "  {what:32} median {median:7.2} µs  p99 {p99:7.2} µs  ({} times, {verdict})",
        took.len()
    );
}
