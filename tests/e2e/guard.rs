//! Strangers who look for what is open and who try passwords: SIPVicious and fail2ban as Debian has them, and floods from an address that is no trunk.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::centre::{Centre, wait_for};
use crate::hostile::{metric, still_fine};
use crate::raw::{self, Caller};
use crate::registration::Line;

/// An address of ours that no trunk of the tests has.
const STRANGER: &str = "127.0.0.2";

fn refused(centre: &Centre, what: &str) -> f64 {
    metric(
        centre,
        "cordboard_sip_refused_total",
        &format!("\"{what}\""),
    )
}

fn address(centre: &Centre) -> SocketAddr {
    centre.sip().parse().expect("an address")
}

/// Whom the real fail2ban would ban by the centre's log and our filter.
fn banned(centre: &Centre, mode: &str) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), centre.log()).expect("a file");
    let filters = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fail2ban/filter.d");
    let read = Command::new("fail2ban-regex")
        .args(["-o", "<ip>"])
        .arg(file.path())
        .arg(format!("{filters}/cordboard.conf[mode={mode}]"))
        .output()
        .expect("fail2ban-regex runs");
    assert!(read.status.success(), "{read:?}");
    String::from_utf8_lossy(&read.stdout).trim().to_owned()
}

/// One challenged try; the answer to it, if one comes soon.
fn try_password(line: &mut Line, user: &str, password: &str) -> Option<String> {
    let challenge = line.register(user, None);
    let answer = line.authorization(&challenge, user, password, 1);
    line.ask(user, Some(&answer));
    line.hear(Duration::from_millis(700))
}

#[test]
fn who_tries_passwords_is_not_answered_for_a_while_and_fail2ban_reads_who() {
    let centre = Centre::start();
    let mut line = Line::new(&centre);
    for guess in 0..5 {
        let answer = try_password(&mut line, "1001", &format!("guess-{guess}"));
        assert!(answer.is_some_and(|text| text.starts_with("SIP/2.0 401")));
    }
    // Not even the right one is taken now; a colleague behind the same address is.
    assert_eq!(try_password(&mut line, "1001", "demo-1001"), None);
    assert!(refused(&centre, "barred") >= 1.0);
    let colleague = try_password(&mut line, "1002", "demo-1002");
    assert!(colleague.is_some_and(|text| text.starts_with("SIP/2.0 200")));
    let log = wait_for("the line for fail2ban", || {
        Some(centre.log()).filter(|log| log.contains("barred source="))
    });
    assert!(
        log.contains(
            "WARN cordboard::guard: barred source=127.0.0.1 failures=5 seconds=5 user=\"1001\""
        ),
        "{log}"
    );
    assert_eq!(banned(&centre, "normal"), "127.0.0.1");
    wait_for("the end of the bar", || {
        try_password(&mut line, "1001", "demo-1001").filter(|text| text.starts_with("SIP/2.0 200"))
    });
    still_fine(&centre);
}

/// Trunks elsewhere: whatever comes from 127.0.0.1 is a stranger's. SIPVicious binds what address it likes.
const TRUNKS: &str = "[[trunk]]\nname = \"carrier\"\naddresses = [\"127.0.0.7\"]\nmax_calls = 10\n";

fn among_strangers(set: &[&str]) -> Centre {
    let files = [
        ("queues.toml", crate::centre::QUEUES),
        ("agents.toml", &crate::centre::agents()),
        ("trunks.toml", TRUNKS),
    ];
    Centre::start_with(&files, set)
}

/// Runs a tool of SIPVicious against the centre; what it says.
fn sipvicious(centre: &Centre, tool: &str, arguments: &[&str]) -> String {
    let port = address(centre).port().to_string();
    let ran = Command::new("timeout")
        .args(["60", tool, "-p", &port])
        .args(arguments)
        .arg("127.0.0.1")
        .output()
        .expect("it runs");
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

/// A list for svcrack with the right password in it.
fn guesses() -> tempfile::NamedTempFile {
    let words = tempfile::NamedTempFile::new().expect("a file");
    let wrong: String = (0..30).map(|n| format!("guess-{n}\n")).collect();
    std::fs::write(words.path(), wrong + "demo-1001\n").expect("a file");
    words
}

/// A phone of 1002 registers while all that goes on.
fn registers(centre: &Centre) {
    let answer = try_password(&mut Line::new(centre), "1002", "demo-1002");
    assert!(answer.is_some_and(|text| text.starts_with("SIP/2.0 200")));
}

#[test]
fn sipvicious_hears_nothing() {
    let centre = among_strangers(&[]);
    let map = sipvicious(&centre, "svmap", &[]);
    assert!(!map.contains("Cordboard"), "{map}");
    assert!(refused(&centre, "scanner") >= 1.0, "{map}");
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        let options = ["-m", method, "-e", "1000-1010", "--force"];
        let war = sipvicious(&centre, "svwar", &options);
        assert!(!war.contains("auth"), "{method}: {war}");
        registers(&centre);
    }
    let words = guesses();
    let dictionary = words.path().display().to_string();
    let crack = sipvicious(&centre, "svcrack", &["-u", "1001", "-d", &dictionary]);
    assert!(!crack.contains("demo-1001"), "{crack}");
    assert_eq!(refused(&centre, "bad_digest"), 0.0);
    assert!(
        centre
            .log()
            .contains("scanner source=127.0.0.1 agent=\"friendly-scanner\"")
    );
    assert_eq!(banned(&centre, "normal"), "");
    assert_eq!(
        banned(&centre, "aggressive").lines().next(),
        Some("127.0.0.1")
    );
    still_fine(&centre);
}

#[test]
fn sipvicious_in_disguise_hears_the_same_of_everybody_and_guesses_in_vain() {
    // As if the tool had changed its User-Agent.
    let centre = among_strangers(&["sip.guard.scanners=\"challenge\""]);
    let map = sipvicious(&centre, "svmap", &[]);
    assert!(map.contains(centre.sip()), "it answers: {map}");
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        // 1001, 1002 and 1900 are agents, 2000 a queue; the rest is nothing.
        let options = [
            "-m",
            method,
            "-e",
            "1001-1004,1900-1902,2000,2005",
            "--force",
        ];
        let war = sipvicious(&centre, "svwar", &options);
        // It has a row for each that answers otherwise than a name it made up.
        assert!(
            !war.contains("\n| 1") && !war.contains("\n| 2"),
            "{method}: {war}"
        );
        registers(&centre);
    }
    let words = guesses();
    let dictionary = words.path().display().to_string();
    let crack = sipvicious(&centre, "svcrack", &["-u", "1001", "-d", &dictionary]);
    assert!(!crack.contains("demo-1001"), "{crack}");
    let tried = refused(&centre, "bad_digest");
    assert!(
        (5.0..10.0).contains(&tried),
        "{tried} of 30 looked at: {crack}"
    );
    assert!(refused(&centre, "barred") >= 1.0, "{crack}");
    assert_eq!(banned(&centre, "normal").lines().next(), Some("127.0.0.1"));
    registers(&centre);
    still_fine(&centre);
}

/// One request of this method, or bytes that are none, from `us`.
fn strange(centre: &Centre, us: SocketAddr, method: &str, serial: u32) -> Vec<u8> {
    if method == "garbage" {
        return format!("garbage {serial} \u{1}").into_bytes();
    }
    let tag = if matches!(method, "BYE" | "ACK" | "INFO") {
        ";tag=x"
    } else {
        ""
    };
    format!(
        "{method} sip:1001@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bKs{serial}{method}\r\nFrom: <sip:x@{us}>;tag=s\r\n\
         To: <sip:1001@{0}>{tag}\r\nCall-ID: s{serial}{method}\r\nCSeq: 1 {method}\r\nContact: <sip:x@{us}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        centre.sip()
    )
    .into_bytes()
}

fn memory_mb(centre: &Centre) -> f64 {
    metric(centre, "process_resident_memory_bytes", "") / 1048576.0
}

#[test]
fn a_flood_of_any_method_from_a_stranger_neither_grows_nor_disturbs() {
    let centre = Centre::start();
    let stranger = raw::Line::on(&format!("{STRANGER}:0"));
    let before = memory_mb(&centre);
    for method in [
        "INVITE",
        "REGISTER",
        "OPTIONS",
        "SUBSCRIBE",
        "MESSAGE",
        "BYE",
        "CANCEL",
        "ACK",
        "INFO",
        "garbage",
    ] {
        let until = Instant::now() + Duration::from_millis(500);
        let mut serial = 0;
        while Instant::now() < until {
            for _ in 0..50 {
                serial += 1;
                let bytes = strange(&centre, stranger.address(), method, serial);
                stranger.send(address(&centre), bytes);
            }
        }
        // Somebody else's call goes through meanwhile: the test tone answers.
        let mut caller = Caller::new(&centre);
        caller.dial("9197");
        let answer = caller.answered();
        caller.take(&answer);
        caller.hang_up();
    }
    assert!(
        refused(&centre, "source_rate") > 0.0,
        "a flood is more than 50 a second"
    );
    assert_eq!(
        metric(&centre, "cordboard_overload_rejected_total", "\"queue\""),
        0.0
    );
    let grown = memory_mb(&centre) - before;
    assert!(grown < 64.0, "{grown} MB");
    still_fine(&centre);
}
