//! Who calls, what they want and how patiently; how an agent takes a call. All of it from one seed, each person with chances of their own,
//! so that nobody's plans depend on the order in which things happen.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::pace::Pace;

/// The sample customers, whom the demo centre knows.
const CUSTOMERS: &[u8] = include_bytes!("../../config/demo-customers.csv");
/// Where numbers without a country code are, as in the demo's configuration.
const COUNTRY: &str = "CN";
/// The longest that anybody waits.
const PATIENCE_MAX: Duration = Duration::from_secs(300);

/// A seeded source of chance.
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The same seed and purpose give the same throws.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(purpose);
        Chance(random)
    }

    /// From 0 to `bound` - 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Between two lengths in milliseconds.
    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }

    /// Exponential, as the time between calls and the patience of callers are.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        // 53 bits: every value of [0, 1) that a double has evenly.
        let even = (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        mean.mul_f64(-(1.0 - even).ln())
    }
}

/// A customer as far as it matters to what they press.
struct Customer {
    numbers: Vec<String>,
    valued: bool,
}

/// Somebody about to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// As the carrier signals it.
    pub number: String,
    /// What they call the same under, however it is written.
    pub key: String,
    pub dials: &'static str,
    /// Keys, each with how long after the answer it is pressed.
    pub keys: Vec<(Duration, char)>,
    /// When they hang up if nobody has talked to them, after dialling.
    pub patience: Duration,
    /// Offers µ-law first, so that the centre transcodes.
    pub ulaw: bool,
}

/// The public.
pub struct Public {
    customers: Vec<Customer>,
    seed: u64,
    pace: Pace,
    callers: u64,
}

impl Public {
    pub fn new(seed: u64, pace: Pace) -> Self {
        let customers = crm::read_customers(CUSTOMERS, COUNTRY)
            .filter_map(Result::ok)
            .filter(|customer| !customer.phones.is_empty())
            .map(|customer| Customer {
                numbers: customer.phones,
                valued: customer.class == "A",
            })
            .collect();
        Public {
            customers,
            seed,
            pace,
            callers: 0,
        }
    }

    /// The next caller. A customer who is on the phone already is a stranger instead.
    pub fn next(&mut self, on_the_phone: impl Fn(&str) -> bool) -> Caller {
        self.callers += 1;
        let mut chance = Chance::new(self.seed, self.callers);
        let stranger = format!("+86199{:08}", chance.below(100_000_000));
        let key = |number: &str| crm::Number::parse(number, COUNTRY).key().to_owned();
        let (number, customer) = match self.who(&mut chance) {
            Some((number, customer)) if !on_the_phone(&key(&number)) => (number, customer),
            _ => (stranger, None),
        };
        let (known, valued) = (
            customer.is_some(),
            customer.is_some_and(|customer| customer.valued),
        );
        let dials = match chance.below(100) {
            0..70 => "1000",
            70..88 => "2000",
            _ => "2001",
        };
        let waits = if chance.percent(12) {
            // As long as the phones ring at this pace, so that some give up there.
            self.pace
                .of_length(chance.exponential(Duration::from_secs(6)))
        } else {
            Duration::from_secs(5) + chance.exponential(Duration::from_secs(45))
        };
        let (keys, patience) = match dials {
            "1000" if chance.percent(8) => (Vec::new(), chance.between(2_000, 12_000)),
            "1000" => {
                let keys = menu(&mut chance, known, valued);
                let pressed = keys.last().map_or(Duration::ZERO, |(at, _)| *at);
                (keys, pressed + waits)
            }
            _ => (Vec::new(), waits),
        };
        Caller {
            key: key(&number),
            number,
            dials,
            keys,
            patience: patience.min(PATIENCE_MAX),
            ulaw: chance.percent(20),
        }
    }

    /// A customer's number as a carrier signals it, or none; nobody for strangers.
    fn who(&self, chance: &mut Chance) -> Option<(String, Option<&Customer>)> {
        match chance.below(100) {
            0..55 if !self.customers.is_empty() => {
                let customer = &self.customers[chance.below(self.customers.len() as u64) as usize];
                let number =
                    &customer.numbers[chance.below(customer.numbers.len() as u64) as usize];
                // Mobile numbers come without the country code from some carriers.
                let national = number.strip_prefix("+861").map(|rest| format!("1{rest}"));
                let national = national.filter(|national| national.len() == 11);
                let signalled = national.filter(|_| chance.percent(50));
                Some((signalled.unwrap_or_else(|| number.clone()), Some(customer)))
            }
            0..96 => None,
            _ => Some(("anonymous".to_owned(), None)),
        }
    }
}

/// The keys that lead through `ivr-scripts/main.toml` to what this caller wants.
fn menu(chance: &mut Chance, known: bool, valued: bool) -> Vec<(Duration, char)> {
    let mut keys: Vec<(Duration, char)> = Vec::new();
    let mut press = |pause: Duration, key: char| {
        let last = keys.last().map_or(Duration::ZERO, |(at, _)| *at);
        keys.push((last + pause, key));
    };
    let pause = |chance: &mut Chance| chance.between(1_800, 5_000);
    // Customers are not asked for the language.
    press(
        pause(chance) + Duration::from_secs(1),
        match () {
            () if valued => {
                if chance.percent(80) {
                    '1'
                } else {
                    '2'
                }
            }
            () if known => '*',
            () => {
                if chance.percent(65) {
                    '1'
                } else {
                    '2'
                }
            }
        },
    );
    if chance.percent(5) {
        press(pause(chance), '7');
    }
    match chance.below(100) {
        0..58 => press(pause(chance), '1'),
        58..88 => press(pause(chance), '2'),
        _ => {
            // The opening hours, and content with them.
            press(pause(chance), '3');
            press(chance.between(9_000, 12_000), '2');
        }
    }
    keys
}

/// How an agent takes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Picks up after this long, talks this long; then the agent, else the caller, hangs up.
    PicksUp {
        after: Duration,
        talks: Duration,
        hangs_up: bool,
        /// A pause after the call.
        pause: Option<Duration>,
    },
    /// Is not at the desk, and back this long after the phone has stopped.
    LetsRing { back: Duration },
    /// 486.
    Busy,
}

impl Manner {
    /// How this agent takes their call of this number.
    pub fn of(seed: u64, agent: usize, call: u64, pace: &Pace) -> Manner {
        // The upper half of the streams: callers have the lower.
        let purpose = 1 << 63 | (agent as u64) << 40 | call;
        let mut chance = Chance::new(seed, purpose);
        match chance.below(100) {
            0..3 => Manner::LetsRing {
                back: pace.of_length(chance.between(3_000, 10_000)),
            },
            3..5 => Manner::Busy,
            _ => {
                let talk = chance.between(20_000, 26_000)
                    + chance
                        .exponential(Duration::from_secs(14))
                        .min(Duration::from_secs(34));
                Manner::PicksUp {
                    after: pace.of_length(chance.between(1_000, 6_000)),
                    talks: pace.of_length(talk),
                    hangs_up: chance.percent(50),
                    pause: chance
                        .percent(4)
                        .then(|| pace.of_length(chance.between(15_000, 40_000))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_people() {
        let callers = |seed| {
            let mut public = Public::new(seed, Pace::of(30));
            (0..200).map(|_| public.next(|_| false)).collect::<Vec<_>>()
        };
        assert_eq!(callers(7), callers(7));
        assert_ne!(callers(7), callers(8));
        let pace = Pace::of(60);
        assert_eq!(Manner::of(7, 3, 9, &pace), Manner::of(7, 3, 9, &pace));
    }

    #[test]
    fn nobody_calls_twice_at_once() {
        let mut public = Public::new(1, Pace::of(30));
        let everybody_known = |key: &str| !key.starts_with("+86199");
        assert!((0..200).all(|_| public.next(everybody_known).key.starts_with("+86199")));
    }

    #[test]
    fn all_sorts_call() {
        let mut public = Public::new(1, Pace::of(30));
        let callers: Vec<Caller> = (0..1000).map(|_| public.next(|_| false)).collect();
        let share = |wanted: &dyn Fn(&Caller) -> bool| {
            callers.iter().filter(|caller| wanted(caller)).count()
        };
        assert!((650..750).contains(&share(&|caller| caller.dials == "1000")));
        assert!((130..230).contains(&share(&|caller| caller.dials == "2000")));
        assert!((80..170).contains(&share(&|caller| caller.dials == "2001")));
        assert!((20..70).contains(&share(&|caller| caller.number == "anonymous")));
        assert!(
            share(&|caller| caller.key == "+8613800138000" && caller.number == "13800138000") > 5
        );
        assert!(
            callers
                .iter()
                .all(|caller| caller.patience <= PATIENCE_MAX && caller.keys.is_sorted())
        );
    }
}
