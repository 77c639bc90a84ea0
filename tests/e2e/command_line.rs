//! The command line as its manual promises it: data on stdout, talk on stderr, exit 0, 1 or 2.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::api::Client;
use crate::centre::{Centre, QUEUES, agents};

/// Runs the binary in a directory, with nothing of ours in its environment.
fn cordboard(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cordboard"))
        .args(arguments)
        .env_clear()
        .env("TMPDIR", dir)
        .envs(environment.iter().copied())
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
}

#[test]
fn help_shows_examples_and_wrong_usage_is_2() {
    let dir = tempfile::tempdir().expect("a directory");
    for command in [
        "",
        "serve",
        "demo",
        "check",
        "flow",
        "flow test",
        "customers",
        "customers import",
        "customers export",
        "customers show",
        "customers erase",
        "agent",
        "agent list",
        "agent add",
        "agent passwd",
        "contact",
        "simulate",
        "report",
        "report kpi",
    ] {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = cordboard(dir.path(), &words, &[]);
        assert_eq!(help.status.code(), Some(0), "{command}");
        assert!(
            text(&help.stdout).contains("Example"),
            "{command}: no example"
        );
        assert!(help.stderr.is_empty(), "{command}");
        let words: Vec<&str> = command.split_whitespace().chain(["--bogus"]).collect();
        let wrong = cordboard(dir.path(), &words, &[]);
        assert_eq!(wrong.status.code(), Some(2), "{command}");
        assert!(
            wrong.stdout.is_empty() && !wrong.stderr.is_empty(),
            "{command}"
        );
    }
    let found: Vec<_> = std::fs::read_dir(dir.path())
        .expect("a directory")
        .collect();
    assert!(found.is_empty(), "help leaves nothing behind: {found:?}");
}

/// A fault of every kind in every file: `file:line:column`, then what is in the message.
const FAULTS: &[(&str, &str)] = &[
    ("config/agents.toml:4:1", "unknown key `rol`"),
    ("config/agents.toml:5:1", "unknown key `password`"),
    ("config/agents.toml:6:22", "must be 1 to 10"),
    ("config/agents.toml:8:6", "two agents `1001`"),
    ("config/agents.toml:15:11", "no SIP URI"),
    ("config/agents.toml:12:8", "\"boss\""),
    ("config/cordboard.toml:1:8", "no node name"),
    ("config/cordboard.toml:2:12", "must be a string"),
    ("config/cordboard.toml:4:1", "unknown key `prot`"),
    ("config/cordboard.toml:5:8", "0 to 65535"),
    ("config/cordboard.toml:6:11", "\"MD6\""),
    ("config/cordboard.toml:8:13", "no time zone"),
    ("config/cordboard.toml:9:11", "no country"),
    ("config/cordboard.toml:11:9", "not a length of time"),
    ("config/cordboard.toml:13:9", "log.level"),
    ("config/cordboard.toml:14:2", "unknown key `sipp`"),
    ("config/queues.toml:3:1", "unknown key `skils`"),
    ("config/queues.toml:4:10", "\"on_quue\""),
    ("config/queues.toml:6:8", "two queues `support`"),
    ("config/queues.toml:8:1", "`name` is missing"),
    ("config/trunks.toml:3:14", "is no address and no network"),
    ("config/trunks.toml:6:8", "no flow `mian`"),
    ("config/trunks.toml:9:9", "no queue `supprt`"),
    ("ivr-scripts/main.toml:3:9", "no state `greting`"),
    ("ivr-scripts/main.toml:7:8", "no state `nowhere`"),
    ("ivr-scripts/other.toml:1:12", "unclosed array"),
];

const BROKEN: &[(&str, &str)] = &[
    (
        "config/agents.toml",
        "[[agent]]\nid = \"1001\"\nname = \"Li\"\nrol = \"agent\"\npassword = \"x\"\nskills = { support = 0 }\n[[agent]]\nid = \"1001\"\ncontact = \"sip:phone.example\"\n[[agent]]\nid = \"1002\"\nrole = \"boss\"\n[[agent]]\nid = \"1003\"\ncontact = \"tel:1003\"\n",
    ),
    (
        "config/cordboard.toml",
        "node = \"a b\"\ndata_dir = 5\n[sip]\nprot = 5060\nport = 70000\ndigest = [\"MD6\"]\n[locale]\ntime_zone = \"Asia/Shangai\"\ncountry = \"XX\"\n[limits]\ndrain = \"60\"\n[log]\nlevel = \"info=loud\"\n[sipp]\n",
    ),
    (
        "config/queues.toml",
        "[[queue]]\nname = \"support\"\nskils = { support = 1 }\nanswer = \"on_quue\"\n[[queue]]\nname = \"support\"\n\n[[queue]]\nnumber = \"2000\"\n",
    ),
    (
        "config/trunks.toml",
        "[[trunk]]\nname = \"t\"\naddresses = [\"127.0.0.300\"]\n[[route]]\nnumber = \"1000\"\nflow = \"mian\"\n[[route]]\nnumber = \"1001x\"\nqueue = \"supprt\"\n",
    ),
    (
        "ivr-scripts/main.toml",
        "[flow]\nname = \"main\"\nstart = \"greting\"\nlanguages = [\"en\"]\n[state.greeting]\nsay = \"main/welcome\"\nnext = \"nowhere\"\n",
    ),
    ("ivr-scripts/other.toml", "garbage = [\n"),
];

#[test]
fn check_names_every_fault_of_every_file_and_serve_refuses_with_the_same_words() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), BROKEN);
    let checked = cordboard(dir.path(), &["check"], &[]);
    let told = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{told}");
    for (place, what) in FAULTS {
        let line = told
            .lines()
            .find(|line| line.starts_with(&format!("{place}: error: ")) && line.contains(what));
        assert!(line.is_some(), "{place}: {what} is missing in\n{told}");
    }
    let lines: Vec<&str> = told.lines().collect();
    for pair in lines
        .windows(2)
        .filter(|pair| pair[0].contains(": error: "))
    {
        assert!(pair[1].starts_with("    hint: "), "no hint: {}", pair[0]);
    }
    assert!(told.contains("did you mean `port`?") && told.contains("did you mean \"on_queue\"?"));
    let served = cordboard(dir.path(), &["serve"], &[]);
    assert_eq!(served.status.code(), Some(1));
    assert!(served.stdout.is_empty());
    assert!(text(&served.stderr).starts_with(&told), "the same words");
    let json = cordboard(dir.path(), &["check", "--json"], &[]);
    assert_eq!(json.status.code(), Some(1));
    let parsed: Vec<Value> = text(&json.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert_eq!(
        parsed.len(),
        lines
            .iter()
            .filter(|line| !line.starts_with("    "))
            .count()
    );
    assert!(
        parsed
            .iter()
            .any(|fault| fault["file"] == "config/trunks.toml"
                && fault["line"] == 3
                && fault["column"] == 14)
    );
}

#[test]
fn the_smallest_forms_are_whole_configurations() {
    for files in [
        &[("config/agents.toml", "[[agent]]\nid = \"1001\"\n")][..],
        &[("config/queues.toml", "[[queue]]\nname = \"support\"\n")],
        &[("config/cordboard.toml", ""), ("config/trunks.toml", "")],
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), files);
        let checked = cordboard(dir.path(), &["check"], &[]);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{files:?}: {}",
            text(&checked.stdout)
        );
    }
    // Without a directory: the demo centre.
    let dir = tempfile::tempdir().expect("a directory");
    let checked = cordboard(dir.path(), &["check"], &[]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stdout));
    let missing = cordboard(dir.path(), &["check", "--config", "nowhere"], &[]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn settings_of_every_kind_come_from_the_line_and_the_environment() {
    let dir = tempfile::tempdir().expect("a directory");
    write(
        dir.path(),
        &[
            ("config/queues.toml", QUEUES),
            ("config/agents.toml", &agents()),
        ],
    );
    let good = cordboard(
        dir.path(),
        &[
            "check",
            "--set",
            "sip.digest=[\"MD5\"]",
            "--set",
            "queue.support.ring=5s",
            "--set",
            "log.json=true",
            "--set",
            "node=n7",
            "--set",
            "agent.1001.skills.support=9",
            "--set",
            "trunk.loopback.max_calls=5",
            "--set",
            "sip.bind=127.0.0.2",
        ],
        &[
            ("CORDBOARD__SIP__PORT", "0"),
            ("CORDBOARD__QUEUE__SALES__SERVICE_LEVEL", "30s"),
            ("CORDBOARD__LIMITS__DRAIN", "3s"),
        ],
    );
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stdout));
    for (setting, place, what) in [
        ("sip.prot=1", "--set sip.prot", "did you mean `port`?"),
        ("sip.port=x", "--set sip.port", "a whole number"),
        ("log.json=yes", "--set log.json", "true or false"),
        ("sip.digest=MD5", "--set sip.digest", "write [\"MD5\"]"),
        (
            "queue.sale.ring=5s",
            "--set queue.sale.ring",
            "did you mean `sales`?",
        ),
        ("bind=0.0.0.0", "--set bind", "sip.public"),
    ] {
        let wrong = cordboard(dir.path(), &["check", "--set", setting], &[]);
        let told = text(&wrong.stdout);
        assert_eq!(wrong.status.code(), Some(1), "{setting}: {told}");
        assert!(
            told.contains(place) && told.contains(what),
            "{setting}: {told}"
        );
    }
    let wrong = cordboard(dir.path(), &["check"], &[("CORDBOARD__SIP__PROT", "1")]);
    assert!(text(&wrong.stdout).starts_with("CORDBOARD__SIP__PROT: error: "));
}

#[test]
fn demo_passwords_stay_on_loopback() {
    let dir = tempfile::tempdir().expect("a directory");
    for bind in ["bind=0.0.0.0", "http.bind=0.0.0.0", "sip.bind=192.0.2.1"] {
        let refused = cordboard(dir.path(), &["demo", "--set", bind], &[]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.stdout.is_empty());
        let told = text(&refused.stderr);
        assert!(
            told.contains("demo passwords are refused"),
            "{bind}: {told}"
        );
    }
}

#[test]
fn the_ready_line_is_one_line_of_json_and_six_thousand_agents_start_at_once() {
    let mut many = String::new();
    for agent in 0..6_000 {
        many += &format!(
            "[[agent]]\nid = \"a{agent:04}\"\nskills = {{ support = {} }}\ngroup = \"g{}\"\nauto_ready = true\ncontact = \"sip:a{agent:04}@127.0.0.1:9\"\n",
            agent % 10 + 1,
            agent % 7
        );
    }
    let begun = std::time::Instant::now();
    let mut centre = Centre::start_with(&[("queues.toml", QUEUES), ("agents.toml", &many)], &[]);
    let took = begun.elapsed();
    // One second in a release build (README); this one is not optimised, and other tests may have run just before.
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    assert_eq!(centre.ready["event"], "ready");
    for listener in ["sip_udp", "sip_tcp", "http"] {
        let address: std::net::SocketAddr = centre.ready[listener]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("an address");
        assert_ne!(address.port(), 0, "{listener}");
        std::net::TcpStream::connect(address).expect("it listens");
    }
    assert_eq!(centre.terminate(), 0);
}

/// The port of the running centre is in no argument: the data directory leads to it.
fn with_data<'a>(words: &[&'a str], data: &'a str) -> Vec<&'a str> {
    words.iter().copied().chain(["--data-dir", data]).collect()
}

const CUSTOMERS: &str = "id,name,class,phones,language,tags,notes,city\nX1,\"Doe, Jane\",A,+8613900000001;021-64280001,en,vip,,Paris\nX2,周杰,,0755-88888888,zh-CN,,,\nbad,Nobody,Z,+8613900000009,,,,\nX3,Twin,C,+8613900000001,,,,\n";

#[test]
fn customers_are_imported_shown_exported_and_erased_with_and_without_an_engine() {
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &agents()),
            ("cordboard.toml", ""),
        ],
        &[],
    );
    let data = centre.data().display().to_string();
    let file = centre.path().join("new.csv");
    std::fs::write(&file, CUSTOMERS).expect("a file");
    let file = file.display().to_string();
    let dir = centre.directory.clone();
    for running in [true, false] {
        let run = |words: &[&str]| cordboard(dir.path(), &with_data(words, &data), &[]);
        let imported = run(&["customers", "import", &file]);
        let told = text(&imported.stderr);
        assert_eq!(imported.status.code(), Some(1), "a line was wrong: {told}");
        assert!(imported.stdout.is_empty());
        assert!(told.contains("new.csv: line 4, class: "), "{told}");
        assert!(told.contains("3 customers taken, 1 fault\n"), "{told}");
        assert!(
            !told.contains('\r') && !told.contains("█"),
            "no bar where there is no terminal: {told}"
        );
        let shown = run(&["customers", "show", "139 0000 0001", "--json"]);
        assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
        let ids: Vec<String> = text(&shown.stdout)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].to_string())
            .collect();
        assert_eq!(ids, ["\"X1\"", "\"X3\""], "several customers on one number");
        let exported = text(&run(&["customers", "export"]).stdout);
        assert!(exported.starts_with("id,name,class,phones,"), "{exported}");
        assert!(
            exported.contains("\"Doe, Jane\"") && exported.contains("+862164280001"),
            "{exported}"
        );
        let erased = run(&["customers", "erase", "+8613900000001"]);
        assert_eq!(erased.status.code(), Some(0), "{}", text(&erased.stderr));
        let gone = run(&["customers", "show", "+8613900000001"]);
        assert_eq!((gone.status.code(), gone.stdout.len()), (Some(1), 0));
        assert_eq!(
            run(&["customers", "erase", "+8613900000001"]).status.code(),
            Some(1)
        );
        if running {
            // What the engine took is what it answers.
            let client = Client::sign_in_any(&centre);
            let (_, page) = client.get("/api/v1/customers?phone=0755-88888888");
            assert_eq!(page["items"][0]["id"], "X2", "{page}");
        }
        if running {
            // The second round is on the files of the stopped engine.
            stop(&centre);
        }
    }
}

fn stop(centre: &Centre) {
    centre.begin_drain();
    crate::centre::wait_for("the engine to let go of its data", || {
        (!centre.data().join("engine.json").exists()).then_some(())
    });
    let pid = centre.ready["pid"].as_u64().expect("a pid");
    crate::centre::wait_for("the process to end", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn agents_are_listed_and_a_new_one_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    write(
        dir.path(),
        &[
            ("config/queues.toml", QUEUES),
            ("config/agents.toml", &agents()),
        ],
    );
    let listed = cordboard(dir.path(), &["agent", "list", "--json"], &[]);
    let ids: Vec<Value> = text(&listed.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].clone())
        .collect();
    assert_eq!(ids, ["1001", "1002", "1900"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_cordboard"))
        .args([
            "agent",
            "add",
            "1005",
            "--name",
            "Sun \"Li\"",
            "--skill",
            "support=5",
            "--write",
            "--config",
            "config",
        ])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    std::io::Write::write_all(
        &mut child.stdin.take().expect("stdin"),
        b"a good password\n",
    )
    .expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let checked = cordboard(dir.path(), &["check"], &[]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stdout));
    assert!(text(&cordboard(dir.path(), &["agent", "list"], &[]).stdout).contains("Sun \"Li\""));
}
