//! A new configuration is applied as a difference.

use std::time::Duration;

use acd::{OfferEnd, State};

use crate::desk::{Desk, agent, centre, ended, offers, queue, refused, skills, told};

#[test]
fn every_new_agents_first_state_is_told() {
    let mut desk = Desk::new(centre(&[], &[]));
    let outputs = desk.configure(centre(
        &[],
        &[agent("a", &[]), crate::desk::registered("b", &[])],
    ));
    assert_eq!(
        (told(&outputs, "a"), told(&outputs, "b")),
        (vec![State::Ready], vec![State::LoggedOut])
    );
}

#[test]
fn the_same_again_changes_nothing() {
    let config = centre(&[queue("q", &[])], &[agent("a", &[]), agent("b", &[])]);
    let mut desk = Desk::new(config.clone());
    desk.enqueue(1, "q");
    desk.pause("b");
    desk.enqueue(2, "q");
    assert_eq!(desk.configure(config), []);
    assert_eq!(
        (desk.state("a"), desk.state("b"), desk.position(2)),
        ("reserved 1".into(), "not_ready lunch".into(), Some(1))
    );
}

#[test]
fn places_states_deadlines_and_idle_times_stay() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[("s", 1)])],
        &[agent("m", &[("s", 1)]), agent("n", &[])],
    ));
    let idle = desk.acd.idle_since("n");
    desk.enqueue(1, "q");
    desk.pass(5);
    desk.enqueue(2, "q");
    desk.pass(1);
    desk.enqueue(3, "q");
    let due = desk.acd.poll_timeout();
    let agents = [
        agent("a", &[]),
        agent("m", &[("s", 1)]),
        agent("n", &[]),
        agent("z", &[]),
    ];
    let outputs = desk.configure(centre(&[queue("a", &[]), queue("q", &[("s", 1)])], &agents));
    assert_eq!(outputs.len(), 2, "two new agents: {outputs:?}");
    assert_eq!(
        (desk.position(2), desk.position(3), desk.acd.poll_timeout()),
        (Some(1), Some(2), due)
    );
    assert_eq!(
        (desk.state("m"), desk.acd.idle_since("n")),
        ("reserved 1".into(), idle)
    );
    desk.answer(1, "m");
    assert_eq!(offers(&desk.finish(1, "m")), [(2, "m")]);
}

#[test]
fn a_removed_agent_finishes_and_is_gone() {
    let wrap = acd::Queue {
        wrap_up: Duration::from_secs(5),
        ..queue("q", &[])
    };
    let mut desk = Desk::new(centre(
        std::slice::from_ref(&wrap),
        &[agent("a", &[]), agent("idle", &[])],
    ));
    desk.enqueue(1, "q");
    desk.answer(1, "a");
    let outputs = desk.configure(centre(std::slice::from_ref(&wrap), &[]));
    assert_eq!(told(&outputs, "idle"), [State::LoggedOut]);
    assert_eq!(
        (desk.state("a"), desk.state("idle")),
        ("connected 1".into(), "-".into())
    );
    assert_eq!(desk.ready("a"), []);
    desk.finish(1, "a");
    assert_eq!(desk.state("a"), "wrap_up 1");
    desk.enqueue(2, "q");
    let outputs = desk.pass(5);
    assert_eq!(
        (told(&outputs, "a"), offers(&outputs)),
        (vec![State::LoggedOut], vec![])
    );
    assert_eq!(desk.state("a"), "-");
    assert_eq!(
        offers(&desk.configure(centre(&[wrap], &[agent("a", &[])]))),
        [(2, "a")]
    );
}

#[test]
fn a_removed_agents_offer_goes_to_the_next() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[])],
        &[agent("a", &[]), agent("b", &[])],
    ));
    desk.enqueue(1, "q");
    let outputs = desk.configure(centre(&[queue("q", &[])], &[agent("b", &[])]));
    assert_eq!(ended(&outputs), [(1, "a", OfferEnd::Withdrawn)]);
    assert_eq!(offers(&outputs), [(1, "b")]);
    assert_eq!(desk.state("a"), "-");
}

#[test]
fn an_agent_who_is_configured_again_before_leaving_goes_on() {
    let full = centre(&[queue("q", &[])], &[agent("a", &[])]);
    let mut desk = Desk::new(full.clone());
    desk.enqueue(1, "q");
    desk.answer(1, "a");
    desk.configure(centre(&[queue("q", &[])], &[]));
    desk.configure(full);
    desk.enqueue(2, "q");
    assert_eq!(offers(&desk.finish(1, "a")), [(2, "a")]);
}

#[test]
fn a_removed_queue_takes_nobody_new_and_serves_those_it_has() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[]), queue("r", &[])],
        &[agent("a", &[])],
    ));
    desk.enqueue(1, "q");
    desk.enqueue(2, "q");
    desk.configure(centre(&[queue("r", &[])], &[agent("a", &[])]));
    assert_eq!(refused(&desk.enqueue(3, "q")), [(3, true)]);
    desk.answer(1, "a");
    assert_eq!(offers(&desk.finish(1, "a")), [(2, "a")]);
    desk.answer(2, "a");
    assert_eq!(desk.acd.queues().count(), 2);
    desk.finish(2, "a");
    assert_eq!(
        desk.acd
            .queues()
            .map(|name| name.to_string())
            .collect::<Vec<_>>(),
        ["r"]
    );
    assert_eq!(refused(&desk.enqueue(4, "q")), [(4, false)]);
}

#[test]
fn changed_skills_of_agent_or_queue_count_for_those_who_wait() {
    let mut desk = Desk::new(centre(
        &[queue("q", &[("zh", 5)])],
        &[agent("a", &[("zh", 3)])],
    ));
    desk.enqueue(1, "q");
    desk.enqueue_with(2, "q", |enqueue| enqueue.skills = skills(&[("en", 1)]));
    assert_eq!(
        offers(&desk.configure(centre(
            &[queue("q", &[("zh", 5)])],
            &[agent("a", &[("zh", 5)])]
        ))),
        [(1, "a")]
    );
    desk.withdraw(1);
    assert_eq!(
        offers(&desk.configure(centre(&[queue("q", &[])], &[agent("a", &[("en", 1)])]))),
        [(2, "a")]
    );
}

#[test]
fn a_mass_of_ready_agents_and_waiting_contacts_is_matched_in_order() {
    let queues = [queue("x", &[("x", 1)]), queue("y", &[("y", 1)])];
    let mut desk = Desk::new(centre(&queues, &[]));
    for contact in 0..30 {
        desk.enqueue(contact, if contact % 3 == 0 { "x" } else { "y" });
    }
    let agents: Vec<acd::Agent> = (0..20)
        .map(|n| {
            agent(
                &format!("{n:02}"),
                &[(if n % 2 == 0 { "x" } else { "y" }, 1)],
            )
        })
        .collect();
    let outputs = desk.configure(centre(&queues, &agents));
    let first: Vec<(u64, &str)> = offers(&outputs).into_iter().take(4).collect();
    assert_eq!(first, [(0, "00"), (1, "01"), (2, "03"), (3, "02")]);
    assert_eq!(
        (
            offers(&outputs).len(),
            desk.acd.waiting("x"),
            desk.acd.waiting("y")
        ),
        (20, 0, 10)
    );
}

#[test]
fn a_removed_agent_leaves_no_deadline_behind() {
    let full = centre(&[queue("q", &[])], &[agent("a", &[])]);
    let mut desk = Desk::new(full.clone());
    desk.enqueue(1, "q");
    desk.result(1, "a", acd::OfferResult::Busy);
    assert_eq!(
        desk.acd.poll_timeout().map(|(_, name)| name),
        Some("back_off")
    );
    desk.configure(centre(&[queue("q", &[])], &[]));
    assert_eq!(desk.acd.poll_timeout(), None);
    assert_eq!(offers(&desk.configure(full)), [(1, "a")]);
}
