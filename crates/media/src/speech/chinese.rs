//! Mandarin as it is spoken in mainland China.

use std::time::Duration;

use super::{Currency, DIGITS, Date, Spoken, WEEKDAYS, digits, nth, parts, plain_digits};
use crate::api::Lang;

/// What only this language uses.
pub const NAMES: [&[&str]; 5] = [
    &[
        "digits/yao",
        "numbers/liang",
        "numbers/ten",
        "numbers/hundred",
        "numbers/thousand",
        "numbers/ten_thousand",
        "numbers/hundred_million",
        "numbers/ordinal",
    ],
    &["dates/year", "dates/month", "dates/day"],
    &[
        "times/night",
        "times/morning",
        "times/noon",
        "times/afternoon",
        "times/evening",
        "times/hour",
        "times/minute",
    ],
    &UNITS,
    &[
        "money/yuan",
        "money/jiao",
        "money/fen",
        "money/dollar",
        "money/cent",
        "money/euro",
        "money/euro_cent",
    ],
];

const WAN: u64 = 10_000;
const YI: u64 = 100_000_000;
const UNITS: [&str; 4] = [
    "durations/days",
    "durations/hours",
    "durations/minutes",
    "durations/seconds",
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
        Spoken::Count(value) => count(*value, say),
        Spoken::Ordinal(value) => {
            say("numbers/ordinal");
            number(*value, say);
        }
        Spoken::Agent(text) => {
            say("agent/number");
            digits(Lang::ZhCn, text, say);
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
    grouped(value, true, say);
}

/// Counts in groups of four digits: 万 (10^4), 亿 (10^8). `begins` is true where nothing has been said yet, which alone allows 十 for 一十.
fn grouped(value: u64, begins: bool, say: &mut impl FnMut(&'static str)) {
    for (unit, name) in [
        (YI, "numbers/hundred_million"),
        (WAN, "numbers/ten_thousand"),
    ] {
        if value >= unit {
            let (high, low) = (value / unit, value % unit);
            if high == 2 {
                say("numbers/liang");
            } else {
                grouped(high, begins, say);
            }
            say(name);
            if low > 0 {
                if low < unit / 10 {
                    say(DIGITS[0]); // a gap is spoken as one 零
                }
                grouped(low, false, say);
            }
            return;
        }
    }
    group(value, begins, say);
}

/// 0 to 9999. Thousands and hundreds of two are 两; tens and ones are 二.
fn group(value: u64, begins: bool, say: &mut impl FnMut(&'static str)) {
    if value == 0 {
        say(DIGITS[0]);
        return;
    }
    let mut gap = false;
    let mut said = false;
    for (unit, name) in [
        (1000, "numbers/thousand"),
        (100, "numbers/hundred"),
        (10, "numbers/ten"),
        (1, ""),
    ] {
        let digit = (value / unit % 10) as usize;
        if digit == 0 {
            gap = said;
            continue;
        }
        if gap {
            say(DIGITS[0]);
            gap = false;
        }
        match (digit, unit) {
            (1, 10) if begins && !said => {}
            (2, 100 | 1000) => say("numbers/liang"),
            (_, _) => say(DIGITS[digit]),
        }
        if unit > 1 {
            say(name);
        }
        said = true;
    }
}

/// Before a measure word two alone is 两; 十二个 and 一百零二个 keep their 二.
fn count(value: u64, say: &mut impl FnMut(&'static str)) {
    match value {
        2 => say("numbers/liang"),
        _ => number(value, say),
    }
}

fn sign(negative: bool, say: &mut impl FnMut(&'static str)) {
    if negative {
        say("numbers/minus");
    }
}

/// 二〇二六年十一月二十四日，星期二: the year digit by digit, with 一 and not 幺.
fn date(date: Date, say: &mut impl FnMut(&'static str)) {
    if let Some(year) = date.year {
        plain_digits(&year.to_string(), say);
        say("dates/year");
    }
    number(date.month.into(), say);
    say("dates/month");
    number(date.day.into(), say);
    say("dates/day");
    if let Some(weekday) = date.weekday {
        nth(&WEEKDAYS, weekday, say);
    }
}

/// 下午三点零五分.
fn time(hour: u8, minute: u8, say: &mut impl FnMut(&'static str)) {
    say(match hour {
        0..=5 => "times/night",
        6..=11 => "times/morning",
        12 => "times/noon",
        13..=17 => "times/afternoon",
        _ => "times/evening",
    });
    count(u64::from(if hour > 12 { hour - 12 } else { hour }), say);
    say("times/hour");
    if minute > 0 {
        if minute < 10 {
            say(DIGITS[0]);
        }
        number(minute.into(), say);
        say("times/minute");
    }
}

/// 一小时零五秒: what is left out in between is one 零.
fn duration(length: Duration, say: &mut impl FnMut(&'static str)) {
    let (mut said, mut gap) = (false, false);
    for (value, unit) in parts(length).into_iter().zip(UNITS) {
        if value == 0 {
            gap = said;
            continue;
        }
        if std::mem::take(&mut gap) {
            say(DIGITS[0]);
            number(value, say);
        } else {
            count(value, say);
        }
        say(unit);
        said = true;
    }
    if !said {
        say(DIGITS[0]);
        say(UNITS[3]);
    }
}

/// 十二元五角, 一千元零五分, 两美元五十美分.
fn money(units: u64, hundredths: u64, currency: Currency, say: &mut impl FnMut(&'static str)) {
    let unit = match currency {
        Currency::Cny => "money/yuan",
        Currency::Usd => "money/dollar",
        Currency::Eur => "money/euro",
    };
    if units > 0 || hundredths == 0 {
        count(units, say);
        say(unit);
    }
    let (tens, ones) = match currency {
        Currency::Cny => (hundredths / 10, hundredths % 10),
        Currency::Usd | Currency::Eur => (0, hundredths),
    };
    if tens > 0 {
        count(tens, say);
        say("money/jiao");
    }
    if ones == 0 {
        return;
    }
    if units > 0 && hundredths < 10 {
        say(DIGITS[0]);
        number(ones, say);
    } else {
        count(ones, say);
    }
    say(match currency {
        Currency::Cny => "money/fen",
        Currency::Usd => "money/cent",
        Currency::Eur => "money/euro_cent",
    });
}
