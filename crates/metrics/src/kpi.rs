//! Every definition of KPI.md that the events can feed, each once, with its id and its formula.
//!
//! A definition is never changed in place: a new version gets a new id. A value is `None` where there is no data to divide by.
//!
//! Absent: `adherence@1`, `actual_work_rate@1` (need schedules) and `fcr@1` (needs topics).

use engine::event::AgentState;

use crate::totals::{AgentTotals, CentreTotals, Handling, QueueTotals};

/// What a definition is a function of.
#[derive(Clone, Copy, Debug)]
pub enum Formula {
    Queue(fn(&QueueTotals) -> Option<f64>),
    Agent(fn(&AgentTotals) -> Option<f64>),
    /// Of work on contacts, so of queues and of agents alike.
    Handling(fn(&Handling) -> Option<f64>),
    Centre(fn(&CentreTotals) -> Option<f64>),
}

/// A ratio or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Ratio,
    Seconds,
}

/// One definition.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    pub id: &'static str,
    pub unit: Unit,
    /// As KPI.md words it.
    pub text: &'static str,
    pub formula: Formula,
}

impl Definition {
    /// The value for a queue; `None` without data or when it is no definition of queues.
    pub fn of_queue(&self, totals: &QueueTotals) -> Option<f64> {
        match self.formula {
            Formula::Queue(formula) => formula(totals),
            Formula::Handling(formula) => formula(&totals.handling),
            Formula::Agent(_) | Formula::Centre(_) => None,
        }
    }

    /// The value for an agent or group; `None` without data or when it is no definition of agents.
    pub fn of_agent(&self, totals: &AgentTotals) -> Option<f64> {
        match self.formula {
            Formula::Agent(formula) => formula(totals),
            Formula::Handling(formula) => formula(&totals.handling),
            Formula::Queue(_) | Formula::Centre(_) => None,
        }
    }

    /// Whether it says something of queues.
    pub fn is_of_queues(&self) -> bool {
        matches!(self.formula, Formula::Queue(_) | Formula::Handling(_))
    }

    /// Whether it says something of agents.
    pub fn is_of_agents(&self) -> bool {
        matches!(self.formula, Formula::Agent(_) | Formula::Handling(_))
    }
}

const fn define(id: &'static str, unit: Unit, text: &'static str, formula: Formula) -> Definition {
    Definition {
        id,
        unit,
        text,
        formula,
    }
}

/// Every definition, in KPI.md's order.
pub const DEFINITIONS: [Definition; 17] = [
    define(
        "asa@1",
        Unit::Seconds,
        "sum of waits of answered visits / answered",
        Formula::Queue(asa),
    ),
    define(
        "avg_queue_time@1",
        Unit::Seconds,
        "sum of waits of all visits that ended / their number",
        Formula::Queue(avg_queue_time),
    ),
    define(
        "abandonment@1",
        Unit::Ratio,
        "abandoned in queue or ring / offered",
        Formula::Queue(abandonment),
    ),
    define(
        "abandonment_excl_short@1",
        Unit::Ratio,
        "(abandoned - short) / (offered - short)",
        Formula::Queue(abandonment_excl_short),
    ),
    define(
        "lost_call@1",
        Unit::Ratio,
        "abandoned / answered",
        Formula::Queue(lost_call),
    ),
    define(
        "sl_answered@1",
        Unit::Ratio,
        "answered within T / answered",
        Formula::Queue(sl_answered),
    ),
    define(
        "sl_all@1",
        Unit::Ratio,
        "answered within T / offered",
        Formula::Queue(sl_all),
    ),
    define(
        "sl_abandon_met@1",
        Unit::Ratio,
        "(answered within T + abandoned within T) / offered",
        Formula::Queue(sl_abandon_met),
    ),
    define(
        "sl_long_abandon@1",
        Unit::Ratio,
        "answered within T / (answered + every other exit after more than T)",
        Formula::Queue(sl_long_abandon),
    ),
    define(
        "sl_excl_short@1",
        Unit::Ratio,
        "answered within T / (offered - short abandons)",
        Formula::Queue(sl_excl_short),
    ),
    define(
        "aht@1",
        Unit::Seconds,
        "(talk + hold + wrap-up) / handled",
        Formula::Handling(aht),
    ),
    define(
        "avg_hold@1",
        Unit::Seconds,
        "total hold / answered contacts",
        Formula::Handling(avg_hold),
    ),
    define(
        "acw@1",
        Unit::Seconds,
        "sum of wrap-up / handled",
        Formula::Handling(acw),
    ),
    define(
        "occupancy@1",
        Unit::Ratio,
        "(talk + hold + wrap-up) / (talk + hold + wrap-up + ready), wall-clock time",
        Formula::Agent(occupancy),
    ),
    define(
        "occupancy_talk@1",
        Unit::Ratio,
        "(talk + hold) / (talk + hold + idle)",
        Formula::Agent(occupancy_talk),
    ),
    define(
        "transfer_rate@1",
        Unit::Ratio,
        "contacts transferred / handled",
        Formula::Handling(transfer_rate),
    ),
    define(
        "answer_rate@1",
        Unit::Ratio,
        "offers answered / offers that somebody could have answered",
        Formula::Agent(answer_rate),
    ),
];

/// `self_service@1`, which is of the whole centre.
pub const SELF_SERVICE: Definition = define(
    "self_service@1",
    Unit::Ratio,
    "closed inside the IVR with its goal met / entered the IVR",
    Formula::Centre(self_service),
);

/// The definitions of one queue that `queue_abandonment_ratio` exports.
pub const ABANDONMENTS: [&str; 3] = ["abandonment@1", "abandonment_excl_short@1", "lost_call@1"];
/// The definitions of one queue that `queue_service_level_ratio` exports.
pub const SERVICE_LEVELS: [&str; 5] = [
    "sl_answered@1",
    "sl_all@1",
    "sl_abandon_met@1",
    "sl_long_abandon@1",
    "sl_excl_short@1",
];
/// The definitions of a group that `agent_occupancy_ratio` exports.
pub const OCCUPANCIES: [&str; 2] = ["occupancy@1", "occupancy_talk@1"];
/// The service level shown where only one is.
pub const DEFAULT_SERVICE_LEVEL: &str = "sl_long_abandon@1";

/// Looks a definition up by its id.
pub fn definition(id: &str) -> Option<&'static Definition> {
    static SELF: Definition = SELF_SERVICE;
    static ALL: [Definition; 17] = DEFINITIONS;
    if id == SELF.id {
        Some(&SELF)
    } else {
        ALL.iter().find(|definition| definition.id == id)
    }
}

fn ratio(above: u64, below: u64) -> Option<f64> {
    (below > 0).then(|| above as f64 / below as f64)
}

fn seconds(ms: u64, below: u64) -> Option<f64> {
    ratio(ms, below).map(|ms| ms / 1000.0)
}

/// `asa@1`, seconds: sum of waits of answered visits / answered.
pub fn asa(q: &QueueTotals) -> Option<f64> {
    seconds(q.answered_wait_ms, q.answered)
}

/// `avg_queue_time@1`, seconds: sum of waits of all visits that left the queue / their number.
pub fn avg_queue_time(q: &QueueTotals) -> Option<f64> {
    seconds(q.exit_wait_ms, q.exits())
}

/// `abandonment@1`: abandoned in queue or ring / offered, shorts included.
pub fn abandonment(q: &QueueTotals) -> Option<f64> {
    ratio(q.abandoned, q.offered)
}

/// `abandonment_excl_short@1`: the same without short abandons above and below.
pub fn abandonment_excl_short(q: &QueueTotals) -> Option<f64> {
    ratio(
        q.abandoned.saturating_sub(q.abandoned_short),
        q.offered.saturating_sub(q.abandoned_short),
    )
}

/// `lost_call@1`: abandoned / answered (来电遗失率).
pub fn lost_call(q: &QueueTotals) -> Option<f64> {
    ratio(q.abandoned, q.answered)
}

/// `sl_answered@1`: answered ≤ T / answered.
pub fn sl_answered(q: &QueueTotals) -> Option<f64> {
    ratio(q.answered_within, q.answered)
}

/// `sl_all@1`: answered ≤ T / offered.
pub fn sl_all(q: &QueueTotals) -> Option<f64> {
    ratio(q.answered_within, q.offered)
}

/// `sl_abandon_met@1`: (answered ≤ T + abandoned ≤ T) / offered.
pub fn sl_abandon_met(q: &QueueTotals) -> Option<f64> {
    ratio(q.answered_within + q.abandoned_within, q.offered)
}

/// `sl_long_abandon@1`, the default: answered ≤ T / (answered + every other exit after more than T).
pub fn sl_long_abandon(q: &QueueTotals) -> Option<f64> {
    ratio(q.answered_within, q.answered + q.unanswered_late)
}

/// `sl_excl_short@1`: answered ≤ T / (offered − short abandons).
pub fn sl_excl_short(q: &QueueTotals) -> Option<f64> {
    ratio(
        q.answered_within,
        q.offered.saturating_sub(q.abandoned_short),
    )
}

/// `aht@1`, seconds: (talk + hold + wrap-up) / handled.
pub fn aht(h: &Handling) -> Option<f64> {
    seconds(h.talk_ms + h.hold_ms + h.wrap_up_ms, h.handled)
}

/// `avg_hold@1`, seconds: total hold / answered contacts.
pub fn avg_hold(h: &Handling) -> Option<f64> {
    seconds(h.hold_ms, h.handled)
}

/// `acw@1`, seconds: sum of wrap-up / handled.
pub fn acw(h: &Handling) -> Option<f64> {
    seconds(h.wrap_up_ms, h.handled)
}

/// `occupancy@1`: (talk + hold + wrap-up) / (talk + hold + wrap-up + ready), wall-clock.
pub fn occupancy(a: &AgentTotals) -> Option<f64> {
    ratio(
        a.working_ms(),
        a.working_ms() + a.state_ms.of(AgentState::Ready),
    )
}

/// `occupancy_talk@1`: (talk + hold) / (talk + hold + idle) (占线率); idle is the time in the ready state.
pub fn occupancy_talk(a: &AgentTotals) -> Option<f64> {
    ratio(
        a.talking_ms(),
        a.talking_ms() + a.state_ms.of(AgentState::Ready),
    )
}

/// `transfer_rate@1`: contacts transferred / handled; the kinds stand apart in [`Handling`].
pub fn transfer_rate(h: &Handling) -> Option<f64> {
    ratio(h.transferred(), h.handled)
}

/// `answer_rate@1`: offers answered / offers, without those that blame nobody.
pub fn answer_rate(a: &AgentTotals) -> Option<f64> {
    ratio(a.offers.answered, a.offers.blamable())
}

/// `self_service@1`: contacts closed inside the IVR with its goal met / contacts that entered it.
pub fn self_service(c: &CentreTotals) -> Option<f64> {
    ratio(c.self_served, c.ivr_entered)
}

#[cfg(test)]
mod tests {
    use acd::OfferEnd;

    use super::*;

    /// 100 offered: 80 answered (60 within T, 1200 s of waits), 15 abandoned (4 short, 6 within T), 3 overflowed (after T), 2 waiting.
    fn queue() -> QueueTotals {
        QueueTotals {
            offered: 100,
            answered: 80,
            answered_within: 60,
            answered_wait_ms: 1_200_000,
            abandoned: 15,
            abandoned_short: 4,
            abandoned_within: 6,
            left: [3, 0, 0, 0, 0, 0],
            unanswered_late: 12,
            exit_wait_ms: 1_666_000,
            handling: Handling {
                handled: 80,
                talk_ms: 16_000_000,
                hold_ms: 800_000,
                wrap_up_ms: 2_400_000,
                transferred_blind: 3,
                transferred_consult: 4,
                transferred_to_queue: 1,
            },
        }
    }

    fn agent() -> AgentTotals {
        let mut totals = AgentTotals::default();
        totals.state_ms.book(AgentState::Connected, 3_000_000);
        totals.state_ms.book(AgentState::Held, 300_000);
        totals.state_ms.book(AgentState::WrapUp, 900_000);
        totals.state_ms.book(AgentState::Ready, 1_100_000);
        totals.state_ms.book(AgentState::Reserved, 7_777);
        totals.state_ms.book(AgentState::NotReady, 8_888);
        totals.offers.answered = 18;
        totals.offers.ended[OfferEnd::RingTimeout as usize] = 1;
        totals.offers.ended[OfferEnd::Declined as usize] = 1;
        totals.offers.ended[OfferEnd::CallerGone as usize] = 5;
        totals
    }

    #[track_caller]
    fn check(id: &str, expected: f64) {
        let definition = definition(id).unwrap();
        let value = match definition.formula {
            Formula::Queue(_) | Formula::Handling(_) => definition.of_queue(&queue()),
            Formula::Agent(_) => definition.of_agent(&agent()),
            Formula::Centre(formula) => formula(&CentreTotals {
                ivr_entered: 50,
                self_served: 40,
                ..CentreTotals::default()
            }),
        };
        let value = value.unwrap();
        assert!(
            (value - expected).abs() < 1e-9,
            "{id}: {value}, by hand {expected}"
        );
    }

    #[test]
    fn every_definition_against_numbers_worked_by_hand() {
        check("asa@1", 15.0);
        check("avg_queue_time@1", 17.0); // 1666 s / 98
        check("abandonment@1", 0.15);
        check("abandonment_excl_short@1", 11.0 / 96.0);
        check("lost_call@1", 0.1875);
        check("sl_answered@1", 0.75);
        check("sl_all@1", 0.60);
        check("sl_abandon_met@1", 0.66);
        check("sl_long_abandon@1", 60.0 / 92.0);
        check("sl_excl_short@1", 0.625);
        check("aht@1", 240.0);
        check("avg_hold@1", 10.0);
        check("acw@1", 30.0);
        check("occupancy@1", 4200.0 / 5300.0);
        check("occupancy_talk@1", 0.75);
        check("transfer_rate@1", 0.1);
        check("answer_rate@1", 0.9);
        check("self_service@1", 0.8);
    }

    #[test]
    fn without_data_there_is_no_value() {
        for definition in DEFINITIONS {
            assert_eq!(
                definition.of_queue(&QueueTotals::default()),
                None,
                "{}",
                definition.id
            );
            assert_eq!(
                definition.of_agent(&AgentTotals::default()),
                None,
                "{}",
                definition.id
            );
        }
        assert_eq!(self_service(&CentreTotals::default()), None);
    }
}
