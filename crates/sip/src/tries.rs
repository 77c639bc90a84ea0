//! Wrong passwords: who tries too often is not answered for a while, each time a longer one.
//!
//! Only tries are counted whose nonce shows that the source has heard our challenge (see `digest`): nobody has another's address barred by forging it.
//!
//! The bar is on a pair of source and user, so that the right phone elsewhere, and a colleague behind the same address, go on working. A user whose
//! password is tried from many sources leaves each of them a single try; a source that tries many users is looked at once a second.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use clock::Time;

use crate::source::subscriber;

/// Wrong tries of a pair that are free: people mistype, and phones try an old password once more.
const FREE: u32 = 5;
/// Wrong tries from one source, of whatever users, or of one user, from whatever sources, after which each pair has one.
const MANY: u32 = 20;
/// The first bar; each further wrong try doubles it.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A source of [`MANY`] wrong tries is not looked at for so long after each.
const PACE: Duration = Duration::from_secs(1);
/// Without a wrong try for so long, all is forgotten.
const MEMORY: Duration = Duration::from_secs(3600);
/// Sources remembered (8 MB at most). At the bound the one goes that has been there longest: it begins anew with free tries, and a guesser who has
/// so many sources has as many tries anyhow; an honest one has nothing to lose.
const SOURCES_MAX: usize = 8_192;
/// Users remembered of one source; at the bound the one with the fewest wrong tries goes.
const USERS_OF_SOURCE: usize = 32;
/// Places in which tries are counted by user, whatever users there are: two that share one have each other's sources slowed down, no more.
const USER_PLACES: usize = 8_192;
/// Characters of a stranger's text that are told.
const TOLD_MAX: usize = 64;
/// A source is told of at most this often, so that nobody fills the log.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Scanners forge addresses as they like: at most one is told in this time.
const TELL_SCANNER_EVERY: Duration = Duration::from_secs(1);

/// Somebody who means harm, for the operator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// Tried too many passwords: a source that did hear our challenges.
    Guesser {
        source: IpAddr,
        /// As it was given: a stranger's text.
        user: String,
        /// Wrong tries from this source, of all users.
        failures: u32,
        wait: Duration,
    },
    /// Says it is a scanner. Over UDP the address may be forged.
    Scanner { source: IpAddr, agent: String },
}

/// See the module's text.
#[derive(Debug)]
pub struct Tries {
    sources: HashMap<IpAddr, Source>,
    /// In the order of their first failure.
    order: VecDeque<IpAddr>,
    users: Box<[Tried]>,
    scanner_told: Option<Time>,
}

#[derive(Debug, Default)]
struct Source {
    all: Tried,
    told: Option<Time>,
    pairs: Vec<Pair>,
}

#[derive(Debug)]
struct Pair {
    user: u64,
    tried: Tried,
    /// Not looked at until then.
    until: Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    failures: u32,
    /// Of the last failure.
    at: Time,
}

impl Default for Tries {
    fn default() -> Self {
        Tries {
            sources: HashMap::new(),
            order: VecDeque::new(),
            users: vec![Tried::default(); USER_PLACES].into(),
            scanner_told: None,
        }
    }
}

impl Tries {
    /// Whether a try is not to be looked at.
    pub fn is_barred(&self, now: Time, source: IpAddr, user: &str) -> bool {
        let Some(known) = self.sources.get(&subscriber(source)) else {
            return false;
        };
        let paced = known.all.recent(now) > MANY && now.since(known.all.at) < PACE;
        let user = name(user);
        paced || (known.pairs.iter()).any(|pair| pair.user == user && now < pair.until)
    }

    /// A wrong try; what to tell when it has a bar in its wake.
    pub fn failed(&mut self, now: Time, source: IpAddr, user: &str) -> Option<Suspect> {
        let name = name(user);
        let of_user = self.users[(name % USER_PLACES as u64) as usize].count(now);
        let known = self.source(subscriber(source));
        let of_source = known.all.count(now);
        let free = if of_source.max(of_user) > MANY {
            1
        } else {
            FREE
        };
        let pair = known.pair(name);
        let over = pair.tried.count(now).checked_sub(free)?;
        let wait = FIRST.saturating_mul(1 << over.min(16)).min(LONGEST);
        pair.until = now + wait;
        if known.told.is_some_and(|told| now.since(told) < TELL_EVERY) {
            return None;
        }
        known.told = Some(now);
        Some(Suspect::Guesser {
            source,
            user: cut(user),
            failures: of_source,
            wait,
        })
    }

    /// The right password: this user of this source has a clean slate. The source has not: a guesser may have a password of their own.
    pub fn succeeded(&mut self, source: IpAddr, user: &str) {
        if let Some(known) = self.sources.get_mut(&subscriber(source)) {
            let user = name(user);
            known.pairs.retain(|pair| pair.user != user);
        }
    }

    /// A scanner has said what it is; what to tell.
    pub fn scanned(&mut self, now: Time, source: IpAddr, agent: &str) -> Option<Suspect> {
        let told = self.scanner_told;
        if told.is_some_and(|told| now.since(told) < TELL_SCANNER_EVERY) {
            return None;
        }
        self.scanner_told = Some(now);
        let agent = cut(agent);
        Some(Suspect::Scanner { source, agent })
    }

    fn source(&mut self, source: IpAddr) -> &mut Source {
        if !self.sources.contains_key(&source) {
            if self.order.len() >= SOURCES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.sources.remove(&oldest);
            }
            self.order.push_back(source);
        }
        self.sources.entry(source).or_default()
    }
}

impl Source {
    fn pair(&mut self, user: u64) -> &mut Pair {
        let known = self.pairs.iter().position(|pair| pair.user == user);
        let place = known.unwrap_or_else(|| {
            if self.pairs.len() >= USERS_OF_SOURCE {
                let least = (0..self.pairs.len()).min_by_key(|&n| self.pairs[n].tried.failures);
                self.pairs.swap_remove(least.unwrap_or(0));
            }
            self.pairs.push(Pair {
                user,
                tried: Tried::default(),
                until: Time::ZERO,
            });
            self.pairs.len() - 1
        });
        &mut self.pairs[place]
    }
}

impl Tried {
    fn recent(&self, now: Time) -> u32 {
        if now.since(self.at) > MEMORY {
            0
        } else {
            self.failures
        }
    }

    /// One more; how many that makes.
    fn count(&mut self, now: Time) -> u32 {
        self.failures = self.recent(now).saturating_add(1);
        self.at = now;
        self.failures
    }
}

fn name(user: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    hasher.finish()
}

fn cut(text: &str) -> String {
    text.chars().take(TOLD_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUESSER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));
    const SECOND: Duration = Duration::from_secs(1);

    fn waited(suspect: &Suspect) -> Duration {
        match suspect {
            Suspect::Guesser { wait, .. } => *wait,
            Suspect::Scanner { .. } => panic!("no guesser"),
        }
    }

    #[test]
    fn bars_grow_and_end() {
        let mut tries = Tries::default();
        let mut now = Time::from_secs(1_000);
        for _ in 0..4 {
            assert_eq!(tries.failed(now, GUESSER, "1001"), None);
        }
        assert!(!tries.is_barred(now, GUESSER, "1001"));
        let mut waits = Vec::new();
        for _ in 0..10 {
            let told = tries.failed(now, GUESSER, "1001");
            let begun = now;
            while tries.is_barred(now, GUESSER, "1001") {
                now += SECOND;
            }
            waits.push(now.since(begun).as_secs());
            assert!(told.is_none_or(|told| waited(&told) == now.since(begun)));
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        now += MEMORY + SECOND;
        assert_eq!(tries.failed(now, GUESSER, "1001"), None, "forgotten");
        assert!(!tries.is_barred(now, GUESSER, "1001"));
    }

    /// So many guesses a second; how many were looked at of each user.
    fn looked_at(tries: &mut Tries, users: u32, seconds: u64, rate: u32) -> HashMap<u32, u32> {
        let mut looked = HashMap::new();
        for second in 0..seconds {
            let now = Time::from_secs(1_000 + second);
            for n in 0..rate {
                let user = (second as u32).wrapping_mul(rate).wrapping_add(n) % users;
                if !tries.is_barred(now, GUESSER, &user.to_string()) {
                    tries.failed(now, GUESSER, &user.to_string());
                    *looked.entry(user).or_default() += 1;
                }
            }
        }
        looked
    }

    #[test]
    fn a_guesser_has_few_guesses_of_one_user_and_one_a_second_of_all() {
        let day = 24 * 3600;
        // Within a second more guesses of one user are all alike.
        let of_one = looked_at(&mut Tries::default(), 1, day, 20);
        assert!(of_one[&0] < 120, "{of_one:?}");
        // Spraying names does not wash a pair's record away.
        let of_all = looked_at(&mut Tries::default(), 10_000, 3600, 1_000);
        assert!(of_all.values().sum::<u32>() <= 3600 + MANY + 1);
    }

    #[test]
    fn who_knows_a_password_gets_in_beside_a_guesser() {
        let mut tries = Tries::default();
        let now = Time::from_secs(1_000);
        for n in 0..1_000 {
            let user = format!("{}", 1001 + n % 100);
            if !tries.is_barred(now, GUESSER, &user) {
                tries.failed(now, GUESSER, &user);
            }
        }
        assert!(
            !tries.is_barred(now, IpAddr::V4(7.into()), "1001"),
            "at home"
        );
        assert!(tries.is_barred(now, GUESSER, "1999"), "there, not at once");
        let soon = now + PACE;
        assert!(!tries.is_barred(soon, GUESSER, "1999"));
        tries.failed(soon, GUESSER, "1999");
        assert!(
            tries.is_barred(soon + PACE, GUESSER, "1999"),
            "one wrong try is enough"
        );
        tries.succeeded(GUESSER, "1999");
        assert!(!tries.is_barred(soon + PACE, GUESSER, "1999"));
    }

    #[test]
    fn a_user_who_is_tried_from_many_sources_leaves_each_one_try() {
        let mut tries = Tries::default();
        let now = Time::from_secs(1_000);
        for n in 0..100u32 {
            let source = IpAddr::V4(n.into());
            tries.failed(now, source, "1001");
            assert_eq!(tries.is_barred(now, source, "1001"), n >= MANY, "{n}");
        }
        assert!(
            !tries.is_barred(now, IpAddr::V4(500.into()), "1001"),
            "nor is the user locked out"
        );
    }

    #[test]
    fn the_log_hears_of_a_source_once_in_ten_seconds_and_memory_is_bounded() {
        let mut tries = Tries::default();
        let now = Time::from_secs(1_000);
        let long = "x".repeat(1_000);
        let told: Vec<Suspect> = (0..50)
            .filter_map(|_| tries.failed(now, GUESSER, &long))
            .collect();
        let [
            Suspect::Guesser {
                failures: 5, user, ..
            },
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!(user.len(), TOLD_MAX);
        assert!(tries.failed(now + TELL_EVERY, GUESSER, &long).is_some());
        for n in 0..40_000u32 {
            tries.failed(now, IpAddr::V4(n.into()), "1001");
            tries.failed(now, GUESSER, &n.to_string());
        }
        assert_eq!(tries.sources.len(), SOURCES_MAX);
        assert_eq!(tries.order.len(), SOURCES_MAX);
        assert!((tries.sources.values()).all(|source| source.pairs.len() <= USERS_OF_SOURCE));
        let of_network = |n: u16| IpAddr::V6([0x2001, 0xdb8, 0, 7, n, 1, 2, 3].into());
        for n in 0..5 {
            tries.failed(now, of_network(n), "1002");
        }
        assert!(tries.is_barred(now, of_network(77), "1002"));
    }

    #[test]
    fn scanners_from_everywhere_are_one_line_a_second() {
        let mut tries = Tries::default();
        let start = Time::from_secs(1_000);
        let told = (0..5_000u32).filter_map(|n| {
            let now = start + Duration::from_millis(n.into());
            tries.scanned(now, IpAddr::V4(n.into()), "friendly-scanner")
        });
        assert_eq!(told.count(), 5);
    }
}
