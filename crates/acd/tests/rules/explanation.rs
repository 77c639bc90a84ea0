//! Each offer says why.

use acd::{ContactId, Excluded, Name, OfferResult};

use crate::desk::{Desk, agent, centre, decision, queue, registered};

fn reason<'a>(excluded: &'a [Excluded], reason: &str) -> Option<(u32, Vec<&'a str>)> {
    let entry = excluded
        .iter()
        .find(|excluded| &*excluded.reason == reason)?;
    Some((
        entry.count,
        entry.examples.iter().map(|name| &**name).collect(),
    ))
}

#[test]
fn candidates_and_exclusions_by_reason() {
    let agents = [
        agent("a", &[("s", 2)]),
        agent("b", &[("s", 2)]),
        agent("c", &[("s", 2)]),
        agent("d", &[("s", 2)]),
        agent("e", &[("s", 1)]),
        agent("f", &[]),
        agent("g", &[("t", 9)]),
        agent("h", &[]),
        agent("i", &[]),
        registered("j", &[("s", 2)]),
        agent("k", &[("s", 9)]),
        agent("l", &[("s", 9)]),
    ];
    let mut desk = Desk::new(centre(&[queue("q", &[("s", 2)])], &agents));
    desk.pause("k");
    desk.occupy("l", 900);
    desk.pass(7);
    let why = decision(&desk.enqueue(1, "q"));
    assert_eq!(
        (&*why.chosen, why.runner_up.as_deref(), why.step),
        ("a", Some("b"), 0)
    );
    let candidates: Vec<(&str, f64, f64)> = why
        .candidates
        .iter()
        .map(|one| (&*one.agent, one.score, one.terms["idle_s"]))
        .collect();
    assert_eq!(
        candidates,
        [("a", 7.0, 7.0), ("b", 7.0, 7.0), ("c", 7.0, 7.0)]
    );
    assert_eq!(
        reason(&why.excluded, "skill"),
        Some((4, vec!["f", "g", "h"]))
    );
    assert_eq!(reason(&why.excluded, "level"), Some((1, vec!["e"])));
    assert_eq!(reason(&why.excluded, "logged_out"), Some((1, vec!["j"])));
    assert_eq!(reason(&why.excluded, "not_ready"), Some((1, vec!["k"])));
    assert_eq!(reason(&why.excluded, "occupied"), Some((1, vec!["l"])));
    assert_eq!(why.excluded.len(), 5);
    let why = decision(&desk.result(1, "a", OfferResult::Busy));
    assert_eq!(
        (&*why.chosen, reason(&why.excluded, "reserved")),
        ("b", None)
    );
    let why = decision(&desk.result(1, "b", OfferResult::Busy));
    assert_eq!((&*why.chosen, why.runner_up.as_deref()), ("c", Some("d")));
    assert_eq!(
        reason(&why.excluded, "back_off"),
        Some((1, vec!["a"])),
        "met on the way: b was freed in this very step"
    );
}

#[test]
fn whom_it_overtook_at_most_five() {
    let mut desk = Desk::new(centre(
        &[queue("x", &[("x", 1)]), queue("y", &[("y", 1)])],
        &[agent("a", &[("y", 1)])],
    ));
    desk.pause("a");
    for contact in 1..=7 {
        desk.enqueue(contact, "x");
        desk.pass(1);
    }
    desk.enqueue(8, "y");
    desk.enqueue(9, "x");
    let why = decision(&desk.ready("a"));
    assert_eq!(why.overtaken, (1..=5).map(ContactId).collect::<Vec<_>>());
}

#[test]
fn counts_follow_six_thousand_agents() {
    let agents: Vec<acd::Agent> = (0..6_000)
        .map(|n| agent(&format!("{n:04}"), &[("s", 1)]))
        .collect();
    let mut desk = Desk::new(centre(&[queue("q", &[("s", 1)])], &agents));
    for contact in 0..100 {
        desk.enqueue(contact, "q");
    }
    for contact in 0..40u64 {
        desk.answer(contact, &format!("{contact:04}"));
    }
    let why = decision(&desk.enqueue(100, "q"));
    assert_eq!(
        reason(&why.excluded, "connected"),
        Some((40, vec!["0000", "0001", "0002"]))
    );
    assert_eq!(
        reason(&why.excluded, "reserved"),
        Some((60, vec!["0040", "0041", "0042"]))
    );
    assert_eq!(why.runner_up, Some(Name::from("0101")));
}
