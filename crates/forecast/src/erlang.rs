//! Erlang's formulas: how many agents for how many callers. C: everybody waits. A: callers have patience (Palm).

use std::time::Duration;

/// Agents of one group at one load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Arrivals times handling time, in units of one agent's time.
    pub erlangs: f64,
    pub handling: Duration,
}

impl Load {
    /// So many arrivals in so long a time.
    pub fn new(arrivals: f64, within: Duration, handling: Duration) -> Self {
        Load {
            erlangs: arrivals * handling.as_secs_f64() / within.as_secs_f64(),
            handling,
        }
    }
}

/// Share of callers who find all agents busy when none may wait (Erlang B).
pub fn blocked(erlangs: f64, agents: u32) -> f64 {
    (1..=agents).fold(1.0, |blocked, agent| {
        let offered = erlangs * blocked;
        offered / (f64::from(agent) + offered)
    })
}

/// Share of callers who wait (Erlang C); 1 when the agents are too few for the load.
pub fn waits(erlangs: f64, agents: u32) -> f64 {
    let n = f64::from(agents);
    if erlangs >= n {
        return 1.0;
    }
    let blocked = blocked(erlangs, agents);
    n * blocked / (n - erlangs * (1.0 - blocked))
}

/// Share of callers answered within a time (Erlang C).
pub fn answered_within(load: Load, agents: u32, within: Duration) -> f64 {
    let spare = f64::from(agents) - load.erlangs;
    if spare <= 0.0 {
        return 0.0;
    }
    let fading = (-spare * within.as_secs_f64() / load.handling.as_secs_f64()).exp();
    1.0 - waits(load.erlangs, agents) * fading
}

/// Mean wait of all callers (Erlang C); `None` when the line only grows.
pub fn mean_wait(load: Load, agents: u32) -> Option<Duration> {
    let spare = f64::from(agents) - load.erlangs;
    (spare > 0.0).then(|| load.handling.mul_f64(waits(load.erlangs, agents) / spare))
}

/// What patience makes of a load (Erlang A).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patient {
    /// Share of callers who find no agent free.
    pub waits: f64,
    pub abandons: f64,
    /// Of all callers, those who abandon too.
    pub mean_wait: Duration,
}

/// States of the line beyond which none is looked at: their share is below 1e-12 long before.
const STATES_MAX: u32 = 100_000;

/// M/M/n+M: exponential patience of this mean.
pub fn with_patience(load: Load, agents: u32, patience: Duration) -> Patient {
    let (mu, theta) = (
        1.0 / load.handling.as_secs_f64(),
        1.0 / patience.as_secs_f64(),
    );
    let lambda = load.erlangs * mu;
    // Shares relative to that of n callers, from there down and up.
    let (mut below, mut share) = (0.0, 1.0);
    for busy in (1..=agents).rev() {
        share *= f64::from(busy) * mu / lambda;
        below += share;
    }
    let (mut at_or_above, mut waiting, mut share) = (1.0, 0.0, 1.0);
    for line in 1..STATES_MAX {
        let leaving = f64::from(agents) * mu + f64::from(line) * theta;
        share *= lambda / leaving;
        at_or_above += share;
        waiting += f64::from(line) * share;
        if share < at_or_above * 1e-15 && lambda < leaving {
            break;
        }
    }
    let all = below + at_or_above;
    let line = waiting / all;
    Patient {
        waits: at_or_above / all,
        abandons: theta * line / lambda,
        mean_wait: Duration::from_secs_f64(line / lambda),
    }
}

/// The fewest agents who answer this share of callers within this time (Erlang C).
pub fn agents_for(load: Load, share: f64, within: Duration) -> u32 {
    let least = load.erlangs.floor() as u32 + 1;
    (least..least.saturating_add(10_000))
        .find(|agents| answered_within(load, *agents, within) >= share)
        .unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64, by: f64) {
        assert!((found - wanted).abs() < by, "{found} is not {wanted}");
    }

    /// Probability of delay for 10 erlangs, as printed in tables of Erlang C.
    #[test]
    fn erlang_c_as_in_published_tables() {
        for (agents, waiting) in [
            (11, 0.6821),
            (12, 0.4494),
            (13, 0.2853),
            (14, 0.1741),
            (15, 0.1020),
        ] {
            near(waits(10.0, agents), waiting, 0.0002);
        }
    }

    /// Blocking for 10 erlangs: 10 lines 21.46 %, 15 lines 3.65 %, 20 lines 0.187 %.
    #[test]
    fn erlang_b_as_in_published_tables() {
        near(blocked(10.0, 10), 0.2146, 0.0001);
        near(blocked(10.0, 15), 0.0365, 0.0001);
        near(blocked(10.0, 20), 0.00187, 0.00001);
    }

    /// The textbook's example: 100 calls of 180 s in half an hour, 80/20.
    #[test]
    fn the_textbook_half_hour() {
        let half_hour = Duration::from_secs(1_800);
        let load = Load::new(100.0, half_hour, Duration::from_secs(180));
        let within = Duration::from_secs(20);
        assert_eq!(agents_for(load, 0.8, within), 14);
        near(answered_within(load, 14, within), 0.888, 0.001);
        near(mean_wait(load, 14).unwrap().as_secs_f64(), 7.8, 0.1);
        assert_eq!(mean_wait(load, 10), None);
    }

    /// Endless patience is Erlang C; none is Erlang B.
    #[test]
    fn erlang_a_lies_between_b_and_c() {
        let load = Load {
            erlangs: 10.0,
            handling: Duration::from_secs(180),
        };
        let endless = with_patience(load, 12, Duration::from_secs(10_000_000));
        near(endless.waits, waits(10.0, 12), 0.001);
        near(
            endless.mean_wait.as_secs_f64(),
            mean_wait(load, 12).unwrap().as_secs_f64(),
            0.1,
        );
        let none = with_patience(load, 12, Duration::from_millis(1));
        near(none.abandons, blocked(10.0, 12), 0.001);
        let some = with_patience(load, 12, Duration::from_secs(120));
        assert!(none.abandons > some.abandons && some.abandons > endless.abandons);
    }
}
