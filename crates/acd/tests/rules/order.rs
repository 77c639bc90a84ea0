//! Who is served first, and by whom.

use std::time::Duration;

use acd::Name;
use clock::Time;

use crate::desk::{Desk, agent, centre, offers, queue, refused, skills};

#[test]
fn the_longest_idle_agent_gets_the_contact_ties_by_id() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[])],
        &[agent("b", &[]), agent("a", &[]), agent("c", &[])],
    ));
    desk.pass(5);
    assert_eq!(offers(&desk.enqueue(1, "q")), [(1, "a")]);
    assert_eq!(offers(&desk.enqueue(2, "q")), [(2, "b")]);
    desk.answer(1, "a");
    desk.pass(1);
    desk.finish(1, "a");
    assert_eq!(
        offers(&desk.enqueue(3, "q")),
        [(3, "c")],
        "idle since the start, a since just now"
    );
    assert_eq!(offers(&desk.enqueue(4, "q")), [(4, "a")]);
}

#[test]
fn back_from_a_break_is_not_most_idle() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[])],
        &[agent("a", &[]), agent("b", &[])],
    ));
    desk.pass(100);
    desk.enqueue(1, "q");
    desk.answer(1, "a");
    desk.enqueue(2, "q");
    desk.answer(2, "b");
    desk.finish(1, "a");
    desk.pause("a");
    desk.pass(100);
    desk.finish(2, "b");
    desk.pass(100);
    desk.ready("a");
    assert_eq!(
        offers(&desk.enqueue(3, "q")),
        [(3, "b")],
        "a had the earlier last call, and a break since"
    );
}

#[test]
fn the_longest_waiting_contact_is_first_ties_by_number() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    desk.pause("a");
    desk.enqueue(9, "q");
    desk.enqueue(5, "q");
    desk.pass(1);
    desk.enqueue(1, "q");
    assert_eq!(
        (
            desk.position(5),
            desk.position(9),
            desk.position(1),
            desk.position(7)
        ),
        (Some(1), Some(2), Some(3), None)
    );
    assert_eq!(offers(&desk.ready("a")), [(5, "a")]);
    assert_eq!(
        (desk.position(5), desk.position(9), desk.position(1)),
        (None, Some(1), Some(2))
    );
    assert_eq!(
        (desk.acd.waiting("q"), desk.acd.counts("q").offered),
        (2, 1)
    );
}

#[test]
fn credits_are_time_so_that_nobody_starves() {
    let mut gold = queue("gold", &[]);
    gold.priority = 30;
    let mut plain = queue("plain", &[]);
    plain.class_credit = [(Name::from("A"), 60)].into();
    let mut desk = Desk::new(centre(&[gold, plain], &[agent("a", &[])]));
    desk.pause("a");
    desk.enqueue(1, "plain");
    desk.pass(29);
    desk.enqueue(2, "gold");
    desk.enqueue_with(3, "plain", |enqueue| enqueue.class = Some("A".into()));
    desk.enqueue_with(4, "plain", |enqueue| enqueue.class = Some("B".into()));
    desk.enqueue_with(5, "plain", |enqueue| enqueue.priority = -10);
    desk.pass(2);
    desk.enqueue(6, "gold");
    let mut served = Vec::new();
    let mut outputs = desk.ready("a");
    while let Some((contact, _)) = offers(&outputs).first().copied() {
        served.push(contact);
        desk.answer(contact, "a");
        outputs = desk.finish(contact, "a");
    }
    assert_eq!(
        served,
        [3, 2, 1, 6, 4, 5],
        "2 by one second before 1; 6 came too late for its 30"
    );
}

#[test]
fn a_wait_can_have_begun_before_but_not_later_than_now() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[]));
    desk.enqueue(1, "q");
    desk.pass(10);
    desk.enqueue_with(2, "q", |enqueue| enqueue.since = Some(Time::from_secs(999)));
    desk.enqueue_with(3, "q", |enqueue| enqueue.since = Some(Time::NEVER));
    desk.pass(1);
    desk.enqueue(4, "q");
    assert_eq!(
        (
            desk.position(2),
            desk.position(1),
            desk.position(3),
            desk.position(4)
        ),
        (Some(1), Some(2), Some(3), Some(4))
    );
}

#[test]
fn levels_count_and_the_higher_of_queue_and_contact_is_required() {
    let agents = [
        agent("low", &[("zh", 3)]),
        agent("mid", &[("zh", 5)]),
        agent("top", &[("zh", 9), ("en", 1)]),
    ];
    let mut desk = Desk::new(centre(&[queue("q", &[("zh", 4)])], &agents));
    assert_eq!(
        offers(&desk.enqueue_with(1, "q", |enqueue| enqueue.skills = skills(&[("zh", 1)]))),
        [(1, "mid")]
    );
    desk.withdraw(1);
    assert_eq!(
        offers(&desk.enqueue_with(2, "q", |enqueue| enqueue.skills = skills(&[("zh", 6)]))),
        [(2, "top")]
    );
    desk.withdraw(2);
    assert_eq!(
        offers(&desk.enqueue_with(3, "q", |enqueue| enqueue.skills = skills(&[("en", 1)]))),
        [(3, "top")]
    );
    desk.withdraw(3);
    assert_eq!(
        offers(&desk.enqueue_with(4, "q", |enqueue| enqueue.skills = skills(&[("fr", 0)]))),
        [(4, "mid")],
        "level 0 requires nothing"
    );
    assert_eq!(
        offers(&desk.enqueue_with(5, "q", |enqueue| enqueue.skills = skills(&[("fr", 1)]))),
        []
    );
}

#[test]
fn an_agent_takes_the_first_contact_of_all_queues_they_can_serve() {
    let queues = [
        queue("en", &[("en", 1)]),
        queue("zh", &[("zh", 1)]),
        queue("any", &[]),
    ];
    let mut desk = Desk::new(centre(&queues, &[agent("a", &[("zh", 1)])]));
    desk.pause("a");
    for (contact, queue) in [(1, "en"), (2, "any"), (3, "zh"), (4, "any")] {
        desk.enqueue(contact, queue);
        desk.pass(1);
    }
    assert_eq!(offers(&desk.ready("a")), [(2, "a")]);
    desk.answer(2, "a");
    assert_eq!(offers(&desk.finish(2, "a")), [(3, "a")]);
}

#[test]
fn unknown_and_full_queues_refuse() {
    let mut small = queue("small", &[]);
    small.max_waiting = 1;
    let mut desk = Desk::new(centre(&[small], &[agent("a", &[])]));
    assert_eq!(refused(&desk.enqueue(1, "nowhere")), [(1, false)]);
    assert_eq!(offers(&desk.enqueue(2, "small")), [(2, "a")]);
    assert!(desk.enqueue(3, "small").is_empty());
    assert_eq!(refused(&desk.enqueue(4, "small")), [(4, true)]);
    assert!(
        desk.enqueue(3, "small").is_empty(),
        "already waiting: ignored"
    );
    desk.pass(20);
    assert_eq!(
        desk.acd.waiting("small"),
        2,
        "one that comes back is not refused"
    );
}

#[test]
fn what_is_due_comes_before_the_input_and_time_never_goes_back() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    desk.enqueue(1, "q");
    desk.now += Duration::from_secs(20);
    let outputs = desk.answer(1, "a");
    assert_eq!(desk.state("a"), "not_ready rona", "{outputs:?}");
    desk.ready("a");
    desk.now = Time::ZERO;
    desk.answer(1, "a");
    assert_eq!(
        desk.acd.state("a"),
        Some(&acd::State::Connected {
            contact: acd::ContactId(1),
            queue: "q".into(),
            since: Time::from_secs(1_020)
        })
    );
}
