//! What a contact requires as time passes, whom it waits for, and when it waits no longer.

use std::time::Duration;

use acd::{Absence, Choice, ContactId, Input, Left, Output, Step, Wanted};

use crate::desk::{Desk, agent, centre, decision, offers, queue, skills};

fn left(outputs: &[Output]) -> Vec<(u64, Left)> {
    let left = |output: &Output| match output {
        Output::Left { contact, why, .. } => Some((contact.0, *why)),
        _ => None,
    };
    outputs.iter().filter_map(left).collect()
}

fn turns(outputs: &[Output]) -> Vec<u64> {
    let turn = |output: &Output| match output {
        Output::Turn { contact, .. } => Some(contact.0),
        _ => None,
    };
    outputs.iter().filter_map(turn).collect()
}

fn step(after: u64) -> Step {
    Step {
        after: Duration::from_secs(after),
        ..Step::default()
    }
}

/// A queue for Mandarin at 8: after 20 s 5 is enough, after 40 s none is needed, after 60 s anybody will do.
fn relaxing() -> acd::Queue {
    acd::Queue {
        steps: vec![
            Step {
                at_most: skills(&[("mandarin", 5)]),
                ..step(20)
            },
            Step {
                at_most: skills(&[("mandarin", 0)]),
                ..step(40)
            },
            Step {
                anyone: true,
                ..step(60)
            },
        ],
        ..queue("q", &[("support", 1), ("mandarin", 8)])
    }
}

#[test]
fn requirements_relax_at_the_exact_moment() {
    let of = |who: &[(&str, u8)], waited: u64, step: u32| {
        let mut desk = Desk::new(centre(&[relaxing()], &[agent("a", who)]));
        assert_eq!(offers(&desk.enqueue(1, "q")), []);
        assert_eq!(offers(&desk.pass(waited - 1)), []);
        let outputs = desk.pass(1);
        assert_eq!(offers(&outputs), [(1, "a")], "{who:?} after {waited} s");
        assert_eq!(decision(&outputs).step, step);
    };
    of(&[("support", 1), ("mandarin", 6)], 20, 1);
    of(&[("support", 1)], 40, 2);
    of(&[], 60, 3);
}

#[test]
fn a_step_drops_what_the_contact_itself_asked_for() {
    let mut desk = Desk::new(centre(
        &[relaxing()],
        &[agent("a", &[("support", 1), ("mandarin", 9)])],
    ));
    desk.enqueue_with(1, "q", |enqueue| {
        enqueue.skills = skills(&[("mandarin", 10)])
    });
    assert_eq!(offers(&desk.pass(20)), [(1, "a")]);
}

#[test]
fn who_comes_back_into_an_old_place_has_its_steps_too() {
    let mut desk = Desk::new(centre(&[relaxing()], &[agent("a", &[("support", 1)])]));
    let since = desk.now;
    desk.now += Duration::from_secs(45);
    let outputs = desk.enqueue_with(1, "q", |enqueue| enqueue.since = Some(since));
    assert_eq!(offers(&outputs), [(1, "a")]);
}

#[test]
fn preferred_skills_choose_and_do_not_exclude() {
    let agents = [
        agent("a", &[]),
        agent("b", &[("wine", 3)]),
        agent("c", &[("wine", 5)]),
    ];
    let mut desk = Desk::new(centre(&[queue("q", &[])], &agents));
    let prefers = |enqueue: &mut acd::Enqueue| enqueue.preferred = skills(&[("wine", 4)]);
    let outputs = desk.enqueue_with(1, "q", prefers);
    assert_eq!(offers(&outputs), [(1, "c")]);
    let why = decision(&outputs);
    assert_eq!(why.candidates[0].terms["preferred"], 1.0);
    assert_eq!(offers(&desk.enqueue_with(2, "q", prefers)), [(2, "a")]);
}

#[test]
fn the_wanted_agent_is_waited_for_while_patience_lasts() {
    let wants = |enqueue: &mut acd::Enqueue| {
        enqueue.wanted = Some(Wanted {
            agent: "b".into(),
            patience: Duration::from_secs(30),
        });
    };
    let agents = [agent("a", &[]), agent("b", &[])];
    let mut desk = Desk::new(centre(&[queue("q", &[])], &agents));
    desk.occupy("b", 9);
    assert_eq!(offers(&desk.enqueue_with(1, "q", wants)), []);
    assert_eq!(
        offers(&desk.enqueue(2, "q")),
        [(2, "a")],
        "overtakes: the other waits for b"
    );
    desk.answer(2, "a");
    assert_eq!(offers(&desk.vacate("b", 9)), [(1, "b")]);
    let outputs = desk.result(1, "b", acd::OfferResult::Busy);
    assert_eq!(offers(&outputs), []);
    let outputs = desk.finish(2, "a");
    assert_eq!(
        offers(&outputs),
        [(1, "a")],
        "b did not take it: anybody now"
    );
    assert_eq!(decision(&outputs).overtaken_by["wanted"], 1);

    let mut desk = Desk::new(centre(&[queue("q", &[])], &agents));
    desk.occupy("b", 9);
    desk.enqueue_with(1, "q", wants);
    assert_eq!(offers(&desk.pass(29)), []);
    assert_eq!(offers(&desk.pass(1)), [(1, "a")]);

    let mut desk = Desk::new(centre(&[queue("q", &[])], &agents));
    desk.ask("b", acd::Availability::LoggedOut);
    assert_eq!(
        offers(&desk.enqueue_with(1, "q", wants)),
        [(1, "a")],
        "b has gone home"
    );
}

#[test]
fn each_choice_chooses_by_its_own_rule() {
    let served = |choice: Choice| {
        let agents = [
            agent("a", &[("s", 3)]),
            agent("b", &[("s", 9)]),
            agent("c", &[("s", 5)]),
        ];
        let chooses = acd::Queue {
            choice,
            ..queue("q", &[("s", 1)])
        };
        let mut desk = Desk::new(centre(&[chooses], &agents));
        let mut served = Vec::new();
        for contact in 1..=5 {
            let outputs = desk.enqueue(contact, "q");
            let agent = offers(&outputs)[0].1.to_owned();
            desk.answer(contact, &agent);
            desk.pass(if contact == 1 { 60 } else { 5 });
            desk.finish(contact, &agent);
            served.push(agent);
        }
        served.concat()
    };
    assert_eq!(served(Choice::LongestIdle), "abcab");
    assert_eq!(
        served(Choice::LeastOccupied),
        "abcbc",
        "a has worked for 60 s"
    );
    assert_eq!(served(Choice::MostSkilled), "bbbbb");
    assert_eq!(served(Choice::RoundRobin), "abcab");
}

#[test]
fn a_new_day_forgets_who_worked_how_long() {
    let chooses = acd::Queue {
        choice: Choice::LeastOccupied,
        ..queue("q", &[])
    };
    let mut desk = Desk::new(centre(&[chooses], &[agent("a", &[]), agent("b", &[])]));
    desk.enqueue(1, "q");
    desk.answer(1, "a");
    desk.pass(60);
    desk.finish(1, "a");
    desk.input(Input::NewDay);
    assert_eq!(offers(&desk.enqueue(2, "q")), [(2, "b")], "idle longest");
    desk.answer(2, "b");
    desk.pass(1);
    desk.finish(2, "b");
    assert_eq!(offers(&desk.enqueue(3, "q")), [(3, "a")]);
}

#[test]
fn the_longest_wait_ends_and_an_offer_that_rings_may_end_well() {
    let limited = acd::Queue {
        max_wait: Some(Duration::from_secs(30)),
        ..queue("q", &[])
    };
    let mut desk = Desk::new(centre(&[limited], &[agent("a", &[])]));
    desk.pause("a");
    desk.enqueue(1, "q");
    desk.pass(5);
    desk.enqueue(2, "q");
    assert_eq!(left(&desk.pass(24)), []);
    assert_eq!(left(&desk.pass(1)), [(1, Left::MaxWait)]);
    assert_eq!(offers(&desk.ready("a")), [(2, "a")]);
    assert_eq!(left(&desk.pass(6)), [], "it rings");
    assert_eq!(
        left(&desk.result(2, "a", acd::OfferResult::Busy)),
        [(2, Left::MaxWait)]
    );
}

#[test]
fn nobody_waits_for_nobody_where_the_queue_says_so() {
    let strict = acd::Queue {
        empty: vec![
            Absence::NoSkill,
            Absence::NobodyLoggedIn,
            Absence::AllOnBreak,
        ],
        ..queue("q", &[("s", 1)])
    };
    let mut desk = Desk::new(centre(&[strict], &[agent("a", &[("s", 1)])]));
    let needs = |enqueue: &mut acd::Enqueue| enqueue.skills = skills(&[("t", 1)]);
    assert_eq!(
        left(&desk.enqueue_with(1, "q", needs)),
        [(1, Left::NoSkill)]
    );
    desk.occupy("a", 9);
    assert_eq!(
        left(&desk.enqueue(2, "q")),
        [],
        "a is busy, which is not absent"
    );
    desk.vacate("a", 9);
    desk.answer(2, "a");
    desk.enqueue(3, "q");
    desk.pause("a");
    assert_eq!(left(&desk.finish(2, "a")), [(3, Left::AllOnBreak)]);
    desk.ask("a", acd::Availability::LoggedOut);
    assert_eq!(left(&desk.enqueue(4, "q")), [(4, Left::NobodyLoggedIn)]);
    assert_eq!(desk.acd.waiting("q"), 0);
}

/// 11. A callback overtakes live callers, or cannot be back-dated.
#[test]
fn a_callback_is_its_place_in_the_queue() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    desk.pause("a");
    for contact in 1..=4 {
        desk.enqueue(contact, "q");
        desk.pass(1);
    }
    let detach = Input::Detach {
        contact: ContactId(3),
        ahead: 1,
    };
    assert_eq!(turns(&desk.input(detach)), []);
    assert_eq!(
        (desk.position(3), desk.position(4)),
        (Some(3), Some(4)),
        "places stay"
    );
    let outputs = desk.ready("a");
    assert_eq!(
        (offers(&outputs), turns(&outputs)),
        (vec![(1, "a")], vec![3]),
        "one more is before it: it is called ahead of its turn"
    );
    desk.answer(1, "a");
    assert_eq!(offers(&desk.finish(1, "a")), [(2, "a")]);
    desk.answer(2, "a");
    assert_eq!(
        offers(&desk.input(Input::Attach {
            contact: ContactId(3)
        })),
        [],
        "the phone is answered while a still talks"
    );
    let outputs = desk.finish(2, "a");
    assert_eq!(
        offers(&outputs),
        [(3, "a")],
        "before the fourth, behind the second"
    );
    assert!(decision(&outputs).overtaken_by.is_empty());
}

#[test]
fn a_detached_contact_is_offered_to_nobody_and_told_once() {
    let mut desk = Desk::new(centre(&[queue("q", &[])], &[agent("a", &[])]));
    desk.pause("a");
    desk.enqueue(1, "q");
    let detach = Input::Detach {
        contact: ContactId(1),
        ahead: 0,
    };
    assert_eq!(turns(&desk.input(detach)), [1], "it is the first");
    let outputs = desk.ready("a");
    assert_eq!((offers(&outputs), turns(&outputs)), (vec![], vec![]));
    assert_eq!(
        offers(&desk.enqueue(2, "q")),
        [(2, "a")],
        "an idle agent is not kept waiting"
    );
    assert_eq!(
        desk.acd.waiting("q"),
        1,
        "a callback is waiting, not an exit"
    );
    desk.withdraw(1);
    assert_eq!(desk.acd.waiting("q"), 0);
}

#[test]
fn why_a_contact_waits_and_an_agent_is_idle() {
    let mut desk = Desk::new(centre(
        &[relaxing()],
        &[
            agent("a", &[("support", 1), ("mandarin", 2)]),
            agent("b", &[]),
        ],
    ));
    desk.enqueue(1, "q");
    let why = desk.acd.why_waiting(ContactId(1)).expect("it waits");
    assert_eq!((why.position, why.step), (1, 0));
    assert_eq!(why.next_step, Some(desk.now + Duration::from_secs(20)));
    let reasons: Vec<(&str, u32)> = why
        .excluded
        .iter()
        .map(|one| (&*one.reason, one.count))
        .collect();
    assert_eq!(reasons, [("skill", 1), ("level", 1)]);
    let idle = desk.acd.why_idle("a").expect("known");
    assert_eq!(idle.waiting, 1);
    assert_eq!(
        (&*idle.passed[0].reason, idle.passed[0].count),
        ("level", 1)
    );
    let idle = desk.acd.why_idle("b").expect("known");
    assert_eq!(&*idle.passed[0].reason, "skill");
    assert_eq!(desk.acd.why_idle("nobody"), None);
}

#[test]
fn after_call_work_can_be_extended_within_bounds() {
    let wrap = acd::Queue {
        wrap_up: Duration::from_secs(10),
        ..queue("q", &[])
    };
    let mut desk = Desk::new(centre(&[wrap], &[agent("a", &[])]));
    desk.enqueue(1, "q");
    desk.answer(1, "a");
    desk.finish(1, "a");
    let extend = |by: u64| Input::ExtendWrapUp {
        agent: "a".into(),
        by: Duration::from_secs(by),
    };
    desk.input(extend(20));
    desk.pass(29);
    assert_eq!(desk.state("a"), "wrap_up 1");
    desk.pass(1);
    assert_eq!(desk.state("a"), "ready");
    assert_eq!(desk.input(extend(20)), [], "there is none to extend");
}
