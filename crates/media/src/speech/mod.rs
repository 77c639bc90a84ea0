//! What is said by grammar: numbers, dates, times and money, as the names of the prompts that speak them.
//!
//! Both languages use the same names where they say the same thing, e.g. `dates/monday`; `ivr-scripts/prompts/texts.toml` has the words.

mod chinese;
mod english;

use std::sync::Arc;
use std::time::Duration;

use crate::api::Lang;

/// Digits of one [`crate::Item::Digits`] that are spoken; more is no telephone number.
pub const MAX_DIGITS: usize = 32;

/// Something that each language says by a grammar of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// `-12.5`: minus, a cardinal, and what stands after the point digit by digit.
    Decimal {
        negative: bool,
        whole: u64,
        decimals: Arc<str>,
    },
    /// A number of things: before a measure word a Chinese two is 两.
    Count(u64),
    Ordinal(u64),
    /// A person by number, digit by digit: "agent number 1001", 工号幺零零幺.
    Agent(Arc<str>),
    Date(Date),
    /// By the clock: 0 to 23, 0 to 59.
    Time {
        hour: u8,
        minute: u8,
    },
    /// To the second.
    Duration(Duration),
    Money {
        negative: bool,
        units: u64,
        /// 0 to 99.
        hundredths: u8,
        currency: Currency,
    },
}

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Date {
    pub year: Option<u16>,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 1 (Monday) to 7.
    pub weekday: Option<u8>,
}

/// Currencies with words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Currency {
    Cny,
    Usd,
    Eur,
}

/// Gives the prompt names of a cardinal number in order: `123` is `digits/1 numbers/hundred numbers/and numbers/20 digits/3` in English
/// and 一百二十三 in Chinese.
pub fn number(lang: Lang, value: u64, say: &mut impl FnMut(&'static str)) {
    match lang {
        Lang::ZhCn => chinese::number(value, say),
        Lang::En => english::number(value, say),
    }
}

/// Gives the prompt names of digits one by one; `*` and `#` have names, other characters are left out.
/// In zh-CN a `1` is 幺 (yāo), as in telephone and agent numbers.
pub fn digits(lang: Lang, text: &str, say: &mut impl FnMut(&'static str)) {
    for character in text.chars().take(MAX_DIGITS) {
        match (character, lang) {
            ('1', Lang::ZhCn) => say("digits/yao"),
            ('*', _) => say("digits/star"),
            ('#', _) => say("digits/hash"),
            (_, _) => plain_digit(character, say),
        }
    }
}

/// Gives the prompt names of anything else that has a grammar.
///
/// ```
/// use media::{Lang, speech::{self, Spoken}};
/// let mut names = Vec::new();
/// speech::say(Lang::ZhCn, &Spoken::Time { hour: 15, minute: 5 }, &mut |name| names.push(name));
/// assert_eq!(names, ["times/afternoon", "digits/3", "times/hour", "digits/0", "digits/5", "times/minute"]); // 下午三点零五分
/// ```
pub fn say(lang: Lang, what: &Spoken, say: &mut impl FnMut(&'static str)) {
    match lang {
        Lang::ZhCn => chinese::say(what, say),
        Lang::En => english::say(what, say),
    }
}

/// Every prompt name that the grammar of a language uses: what a check looks for.
pub fn names(lang: Lang) -> impl Iterator<Item = &'static str> {
    let own = match lang {
        Lang::ZhCn => &chinese::NAMES[..],
        Lang::En => &english::NAMES[..],
    };
    let both = [
        "digits/star",
        "digits/hash",
        "numbers/minus",
        "numbers/point",
        "agent/number",
    ];
    DIGITS
        .into_iter()
        .chain(both)
        .chain(WEEKDAYS)
        .chain(own.concat())
}

const DIGITS: [&str; 10] = [
    "digits/0", "digits/1", "digits/2", "digits/3", "digits/4", "digits/5", "digits/6", "digits/7",
    "digits/8", "digits/9",
];

const WEEKDAYS: [&str; 7] = [
    "dates/monday",
    "dates/tuesday",
    "dates/wednesday",
    "dates/thursday",
    "dates/friday",
    "dates/saturday",
    "dates/sunday",
];

/// Days, hours, minutes and seconds of a duration, the largest first.
fn parts(duration: Duration) -> [u64; 4] {
    let seconds = duration.as_secs();
    [
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    ]
}

fn plain_digit(character: char, say: &mut impl FnMut(&'static str)) {
    if let Some(digit) = character.to_digit(10) {
        say(DIGITS[digit as usize]);
    }
}

fn plain_digits(text: &str, say: &mut impl FnMut(&'static str)) {
    text.chars()
        .take(MAX_DIGITS)
        .for_each(|character| plain_digit(character, say));
}

/// The prompt for the `number`th of these, counted from 1.
fn nth(names: &[&'static str], number: u8, say: &mut impl FnMut(&'static str)) {
    if let Some(name) = usize::from(number)
        .checked_sub(1)
        .and_then(|place| names.get(place))
    {
        say(name);
    }
}
