//! Bounds: a full trunk, a full centre, a stop during calls, unknown numbers that are announced.

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, QUEUES, wait_for};
use crate::hostile::{metric, still_fine};
use crate::raw::{Caller, Phone, converse, fixed_agents};
use crate::sipp::{Sipp, free_port};

fn assert_try_later(answer: &crate::raw::Message) {
    assert_eq!(answer.status(), Some(503), "{}", answer.text);
    let after: u32 = answer
        .header("Retry-After")
        .parse()
        .unwrap_or_else(|_| panic!("no Retry-After in {}", answer.text));
    assert!((1..=60).contains(&after), "{after} s");
}

#[test]
fn a_full_trunk_is_503_with_retry_after_and_room_comes_back() {
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &crate::centre::agents()),
            (
                "trunks.toml",
                "[[trunk]]\nname = \"loopback\"\naddresses = [\"127.0.0.1\"]\nmax_calls = 2\n[[route]]\nnumber = \"9197\"\ntone = 1004\n",
            ),
        ],
        &[],
    );
    let mut calls: Vec<Caller> = (0..2)
        .map(|_| {
            let mut caller = Caller::new(&centre);
            caller.dial("9197");
            caller.answered();
            caller
        })
        .collect();
    let mut third = Caller::new(&centre);
    third.dial("9197");
    assert_try_later(&third.refused());
    assert!(metric(&centre, "cordboard_sip_refused_total", "trunk_full") >= 1.0);
    calls.pop().expect("a call").hang_up();
    let mut fourth = Caller::new(&centre);
    fourth.dial("9197");
    fourth.answered();
    fourth.hang_up();
    still_fine(&centre);
}

#[test]
fn a_full_centre_is_503_with_retry_after() {
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &crate::centre::agents()),
        ],
        &["limits.calls=1"],
    );
    let mut first = Caller::new(&centre);
    first.dial("9197");
    first.answered();
    let mut second = Caller::new(&centre);
    second.dial("9197");
    assert_try_later(&second.refused());
    first.hang_up();
    still_fine(&centre);
}

/// All ports are taken, those that are kept for agents' legs too: help is reached all the same, and nobody else.
#[test]
fn a_call_for_help_finds_ports_when_nobody_else_does() {
    let subscriber = free_port();
    let called = Sipp::serve("subscriber_answers", subscriber, 1, &["-rtp_echo"]);
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\naddresses = [\"127.0.0.1\"]\nuri = \"sip:127.0.0.1:{subscriber}\"\ncaller_id = \"+861065529988\"\n\
         [[route]]\nnumber = \"9197\"\ntone = 1004\n\
         [[outbound]]\nnumber = \"110\"\nclass = \"emergency\"\ntrunks = [\"carrier\"]\n"
    );
    let range = free_range(64);
    let (first, last) = (
        format!("rtp.first={range}"),
        format!("rtp.last={}", range + 63),
    );
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &crate::centre::agents()),
            ("trunks.toml", &trunks),
        ],
        &[&first, &last, "rtp.threads=1"],
    );
    let client = Client::sign_in_any(&centre);
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 440, false);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut calls = Vec::new();
    let refused = loop {
        let mut caller = Caller::new(&centre);
        caller.dial("9197");
        let answer = caller.line.answer("INVITE");
        if answer.status() != Some(200) {
            break answer;
        }
        caller.take(&answer);
        caller.ack("");
        calls.push(caller);
        assert!(calls.len() < 32, "a port for each");
    };
    assert_try_later(&refused);
    assert!(metric(&centre, "cordboard_overload_rejected_total", "rtp_ports") >= 1.0);
    agent.command("dial", &format!("sip:110@{}", centre.sip()));
    agent.wait("CALL_ESTABLISHED");
    // The far end's echo.
    agent.wait_tone(440);
    agent.command("hangup", "");
    called.succeed();
    calls.into_iter().for_each(|mut call| call.hang_up());
    still_fine(&centre);
}

/// The first of so many UDP ports in a row that nobody has.
fn free_range(ports: u16) -> u16 {
    let free = |port: u16| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
    wait_for("a range of free ports", || {
        let first = free_port() & !1;
        let last = first.checked_add(ports - 1)?;
        (first..=last).all(free).then_some(first)
    })
}

#[test]
fn a_stop_during_calls_refuses_new_ones_and_lets_the_others_finish() {
    let mut phone = Phone::new();
    let mut centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            (
                "agents.toml",
                &fixed_agents(&[("a1", phone.port(), "support = 5")]),
            ),
        ],
        &[],
    );
    let client = Client::sign_in_any(&centre);
    let mut talks = Caller::new(&centre);
    talks.dial("2000");
    talks.answered();
    phone.ring();
    phone.answer();
    client.wait_event("contact.answered", |_| true);
    let mut listens = Caller::new(&centre);
    listens.dial("9197");
    listens.answered();
    centre.begin_drain();
    // The signal is on its way: soon new calls are refused.
    let refused = wait_for("503", || {
        let mut late = Caller::new(&centre);
        late.dial("9197");
        let answer = late.line.answer("INVITE");
        if answer.status() == Some(200) {
            late.take(&answer);
            late.ack("");
            late.hang_up();
            return None;
        }
        Some(answer)
    });
    assert_try_later(&refused);
    converse(
        "both still hear each other",
        &mut [(&mut talks.rtp, 440.0), (&mut phone.rtp, 1000.0)],
        |ends| ends[0].purity(1000.0) > 0.98 && ends[1].purity(440.0) > 0.98,
    );
    still_fine(&centre);
    talks.hang_up();
    phone.hung_up();
    listens.hang_up();
    assert_eq!(centre.wait(), 0);
    let log = centre.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[test]
fn an_unknown_number_is_announced_only_if_configured() {
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &crate::centre::agents()),
        ],
        &["ivr.announce_unknown=true"],
    );
    let mut caller = Caller::new(&centre);
    caller.dial("5555");
    let progress = caller
        .line
        .wait("183", |message| message.status() == Some(183));
    caller.take(&progress);
    converse("the announcement", &mut [(&mut caller.rtp, 0.0)], |ends| {
        ends[0].heard.len() > 50
    });
    let answer = caller.line.answer("INVITE");
    assert_eq!(answer.status(), Some(404), "{}", answer.text);
    caller.to = answer.header("To").to_owned();
    caller.target = format!("sip:5555@{}", caller.centre);
    let ack = caller.text_again("ACK", caller.cseq, "");
    caller.send(ack);
    caller.rtp.assert_one_stream();
    still_fine(&centre);
}
