//! What users of other engines complain of, as far as it concerns a distributor; numbers are those of the list.

use acd::{OfferResult, Output, State};

use crate::desk::{Desk, agent, centre, offers, queue, told};

/// 2. One caller is answered by two agents; select and reserve are two steps.
#[test]
fn a_contact_is_never_at_two_agents() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[])],
        &[agent("a", &[]), agent("b", &[])],
    ));
    assert_eq!(offers(&desk.enqueue(1, "q")), [(1, "a")]);
    let outputs = desk.pass(20);
    assert_eq!(offers(&outputs), [(1, "b")]);
    assert_eq!(desk.answer(1, "a"), [], "the late answer of the first");
    desk.answer(1, "b");
    assert_eq!(
        (desk.state("a"), desk.state("b")),
        ("not_ready rona".into(), "connected 1".into())
    );
}

/// 3. Nobody is offered although an agent is free; the 8th of 13 is served first; capacity frees but the oldest stays.
#[test]
fn thirteen_wait_and_are_served_from_the_first_to_the_last() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    desk.pause("a");
    for contact in 1..=13 {
        desk.enqueue(contact, "q");
        desk.pass(1);
    }
    let mut served = Vec::new();
    let mut outputs = desk.ready("a");
    while let Some((contact, _)) = offers(&outputs).first().copied() {
        served.push(contact);
        desk.answer(contact, "a");
        outputs = desk.finish(contact, "a");
    }
    assert_eq!(served, (1..=13).collect::<Vec<_>>());
}

/// 3. Matching is triggered from both sides, and by each way in which an agent becomes able.
#[test]
fn every_way_of_becoming_able_takes_the_waiting_contact() {
    let centre = || Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    let mut desk = centre();
    desk.pause("a");
    desk.enqueue(1, "q");
    assert_eq!(offers(&desk.ready("a")), [(1, "a")]);
    let mut desk = centre();
    desk.presence("a", false);
    desk.enqueue(1, "q");
    assert_eq!(offers(&desk.presence("a", true)), [(1, "a")]);
    let mut desk = centre();
    desk.occupy("a", 9);
    desk.enqueue(1, "q");
    assert_eq!(offers(&desk.vacate("a", 9)), [(1, "a")]);
    let mut desk = centre();
    assert_eq!(offers(&desk.enqueue(1, "q")), [(1, "a")]);
}

/// 4. Wrap-up ends early, is inferred, is reset.
#[test]
fn wrap_up_is_not_moved_by_what_happens_meanwhile() {
    let wrap = acd::Queue {
        wrap_up: std::time::Duration::from_secs(10),
        ..queue("q", &[])
    };
    let mut desk = Desk::new(centre(&[wrap], &[agent("a", &[])]));
    desk.enqueue(1, "q");
    desk.answer(1, "a");
    desk.finish(1, "a");
    let before = desk.acd.state("a").cloned();
    desk.pass(3);
    desk.enqueue(2, "q");
    desk.finish(1, "a");
    desk.occupy("a", 9);
    desk.ready("a");
    desk.presence("a", false);
    desk.presence("a", true);
    assert_eq!(desk.acd.state("a").cloned(), before);
    assert_eq!(offers(&desk.pass(6)), []);
    // The call that was made during wrap-up is still up: nobody rings into it.
    assert_eq!(offers(&desk.pass(1)), []);
    assert!(matches!(
        desk.acd.state("a"),
        Some(acd::State::Occupied { .. })
    ));
    assert_eq!(offers(&desk.vacate("a", 9)), [(2, "a")]);
}

/// 7. The first agent is lost after taking the offer: the others are still there, the contact in its old place.
#[test]
fn a_first_answer_that_is_lost_goes_on_to_the_next_agent_in_its_old_place() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[])],
        &[agent("a", &[]), agent("b", &[])],
    ));
    desk.occupy("b", 9);
    desk.enqueue(1, "q");
    desk.pass(2);
    desk.enqueue(2, "q");
    let outputs = desk.result(1, "a", OfferResult::Failed);
    assert_eq!(offers(&outputs), [(2, "a")], "the pair is apart");
    assert_eq!(offers(&desk.vacate("b", 9)), [(1, "b")]);
}

/// 10. Agents stuck Reserved, calls stuck Answered.
#[test]
fn nothing_stays_reserved_without_an_end() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    desk.enqueue(1, "q");
    assert!(matches!(desk.acd.state("a"), Some(State::Reserved { .. })));
    let outputs = desk.pass(20);
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::OfferEnded { .. }))
    );
    assert_eq!(
        told(&outputs, "a"),
        [State::NotReady {
            reason: "rona".into()
        }]
    );
}

/// 13. A rejected call rings the only agent for ever.
#[test]
fn a_rejected_call_does_not_ring_the_only_agent_for_ever() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    let mut rings = offers(&desk.enqueue(1, "q")).len();
    for _ in 0..100 {
        desk.result(1, "a", OfferResult::Declined);
        rings += offers(&desk.pass(10)).len();
    }
    assert_eq!((rings, desk.state("a")), (2, "not_ready declined".into()));
}
