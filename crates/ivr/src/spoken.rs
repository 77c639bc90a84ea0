//! What is said by grammar: the kinds, and the texts in which data comes.

use std::fmt;

use crate::api::{Currency, Spoken};

/// Digits after the point that are said; a sum of floating point has more, which nobody wants to hear.
const MAX_DECIMALS: usize = 6;

/// A kind of thing with a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Digits,
    Count,
    Ordinal,
    Agent,
    Date { weekday: bool },
    Time,
    Duration,
    Money(Currency),
}

impl Kind {
    /// The kinds with keys of their own, in the order in which messages name them.
    pub(crate) const ALL: [Kind; 9] = [
        Kind::Number,
        Kind::Digits,
        Kind::Count,
        Kind::Ordinal,
        Kind::Agent,
        Kind::Date { weekday: true },
        Kind::Time,
        Kind::Duration,
        Kind::Money(Currency::Cny),
    ];

    /// The key that asks for it.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Kind::Number => "number",
            Kind::Digits => "digits",
            Kind::Count => "count",
            Kind::Ordinal => "ordinal",
            Kind::Agent => "agent",
            Kind::Date { .. } => "date",
            Kind::Time => "time",
            Kind::Duration => "duration",
            Kind::Money(_) => "money",
        }
    }

    /// How its text is written.
    pub(crate) const fn form(self) -> &'static str {
        match self {
            Kind::Number => "write it as `12`, `-3` or `0.5`",
            Kind::Digits => "write digits, `*` and `#`",
            Kind::Count | Kind::Ordinal => "write a whole number, e.g. `12`",
            Kind::Agent => "write an agent's number, e.g. `1001`",
            Kind::Date { .. } => "write it as `2026-11-24`, or `11-24` without the year",
            Kind::Time => "write it as `15:05`",
            Kind::Duration => "write seconds, e.g. `90`, or `1h30m`, `45s`",
            Kind::Money(_) => "write it as `12.50`",
        }
    }

    /// Folders of the prompts that it is said with.
    pub(crate) const fn folders(self) -> &'static [&'static str] {
        match self {
            Kind::Number | Kind::Count => &["digits", "numbers"],
            Kind::Digits => &["digits"],
            Kind::Ordinal => &["digits", "numbers", "ordinals"],
            Kind::Agent => &["agent", "digits"],
            Kind::Date { .. } => &["dates", "digits", "numbers", "ordinals", "times"],
            Kind::Time => &["digits", "numbers", "times"],
            Kind::Duration => &["digits", "durations", "numbers"],
            Kind::Money(_) => &["digits", "money", "numbers"],
        }
    }

    /// What a text says, if it is one of this kind.
    pub(crate) fn read(self, text: &str) -> Option<Spoken> {
        let text = text.trim();
        match self {
            Kind::Number => number(text),
            Kind::Digits => {
                let mut digits = text.to_owned();
                digits.retain(|digit| digit.is_ascii_digit() || digit == '*' || digit == '#');
                Some(Spoken::Digits(digits))
            }
            Kind::Count => text.parse().ok().map(Spoken::Count),
            Kind::Ordinal => text.parse().ok().map(Spoken::Ordinal),
            Kind::Agent => {
                let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                is_number.then(|| Spoken::Agent(text.to_owned()))
            }
            Kind::Date { weekday } => date(text, weekday),
            Kind::Time => time(text),
            Kind::Duration => duration(text).map(|seconds| Spoken::Duration { seconds }),
            Kind::Money(currency) => money(text, currency),
        }
    }
}

/// By its three letters (ISO 4217).
pub(crate) fn currency(text: &str) -> Option<Currency> {
    Currency::ALL
        .into_iter()
        .find(|currency| currency.code() == text)
}

fn number(text: &str) -> Option<Spoken> {
    if let Ok(value) = text.parse() {
        return Some(Spoken::Number(value));
    }
    let (negative, whole, decimals) = decimal(text)?;
    let (whole, decimals) = match decimals.len() {
        0..=MAX_DECIMALS => (whole, decimals.to_owned()),
        _ => {
            let (whole, decimals) = rounded(whole, decimals, MAX_DECIMALS)?;
            let decimals = format!("{decimals:0MAX_DECIMALS$}");
            (whole, decimals.trim_end_matches('0').to_owned())
        }
    };
    let something = whole > 0 || decimals.bytes().any(|digit| digit != b'0');
    Some(Spoken::Decimal {
        negative: negative && something,
        whole,
        decimals,
    })
}

fn money(text: &str, currency: Currency) -> Option<Spoken> {
    let (negative, whole, decimals) = decimal(text)?;
    let (units, hundredths) = rounded(whole, decimals, 2)?;
    Some(Spoken::Money {
        negative: negative && units + hundredths > 0,
        units,
        hundredths: u8::try_from(hundredths).ok()?,
        currency,
    })
}

/// Sign, whole part, and the digits after the point.
fn decimal(text: &str) -> Option<(bool, u64, &str)> {
    let (negative, text) = match text.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(decimals)).then_some(())?;
    Some((negative, whole.parse().ok()?, decimals))
}

/// A number to so many places, halves away from zero.
fn rounded(whole: u64, decimals: &str, places: usize) -> Option<(u64, u64)> {
    let one = 10u64.pow(places as u32);
    let kept: String = decimals
        .chars()
        .chain(std::iter::repeat('0'))
        .take(places)
        .collect();
    let up = decimals.as_bytes().get(places).is_some_and(|b| *b >= b'5');
    let part = kept.parse::<u64>().ok()? + u64::from(up);
    Some((whole.checked_add(part / one)?, part % one))
}

/// `2026-11-24`, alone or before a time of day; `11-24` is a day of any year.
fn date(text: &str, weekday: bool) -> Option<Spoken> {
    let text = text.split(['T', ' ']).next()?;
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return Some(Spoken::Date {
            year: Some(u16::try_from(date.year()).ok()?),
            month: date.month() as u8,
            day: date.day() as u8,
            weekday: weekday.then(|| date.weekday().to_monday_one_offset() as u8),
        });
    }
    // 2000 was a leap year: 02-29 is a day.
    let date: jiff::civil::Date = format!("2000-{text}").parse().ok()?;
    Some(Spoken::Date {
        year: None,
        month: date.month() as u8,
        day: date.day() as u8,
        weekday: None,
    })
}

/// `15:05`, with seconds or without, alone or after a date.
fn time(text: &str) -> Option<Spoken> {
    let text = text.rsplit(['T', ' ']).next()?;
    let text = text.split(['+', 'Z', '-']).next()?; // the zone: what is written is what is said
    let mut parts = text.split(':');
    let hour: u8 = parts.next()?.parse().ok().filter(|hour| *hour < 24)?;
    let minute: u8 = parts.next()?.parse().ok().filter(|minute| *minute < 60)?;
    let seconds = parts.next().unwrap_or("0");
    let good = parts.next().is_none()
        && seconds
            .parse::<f32>()
            .is_ok_and(|s| (0.0..61.0).contains(&s));
    good.then_some(Spoken::Time { hour, minute })
}

/// Seconds, or numbers with `d`, `h`, `m` and `s`.
fn duration(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (0.0..1e9)
            .contains(&seconds)
            .then_some(seconds.round() as u64);
    }
    let (mut sum, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..unit].parse().ok()?;
        let seconds = match rest.as_bytes()[unit] {
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(seconds)?)?;
        rest = &rest[unit + 1..];
    }
    (!text.is_empty() && sum < 1_000_000_000).then_some(sum)
}

impl Currency {
    pub(crate) const ALL: [Currency; 3] = [Currency::Cny, Currency::Usd, Currency::Eur];

    pub(crate) const fn code(self) -> &'static str {
        match self {
            Currency::Cny => "CNY",
            Currency::Usd => "USD",
            Currency::Eur => "EUR",
        }
    }
}

impl fmt::Display for Spoken {
    /// As a test's step expects it: `money 12.50 CNY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |negative: &bool| if *negative { "-" } else { "" };
        match self {
            Spoken::Number(value) => write!(f, "number {value}"),
            Spoken::Decimal {
                negative,
                whole,
                decimals,
            } => {
                let point = if decimals.is_empty() { "" } else { "." };
                write!(f, "number {}{whole}{point}{decimals}", sign(negative))
            }
            Spoken::Digits(digits) => write!(f, "digits {digits}"),
            Spoken::Count(value) => write!(f, "count {value}"),
            Spoken::Ordinal(value) => write!(f, "ordinal {value}"),
            Spoken::Agent(number) => write!(f, "agent {number}"),
            Spoken::Date {
                year, month, day, ..
            } => {
                f.write_str("date ")?;
                year.map_or(Ok(()), |year| write!(f, "{year:04}-"))?;
                write!(f, "{month:02}-{day:02}")
            }
            Spoken::Time { hour, minute } => write!(f, "time {hour:02}:{minute:02}"),
            Spoken::Duration { seconds } => write!(f, "duration {seconds}s"),
            Spoken::Money {
                negative,
                units,
                hundredths,
                currency,
            } => {
                let (sign, code) = (sign(negative), currency.code());
                write!(f, "money {sign}{units}.{hundredths:02} {code}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: Kind, text: &str) -> String {
        kind.read(text)
            .map_or("-".to_owned(), |spoken| spoken.to_string())
    }

    #[test]
    fn texts_are_read_and_told_again() {
        let money = Kind::Money(Currency::Cny);
        let date = Kind::Date { weekday: true };
        for (kind, text, want) in [
            (Kind::Number, "12", "number 12"),
            (Kind::Number, "-12", "number -12"),
            (Kind::Number, " 0.50 ", "number 0.50"),
            (Kind::Number, "-0.0", "number 0.0"),
            (Kind::Number, "0.30000000000000004", "number 0.3"),
            (Kind::Number, "0.9999999", "number 1"),
            (
                Kind::Number,
                "18446744073709551615",
                "number 18446744073709551615",
            ),
            (Kind::Number, "18446744073709551616", "-"),
            (Kind::Number, "1e3", "-"),
            (Kind::Number, ".5", "-"),
            (Kind::Number, "", "-"),
            (Kind::Digits, "+86 138-0013", "digits 861380013"),
            (Kind::Count, "2", "count 2"),
            (Kind::Count, "-2", "-"),
            (Kind::Ordinal, "24", "ordinal 24"),
            (Kind::Agent, "1001", "agent 1001"),
            (Kind::Agent, "li", "-"),
            (date, "2026-11-24", "date 2026-11-24"),
            (date, "2026-11-24T15:05:00+08:00", "date 2026-11-24"),
            (date, "2026-02-29", "-"),
            (date, "02-29", "date 02-29"),
            (date, "24.11.2026", "-"),
            (Kind::Time, "15:05", "time 15:05"),
            (Kind::Time, "2026-11-24T09:30:15.5+08:00", "time 09:30"),
            (Kind::Time, "2026-11-24 09:30", "time 09:30"),
            (Kind::Time, "24:00", "-"),
            (Kind::Time, "9", "-"),
            (Kind::Time, "9:5:1:2", "-"),
            (Kind::Duration, "90", "duration 90s"),
            (Kind::Duration, "89.6", "duration 90s"),
            (Kind::Duration, "1h30m5s", "duration 5405s"),
            (Kind::Duration, "2d", "duration 172800s"),
            (Kind::Duration, "5x", "-"),
            (Kind::Duration, "-5", "-"),
            (Kind::Duration, "", "-"),
            (Kind::Duration, "5µ", "-"),
            (money, "12.5", "money 12.50 CNY"),
            (money, "-0.005", "money -0.01 CNY"),
            (money, "-0.001", "money 0.00 CNY"),
            (money, "1.999", "money 2.00 CNY"),
            (money, "7", "money 7.00 CNY"),
            (money, "7,5", "-"),
        ] {
            assert_eq!(told(kind, text), want, "{kind:?} {text}");
        }
        assert_eq!(
            (Kind::Date { weekday: true }).read("2026-11-24"),
            Some(Spoken::Date {
                year: Some(2026),
                month: 11,
                day: 24,
                weekday: Some(2)
            })
        );
        assert_eq!(currency("USD"), Some(Currency::Usd));
        assert_eq!(currency("usd"), None);
    }
}
