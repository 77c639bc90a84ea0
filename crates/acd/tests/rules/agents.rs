//! Presence × availability × work.

use std::time::Duration;

use acd::{Availability, ContactId, Input, OfferEnd, State};

use crate::desk::{Desk, agent, centre, ended, offers, queue, registered, told};

fn wrapping(seconds: u64) -> acd::Queue {
    acd::Queue {
        wrap_up: Duration::from_secs(seconds),
        ..queue("q", &[])
    }
}

#[test]
fn wrap_up_has_a_deadline_and_can_be_ended() {
    let mut desk = Desk::new(centre(&[wrapping(10)], &[agent("a", &[])]));
    desk.enqueue(1, "q");
    desk.answer(1, "a");
    desk.pass(60);
    desk.finish(1, "a");
    assert_eq!(desk.state("a"), "wrap_up 1");
    desk.enqueue(2, "q");
    assert_eq!(offers(&desk.pass(9)), []);
    let outputs = desk.pass(1);
    assert_eq!(offers(&outputs), [(2, "a")]);
    assert_eq!(told(&outputs, "a").len(), 1);
    desk.answer(2, "a");
    desk.finish(2, "a");
    let outputs = desk.input(Input::EndWrapUp { agent: "a".into() });
    assert_eq!(told(&outputs, "a"), [State::Ready]);
    assert_eq!(desk.acd.poll_timeout(), None);
}

#[test]
fn the_agents_wrap_up_overrides_and_none_took_place_skips_it() {
    let quick = acd::Agent {
        wrap_up: Some(Duration::ZERO),
        ..agent("quick", &[("s", 1)])
    };
    let mut desk = Desk::new(centre(&[wrapping(10)], &[quick, agent("usual", &[])]));
    desk.enqueue(1, "q");
    desk.enqueue(2, "q");
    desk.answer(1, "quick");
    desk.answer(2, "usual");
    desk.finish(1, "quick");
    assert_eq!(desk.state("quick"), "ready");
    desk.input(Input::Finished {
        contact: ContactId(2),
        agent: "usual".into(),
        wrap_up: false,
    });
    assert_eq!(desk.state("usual"), "ready");
}

#[test]
fn a_break_asked_for_in_a_contact_begins_after_wrap_up() {
    let mut desk = Desk::new(centre(&[wrapping(10)], &[agent("a", &[])]));
    desk.enqueue(1, "q");
    desk.answer(1, "a");
    assert_eq!(desk.pause("a"), [], "the state shows the work until then");
    desk.finish(1, "a");
    assert_eq!(desk.state("a"), "wrap_up 1");
    desk.enqueue(2, "q");
    let outputs = desk.pass(10);
    assert_eq!(
        (offers(&outputs), told(&outputs, "a")),
        (
            vec![],
            vec![State::NotReady {
                reason: "lunch".into()
            }]
        )
    );
}

#[test]
fn registering_makes_an_auto_ready_agent_ready_and_a_break_survives_it() {
    let auto = acd::Agent {
        auto_ready: true,
        ..registered("a", &[])
    };
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[auto, registered("b", &[])]));
    assert_eq!(
        (desk.state("a"), desk.state("b")),
        ("logged_out".into(), "logged_out".into())
    );
    desk.presence("a", true);
    desk.presence("b", true);
    assert_eq!(
        (desk.state("a"), desk.state("b")),
        ("ready".into(), "logged_out".into())
    );
    desk.pause("a");
    desk.presence("a", false);
    desk.presence("a", true);
    assert_eq!(desk.state("a"), "not_ready lunch");
    desk.ask("a", Availability::LoggedOut);
    assert_eq!(
        desk.presence("a", true),
        [],
        "a refreshed registration signs nobody in"
    );
    desk.presence("a", false);
    desk.presence("a", true);
    assert_eq!(desk.state("a"), "ready");
}

#[test]
fn a_lost_phone_while_ready_is_unreachable_and_idle_begins_anew() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[])],
        &[agent("a", &[]), agent("b", &[])],
    ));
    desk.pass(10);
    desk.presence("a", false);
    assert_eq!(desk.state("a"), "unreachable");
    desk.pass(1);
    desk.presence("a", true);
    assert_eq!(desk.acd.idle_since("a"), Some(desk.now));
    assert_eq!(offers(&desk.enqueue(1, "q")), [(1, "b")]);
}

#[test]
fn a_phone_lost_in_ring_leaves_the_offer_to_its_end() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    desk.enqueue(1, "q");
    assert_eq!(desk.presence("a", false), []);
    desk.withdraw(1);
    assert_eq!(desk.state("a"), "unreachable");
}

#[test]
fn outside_calls_occupy() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    assert_eq!(
        told(&desk.occupy("a", 900), "a"),
        [State::Occupied {
            call: ContactId(900),
            since: desk.now
        }]
    );
    assert_eq!(desk.occupy("a", 901), []);
    assert_eq!(offers(&desk.enqueue(1, "q")), []);
    desk.pass(5);
    assert_eq!(desk.vacate("a", 901), []);
    assert_eq!(offers(&desk.vacate("a", 900)), [(1, "a")]);
    desk.answer(1, "a");
    assert_eq!(desk.occupy("a", 902), [], "in a conversation it is ignored");
}

#[test]
fn an_outside_call_withdraws_an_offer() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    desk.enqueue(1, "q");
    let outputs = desk.occupy("a", 900);
    assert_eq!(ended(&outputs), [(1, "a", OfferEnd::Withdrawn)]);
    assert_eq!(
        (desk.state("a"), desk.position(1)),
        ("occupied 900".into(), Some(1))
    );
    assert_eq!(desk.acd.poll_timeout(), None);
    assert_eq!(
        offers(&desk.vacate("a", 900)),
        [(1, "a")],
        "no back-off: nobody was blamed"
    );
}

#[test]
fn a_logged_out_agent_on_an_outside_call_is_shown_and_then_logged_out() {
    let mut desk = Desk::new(centre(&[], &[registered("a", &[])]));
    desk.occupy("a", 900);
    assert_eq!(desk.state("a"), "occupied 900");
    desk.vacate("a", 900);
    assert_eq!(desk.state("a"), "logged_out");
}

#[test]
fn a_change_is_told_once_and_no_change_is_not_told() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    assert_eq!(desk.ready("a"), []);
    assert_eq!(desk.presence("a", true), []);
    assert_eq!(desk.pause("a").len(), 1);
    assert_eq!(desk.pause("a"), []);
    assert_eq!(
        desk.ask(
            "a",
            Availability::NotReady {
                reason: "training".into()
            }
        )
        .len(),
        1,
        "the reason is part of the state"
    );
}
