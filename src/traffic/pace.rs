//! How busy the centre is to be: agents and lengths for a rate of calls.

use std::time::Duration;

/// Most calls a minute. Beyond it is not a demo but a load test: `benches/queue_path.rs`.
pub const CALLS_PER_MINUTE_MAX: u32 = 600;

/// Simulated agents; beyond the most, talks are shorter instead.
const AGENTS: (u32, u32) = (3, 32);
/// The first simulated agent's extension.
const FIRST_EXTENSION: u32 = 1101;
/// What a conversation costs an agent at full length: ring, talk, wrap-up. See [`super::people`].
const HANDLE_SECONDS: f64 = 48.0;
/// The share of callers who reach an agent.
const REACH: f64 = 0.8;
/// How busy the agents are to be: some callers should wait, few in vain.
const OCCUPANCY: f64 = 0.85;
/// The queues' own wrap-up, in seconds.
const WRAP_UP_SECONDS: f64 = 10.0;

/// A rate of calls and what follows from it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    calls_per_minute: u32,
    agents: u32,
    /// Lengths of conversations, wrap-ups and rings, as a share of the full ones.
    factor: f64,
}

impl Pace {
    /// The pace of a rate from 1 to [`CALLS_PER_MINUTE_MAX`].
    pub fn of(calls_per_minute: u32) -> Pace {
        let calls_per_minute = calls_per_minute.clamp(1, CALLS_PER_MINUTE_MAX);
        let conversations_per_second = f64::from(calls_per_minute) / 60.0 * REACH;
        let wanted = (conversations_per_second * HANDLE_SECONDS / OCCUPANCY).ceil();
        let agents = (wanted as u32).clamp(AGENTS.0, AGENTS.1);
        let affordable = f64::from(agents) * OCCUPANCY / conversations_per_second;
        Pace {
            calls_per_minute,
            agents,
            factor: (affordable / HANDLE_SECONDS).min(1.0),
        }
    }

    pub fn calls_per_minute(&self) -> u32 {
        self.calls_per_minute
    }

    /// The mean time between two calls.
    pub fn between_calls(&self) -> Duration {
        Duration::from_secs(60) / self.calls_per_minute
    }

    /// A length at this pace.
    pub fn of_length(&self, full: Duration) -> Duration {
        full.mul_f64(self.factor)
    }

    /// Extensions of the simulated agents, in order.
    pub fn extensions(&self) -> impl Iterator<Item = String> + use<> {
        (FIRST_EXTENSION..FIRST_EXTENSION + self.agents).map(|extension| extension.to_string())
    }

    /// The simulated agents as `agents.toml` has them: the demo's own stay free for people.
    pub fn agents_toml(&self) -> String {
        const FAMILY: [&str; 8] = ["Sun", "Zhou", "Xu", "Ma", "Hu", "Guo", "Lin", "He"];
        const GIVEN: [&str; 4] = ["Mei", "Jun", "Xin", "Tao"];
        const SKILLS: [&str; 5] = [
            "support = 6, sales = 4, mandarin = 8",
            "support = 7, mandarin = 8, english = 5",
            "sales = 7, mandarin = 9",
            "support = 5, mandarin = 7",
            "support = 3, sales = 6, english = 8",
        ];
        let wrap_up = (WRAP_UP_SECONDS * 1000.0 * self.factor).round();
        self.extensions()
            .enumerate()
            .map(|(at, id)| {
                let family = FAMILY[at % FAMILY.len()];
                let given = GIVEN[at / FAMILY.len() % GIVEN.len()];
                let skills = SKILLS[at % SKILLS.len()];
                format!(
                    "\n[[agent]]\nid = \"{id}\"\nname = \"{family} {given}\"\nskills = {{ {skills} }}\nauto_ready = true\n\
                     wrap_up = \"{wrap_up}ms\"\ngroup = \"simulated\"\n"
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_keep_up_at_every_pace() {
        for rate in 1..=CALLS_PER_MINUTE_MAX {
            let pace = Pace::of(rate);
            let offered = f64::from(rate) / 60.0 * REACH * HANDLE_SECONDS * pace.factor;
            let agents = pace.extensions().count() as f64;
            assert!(offered <= agents * OCCUPANCY + 1e-6, "{rate} a minute");
        }
        assert_eq!(Pace::of(6).extensions().count(), 5);
        assert_eq!(
            Pace::of(6).of_length(Duration::from_secs(30)),
            Duration::from_secs(30)
        );
        assert_eq!(Pace::of(600).extensions().count(), 32);
    }
}
