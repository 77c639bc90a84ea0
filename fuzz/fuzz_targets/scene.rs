//! The engine's scene: a centre with two queues, two agents, a carrier outside, callers and strangers, and what must hold of it.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::outbound::{Dialling, Format, Outbound, Rule, Share};
use engine::{Config, ContactId, EventKind, Input, Token};
use sim::centre::{TestAgent, centre};
use sim::invariants::Invariants;
use sim::phone::Manner;
use sim::world::World;

const AGENTS: &[TestAgent] = &[
    TestAgent { id: "1001", skills: &[("support", 5), ("sales", 1)], address: Some("10.0.2.1:5060") },
    TestAgent { id: "1002", skills: &[("sales", 5)], address: Some("10.0.2.2:5060") },
];
/// Longest that anything may take by itself: timer C and the transactions after it.
const HOME: Duration = Duration::from_secs(900);

/// Everybody who has a telephone.
pub const CALLER: usize = 0;
pub const FIRST: usize = 2;
pub const SECOND: usize = 3;

/// The configurations between which a reload goes; made once for all inputs.
pub fn configs() -> &'static [Config; 4] {
    static CONFIGS: OnceLock<[Config; 4]> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let whole = whole();
        let mut without_agent = whole.clone();
        Arc::make_mut(&mut without_agent.acd).agents.pop();
        without_agent.agents.remove("1002");
        without_agent.routes.remove("1002");
        let mut without_queue = whole.clone();
        Arc::make_mut(&mut without_queue.acd).queues.pop();
        without_queue.queues.remove("sales");
        without_queue.routes.remove("2001");
        let mut narrow = whole.clone();
        narrow.max_calls = 2;
        narrow.sip.trunks[0].max_calls = 1;
        narrow.sip.dialogs.reliable = sip::Reliable::Required;
        Arc::make_mut(&mut narrow.acd).queues[0].max_waiting = 1;
        [whole, without_agent, without_queue, narrow]
    })
}

/// Two queues, two agents with passwords, and a carrier by which the first may call out. Sessions are short, so that their timers run.
fn whole() -> Config {
    let mut config = centre(AGENTS);
    config.sip.dialogs.session_expires = Duration::from_secs(90);
    config.sip.users = Arc::new(HashMap::from_iter(["1001", "1002"].map(|user| {
        let md5 = Some(sip::digest::ha1(user, "cordboard", "secret", sip::Algorithm::Md5));
        (Arc::from(user), sip::Credentials { md5, sha256: None })
    })));
    config.sip.trunks[0].carrier = Some(sip::Carrier {
        domain: "carrier.example".into(),
        next_hop: "sip:10.0.1.3:5060".into(),
        ..sip::Carrier::default()
    });
    config.outbound = Outbound {
        rules: vec![Rule {
            number: "+86".into(),
            class: "national".into(),
            trunks: vec![Share { trunk: "carrier".into(), rank: 0, weight: 1 }],
            caller_id: None,
        }],
        dialling: [("carrier".into(), Dialling {
            country: "CN".into(),
            format: Format::Plus,
            strip: 0,
            prefix: String::new(),
            caller_id: None,
        })]
        .into(),
        entries: Default::default(),
    };
    if let Some(agent) = config.agents.get_mut("1001") {
        agent.may_call = ["national".into()].into();
    }
    config
}

pub struct Scene {
    pub world: World,
    pub phones: [SocketAddr; 5],
    /// The configuration in force.
    config: &'static Config,
    invariants: Invariants,
    tokens: u64,
}

impl Scene {
    pub fn new() -> Scene {
        let config = &configs()[0];
        let mut world = World::new(config.clone(), 1);
        let answers = |after, talks| Manner::Answers {
            after: Duration::from_millis(after),
            talks: Some(Duration::from_secs(talks)),
        };
        let phones = [
            world.phone("caller", "10.0.1.1:5060", answers(0, 120)),
            world.phone("other", "10.0.1.2:5060", answers(0, 120)),
            world.phone("first", "10.0.2.1:5060", answers(500, 60)),
            world.phone("second", "10.0.2.2:5060", answers(500, 60)),
            world.phone("outside", "10.0.1.3:5060", answers(800, 60)),
        ];
        Scene { world, phones, config, invariants: Invariants::default(), tokens: 0 }
    }

    pub fn phone(&self, n: u8) -> SocketAddr {
        self.phones[usize::from(n) % self.phones.len()]
    }

    pub fn command(&mut self, command: engine::Command) {
        self.tokens += 1;
        self.world.give(Input::Command { token: Token(self.tokens), command });
    }

    pub fn reload(&mut self, n: u8) {
        self.config = &configs()[usize::from(n) % configs().len()];
        let config = Arc::new(self.config.clone());
        self.world.give(Input::Configure { config, by: "cli".into(), summary: vec![] });
    }

    pub fn pass(&mut self, by: Duration) {
        let until = self.world.now + by;
        let (invariants, config) = (&mut self.invariants, self.config);
        self.world.run_with(until, |world| invariants.check(world, config));
    }

    pub fn check(&mut self) {
        self.invariants.check(&self.world, self.config);
    }

    /// Contacts that are open by the events.
    pub fn open(&self) -> Vec<ContactId> {
        let mut open = BTreeSet::new();
        for event in &self.world.events {
            match &event.kind {
                EventKind::ContactArrived { contact, .. } => drop(open.insert(contact.clone())),
                EventKind::ContactClosed { contact, .. } => drop(open.remove(contact)),
                _ => {}
            }
        }
        open.into_iter().collect()
    }

    /// Everybody hangs up, what strangers began is ended by the supervisor, the network heals, the last timers run out: nothing is left.
    pub fn go_home(&mut self) {
        let now = self.world.now;
        self.world.network = sim::world::Network::CLEAN;
        self.world.deliver_events = true;
        self.reload(0);
        for phone in self.phones {
            self.world.with_phone(phone, |phone| {
                phone.manner = Manner::LetsRing;
                phone.hang_up_all(now);
            });
        }
        for contact in self.open() {
            self.command(engine::Command::Hangup { by: "9000".into(), contact });
        }
        for agent in ["1001", "1002"] {
            let (by, agent) = ("9000".into(), agent.into());
            self.command(engine::Command::SetAgentState { by, agent, availability: acd::Availability::LoggedOut });
        }
        self.pass(HOME);
        self.invariants.nothing_left(&self.world);
        self.every_command_is_answered_once();
        let counts = self.world.engine.sip_counts();
        let left = (counts.server_transactions, counts.client_transactions, counts.dialogs, counts.legs, counts.trunk_calls);
        assert_eq!(left, (0, 0, 0, 0, 0), "SIP keeps something: {counts:?}");
    }

    fn every_command_is_answered_once(&self) {
        let mut answered: Vec<u64> = self.world.replies.iter().map(|reply| reply.token.0).collect();
        answered.sort_unstable();
        assert_eq!(answered, (1..=self.tokens).collect::<Vec<_>>(), "commands and their answers");
    }
}
