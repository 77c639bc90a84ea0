//! How offers end.

use acd::{Availability, OfferEnd, OfferResult, State};

use crate::desk::{BACK_OFF, Desk, agent, centre, ended, offers, queue, registered, told};

fn two() -> Desk {
    Desk::new(centre(
        &[queue("q", &[])],
        &[agent("a", &[]), agent("b", &[])],
    ))
}

fn one() -> Desk {
    Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]))
}

#[test]
fn ring_time_out_is_rona_and_the_next_agent_rings_in_the_same_step() {
    let mut desk = two();
    desk.enqueue(1, "q");
    assert_eq!(desk.acd.poll_timeout().map(|(_, name)| name), Some("ring"));
    let outputs = desk.pass(20);
    assert_eq!(ended(&outputs), [(1, "a", OfferEnd::RingTimeout)]);
    assert_eq!(offers(&outputs), [(1, "b")]);
    assert_eq!(
        (desk.state("a"), desk.state("b")),
        ("not_ready rona".into(), "reserved 1".into())
    );
    assert!(desk.answer(1, "a").is_empty(), "too late: ignored");
    assert_eq!(desk.state("b"), "reserved 1");
}

#[test]
fn a_contact_comes_back_to_its_old_place() {
    let mut desk = one();
    desk.enqueue(1, "q");
    desk.pass(3);
    desk.enqueue(2, "q");
    desk.pass(20);
    assert_eq!((desk.position(1), desk.position(2)), (Some(1), Some(2)));
    assert_eq!(offers(&desk.ready("a")), [(1, "a")]);
}

#[test]
fn busy_keeps_the_pair_apart_and_the_agent_ready() {
    for result in [OfferResult::Busy, OfferResult::Failed] {
        let mut desk = one();
        desk.enqueue(1, "q");
        let outputs = desk.result(1, "a", result);
        assert_eq!((ended(&outputs).len(), offers(&outputs).len()), (1, 0));
        assert_eq!(
            (desk.state("a"), desk.position(1)),
            ("ready".into(), Some(1))
        );
        desk.pass(1);
        assert_eq!(
            offers(&desk.enqueue(2, "q")),
            [(2, "a")],
            "another contact is no part of the pair"
        );
        desk.withdraw(2);
        assert_eq!(offers(&desk.pass(BACK_OFF - 2)), []);
        assert_eq!(offers(&desk.pass(1)), [(1, "a")]);
    }
}

#[test]
fn busy_goes_to_the_next_agent_at_once() {
    let mut desk = two();
    desk.enqueue(1, "q");
    let outputs = desk.result(1, "a", OfferResult::Busy);
    assert_eq!(offers(&outputs), [(1, "b")]);
    assert_eq!(offers(&desk.result(1, "b", OfferResult::Busy)), []);
    assert_eq!(offers(&desk.pass(BACK_OFF)), [(1, "a")]);
}

#[test]
fn a_phone_that_is_always_busy_is_not_tried_with_the_whole_queue() {
    let mut desk = one();
    desk.pause("a");
    for contact in 1..=50 {
        desk.enqueue(contact, "q");
    }
    let mut outputs = desk.ready("a");
    let mut tried = 0;
    while let Some((contact, _)) = offers(&outputs).first().copied() {
        tried += 1;
        outputs = desk.result(contact, "a", OfferResult::Busy);
    }
    assert_eq!((tried, desk.state("a")), (3, "ready".into()));
    assert_eq!(
        offers(&desk.pass(BACK_OFF)),
        [(1, "a")],
        "the first again, after the back-off"
    );
    assert_eq!(
        offers(&desk.result(1, "a", OfferResult::Busy)),
        [],
        "one more in the row: at rest at once"
    );
    assert_eq!(offers(&desk.pass(BACK_OFF)), [(1, "a")]);
    desk.answer(1, "a");
    let outputs = desk.finish(1, "a");
    assert_eq!(offers(&outputs), [(2, "a")]);
    assert_eq!(
        offers(&desk.result(2, "a", OfferResult::Busy)),
        [(3, "a")],
        "an answer ended the row"
    );
}

#[test]
fn two_declined_in_a_row_make_not_ready() {
    let mut desk = one();
    desk.enqueue(1, "q");
    desk.result(1, "a", OfferResult::Declined);
    assert_eq!(desk.state("a"), "ready");
    assert_eq!(offers(&desk.pass(BACK_OFF)), [(1, "a")]);
    desk.result(1, "a", OfferResult::Redirected);
    assert_eq!(desk.state("a"), "not_ready declined");
    assert_eq!(
        offers(&desk.ready("a")),
        [(1, "a")],
        "asked for by the agent"
    );
    desk.result(1, "a", OfferResult::Declined);
    assert_eq!(desk.state("a"), "ready", "the count began again");
    desk.pass(BACK_OFF);
    desk.answer(1, "a");
    desk.finish(1, "a");
    desk.enqueue(2, "q");
    desk.result(2, "a", OfferResult::Declined);
    assert_eq!(desk.state("a"), "ready", "not in a row");
}

#[test]
fn an_unreachable_registered_agent_waits_for_presence() {
    for result in [OfferResult::Unreachable, OfferResult::NotRegistered] {
        let mut desk = Desk::new(centre(&[queue("q", &[])], &[registered("a", &[])]));
        desk.presence("a", true);
        desk.ready("a");
        desk.enqueue(1, "q");
        desk.result(1, "a", result);
        assert_eq!(
            (desk.state("a"), desk.position(1)),
            ("unreachable".into(), Some(1))
        );
        assert_eq!(desk.pass(10_000), []);
        assert_eq!(offers(&desk.presence("a", true)), [(1, "a")]);
    }
}

#[test]
fn a_fixed_agent_is_unreachable_after_three_in_a_row_and_not_for_ever() {
    let mut desk = one();
    desk.enqueue(1, "q");
    for _ in 0..2 {
        desk.result(1, "a", OfferResult::Unreachable);
        assert_eq!(desk.state("a"), "ready");
        assert_eq!(offers(&desk.pass(BACK_OFF)), [(1, "a")]);
    }
    desk.result(1, "a", OfferResult::NotRegistered);
    assert_eq!(desk.state("a"), "unreachable");
    assert_eq!(offers(&desk.pass(29)), []);
    assert_eq!(offers(&desk.pass(1)), [(1, "a")], "tried again after 30 s");
    desk.result(1, "a", OfferResult::Unreachable);
    assert_eq!(desk.state("a"), "unreachable", "one more is enough");
    assert_eq!(offers(&desk.presence("a", true)), [(1, "a")]);
    desk.result(1, "a", OfferResult::Unreachable);
    assert_eq!(desk.state("a"), "ready", "presence began a new row");
}

#[test]
fn a_caller_who_hangs_up_in_ring_blames_nobody() {
    let mut desk = two();
    let idle = desk.acd.idle_since("a");
    desk.pass(5);
    desk.enqueue(1, "q");
    let outputs = desk.withdraw(1);
    assert_eq!(ended(&outputs), [(1, "a", OfferEnd::CallerGone)]);
    assert_eq!(told(&outputs, "a"), [State::Ready]);
    assert_eq!(desk.acd.idle_since("a"), idle);
    assert_eq!(
        offers(&desk.enqueue(2, "q")),
        [(2, "a")],
        "still the longest idle"
    );
    assert_eq!(
        desk.acd.poll_timeout().map(|(at, _)| at),
        Some(desk.now + std::time::Duration::from_secs(20)),
        "one ring, one deadline"
    );
}

#[test]
fn a_withdrawn_contact_frees_its_agent_for_the_next() {
    let mut desk = one();
    desk.enqueue(1, "q");
    desk.enqueue(2, "q");
    let outputs = desk.withdraw(1);
    assert_eq!(offers(&outputs), [(2, "a")]);
    assert_eq!(
        told(&outputs, "a").len(),
        1,
        "from one offer to the next is one change"
    );
    assert_eq!(desk.withdraw(1), []);
}

#[test]
fn what_was_asked_for_in_ring_shows_afterwards() {
    let mut desk = one();
    desk.enqueue(1, "q");
    assert_eq!(desk.ask("a", Availability::LoggedOut), []);
    assert_eq!(desk.state("a"), "reserved 1");
    desk.pass(20);
    assert_eq!(
        desk.state("a"),
        "logged_out",
        "not rona: the agent had left"
    );
}

#[test]
fn inputs_that_do_not_fit_are_ignored() {
    let mut desk = two();
    desk.enqueue(1, "q");
    for result in [
        OfferResult::Answered,
        OfferResult::Busy,
        OfferResult::Unreachable,
    ] {
        assert_eq!(desk.result(1, "b", result), []);
        assert_eq!(desk.result(2, "a", result), []);
        assert_eq!(desk.result(1, "nobody", result), []);
    }
    assert_eq!(desk.finish(1, "a"), []);
    assert_eq!(desk.withdraw(77), []);
    assert_eq!(desk.vacate("a", 5), []);
    assert_eq!(desk.presence("nobody", true), []);
    assert_eq!(desk.ready("nobody"), []);
    assert_eq!(desk.input(acd::Input::EndWrapUp { agent: "a".into() }), []);
    desk.answer(1, "a");
    assert_eq!(desk.answer(1, "a"), []);
    assert_eq!(desk.withdraw(1), [], "a conversation is not a wait");
    assert_eq!(desk.finish(2, "a"), []);
    assert_eq!(desk.state("a"), "connected 1");
}
