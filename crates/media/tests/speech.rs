//! What is said by grammar, in the words of `texts.toml`; and that it can be understood: each reading has one meaning.
#![allow(clippy::unwrap_used)] // the helpers of a test are part of it

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use media::Lang;
use media::speech::{self, Currency, Date, MAX_DIGITS, Spoken};
use proptest::prelude::*;

static WORDS: LazyLock<[BTreeMap<&'static str, &'static str>; 2]> = LazyLock::new(|| {
    let texts = include_str!("../../../ivr-scripts/prompts/texts.toml");
    let (chinese, english) = texts.split_once("\n[en]").unwrap();
    [chinese, english].map(|texts| {
        texts
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, text)| (name.trim_matches('"'), text.trim_matches('"')))
            .collect()
    })
});

/// Prompt names in words.
fn words(lang: Lang, names: &[&str]) -> String {
    let (table, between) = match lang {
        Lang::ZhCn => (&WORDS[0], ""),
        Lang::En => (&WORDS[1], " "),
    };
    let words: Vec<&str> = names
        .iter()
        .map(|name| {
            *table
                .get(name)
                .unwrap_or_else(|| panic!("{lang:?}: no text for {name}"))
        })
        .collect();
    words.join(between)
}

fn number(lang: Lang, value: u64) -> Vec<&'static str> {
    let mut names = Vec::new();
    speech::number(lang, value, &mut |name| names.push(name));
    names
}

fn spoken(lang: Lang, what: &Spoken) -> Vec<&'static str> {
    let mut names = Vec::new();
    speech::say(lang, what, &mut |name| names.push(name));
    names
}

fn check(what: &Spoken, chinese: &str, english: &str) {
    for (lang, want) in [(Lang::ZhCn, chinese), (Lang::En, english)] {
        assert_eq!(words(lang, &spoken(lang, what)), want, "{what:?}");
    }
}

#[test]
fn numbers() {
    for (value, chinese, english) in [
        (0, "零", "zero"),
        (1, "一", "one"),
        (2, "二", "two"),
        (10, "十", "ten"),
        (11, "十一", "eleven"),
        (12, "十二", "twelve"),
        (20, "二十", "twenty"),
        (21, "二十一", "twenty one"),
        (22, "二十二", "twenty two"),
        (100, "一百", "one hundred"),
        (101, "一百零一", "one hundred and one"),
        (110, "一百一十", "one hundred and ten"),
        (111, "一百一十一", "one hundred and eleven"),
        (123, "一百二十三", "one hundred and twenty three"),
        (200, "两百", "two hundred"),
        (202, "两百零二", "two hundred and two"),
        (222, "两百二十二", "two hundred and twenty two"),
        (1_000, "一千", "one thousand"),
        (1_001, "一千零一", "one thousand and one"),
        (1_010, "一千零一十", "one thousand and ten"),
        (1_100, "一千一百", "one thousand one hundred"),
        (2_000, "两千", "two thousand"),
        (
            2_222,
            "两千两百二十二",
            "two thousand two hundred and twenty two",
        ),
        (
            9_999,
            "九千九百九十九",
            "nine thousand nine hundred and ninety nine",
        ),
        (10_000, "一万", "ten thousand"),
        (10_001, "一万零一", "ten thousand and one"),
        (10_010, "一万零一十", "ten thousand and ten"),
        (12_000, "一万两千", "twelve thousand"),
        (20_000, "两万", "twenty thousand"),
        (20_002, "两万零二", "twenty thousand and two"),
        (22_000, "两万两千", "twenty two thousand"),
        (100_000, "十万", "one hundred thousand"),
        (105_000, "十万五千", "one hundred and five thousand"),
        (100_500, "十万零五百", "one hundred thousand five hundred"),
        (120_000, "十二万", "one hundred and twenty thousand"),
        (220_000, "二十二万", "two hundred and twenty thousand"),
        (2_000_000, "两百万", "two million"),
        (2_013_000, "两百零一万三千", "two million thirteen thousand"),
        (10_000_000, "一千万", "ten million"),
        (
            12_345_678,
            "一千两百三十四万五千六百七十八",
            "twelve million three hundred and forty five thousand six hundred and seventy eight",
        ),
        (100_000_000, "一亿", "one hundred million"),
        (200_000_000, "两亿", "two hundred million"),
        (100_000_001, "一亿零一", "one hundred million and one"),
        (110_000_000, "一亿一千万", "one hundred and ten million"),
        (101_000_000, "一亿零一百万", "one hundred and one million"),
        (1_000_010_000, "十亿零一万", "one billion ten thousand"),
        (10_050_000_000, "一百亿五千万", "ten billion fifty million"),
        (1_000_000_000_000, "一万亿", "one trillion"),
        (20_000_000_000_000_000, "两亿亿", "twenty quadrillion"),
        (
            3_000_000_000_000_000_002,
            "三百亿亿零二",
            "three quintillion and two",
        ),
    ] {
        assert_eq!(
            words(Lang::ZhCn, &number(Lang::ZhCn, value)),
            chinese,
            "{value}"
        );
        assert_eq!(
            words(Lang::En, &number(Lang::En, value)),
            english,
            "{value}"
        );
    }
}

#[test]
fn counts_before_a_measure_word() {
    for (value, chinese, english) in [
        (0, "零", "zero"),
        (1, "一", "one"),
        (2, "两", "two"),
        (12, "十二", "twelve"),
        (22, "二十二", "twenty two"),
        (102, "一百零二", "one hundred and two"),
        (200, "两百", "two hundred"),
    ] {
        check(&Spoken::Count(value), chinese, english);
    }
}

#[test]
fn ordinals() {
    for (value, chinese, english) in [
        (0, "第零", "zeroth"),
        (1, "第一", "first"),
        (2, "第二", "second"),
        (3, "第三", "third"),
        (5, "第五", "fifth"),
        (8, "第八", "eighth"),
        (9, "第九", "ninth"),
        (10, "第十", "tenth"),
        (12, "第十二", "twelfth"),
        (20, "第二十", "twentieth"),
        (21, "第二十一", "twenty first"),
        (90, "第九十", "ninetieth"),
        (100, "第一百", "one hundredth"),
        (102, "第一百零二", "one hundred and second"),
        (1_000, "第一千", "one thousandth"),
        (
            12_013,
            "第一万两千零一十三",
            "twelve thousand and thirteenth",
        ),
        (1_000_000, "第一百万", "one millionth"),
        (1_000_000_000, "第十亿", "one billionth"),
    ] {
        check(&Spoken::Ordinal(value), chinese, english);
    }
}

#[test]
fn decimals() {
    for (negative, whole, decimals, chinese, english) in [
        (false, 0, "5", "零点五", "zero point five"),
        (true, 12, "", "负十二", "minus twelve"),
        (false, 12, "05", "十二点零五", "twelve point zero five"),
        (true, 2, "10", "负二点一零", "minus two point one zero"),
        (false, 200, "22", "两百点二二", "two hundred point two two"),
    ] {
        let decimals = decimals.into();
        check(
            &Spoken::Decimal {
                negative,
                whole,
                decimals,
            },
            chinese,
            english,
        );
    }
}

#[test]
fn agents_and_digits() {
    check(
        &Spoken::Agent("1001".into()),
        "工号幺零零幺",
        "agent number one zero zero one",
    );
    check(&Spoken::Agent("2".into()), "工号二", "agent number two");
    let digits = |lang, text: &str| {
        let mut names = Vec::new();
        speech::digits(lang, text, &mut |name| names.push(name));
        words(lang, &names)
    };
    assert_eq!(digits(Lang::ZhCn, "+10*2 #"), "幺零星二井");
    assert_eq!(digits(Lang::En, "10*2#"), "one zero star two pound");
    assert_eq!(digits(Lang::ZhCn, "13800138000"), "幺三八零零幺三八零零零");
    assert_eq!(
        digits(Lang::ZhCn, &"7".repeat(100)).chars().count(),
        MAX_DIGITS
    );
}

fn day(year: Option<u16>, month: u8, day: u8, weekday: Option<u8>) -> Spoken {
    Spoken::Date(Date {
        year,
        month,
        day,
        weekday,
    })
}

#[test]
fn dates() {
    for (what, chinese, english) in [
        (
            day(Some(2026), 11, 24, Some(2)),
            "二零二六年十一月二十四日星期二",
            "Tuesday the twenty fourth of November twenty twenty six",
        ),
        (
            day(Some(2026), 2, 2, None),
            "二零二六年二月二日",
            "the second of February twenty twenty six",
        ),
        (day(None, 10, 1, None), "十月一日", "the first of October"),
        (
            day(None, 12, 31, Some(7)),
            "十二月三十一日星期日",
            "Sunday the thirty first of December",
        ),
        (
            day(Some(2000), 1, 1, None),
            "二零零零年一月一日",
            "the first of January two thousand",
        ),
        (
            day(Some(2006), 1, 10, None),
            "二零零六年一月十日",
            "the tenth of January two thousand and six",
        ),
        (
            day(Some(1900), 5, 20, None),
            "一九零零年五月二十日",
            "the twentieth of May nineteen hundred",
        ),
        (
            day(Some(1905), 8, 3, None),
            "一九零五年八月三日",
            "the third of August nineteen oh five",
        ),
        (
            day(Some(2110), 3, 11, None),
            "二一一零年三月十一日",
            "the eleventh of March twenty one ten",
        ),
        (
            day(Some(1066), 10, 14, None),
            "一零六六年十月十四日",
            "the fourteenth of October one thousand and sixty six",
        ),
    ] {
        check(&what, chinese, english);
    }
}

#[test]
fn times() {
    for (hour, minute, chinese, english) in [
        (0, 0, "凌晨零点", "midnight"),
        (0, 5, "凌晨零点零五分", "twelve oh five a m"),
        (2, 30, "凌晨两点三十分", "two thirty a m"),
        (8, 0, "上午八点", "eight a m"),
        (11, 59, "上午十一点五十九分", "eleven fifty nine a m"),
        (12, 0, "中午十二点", "noon"),
        (12, 10, "中午十二点十分", "twelve ten p m"),
        (14, 2, "下午两点零二分", "two oh two p m"),
        (15, 5, "下午三点零五分", "three oh five p m"),
        (18, 12, "晚上六点十二分", "six twelve p m"),
        (22, 0, "晚上十点", "ten p m"),
        (23, 20, "晚上十一点二十分", "eleven twenty p m"),
    ] {
        check(&Spoken::Time { hour, minute }, chinese, english);
    }
}

#[test]
fn durations() {
    for (seconds, chinese, english) in [
        (0, "零秒", "zero seconds"),
        (1, "一秒", "one second"),
        (2, "两秒", "two seconds"),
        (60, "一分钟", "one minute"),
        (120, "两分钟", "two minutes"),
        (125, "两分钟五秒", "two minutes and five seconds"),
        (3_600, "一小时", "one hour"),
        (3_602, "一小时零二秒", "one hour and two seconds"),
        (7_320, "两小时两分钟", "two hours and two minutes"),
        (
            5_405,
            "一小时三十分钟五秒",
            "one hour thirty minutes and five seconds",
        ),
        (172_800, "两天", "two days"),
        (
            90_061,
            "一天一小时一分钟一秒",
            "one day one hour one minute and one second",
        ),
        (
            86_400 * 12 + 1,
            "十二天零一秒",
            "twelve days and one second",
        ),
    ] {
        check(
            &Spoken::Duration(Duration::from_secs(seconds)),
            chinese,
            english,
        );
    }
}

fn money(negative: bool, units: u64, hundredths: u8, currency: Currency) -> Spoken {
    Spoken::Money {
        negative,
        units,
        hundredths,
        currency,
    }
}

#[test]
fn sums_of_money() {
    use Currency::{Cny, Eur, Usd};
    for (what, chinese, english) in [
        (
            money(false, 12, 50, Cny),
            "十二元五角",
            "twelve yuan and fifty fen",
        ),
        (money(false, 0, 0, Cny), "零元", "zero yuan"),
        (money(false, 2, 0, Cny), "两元", "two yuan"),
        (money(false, 1, 0, Cny), "一元", "one yuan"),
        (
            money(false, 2, 22, Cny),
            "两元两角两分",
            "two yuan and twenty two fen",
        ),
        (money(false, 0, 2, Cny), "两分", "two fen"),
        (money(false, 0, 20, Cny), "两角", "twenty fen"),
        (money(false, 0, 5, Cny), "五分", "five fen"),
        (
            money(false, 1_002, 5, Cny),
            "一千零二元零五分",
            "one thousand and two yuan and five fen",
        ),
        (
            money(false, 200, 2, Cny),
            "两百元零二分",
            "two hundred yuan and two fen",
        ),
        (money(true, 3, 0, Cny), "负三元", "minus three yuan"),
        (
            money(false, 20_000, 10, Cny),
            "两万元一角",
            "twenty thousand yuan and ten fen",
        ),
        (
            money(false, 1, 1, Usd),
            "一美元零一美分",
            "one dollar and one cent",
        ),
        (
            money(false, 2, 50, Usd),
            "两美元五十美分",
            "two dollars and fifty cents",
        ),
        (money(false, 0, 2, Usd), "两美分", "two cents"),
        (
            money(true, 0, 99, Usd),
            "负九十九美分",
            "minus ninety nine cents",
        ),
        (money(false, 1, 0, Eur), "一欧元", "one euro"),
        (
            money(false, 12, 2, Eur),
            "十二欧元零二欧分",
            "twelve euros and two cents",
        ),
    ] {
        check(&what, chinese, english);
    }
}

/// What a listener makes of Chinese number words: the right-most largest unit splits them.
fn heard_in_chinese(names: &[&str]) -> u64 {
    for (unit, value) in [
        ("numbers/hundred_million", 100_000_000),
        ("numbers/ten_thousand", 10_000),
        ("numbers/thousand", 1_000),
        ("numbers/hundred", 100),
        ("numbers/ten", 10),
    ] {
        if let Some(at) = names.iter().rposition(|name| *name == unit) {
            let many = if at == 0 {
                1
            } else {
                heard_in_chinese(&names[..at])
            };
            return many * value + heard_in_chinese(&names[at + 1..]);
        }
    }
    match names {
        [] => 0,
        ["numbers/liang"] => 2,
        ["digits/0", rest @ ..] => heard_in_chinese(rest),
        [digit] => digit["digits/".len()..].parse().unwrap(),
        _ => panic!("{names:?} is no number"),
    }
}

/// What a listener makes of English number words: hundreds multiply, scales close a group.
fn heard_in_english(names: &[&str]) -> u64 {
    let (mut sum, mut group) = (0, 0);
    for name in names {
        let scale = match *name {
            "numbers/and" => continue,
            "numbers/hundred" => {
                group *= 100;
                continue;
            }
            "numbers/thousand" => 1_000,
            "numbers/million" => 1_000_000,
            "numbers/billion" => 1_000_000_000,
            "numbers/trillion" => 1_000_000_000_000,
            "numbers/quadrillion" => 1_000_000_000_000_000,
            "numbers/quintillion" => 1_000_000_000_000_000_000,
            other => {
                group += other.split_once('/').unwrap().1.parse::<u64>().unwrap();
                continue;
            }
        };
        sum += group * scale;
        group = 0;
    }
    sum + group
}

fn cardinal_of(ordinal: &str) -> String {
    let word = ordinal.strip_prefix("ordinals/").unwrap();
    let small = word.parse::<u64>().is_ok_and(|value| value < 10);
    format!("{}/{word}", if small { "digits" } else { "numbers" })
}

fn understood(value: u64) {
    let all = [Lang::ZhCn, Lang::En].map(|lang| speech::names(lang).collect::<BTreeSet<_>>());
    let (chinese, english) = (number(Lang::ZhCn, value), number(Lang::En, value));
    assert_eq!(heard_in_chinese(&chinese), value, "{chinese:?}");
    assert_eq!(heard_in_english(&english), value, "{english:?}");
    assert!(
        chinese.iter().all(|name| all[0].contains(name)),
        "{chinese:?}"
    );
    assert!(
        english.iter().all(|name| all[1].contains(name)),
        "{english:?}"
    );

    let ordinal = spoken(Lang::En, &Spoken::Ordinal(value));
    let (last, before) = ordinal.split_last().unwrap();
    let last = cardinal_of(last);
    let cardinal: Vec<&str> = before.iter().copied().chain([last.as_str()]).collect();
    assert_eq!(
        cardinal, english,
        "an ordinal differs in its last word only"
    );
    assert!(all[1].contains(ordinal.last().unwrap()));
}

#[test]
fn every_small_number_is_understood() {
    (0..30_000).chain([u64::MAX]).for_each(understood);
}

proptest! {
    #[test]
    fn every_number_is_understood(value: u64, shift in 0u32..64) {
        understood(value >> shift); // of every length
    }

    #[test]
    fn round_numbers_are_understood(digits in 1u64..1000, zeros in 0u32..16) {
        understood(digits * 10u64.pow(zeros));
    }
}

/// Each of these is said in words of its own, that is, no two sound alike; and has a prompt for each word.
fn all_differ(whats: impl Iterator<Item = Spoken>) {
    let whats: Vec<Spoken> = whats.collect();
    for lang in [Lang::ZhCn, Lang::En] {
        let all: BTreeSet<&str> = speech::names(lang).collect();
        let mut heard = BTreeMap::new();
        for what in &whats {
            let names = spoken(lang, what);
            assert!(
                names.iter().all(|name| all.contains(name)),
                "{what:?}: {names:?}"
            );
            if let Some(other) = heard.insert(words(lang, &names), what) {
                panic!("{other:?} and {what:?} are both {}", words(lang, &names));
            }
        }
    }
}

#[test]
fn no_two_times_days_lengths_or_sums_sound_alike() {
    all_differ((0..24).flat_map(|hour| (0..60).map(move |minute| Spoken::Time { hour, minute })));
    all_differ((1900..2130).step_by(7).flat_map(|year| {
        (1..=12).flat_map(move |month| (1..=31).map(move |of| day(Some(year), month, of, None)))
    }));
    all_differ((0..=9999).map(|year| day(Some(year), 1, 1, None)));
    all_differ(
        (0..100_000)
            .step_by(7)
            .map(|seconds| Spoken::Duration(Duration::from_secs(seconds))),
    );
    for currency in [Currency::Cny, Currency::Usd, Currency::Eur] {
        all_differ(
            (0..250)
                .flat_map(|units| (0..100).map(move |part| money(false, units, part, currency))),
        );
    }
}

#[test]
fn every_name_has_a_text() {
    for (lang, words) in [(Lang::ZhCn, &WORDS[0]), (Lang::En, &WORDS[1])] {
        let names: Vec<&str> = speech::names(lang).collect();
        for name in &names {
            assert!(words.contains_key(name), "{lang:?} {name} has no text");
        }
        assert_eq!(
            names.iter().collect::<BTreeSet<_>>().len(),
            names.len(),
            "each once"
        );
    }
}
