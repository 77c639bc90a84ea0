//! A small centre's configuration for tests: two queues, a few agents at fixed addresses, a flow.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{AgentAccount, Config, QueueService, Route};

/// An agent of a test centre.
#[derive(Clone, Debug)]
pub struct TestAgent {
    pub id: &'static str,
    pub skills: &'static [(&'static str, u8)],
    /// Fixed address, `ip:port`; `None` must register.
    pub address: Option<&'static str>,
}

/// The configuration: queue `support` (2000), queue `sales` (2001), and these agents; ring 20 s, wrap-up 10 s.
pub fn centre(agents: &[TestAgent]) -> Config {
    let skills = |skills: &[(&str, u8)]| {
        skills
            .iter()
            .map(|&(skill, level)| (skill.into(), level))
            .collect::<BTreeMap<Arc<str>, u8>>()
    };
    let queue = |name: &str| acd::Queue {
        name: name.into(),
        skills: skills(&[(name, 1)]),
        ring: Duration::from_secs(20),
        wrap_up: Duration::from_secs(10),
        priority: 0,
        class_credit: BTreeMap::new(),
        max_waiting: 1000,
        ..acd::Queue::default()
    };
    let service = |name: &str| QueueService {
        name: name.into(),
        service_level: Duration::from_secs(20),
        short_abandon: Duration::from_secs(5),
        answer_on_agent: false,
        music: "default".into(),
        announce_every: Some(Duration::from_secs(30)),
        overflow: None,
        hours: None,
        closed: false,
        record: engine::RecordRule::Never,
        record_announcement: None,
    };
    let mut routes: BTreeMap<Arc<str>, Route> = BTreeMap::from([
        ("2000".into(), Route::Queue("support".into())),
        ("2001".into(), Route::Queue("sales".into())),
        ("9196".into(), Route::Echo),
        ("9197".into(), Route::Tone { hertz: 1004 }),
    ]);
    routes.extend(
        agents
            .iter()
            .map(|agent| (agent.id.into(), Route::Agent(agent.id.into()))),
    );
    let account = |agent: &TestAgent| AgentAccount {
        id: agent.id.into(),
        name: agent.id.to_owned(),
        group: "all".into(),
        contact: agent
            .address
            .map(|address| format!("sip:{}@{address}", agent.id).into()),
        may_call: [].into(),
        auto_answer: engine::AutoAnswer::Off,
        srtp: None,
    };
    let listen = crate::world::ENGINE.parse().expect("a literal address");
    Config {
        node: "n".into(),
        version: "test".into(),
        sip: sip::Config {
            realm: "cordboard".into(),
            digest: vec![sip::Algorithm::Md5],
            listeners: sip::Listener::udp(listen),
            users: Arc::new(HashMap::new()),
            trunks: vec![sip::Trunk {
                name: "carrier".into(),
                addresses: vec!["10.0.1.0/24".parse().expect("a network")],
                max_calls: 1000,
                ..sip::Trunk::default()
            }],
            expires_min: Duration::from_secs(60),
            expires_max: Duration::from_secs(3600),
            nonce_lifetime: Duration::from_secs(300),
            max_transactions: 10_000,
            max_dialogs: 10_000,
            max_bindings_per_user: 4,
            max_message: 65_535,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            product: "Cordboard".into(),
            dialogs: sip::DialogRules::default(),
            silent_to_scanners: true,
            phones: sip::PhoneRules::default(),
        },
        acd: Arc::new(acd::Config {
            seed: 1,
            queues: vec![queue("support"), queue("sales")],
            agents: agents
                .iter()
                .map(|agent| acd::Agent {
                    id: agent.id.into(),
                    group: "all".into(),
                    skills: skills(agent.skills),
                    auto_ready: true,
                    wrap_up: None,
                    fixed: agent.address.is_some(),
                })
                .collect(),
            back_off: Duration::from_secs(10),
        }),
        flows: Arc::new(ivr::Flows::default()),
        routes,
        queues: [service("support"), service("sales")]
            .into_iter()
            .map(|service| (service.name.clone(), service))
            .collect(),
        agents: agents
            .iter()
            .map(|agent| (agent.id.into(), account(agent)))
            .collect(),
        media_addresses: vec![IpAddr::from([10, 0, 0, 1])],
        codecs: vec![media::Codec::Pcma, media::Codec::Pcmu],
        ptime: Duration::from_millis(20),
        default_lang: media::Lang::ZhCn,
        country: "CN".into(),
        look_up_patience: Duration::from_millis(300),
        pop_patience: Duration::from_millis(20),
        max_calls: 1000,
        media_timeout: Duration::from_secs(60),
        max_call: Duration::from_secs(4 * 3600),
        announce_unknown: false,
        speech: engine::api::Speech::default(),
        outbound: engine::outbound::Outbound::default(),
        inbound: BTreeMap::new(),
        show_withheld: false,
        record_calls: engine::RecordRule::Never,
        encryption: engine::secrecy::Encryption::default(),
        capture: false,
    }
}

/// One agent with skill `support`, at `10.0.2.1:5060`.
pub fn one_agent() -> Vec<TestAgent> {
    vec![TestAgent {
        id: "1001",
        skills: &[("support", 5)],
        address: Some("10.0.2.1:5060"),
    }]
}
