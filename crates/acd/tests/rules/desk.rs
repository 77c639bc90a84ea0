//! A distributor with a clock: what the rules' tests say things with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use acd::{
    Acd, Agent, Availability, Config, ContactId, Decision, Enqueue, Input, Name, OfferEnd,
    OfferResult, Output, Queue, State, Withdrawal,
};
use clock::Time;

pub const RING: u64 = 20;
pub const BACK_OFF: u64 = 10;

pub fn skills(list: &[(&str, u8)]) -> BTreeMap<Name, u8> {
    list.iter()
        .map(|(name, level)| (Name::from(*name), *level))
        .collect()
}

/// An agent at a fixed contact who is ready at once.
pub fn agent(id: &str, of: &[(&str, u8)]) -> Agent {
    Agent {
        id: id.into(),
        group: "all".into(),
        skills: skills(of),
        auto_ready: true,
        wrap_up: None,
        fixed: true,
    }
}

/// An agent who registers, and says when they are ready.
pub fn registered(id: &str, of: &[(&str, u8)]) -> Agent {
    Agent {
        auto_ready: false,
        fixed: false,
        ..agent(id, of)
    }
}

pub fn queue(name: &str, needs: &[(&str, u8)]) -> Queue {
    Queue {
        name: name.into(),
        skills: skills(needs),
        ring: Duration::from_secs(RING),
        wrap_up: Duration::ZERO,
        priority: 0,
        class_credit: BTreeMap::new(),
        max_waiting: 1_000,
        ..Queue::default()
    }
}

pub fn centre(queues: &[Queue], agents: &[Agent]) -> Config {
    Config {
        seed: 1,
        queues: queues.to_vec(),
        agents: agents.to_vec(),
        back_off: Duration::from_secs(BACK_OFF),
    }
}

pub struct Desk {
    pub acd: Acd,
    pub now: Time,
}

impl Desk {
    /// Starts at second 1000; what the configuration tells is dropped.
    pub fn new(config: Config) -> Self {
        let mut desk = Desk {
            acd: Acd::new(),
            now: Time::from_secs(1_000),
        };
        desk.configure(config);
        desk
    }

    pub fn input(&mut self, input: Input) -> Vec<Output> {
        self.acd.handle(self.now, input);
        self.drain()
    }

    pub fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.acd.poll_output()).collect()
    }

    pub fn configure(&mut self, config: Config) -> Vec<Output> {
        self.input(Input::Configure {
            config: Arc::new(config),
        })
    }

    /// Lets seconds pass; each deadline is taken when it is due.
    pub fn pass(&mut self, seconds: u64) -> Vec<Output> {
        let end = self.now + Duration::from_secs(seconds);
        let mut outputs = Vec::new();
        while let Some((at, _)) = self.acd.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.acd.handle_timeout(self.now);
            outputs.extend(self.drain());
        }
        self.now = end;
        outputs
    }

    pub fn enqueue(&mut self, contact: u64, queue: &str) -> Vec<Output> {
        self.enqueue_with(contact, queue, |_| {})
    }

    pub fn enqueue_with(
        &mut self,
        contact: u64,
        queue: &str,
        change: impl FnOnce(&mut Enqueue),
    ) -> Vec<Output> {
        let mut enqueue = Enqueue {
            contact: ContactId(contact),
            queue: queue.into(),
            ..Enqueue::default()
        };
        change(&mut enqueue);
        self.input(Input::Enqueue(enqueue))
    }

    pub fn result(&mut self, contact: u64, agent: &str, result: OfferResult) -> Vec<Output> {
        self.input(Input::Offer {
            contact: ContactId(contact),
            agent: agent.into(),
            result,
        })
    }

    pub fn answer(&mut self, contact: u64, agent: &str) -> Vec<Output> {
        self.result(contact, agent, OfferResult::Answered)
    }

    pub fn finish(&mut self, contact: u64, agent: &str) -> Vec<Output> {
        self.input(Input::Finished {
            contact: ContactId(contact),
            agent: agent.into(),
            wrap_up: true,
        })
    }

    pub fn withdraw(&mut self, contact: u64) -> Vec<Output> {
        self.input(Input::Withdraw {
            contact: ContactId(contact),
            why: Withdrawal::CallerGone,
        })
    }

    pub fn ask(&mut self, agent: &str, availability: Availability) -> Vec<Output> {
        self.input(Input::Availability {
            agent: agent.into(),
            availability,
        })
    }

    pub fn ready(&mut self, agent: &str) -> Vec<Output> {
        self.ask(agent, Availability::Ready)
    }

    pub fn pause(&mut self, agent: &str) -> Vec<Output> {
        self.ask(
            agent,
            Availability::NotReady {
                reason: "lunch".into(),
            },
        )
    }

    pub fn presence(&mut self, agent: &str, reachable: bool) -> Vec<Output> {
        self.input(Input::Presence {
            agent: agent.into(),
            reachable,
        })
    }

    pub fn occupy(&mut self, agent: &str, call: u64) -> Vec<Output> {
        self.input(Input::Occupy {
            agent: agent.into(),
            call: ContactId(call),
        })
    }

    pub fn vacate(&mut self, agent: &str, call: u64) -> Vec<Output> {
        self.input(Input::Vacate {
            agent: agent.into(),
            call: ContactId(call),
        })
    }

    /// The agent's state without its data, a reason or contact behind it.
    pub fn state(&self, agent: &str) -> String {
        match self.acd.state(agent) {
            None => "-".into(),
            Some(State::LoggedOut) => "logged_out".into(),
            Some(State::NotReady { reason }) => format!("not_ready {reason}"),
            Some(State::Ready) => "ready".into(),
            Some(State::Unreachable) => "unreachable".into(),
            Some(State::Reserved { contact, .. }) => format!("reserved {}", contact.0),
            Some(State::Connected { contact, .. }) => format!("connected {}", contact.0),
            Some(State::WrapUp { contact, .. }) => format!("wrap_up {}", contact.0),
            Some(State::Occupied { call, .. }) => format!("occupied {}", call.0),
        }
    }

    pub fn position(&self, contact: u64) -> Option<u32> {
        self.acd.position(ContactId(contact))
    }
}

/// Who was offered what, in order.
pub fn offers(outputs: &[Output]) -> Vec<(u64, &str)> {
    let offer = |output| match output {
        &Output::Offered {
            contact, ref agent, ..
        } => Some((contact.0, &**agent)),
        _ => None,
    };
    outputs.iter().filter_map(offer).collect()
}

pub fn ended(outputs: &[Output]) -> Vec<(u64, &str, OfferEnd)> {
    let end = |output| match output {
        &Output::OfferEnded {
            contact,
            ref agent,
            reason,
            ..
        } => Some((contact.0, &**agent, reason)),
        _ => None,
    };
    outputs.iter().filter_map(end).collect()
}

pub fn refused(outputs: &[Output]) -> Vec<(u64, bool)> {
    let refusal = |output| match output {
        &Output::Refused { contact, known, .. } => Some((contact.0, known)),
        _ => None,
    };
    outputs.iter().filter_map(refusal).collect()
}

pub fn told(outputs: &[Output], of: &str) -> Vec<State> {
    let tales = outputs.iter().filter_map(|output| match output {
        Output::Agent { agent, state, .. } if &**agent == of => Some(state.clone()),
        _ => None,
    });
    tales.collect()
}

/// The decision of the only offer.
pub fn decision(outputs: &[Output]) -> Decision {
    let decisions = outputs.iter().filter_map(|output| match output {
        Output::Offered { decision, .. } => Some((**decision).clone()),
        _ => None,
    });
    let decisions: Vec<Decision> = decisions.collect();
    assert_eq!(decisions.len(), 1, "one offer");
    decisions[0].clone()
}
