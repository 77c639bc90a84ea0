//! A whole web server over a real store and log in a temporary directory; the engine's part is played by the test.

#![allow(dead_code, clippy::unwrap_used)] // shared by tests, each of which uses a part

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clock::Time;
use engine::event::{AgentState, ContactId, Direction, Event, EventKind, Exit, Outcome, Stage};
use engine::{Answer, Command, Refusal};
use metrics::{Counters, Fold, Labels};
use store::{DataDir, Log, LogHandle, LogWriter, Options, Record, RecordKind, Store};
use web::{Account, Accounts, App, Ask, Board, Hooks, Hub, Password, Role, Setup};

pub struct World {
    pub address: SocketAddr,
    pub app: App,
    pub hub: Arc<Hub>,
    pub store: Store,
    pub log: LogHandle,
    pub delivered: crossbeam_channel::Receiver<u64>,
    pub audience: crossbeam_channel::Receiver<usize>,
    pub asks: crossbeam_channel::Receiver<Ask>,
    pub troubles: Arc<Mutex<Vec<String>>>,
    pub sequence: u64,
    runtime: tokio::runtime::Runtime,
    _dir: Option<tempfile::TempDir>,
}

pub fn now() -> Time {
    Time::from_nanos(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64,
    )
}

pub fn contact(n: u64) -> ContactId {
    ContactId(format!("n1-1-{n}").into())
}

fn account(id: &str, name: &str, role: Role, queues: &[&str]) -> Account {
    Account {
        id: id.into(),
        name: name.into(),
        role,
        group: "day".into(),
        skills: BTreeMap::from([("mandarin".into(), 8)]),
        queues: queues
            .iter()
            .map(|queue| Arc::from(*queue))
            .collect::<BTreeSet<_>>(),
        password: Password::Demo(format!("demo-{id}").into()),
        takes_calls: role == Role::Agent,
    }
}

pub fn accounts() -> Accounts {
    Accounts::new([
        account("1001", "Li Wei", Role::Agent, &["support"]),
        account("1002", "Zhang Min", Role::Agent, &["support", "sales"]),
        account("1003", "Wang Fang", Role::Agent, &["sales"]),
        account("1900", "Chen Jing", Role::Supervisor, &[]),
        account("admin", "Admin", Role::Admin, &[]),
    ])
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::at(dir.path(), "127.0.0.1:0");
        world._dir = Some(dir);
        world
    }

    /// As a server does it: the log replayed into board and numbers, then served.
    pub fn at(path: &std::path::Path, listen: &str) -> World {
        let dir = DataDir::open(path).unwrap();
        let store = Store::open(&dir).unwrap();
        let (log, opened) = Log::open(&dir, Options::new("n1")).unwrap();
        let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        let (delivered_to, delivered) = crossbeam_channel::unbounded();
        let (audience_to, audience) = crossbeam_channel::unbounded();
        let hub = Hub::new(
            "n1".into(),
            Board::default(),
            Fold::new(zone.clone()),
            Box::new(move |sequence| {
                let _ = delivered_to.send(sequence);
            }),
            Box::new(move |count| {
                let _ = audience_to.send(count);
            }),
        );
        for record in log.reader(&store).read(0, usize::MAX).unwrap() {
            hub.publish(&[Event::from_record(
                &record.json,
                record.personal.as_ref().map(|personal| &*personal.json),
            )
            .unwrap()]);
        }
        let log = LogWriter::spawn(log, &store, |_| {}, |_| {}).unwrap();
        let (gateway, asks) = web::gateway();
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let told = troubles.clone();
        let setup = Setup {
            node: "n1".into(),
            version: "0.1.0".into(),
            zone,
            country: "CN".into(),
            store: store.clone(),
            log: log.reader(),
            gateway,
            hub: hub.clone(),
            counters: Arc::new(Mutex::new(Counters::default())),
            clock: Arc::new(now),
            accounts: accounts(),
            labels: Labels {
                queues: vec!["support".into(), "sales".into()],
                agents: vec![("1001".into(), "day".into())],
            },
            metrics_token: None,
            operator: None,
            hooks: Hooks {
                effective: Box::new(|| serde_json::json!({"http": {"port": 8080}})),
                reload: Box::new(|by| {
                    if by == "admin" {
                        Ok(vec!["queue support: ring 20s → 25s".into()])
                    } else {
                        Err(vec![])
                    }
                }),
                agents_may_listen: Box::new(|| false),
                troubles: Box::new(move || told.lock().unwrap().clone()),
                measure: Box::new(|counters| counters.rtp_packets_in = 7),
            },
        };
        let app = App::new(setup);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(listen))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(web::serve(
            listener,
            None,
            app.clone(),
            axum::Router::new(),
            std::future::pending(),
        ));
        World {
            address,
            app,
            hub,
            store,
            log,
            delivered,
            audience,
            asks,
            troubles,
            sequence: opened.last_sequence,
            runtime,
            _dir: None,
        }
    }

    /// Commits an event and publishes it, as the server does after the commit.
    pub fn tell(&mut self, at: Time, kind: EventKind) -> u64 {
        self.sequence += 1;
        let person = match &kind {
            EventKind::ContactArrived { ani: Some(ani), .. }
            | EventKind::ContactOffered { ani: Some(ani), .. } => Some(format!("tel:{ani}").into()),
            _ => None,
        };
        let event = Event {
            sequence: self.sequence,
            at,
            person,
            kind,
        };
        let open = event.record();
        let personal = open.personal.map(|(person, json)| store::Personal {
            person,
            json: json.into(),
        });
        let record = Record {
            kind: RecordKind::Event,
            sequence: event.sequence,
            at: at.as_nanos(),
            json: open.json.into(),
            personal,
        };
        self.log.append(vec![record]).unwrap();
        assert!(self.log.flush(Duration::from_secs(10)));
        self.hub.publish(&[event]);
        self.sequence
    }

    /// Answers the next command.
    pub fn answer(
        &self,
        check: impl Fn(Command) -> Result<Answer, Refusal> + Send + 'static,
    ) -> std::thread::JoinHandle<()> {
        let asks = self.asks.clone();
        std::thread::spawn(move || {
            let ask = asks.recv_timeout(Duration::from_secs(20)).unwrap();
            let _ = ask.reply.send(check(ask.command));
        })
    }

    pub fn queue(&mut self, at: Time, name: &str) {
        self.tell(
            at,
            EventKind::QueueChanged {
                queue: name.into(),
                change: "added".into(),
                target_ms: 20_000,
                short_abandon_ms: 5_000,
            },
        );
    }

    pub fn arrives(&mut self, at: Time, n: u64, ani: &str, queue: &str) {
        let id = contact(n);
        let arrived = EventKind::ContactArrived {
            contact: id.clone(),
            channel: "voice".into(),
            direction: Direction::Inbound,
            entry: "flow:main".into(),
            trunk: Some("loopback".into()),
            by: None,
            ani: Some(ani.into()),
            dnis: "1000".into(),
            withheld: false,
            signalling: None,
        };
        self.tell(at, arrived);
        let customers = vec![crm::CustomerId("C1001".into())];
        self.tell(
            at,
            EventKind::ContactIdentified {
                contact: id.clone(),
                customers,
                class: Some("A".into()),
                took_ms: 1,
                late: false,
            },
        );
        let queued = EventKind::ContactQueued {
            contact: id,
            queue: queue.into(),
            visit: 1,
            skills: BTreeMap::new(),
            priority: 0,
            position: 1,
        };
        self.tell(at, queued);
    }

    pub fn offered(&mut self, at: Time, n: u64, ani: &str, queue: &str, agent: &str) -> u64 {
        let customer = crm::PopCustomer {
            id: crm::CustomerId("C1001".into()),
            name: "王小明 Wang Xiaoming".into(),
            class: "A".into(),
            language: "zh-CN".into(),
            tags: vec!["VIP".into(), "宽带".into()],
        };
        let last = |contact: &str, arrived: &str, outcome: &str| crm::LastContact {
            contact: contact.into(),
            arrived: arrived.into(),
            queue: Some(queue.into()),
            agent: Some("1002".into()),
            outcome: outcome.into(),
        };
        let last_contacts = vec![
            last("n1-0-7", "2026-11-20T08:15:02.000Z", "answered"),
            last("n1-0-3", "2026-11-02T02:01:44.000Z", "abandoned_in_queue"),
        ];
        let offered = EventKind::ContactOffered {
            contact: contact(n),
            queue: queue.into(),
            visit: 1,
            offer: 1,
            agent: agent.into(),
            group: "day".into(),
            ring_ms: 20_000,
            dnis: "1000".into(),
            ani: Some(ani.into()),
            pop: Some(crm::Pop {
                customers: vec![customer],
                last_contacts,
            }),
            flow_data: Some(BTreeMap::from([("topic".to_owned(), "billing".to_owned())])),
            withheld: false,
            signalling: None,
        };
        self.tell(at, offered)
    }

    pub fn answered(&mut self, at: Time, n: u64, queue: &str, agent: &str, wait_ms: u64) {
        let answered = EventKind::ContactAnswered {
            contact: contact(n),
            queue: Some(queue.into()),
            visit: 1,
            agent: agent.into(),
            group: "day".into(),
            wait_ms,
            rang_ms: 1_500,
            transferred: false,
        };
        self.tell(at, answered);
    }

    pub fn abandoned(&mut self, at: Time, n: u64, queue: &str, wait_ms: u64) {
        let abandoned = EventKind::ContactAbandoned {
            contact: contact(n),
            queue: Some(queue.into()),
            visit: 1,
            stage: Stage::Queue,
            wait_ms,
            short: wait_ms < 5_000,
        };
        self.tell(at, abandoned);
    }

    pub fn closed(&mut self, at: Time, n: u64, outcome: Outcome, queue: &str, agent: Option<&str>) {
        let closed = EventKind::ContactClosed {
            contact: contact(n),
            outcome,
            direction: Direction::Inbound,
            queue: Some(queue.into()),
            agent: agent.map(Arc::from),
            entered_ivr: true,
            goal: false,
            wait_ms: 0,
            talk_ms: 0,
            hold_ms: 0,
            duration_ms: 0,
            customers: vec![crm::CustomerId("C1001".into())],
            cause: "caller_bye".into(),
            cause_detail: None,
            quality: Vec::new(),
        };
        self.tell(at, closed);
    }

    pub fn left(&mut self, at: Time, n: u64, queue: &str, exit: Exit) {
        self.tell(
            at,
            EventKind::ContactLeftQueue {
                contact: contact(n),
                queue: queue.into(),
                visit: 1,
                exit,
                wait_ms: 30_000,
            },
        );
    }

    pub fn agent(
        &mut self,
        at: Time,
        agent: &str,
        state: AgentState,
        was: AgentState,
        was_ms: u64,
        of: Option<(u64, &str)>,
    ) {
        let kind = EventKind::AgentState {
            agent: agent.into(),
            group: "day".into(),
            state,
            reason: (state == AgentState::NotReady).then(|| "lunch".into()),
            contact: of.map(|(n, _)| contact(n)),
            queue: of.map(|(_, queue)| queue.into()),
            until: (state == AgentState::WrapUp).then(|| at + Duration::from_secs(60)),
            was,
            was_ms,
        };
        self.tell(at, kind);
    }
}
