//! English.

use std::time::Duration;

use super::{Currency, DIGITS, Date, Spoken, WEEKDAYS, digits, nth, parts, plain_digits};
use crate::api::Lang;

/// What only this language uses.
pub const NAMES: [&[&str]; 9] = [
    &["numbers/hundred", "numbers/and"],
    &[
        SCALES[0].1,
        SCALES[1].1,
        SCALES[2].1,
        SCALES[3].1,
        SCALES[4].1,
        SCALES[5].1,
    ],
    &TEENS,
    TENS.split_at(2).1,
    &ORDINALS,
    &MONTHS,
    &["dates/the", "dates/of"],
    &[
        "times/oh",
        "times/am",
        "times/pm",
        "times/noon",
        "times/midnight",
    ],
    &[
        "durations/day",
        "durations/days",
        "durations/hour",
        "durations/hours",
        "durations/minute",
        "durations/minutes",
        "durations/second",
        "durations/seconds",
        "money/yuan",
        "money/fen",
        "money/dollar",
        "money/dollars",
        "money/euro",
        "money/euros",
        "money/cent",
        "money/cents",
    ],
];

const SCALES: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "numbers/quintillion"),
    (1_000_000_000_000_000, "numbers/quadrillion"),
    (1_000_000_000_000, "numbers/trillion"),
    (1_000_000_000, "numbers/billion"),
    (1_000_000, "numbers/million"),
    (1_000, "numbers/thousand"),
];

const TEENS: [&str; 10] = [
    "numbers/10",
    "numbers/11",
    "numbers/12",
    "numbers/13",
    "numbers/14",
    "numbers/15",
    "numbers/16",
    "numbers/17",
    "numbers/18",
    "numbers/19",
];

const TENS: [&str; 10] = [
    "",
    "",
    "numbers/20",
    "numbers/30",
    "numbers/40",
    "numbers/50",
    "numbers/60",
    "numbers/70",
    "numbers/80",
    "numbers/90",
];

/// The ordinals of 0 to 19, of the tens, and of the larger words, in the order of [`cardinals`].
const ORDINALS: [&str; 35] = [
    "ordinals/0",
    "ordinals/1",
    "ordinals/2",
    "ordinals/3",
    "ordinals/4",
    "ordinals/5",
    "ordinals/6",
    "ordinals/7",
    "ordinals/8",
    "ordinals/9",
    "ordinals/10",
    "ordinals/11",
    "ordinals/12",
    "ordinals/13",
    "ordinals/14",
    "ordinals/15",
    "ordinals/16",
    "ordinals/17",
    "ordinals/18",
    "ordinals/19",
    "ordinals/20",
    "ordinals/30",
    "ordinals/40",
    "ordinals/50",
    "ordinals/60",
    "ordinals/70",
    "ordinals/80",
    "ordinals/90",
    "ordinals/hundred",
    "ordinals/quintillion",
    "ordinals/quadrillion",
    "ordinals/trillion",
    "ordinals/billion",
    "ordinals/million",
    "ordinals/thousand",
];

const MONTHS: [&str; 12] = [
    "dates/january",
    "dates/february",
    "dates/march",
    "dates/april",
    "dates/may",
    "dates/june",
    "dates/july",
    "dates/august",
    "dates/september",
    "dates/october",
    "dates/november",
    "dates/december",
];

pub fn say(what: &Spoken, say: &mut impl FnMut(&'static str)) {
    match what {
        Spoken::Decimal {
            negative,
            whole,
            decimals,
        } => {
            sign(*negative, say);
            number(*whole, say);
            if !decimals.is_empty() {
                say("numbers/point");
                plain_digits(decimals, say);
            }
        }
        Spoken::Count(value) => number(*value, say),
        Spoken::Ordinal(value) => ordinal(*value, say),
        Spoken::Agent(text) => {
            say("agent/number");
            digits(Lang::En, text, say);
        }
        Spoken::Date(day) => date(*day, say),
        Spoken::Time { hour, minute } => time(*hour, *minute, say),
        Spoken::Duration(length) => duration(*length, say),
        Spoken::Money {
            negative,
            units,
            hundredths,
            currency,
        } => {
            sign(*negative, say);
            money(*units, (*hundredths).into(), *currency, say);
        }
    }
}

pub fn number(value: u64, say: &mut impl FnMut(&'static str)) {
    if value == 0 {
        return say(DIGITS[0]);
    }
    let mut rest = value;
    for (unit, name) in SCALES {
        if rest >= unit {
            group(rest / unit, say);
            say(name);
            rest %= unit;
        }
    }
    if rest > 0 {
        if rest < 100 && value >= 1000 {
            say("numbers/and");
        }
        group(rest, say);
    }
}

/// 1 to 999.
fn group(value: u64, say: &mut impl FnMut(&'static str)) {
    let (hundreds, rest) = ((value / 100) as usize, (value % 100) as usize);
    if hundreds > 0 {
        say(DIGITS[hundreds]);
        say("numbers/hundred");
        if rest > 0 {
            say("numbers/and");
        }
    }
    match rest {
        0 => {}
        1..=9 => say(DIGITS[rest]),
        10..=19 => say(TEENS[rest - 10]),
        _ => {
            say(TENS[rest / 10]);
            if rest % 10 > 0 {
                say(DIGITS[rest % 10]);
            }
        }
    }
}

/// A cardinal whose last word is an ordinal: one hundred and twenty first.
fn ordinal(value: u64, say: &mut impl FnMut(&'static str)) {
    let mut last = None;
    number(value, &mut |name| {
        if let Some(before) = last.replace(name) {
            say(before);
        }
    });
    let place = cardinals().position(|name| Some(name) == last);
    if let Some(name) = place.and_then(|place| ORDINALS.get(place)) {
        say(name);
    }
}

/// The words that can end a cardinal.
fn cardinals() -> impl Iterator<Item = &'static str> {
    let scales = SCALES.into_iter().map(|(_, name)| name);
    (DIGITS.into_iter().chain(TEENS))
        .chain(TENS.into_iter().skip(2))
        .chain(["numbers/hundred"])
        .chain(scales)
}

fn sign(negative: bool, say: &mut impl FnMut(&'static str)) {
    if negative {
        say("numbers/minus");
    }
}

/// Tuesday, the twenty-fourth of November, twenty twenty-six.
fn date(date: Date, say: &mut impl FnMut(&'static str)) {
    if let Some(weekday) = date.weekday {
        nth(&WEEKDAYS, weekday, say);
    }
    say("dates/the");
    ordinal(date.day.into(), say);
    say("dates/of");
    nth(&MONTHS, date.month, say);
    if let Some(year) = date.year {
        self::year(year.into(), say);
    }
}

/// Nineteen hundred, nineteen oh five, twenty twenty-six; but two thousand and six.
fn year(year: u64, say: &mut impl FnMut(&'static str)) {
    let (century, rest) = (year / 100, year % 100);
    if !(11..=99).contains(&century) || (century % 10 == 0 && rest < 10) {
        return number(year, say);
    }
    number(century, say);
    match rest {
        0 => say("numbers/hundred"),
        1..=9 => {
            say("times/oh");
            number(rest, say);
        }
        _ => number(rest, say),
    }
}

/// Three oh five p.m.
fn time(hour: u8, minute: u8, say: &mut impl FnMut(&'static str)) {
    match (hour, minute) {
        (0, 0) => return say("times/midnight"),
        (12, 0) => return say("times/noon"),
        (_, _) => {}
    }
    number(
        match hour % 12 {
            0 => 12,
            hour => hour.into(),
        },
        say,
    );
    if minute > 0 {
        if minute < 10 {
            say("times/oh");
        }
        number(minute.into(), say);
    }
    say(if hour < 12 { "times/am" } else { "times/pm" });
}

/// One hour and five seconds.
fn duration(length: Duration, say: &mut impl FnMut(&'static str)) {
    let units = [
        ("durations/day", "durations/days"),
        ("durations/hour", "durations/hours"),
        ("durations/minute", "durations/minutes"),
        ("durations/second", "durations/seconds"),
    ];
    let parts = parts(length);
    let last = parts.iter().rposition(|value| *value > 0).unwrap_or(3);
    let first = parts.iter().position(|value| *value > 0).unwrap_or(3);
    for (place, (value, unit)) in parts.into_iter().zip(units).enumerate() {
        if value == 0 && place != last {
            continue;
        }
        if place == last && first < last {
            say("numbers/and");
        }
        counted(value, unit, say);
    }
}

fn counted(
    value: u64,
    (one, many): (&'static str, &'static str),
    say: &mut impl FnMut(&'static str),
) {
    number(value, say);
    say(if value == 1 { one } else { many });
}

/// Twelve dollars and fifty cents, two yuan and five fen.
fn money(units: u64, hundredths: u64, currency: Currency, say: &mut impl FnMut(&'static str)) {
    let (unit, hundredth) = match currency {
        Currency::Cny => (("money/yuan", "money/yuan"), ("money/fen", "money/fen")),
        Currency::Usd => (
            ("money/dollar", "money/dollars"),
            ("money/cent", "money/cents"),
        ),
        Currency::Eur => (("money/euro", "money/euros"), ("money/cent", "money/cents")),
    };
    if units > 0 || hundredths == 0 {
        counted(units, unit, say);
    }
    if units > 0 && hundredths > 0 {
        say("numbers/and");
    }
    if hundredths > 0 {
        counted(hundredths, hundredth, say);
    }
}
