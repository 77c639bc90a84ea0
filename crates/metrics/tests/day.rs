//! A short morning, worked by hand.

mod common;

use clock::Time;
use common::Feed;
use engine::event::{AgentState, EventKind, Exit, Outcome};
use jiff::tz::TimeZone;
use metrics::{Fold, kpi};

/// 2026-03-02 00:00 in Shanghai (UTC+8) is 16:00 UTC of the day before.
const MIDNIGHT: u64 = 1_772_380_800;

fn at(seconds: u64) -> Time {
    Time::from_secs(MIDNIGHT + seconds)
}

fn shanghai() -> TimeZone {
    TimeZone::get("Asia/Shanghai").expect("a zone of the bundled database")
}

fn morning() -> Feed {
    use AgentState::*;
    let mut feed = Feed::new(shanghai());
    let target = EventKind::QueueChanged {
        queue: "support".into(),
        change: "opened".into(),
        target_ms: 25_000,
        short_abandon_ms: 5_000,
    };
    feed.tell(at(0), target);
    feed.agent(at(0), "1001", LoggedOut, 0, Ready, None);
    // Answered after a RONA of another agent, 22 s.
    feed.arrived(at(100), 1);
    feed.queued(at(100), 1, "support", 1);
    feed.offer_ended(at(120), 1, "1002", acd::OfferEnd::RingTimeout);
    feed.agent(at(120), "1001", Ready, 120_000, Reserved, Some("support"));
    feed.answered(at(122), 1, "support", "1001", 22_000);
    feed.agent(at(122), "1001", Reserved, 2_000, Connected, Some("support"));
    // Abandoned short, abandoned late, overflowed.
    feed.arrived(at(130), 2);
    feed.queued(at(130), 2, "support", 1);
    feed.abandoned(at(133), 2, "support", 3_000, true);
    feed.closed(at(133), 2, Outcome::AbandonedInQueue, true);
    feed.arrived(at(140), 3);
    feed.queued(at(140), 3, "support", 1);
    feed.arrived(at(150), 4);
    feed.queued(at(150), 4, "support", 1);
    feed.abandoned(at(200), 3, "support", 60_000, false);
    feed.left(at(210), 4, "support", 60_000, Exit::Overflowed);
    // Talk 778 s with 60 s of hold in it, wrap-up 100 s across the border of 00:15.
    feed.agent(at(300), "1001", Connected, 178_000, Held, Some("support"));
    feed.agent(at(360), "1001", Held, 60_000, Connected, Some("support"));
    feed.agent(at(850), "1001", Connected, 490_000, WrapUp, Some("support"));
    feed.closed(at(850), 1, Outcome::Answered, true);
    feed.agent(at(950), "1001", WrapUp, 100_000, Ready, None);
    // One waits over the border and is still there.
    feed.arrived(at(890), 5);
    feed.queued(at(890), 5, "support", 1);
    feed
}

#[test]
fn the_numbers_of_a_morning() {
    let feed = morning();
    let fold = &feed.fold;
    fold.balance().unwrap();
    let now = at(1000);
    let queue = fold.queue_now("support", now).unwrap();
    // The last event was told late (890 after 950): time does not go back, it is booked at 950.
    assert_eq!((queue.waiting, queue.longest_since), (1, Some(at(950))));
    let q = queue.today;
    assert_eq!(
        (
            q.offered,
            q.answered,
            q.abandoned,
            q.abandoned_short,
            q.exits()
        ),
        (5, 1, 2, 1, 4)
    );
    assert_eq!(kpi::asa(&q), Some(22.0));
    assert_eq!(kpi::sl_all(&q), Some(0.2));
    assert_eq!(kpi::sl_long_abandon(&q), Some(1.0 / 3.0));
    assert_eq!(kpi::aht(&q.handling), Some(668.0 + 60.0 + 100.0));
    assert_eq!(kpi::avg_hold(&q.handling), Some(60.0));

    let agent = fold.agent_now("1001", now).unwrap().today;
    assert_eq!(
        agent.state_ms.of(AgentState::Ready),
        120_000 + 50_000,
        "the running state counts"
    );
    assert_eq!(kpi::occupancy(&agent), Some(828.0 / (828.0 + 170.0)));
    assert_eq!(agent.offers.answered, 1);
    let group = fold.group_today("all", now).unwrap();
    assert_eq!(
        kpi::answer_rate(&group),
        Some(0.5),
        "the RONA of 1002 is the group's"
    );
    assert_eq!(fold.centre_today(now).ivr_entered, 2);

    let first = fold.group_between("all", at(0), at(900), at(900)).unwrap();
    assert_eq!(
        first.state_ms.of(AgentState::WrapUp),
        50_000,
        "wrap-up is split at the border of the interval"
    );
    let tomorrow = at(86_400 + 10);
    assert_eq!(
        fold.queue_now("support", tomorrow).unwrap().today.offered,
        0,
        "a new day without an event"
    );
    assert_eq!(
        fold.agent_now("1001", tomorrow)
            .unwrap()
            .today
            .state_ms
            .of(AgentState::Ready),
        10_000
    );
}

#[test]
fn a_restart_from_a_snapshot_or_by_replay_changes_no_number() {
    let feed = morning();
    for cut in 0..feed.events.len() {
        let mut fold = Fold::new(shanghai());
        feed.events[..cut]
            .iter()
            .for_each(|event| assert!(fold.apply(event)));
        let json = serde_json::to_vec(&fold).unwrap();
        let mut fold = Fold::from_snapshot(&json, shanghai()).unwrap();
        // The log is read again from before the snapshot: what has been applied stays applied once.
        for event in &feed.events {
            assert_eq!(fold.apply(event), event.sequence > cut as u64);
        }
        assert_eq!(fold, feed.fold, "cut at {cut}");
    }
}

#[test]
fn a_state_that_a_crash_cut_short_is_booked_where_it_was() {
    use AgentState::*;
    let mut feed = Feed::new(TimeZone::UTC);
    feed.agent(Time::from_secs(1000), "1001", LoggedOut, 0, Ready, None);
    // The log ended at 1100; the node came back at 90000, the next day.
    feed.agent(
        Time::from_secs(90_000),
        "1001",
        Ready,
        100_000,
        LoggedOut,
        None,
    );
    let day = feed
        .fold
        .agent_between(
            "1001",
            Time::ZERO,
            Time::from_secs(1),
            Time::from_secs(90_000),
        )
        .unwrap();
    assert_eq!(day.state_ms.of(Ready), 100_000);
    let today = feed
        .fold
        .agent_now("1001", Time::from_secs(90_010))
        .unwrap()
        .today;
    assert_eq!(
        (today.state_ms.of(Ready), today.state_ms.of(LoggedOut)),
        (0, 10_000)
    );
}

#[test]
fn what_a_crash_cut_short_belongs_to_the_day_of_the_crash() {
    use AgentState::*;
    let (evening, crash, next_morning) = (17 * 3600, 17 * 3600 + 59 * 60, 32 * 3600);
    let mut feed = Feed::new(shanghai());
    feed.agent(at(evening), "1001", LoggedOut, 0, Ready, None);
    feed.arrived(at(evening), 1);
    feed.queued(at(evening), 1, "support", 1);
    feed.answered(at(evening), 1, "support", "1001", 0);
    feed.agent(at(evening), "1001", Ready, 0, Connected, Some("support"));
    feed.arrived(at(crash - 30), 2);
    feed.queued(at(crash - 30), 2, "support", 1);
    let started = EventKind::NodeStarted {
        node: "n1".into(),
        boot: 2,
        version: "0".into(),
    };
    feed.tell(at(next_morning), started);
    feed.left(at(crash), 2, "support", 30_000, Exit::SystemError);
    feed.closed(at(crash), 2, Outcome::SystemError, false);
    feed.closed(at(crash), 1, Outcome::Answered, false);
    let talk_ms = (crash - evening) * 1000;
    feed.agent(at(crash), "1001", Connected, talk_ms, LoggedOut, None);
    feed.arrived(at(next_morning + 1), 3);
    feed.queued(at(next_morning + 1), 3, "support", 1);

    assert_eq!(feed.fold.balance(), Ok(()));
    let day = |from, to| {
        let totals = feed.fold.queue_between("support", from, to);
        totals.expect("a known queue")
    };
    let yesterday = day(at(0), at(24 * 3600));
    assert_eq!((yesterday.offered, yesterday.exits()), (2, 2));
    assert_eq!(yesterday.exit_wait_ms, 30_000);
    assert_eq!(yesterday.handling.talk_ms, talk_ms);
    let today = day(at(24 * 3600), at(48 * 3600));
    assert_eq!((today.offered, today.exits()), (1, 0));
    assert_eq!((today.exit_wait_ms, today.handling.talk_ms), (0, 0));
}
