use super::*;

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn check(files: &[(&str, &str)], sets: &[&str]) -> (Option<Compiled>, Vec<String>) {
    let dir = dir(files);
    let overrides: Vec<Override> = sets
        .iter()
        .map(|set| Override::parse(set).unwrap())
        .collect();
    let loaded = load(&Origin::Dir(dir.path().to_path_buf()), &overrides);
    (
        loaded.compiled,
        loaded
            .diagnostics
            .iter()
            .map(|diagnostic| render(diagnostic, Some(dir.path())))
            .collect(),
    )
}

const SMALL_AGENTS: &str = r#"
[[agent]]
id = "1001"                                  # SIP user and extension
name = "Li Wei"
role = "agent"
skills = { support = 5, mandarin = 8 }
auto_ready = true
wrap_up = "0s"
contact = "sip:a0001@127.0.0.1:7000"
group = "day"
"#;

const SMALL_QUEUES: &str = r#"
[[queue]]
name = "support"
number = "2000"
skills = { support = 1 }
ring = "20s"
wrap_up = "10s"
service_level = "20s"
answer = "on_queue"
"#;

#[test]
fn the_smallest_useful_forms_are_valid() {
    let (compiled, told) = check(
        &[("agents.toml", SMALL_AGENTS), ("queues.toml", SMALL_QUEUES)],
        &[],
    );
    assert_eq!(told, Vec::<String>::new());
    let compiled = compiled.unwrap();
    assert_eq!(
        compiled.engine.routes.get("2000"),
        Some(&engine::Route::Queue("support".into()))
    );
    assert_eq!(
        compiled.engine.routes.get("9196"),
        Some(&engine::Route::Echo)
    );
    assert_eq!(
        compiled.engine.routes.get("1000"),
        None,
        "there is no flow, so the built-in route gives way"
    );
    assert_eq!(compiled.engine.sip.trunks[0].max_calls, 20_000);
    assert!(compiled.engine.acd.agents[0].fixed);
    assert_eq!(
        compiled.engine.acd.agents[0].wrap_up,
        Some(std::time::Duration::ZERO)
    );
}

#[test]
fn agents_alone_are_a_whole_configuration() {
    let (compiled, told) = check(&[("agents.toml", "[[agent]]\nid = \"9196\"\n")], &[]);
    assert_eq!(told, Vec::<String>::new());
    let compiled = compiled.unwrap();
    assert_eq!(
        compiled.engine.routes.get("9196"),
        Some(&engine::Route::Agent("9196".into())),
        "built-in numbers give way"
    );
}

#[test]
fn the_demo_centre_is_valid() {
    let loaded = load(&Origin::Demo, &[]);
    let told: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|diagnostic| render(diagnostic, None))
        .collect();
    assert_eq!(told, Vec::<String>::new());
    let compiled = loaded.compiled.unwrap();
    assert_eq!(compiled.accounts["1001"].password, Password::Demo);
    let credentials = &compiled.engine.sip.users["1001"];
    assert_eq!(
        credentials.md5.as_deref(),
        Some(credential::ha1_md5("1001", "cordboard", "demo-1001").as_str())
    );
    for number in ["2000", "2001", "1001", "1004", "1900", "9196", "9197"] {
        assert!(compiled.engine.routes.contains_key(number), "{number}");
    }
    assert!(!compiled.engine.routes.contains_key("admin"));
}

#[test]
fn every_error_of_every_file_is_told_at_once() {
    let (compiled, told) = check(
        &[
            (
                "cordboard.toml",
                "nod = \"x\"\n[sip]\nport = 70000\ndigest = [\"MD6\"]\n[limits]\ndrain = \"soon\"\n[rtp]\nfirst = \"10000\"\n",
            ),
            (
                "agents.toml",
                "[[agent]]\nid = \"1001\"\nrolle = \"agent\"\n[[agent]]\nid = \"1001\"\nskills = { support = 11 }\npassword = \"x\"\n[[agent]]\nname = \"nobody\"\n",
            ),
            (
                "queues.toml",
                "[[queue]]\nname = \"support\"\nnumber = \"1001\"\nanswer = \"on_que\"\nskills = { suport = 1 }\nmusic = \"music/none\"\n",
            ),
            (
                "trunks.toml",
                "[[trunk]]\nname = \"t\"\naddresses = [\"127.0.0.1\", \"192.0.2.256\"]\n[[route]]\nnumber = \"5\"\nqueue = \"suport\"\n[[route]]\nnumber = \"6\"\n",
            ),
        ],
        &["http.prt=1", "rtp.last=many"],
    );
    assert!(compiled.is_none());
    let told = told.join("\n");
    for expected in [
        "cordboard.toml:1:1: error: unknown key `nod`\n    hint: did you mean `node`?",
        "cordboard.toml:3:8: error: `sip.port` must be 0 to 65535, but this is 70000",
        "cordboard.toml:4:11: error: `sip.digest` must be one of \"MD5\", \"SHA-256\", but this is \"MD6\"\n    hint: did you mean \"MD5\"?",
        "cordboard.toml:6:9: error: `limits.drain`: `soon` is not a length of time",
        "cordboard.toml:8:9: error: `rtp.first` must be a whole number, but this is the string \"10000\"",
        "agents.toml:3:1: error: unknown key `rolle` in `agent`\n    hint: did you mean `role`?",
        "agents.toml:5:6: error: there are two agents `1001`",
        "agents.toml:6:22: error: `agent.skills.support` must be 1 to 10, but this is 11",
        "agents.toml:7:1: error: unknown key `password` in `agent`\n    hint: plain passwords are not kept in files: `cordboard agent passwd ID`",
        "agents.toml:8:1: error: `id` is missing in `agent`",
        "agents.toml:2:6: error: agent `1001` has the number 1001, which is queue `support`'s",
        "queues.toml:4:10: error: `queue.answer` must be one of \"on_queue\", \"on_agent\", but this is \"on_que\"\n    hint: did you mean \"on_queue\"?",
        "queues.toml:5:21: warning: queue `support` requires the skill `suport`, which no agent has",
        "queues.toml:6:9: error: there is no music \"music/none\"",
        "trunks.toml:3:27: error: `192.0.2.256` is no address and no network",
        "trunks.toml:6:9: error: there is no queue `suport`\n    hint: did you mean `support`?",
        "trunks.toml:8:10: error: the route of 6 must lead to exactly one place",
        "--set http.prt: error: unknown key `prt` in `http`\n    hint: did you mean `port`?",
        "--set rtp.last: error: `rtp.last` must be a whole number, but this is the string \"many\"",
    ] {
        assert!(told.contains(expected), "{expected}\nnot in\n{told}");
    }
}

#[test]
fn syntax_errors_have_places() {
    let (_, told) = check(
        &[(
            "agents.toml",
            "[[agent]]\nid = \n[[agent]]\nid = \"2\"\nname = \"x\n",
        )],
        &[],
    );
    assert!(
        told.iter().any(|line| line.starts_with("agents.toml:2:")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|line| line.starts_with("agents.toml:5:")),
        "{told:?}"
    );
}

#[test]
fn overrides_reach_every_setting() {
    let (compiled, told) = check(
        &[("agents.toml", SMALL_AGENTS), ("queues.toml", SMALL_QUEUES)],
        &[
            "sip.port=15060",
            "node=7",
            "queue.support.ring=5s",
            "agent.1001.skills.support=9",
            "trunk.loopback.max_calls=7",
            "bind=127.0.0.2",
            "sip.digest=[\"MD5\"]",
            "data_dir=/tmp/x",
        ],
    );
    assert_eq!(told, Vec::<String>::new());
    let compiled = compiled.unwrap();
    assert_eq!(compiled.settings.sip[0].to_string(), "127.0.0.2:15060");
    assert_eq!(&*compiled.settings.node, "7");
    assert_eq!(compiled.engine.acd.queues[0].ring.as_secs(), 5);
    assert_eq!(compiled.engine.acd.agents[0].skills["support"], 9);
    assert_eq!(compiled.engine.sip.trunks[0].max_calls, 7);
    let (_, told) = check(&[("queues.toml", SMALL_QUEUES)], &["queue.sales.ring=5s"]);
    assert!(
        told.iter()
            .any(|line| line == "--set queue.sales.ring: error: there is no queue `sales`\n    hint: there are: support"),
        "{told:?}"
    );
}

#[test]
fn demo_passwords_stay_on_loopback() {
    let (_, told) = check(&[("agents.toml", SMALL_AGENTS)], &["http.bind=0.0.0.0"]);
    assert!(
        told.iter().any(|line| line
            .contains("demo passwords are refused because HTTP would listen beyond loopback")),
        "{told:?}"
    );
    let (compiled, told) = check(
        &[
            ("agents.toml", SMALL_AGENTS),
            ("cordboard.toml", "bind = \"192.0.2.1\"\n"),
        ],
        &[],
    );
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(
        compiled.unwrap().accounts["1001"].password,
        Password::None,
        "only the demo's file gives demo passwords"
    );
}

#[test]
fn six_thousand_agents_load_at_once() {
    use std::fmt::Write as _;
    let mut agents = String::new();
    for n in 0..6000 {
        let _ = write!(
            agents,
            "[[agent]]\nid = \"a{n}\"\nname = \"Agent {n}\"\nskills = {{ s{} = 5, support = {} }}\nauto_ready = true\nwrap_up = \"0s\"\ncontact = \"sip:a{n}@127.0.0.1:7000\"\n",
            n % 50,
            n % 10 + 1
        );
    }
    let (compiled, told) = check(
        &[("agents.toml", &agents), ("queues.toml", SMALL_QUEUES)],
        &[],
    );
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(compiled.unwrap().engine.acd.agents.len(), 6000);
}

#[test]
fn a_reload_says_what_changes() {
    let one = check(
        &[("agents.toml", SMALL_AGENTS), ("queues.toml", SMALL_QUEUES)],
        &[],
    )
    .0
    .unwrap();
    let two = check(
        &[
            ("agents.toml", "[[agent]]\nid = \"1002\"\n"),
            ("queues.toml", SMALL_QUEUES),
        ],
        &["queue.support.ring=5s", "sip.port=1"],
    )
    .0
    .unwrap();
    assert_eq!(
        difference::difference(&one.effective.value(), &two.effective.value()),
        [
            "sip.port: 5060 → 1",
            "queue support: ring 20s → 5s",
            "agent 1002: added",
            "agent 1001: removed"
        ]
    );
    assert_eq!(
        difference::needs_restart(&one.effective.value(), &two.effective.value()),
        ["sip.port"]
    );
    assert!(difference::difference(&one.effective.value(), &one.effective.value()).is_empty());
}

/// The published schemas are those that the check uses; `UPDATE_SCHEMAS=1` writes them.
#[test]
fn published_schemas_are_current() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    for (file, schema) in read::schemas() {
        let path = dir.join(file.replace(".toml", ".json"));
        let text = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap_or_default(),
            text,
            "{} is stale: run UPDATE_SCHEMAS=1 cargo test -p server schemas",
            path.display()
        );
    }
}

const TRUNKS_OUT: &str = r#"
[[trunk]]
name = "carrier"
addresses = ["192.0.2.0/24"]
uri = "sip:carrier.example"
country = "DE"
format = "national"
username = "us"
password_file = "carrier.secret"
caller_id = "+493012345678"
register = true
options = "30s"
calls_per_second = 10
[[route]]
trunk = "carrier"
number = "030 12345678"
queue = "support"
[[outbound]]
number = "+"
class = "world"
trunks = ["carrier"]
"#;

#[test]
fn trunks_rules_and_accounts_are_compiled_without_showing_the_password() {
    let agents = format!("{SMALL_AGENTS}may_call = [\"world\"]\n");
    let trunks = TRUNKS_OUT.replace("030 12345678", "03012345678");
    let (compiled, told) = check(
        &[
            ("agents.toml", &agents),
            ("queues.toml", SMALL_QUEUES),
            ("trunks.toml", &trunks),
            ("carrier.secret", "s3cret\n"),
        ],
        &[],
    );
    assert_eq!(told, Vec::<String>::new());
    let compiled = compiled.unwrap();
    let trunk = &compiled.engine.sip.trunks[0];
    assert!(trunk.is_source("192.0.2.77".parse().unwrap(), &[]));
    let carrier = trunk.carrier.as_ref().unwrap();
    let account = carrier.account.as_ref().unwrap();
    assert_eq!(
        (account.realm.as_str(), account.password.0.as_str()),
        ("carrier.example", "s3cret")
    );
    let inbound = &compiled.engine.inbound["carrier"];
    assert_eq!(
        inbound.routes.get("+493012345678"),
        Some(&engine::Route::Queue("support".into())),
        "a national number of the trunk's country"
    );
    assert_eq!(&*compiled.engine.agents["1001"].may_call, ["world".into()]);
    assert!(!compiled.effective.value().to_string().contains("s3cret"));
    assert!(!format!("{compiled:?}").contains("s3cret"), "nor in Debug");
}

#[test]
fn what_is_wrong_with_trunks_has_its_place_and_a_hint() {
    let trunks = r#"
[[trunk]]
name = "a"
addresses = ["192.0.2.0/24"]
uri = "tel:123"
[[trunk]]
name = "b"
addresses = ["192.0.2.7"]
proxy = "sip:192.0.2.7"
[[trunk]]
name = "c"
uri = "sip:c.example"
username = "us"
country = "XX"
[[outbound]]
number = "86"
class = "national"
trunks = ["d"]
[[outbound]]
number = "x"
class = "national"
trunks = ["c"]
[[route]]
number = "123"
trunk = "nowhere"
echo = true
"#;
    let agents = format!("{SMALL_AGENTS}may_call = [\"natonal\"]\n");
    let (_, told) = check(
        &[
            ("agents.toml", &agents),
            ("queues.toml", SMALL_QUEUES),
            ("trunks.toml", trunks),
        ],
        &[],
    );
    let told = told.join("\n");
    for expected in [
        "trunks.toml:5:7: error: \"tel:123\" is no SIP URI of a host",
        "trunks.toml:8:14: error: 192.0.2.7 is an address of trunk `a` already",
        "trunks.toml:9:9: error: a `proxy` is of no use without a `uri`",
        "trunks.toml:13:12: error: the account of trunk `c` has no password",
        "trunks.toml:14:11: error: \"XX\" is no country",
        "trunks.toml:18:11: error: there is no trunk `d` to call out by",
        "trunks.toml:20:10: error: \"x\" is no beginning of a number",
        "trunks.toml:25:9: error: there is no trunk `nowhere`",
        "error: no numbers are of the class `natonal`\n    hint: did you mean `national`?",
    ] {
        assert!(told.contains(expected), "{expected}\nnot in\n{told}");
    }
}

#[test]
fn steps_overflow_and_hours_are_compiled() {
    let queues = r#"
[[queue]]
name = "support"
skills = { support = 5, mandarin = 8 }
choice = "round_robin"
max_wait = "5m"
empty = ["nobody_logged_in"]
overflow = "queue:sales"
hours = ["Mon-Fri 09:00-18:00"]
holidays = ["2026-10-01..2026-10-07"]
time_zone = "Asia/Shanghai"

[[queue.step]]
after = "20s"
lower = { mandarin = 5 }

[[queue.step]]
after = "40s"
drop = ["mandarin"]

[[queue]]
name = "sales"
skills = { support = 1 }
"#;
    let (compiled, told) = check(
        &[("agents.toml", SMALL_AGENTS), ("queues.toml", queues)],
        &[],
    );
    assert_eq!(told, Vec::<String>::new());
    let engine = compiled.unwrap().engine;
    let queue = &engine.acd.queues[0];
    assert_eq!(queue.choice, acd::Choice::RoundRobin);
    assert_eq!(queue.max_wait, Some(std::time::Duration::from_secs(300)));
    assert_eq!(queue.empty, [acd::Absence::NobodyLoggedIn]);
    assert_eq!(queue.steps[1].at_most, [("mandarin".into(), 0)].into());
    let service = &engine.queues["support"];
    assert_eq!(service.overflow.as_deref(), Some("queue:sales"));
    let at = |text: &str| {
        let timestamp: jiff::Timestamp = text.parse().unwrap();
        clock::Time::from_nanos(timestamp.as_nanosecond() as u64)
    };
    assert!(
        service.is_open(at("2026-11-20T01:00:00Z")),
        "Friday, nine in Shanghai"
    );
    assert!(!service.is_open(at("2026-10-05T02:00:00Z")), "a holiday");
}

#[test]
fn promises_that_cannot_be_kept_are_told_with_their_places() {
    let queues = r#"
[[queue]]
name = "support"
skills = { support = 5 }
overflow = "queue:sales"

[[queue.step]]
after = "20s"

[[queue.step]]
after = "20s"
skills = { support = 6 }

[[queue.step]]
after = "30s"
drop = ["mandarim"]

[[queue]]
name = "sales"
number = "2001"
skills = { support = 1 }
overflow = "queue:support"

[[queue]]
name = "late"
number = "2002"
hours = ["Mon-Fri 9-18"]
overflow = "flow:nowhere"
"#;
    let (compiled, told) = check(
        &[("agents.toml", SMALL_AGENTS), ("queues.toml", queues)],
        &[],
    );
    assert!(compiled.is_none());
    expect_test::expect![[r#"
        queues.toml:5:12: error: these queues overflow in a circle: support → sales → support
            hint: let the last one go to a flow, or nowhere
        queues.toml:7:1: error: this step relaxes nothing
            hint: `skills = {…}`, `drop = ["…"]`, `lower = {…}` or `anyone = true`
        queues.toml:11:9: error: a step comes after the one before it
            hint: steps are in the order in which they come, the first after more than "0s"
        queues.toml:12:22: error: this step requires more of `support` than the one before it
            hint: a step widens: it cannot leave out whom an earlier one let in
        queues.toml:16:9: warning: nobody has or requires the skill `mandarim`
            hint: did you mean `mandarin`?
        queues.toml:22:12: error: these queues overflow in a circle: sales → support → sales
            hint: let the last one go to a flow, or nowhere
        queues.toml:27:10: error: "Mon-Fri 9-18" are no hours
            hint: e.g. "Mon-Fri 09:00-18:00"
        queues.toml:28:12: error: there is no flow `nowhere`
            hint: `queue:NAME`, `flow:NAME`, `agent:ID`, or a number that leads somewhere"#]]
    .assert_eq(&told.join("\n"));
}
