//! Numbers and digits as the names of the prompts that speak them.

use crate::api::Lang;

/// Digits of one [`crate::Item::Digits`] that are spoken; more is no telephone number.
pub const MAX_DIGITS: usize = 32;

/// Gives the prompt names of a cardinal number in order: `123` is `digits/1 numbers/hundred numbers/and numbers/20 digits/3` in English
/// and 一百二十三 in Chinese.
pub fn number(lang: Lang, value: u64, say: &mut impl FnMut(&'static str)) {
    match lang {
        Lang::ZhCn => chinese(value, true, say),
        Lang::En => english(value, say),
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
            (_, _) => {
                if let Some(digit) = character.to_digit(10) {
                    say(DIGITS[digit as usize]);
                }
            }
        }
    }
}

const DIGITS: [&str; 10] = [
    "digits/0", "digits/1", "digits/2", "digits/3", "digits/4", "digits/5", "digits/6", "digits/7",
    "digits/8", "digits/9",
];

/// Every prompt name that numbers and digits of a language use: what a check looks for.
pub fn names(lang: Lang) -> impl Iterator<Item = &'static str> {
    let own: &[&str] = match lang {
        Lang::ZhCn => &[
            "digits/yao",
            "numbers/liang",
            "numbers/ten",
            "numbers/hundred",
            "numbers/thousand",
            "numbers/ten_thousand",
            "numbers/hundred_million",
        ],
        Lang::En => &[
            "numbers/hundred",
            "numbers/thousand",
            "numbers/million",
            "numbers/billion",
            "numbers/and",
        ],
    };
    let teens: &[&str] = if lang == Lang::En { &TEENS } else { &[] };
    let tens: &[&str] = if lang == Lang::En { &TENS[2..] } else { &[] };
    DIGITS
        .iter()
        .chain(["digits/star", "digits/hash"].iter())
        .chain(own)
        .chain(teens)
        .chain(tens)
        .copied()
}

const WAN: u64 = 10_000;
const YI: u64 = 100_000_000;

/// Chinese counts in groups of four digits: 万 (10^4), 亿 (10^8). `begins` is true where nothing has been said yet, which alone allows 十 for 一十.
fn chinese(value: u64, begins: bool, say: &mut impl FnMut(&'static str)) {
    for (unit, name) in [
        (YI, "numbers/hundred_million"),
        (WAN, "numbers/ten_thousand"),
    ] {
        if value >= unit {
            let (high, low) = (value / unit, value % unit);
            if high == 2 {
                say("numbers/liang");
            } else {
                chinese(high, begins, say);
            }
            say(name);
            if low > 0 {
                if low < unit / 10 {
                    say(DIGITS[0]); // a gap is spoken as one 零
                }
                chinese(low, false, say);
            }
            return;
        }
    }
    chinese_group(value, begins, say);
}

/// 0 to 9999. Thousands and hundreds of two are 两; tens and ones are 二.
fn chinese_group(value: u64, begins: bool, say: &mut impl FnMut(&'static str)) {
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
/// Beyond this nobody says a number as a cardinal: its digits are spoken.
const ENGLISH_LIMIT: u64 = 1_000_000_000_000;

fn english(value: u64, say: &mut impl FnMut(&'static str)) {
    if value >= ENGLISH_LIMIT {
        digits(Lang::En, &value.to_string(), say);
        return;
    }
    if value == 0 {
        say(DIGITS[0]);
        return;
    }
    let mut rest = value;
    for (unit, name) in [
        (1_000_000_000, "numbers/billion"),
        (1_000_000, "numbers/million"),
        (1_000, "numbers/thousand"),
    ] {
        if rest >= unit {
            english_group(rest / unit, say);
            say(name);
            rest %= unit;
        }
    }
    if rest > 0 {
        if rest < 100 && value >= 1000 {
            say("numbers/and");
        }
        english_group(rest, say);
    }
}

/// 1 to 999.
fn english_group(value: u64, say: &mut impl FnMut(&'static str)) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn spoken(lang: Lang, value: u64) -> Vec<&'static str> {
        let mut names = Vec::new();
        number(lang, value, &mut |name| names.push(name));
        names
    }

    fn written(value: u64) -> String {
        let sign = |name: &str| match name {
            "numbers/liang" => '两',
            "numbers/ten" => '十',
            "numbers/hundred" => '百',
            "numbers/thousand" => '千',
            "numbers/ten_thousand" => '万',
            "numbers/hundred_million" => '亿',
            digit => "零一二三四五六七八九"
                .chars()
                .nth(digit["digits/".len()..].parse().unwrap())
                .unwrap(),
        };
        spoken(Lang::ZhCn, value).into_iter().map(sign).collect()
    }

    #[test]
    fn chinese_numbers() {
        let rows = [
            (0, "零"),
            (1, "一"),
            (2, "二"),
            (10, "十"),
            (11, "十一"),
            (12, "十二"),
            (20, "二十"),
            (22, "二十二"),
            (100, "一百"),
            (101, "一百零一"),
            (110, "一百一十"),
            (111, "一百一十一"),
            (200, "两百"),
            (202, "两百零二"),
            (222, "两百二十二"),
            (1000, "一千"),
            (1001, "一千零一"),
            (1010, "一千零一十"),
            (1100, "一千一百"),
            (2000, "两千"),
            (2222, "两千两百二十二"),
            (9999, "九千九百九十九"),
            (10_000, "一万"),
            (10_001, "一万零一"),
            (10_010, "一万零一十"),
            (12_000, "一万两千"),
            (20_000, "两万"),
            (20_002, "两万零二"),
            (22_000, "两万两千"),
            (100_000, "十万"),
            (105_000, "十万五千"),
            (100_500, "十万零五百"),
            (120_000, "十二万"),
            (220_000, "二十二万"),
            (2_000_000, "两百万"),
            (10_000_000, "一千万"),
            (100_000_000, "一亿"),
            (200_000_000, "两亿"),
            (100_000_001, "一亿零一"),
            (110_000_000, "一亿一千万"),
            (101_000_000, "一亿零一百万"),
            (1_000_010_000, "十亿零一万"),
            (12_345_678, "一千两百三十四万五千六百七十八"),
        ];
        for (value, want) in rows {
            assert_eq!(written(value), want, "{value}");
        }
        written(u64::MAX);
    }

    #[test]
    fn english_numbers() {
        let word = |name: &'static str| match name {
            "digits/0" => "zero",
            "digits/1" => "one",
            "digits/2" => "two",
            "digits/3" => "three",
            "digits/5" => "five",
            name => name.strip_prefix("numbers/").unwrap(),
        };
        let rows = [
            (0, "zero"),
            (5, "five"),
            (10, "10"),
            (13, "13"),
            (20, "20"),
            (21, "20 one"),
            (100, "one hundred"),
            (101, "one hundred and one"),
            (123, "one hundred and 20 three"),
            (1000, "one thousand"),
            (1005, "one thousand and five"),
            (1100, "one thousand one hundred"),
            (2_013_000, "two million 13 thousand"),
            (1_000_000_000, "one billion"),
            (1_000_010_000, "one billion 10 thousand"),
        ];
        for (value, want) in rows {
            let got: Vec<&str> = spoken(Lang::En, value).into_iter().map(word).collect();
            assert_eq!(got.join(" "), want, "{value}");
        }
        assert_eq!(spoken(Lang::En, u64::MAX).len(), 20, "digit by digit");
    }

    #[test]
    fn digits_of_numbers_are_said_one_by_one_with_yao() {
        let mut names = Vec::new();
        digits(Lang::ZhCn, "+10*2 #", &mut |name| names.push(name));
        assert_eq!(
            names,
            [
                "digits/yao",
                "digits/0",
                "digits/star",
                "digits/2",
                "digits/hash"
            ]
        );
        names.clear();
        digits(Lang::En, "10", &mut |name| names.push(name));
        assert_eq!(names, ["digits/1", "digits/0"]);
        names.clear();
        digits(Lang::En, &"7".repeat(100), &mut |name| names.push(name));
        assert_eq!(names.len(), MAX_DIGITS);
    }

    #[test]
    fn every_name_is_in_the_list_of_names_and_in_the_texts() {
        let texts = include_str!("../../../ivr-scripts/prompts/texts.toml");
        let (chinese, english) = texts.split_once("\n[en]").unwrap();
        for (lang, texts) in [(Lang::ZhCn, chinese), (Lang::En, english)] {
            let all: BTreeSet<&str> = names(lang).collect();
            for value in (0..30_000).chain([u64::MAX, 2_000_000_000, 123_456_789_012]) {
                number(lang, value, &mut |name| {
                    assert!(all.contains(name), "{name}")
                });
            }
            for name in all {
                assert!(
                    texts.contains(&format!("\"{name}\" = ")),
                    "{lang:?} {name} has no text"
                );
            }
        }
    }
}
