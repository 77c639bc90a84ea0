//! Phone numbers: raw text to E.164, by libphonenumber's data.
//!
//! A number that is not valid anywhere (an extension, `anonymous`, a carrier's short number such as 95188) has no E.164 form and is known by
//! its raw text: a wrong guess would show one customer's record to another.

use std::str::FromStr;

use phonenumber::country;

use crate::api::Number;

/// Longer text is no phone number (E.164 has 15 digits; this leaves room for separators) and is not parsed.
pub const RAW_BYTES_MAX: usize = 64;

/// Loads the number plans. The first parse of a process costs about 50 ms and 6 MB; call this before the first call comes.
pub fn warm_up() {
    // Not a mobile number of mainland China: that would go the short way, past what is to be loaded.
    let _ = Number::parse("010-65529988", "CN");
}

impl Number {
    /// Reads a number as a carrier signals it or a person writes it; never fails.
    ///
    /// `default_country` (ISO 3166, e.g. `CN`) is for numbers without a country code; when it is no country, only international numbers
    /// (`+…`) get an E.164 form. A `tel:` before the number (RFC 3966) and separators are allowed, letters are not.
    ///
    /// ```
    /// use crm::Number;
    /// assert_eq!(Number::parse("138 0013 8000", "CN").e164.as_deref(), Some("+8613800138000"));
    /// assert_eq!(Number::parse("008613800138000", "CN").e164.as_deref(), Some("+8613800138000"));
    /// assert_eq!(Number::parse("1001", "CN").e164, None);
    /// ```
    pub fn parse(raw: &str, default_country: &str) -> Number {
        let raw = raw.trim();
        Number {
            e164: e164(raw, default_country),
            raw: raw.to_owned(),
        }
    }

    /// What the number is kept and looked up under: E.164, or the raw text.
    pub fn key(&self) -> &str {
        self.e164.as_deref().unwrap_or(&self.raw)
    }

    /// The number as it is dialled in a country: its own numbers with their national prefix, others behind the international one. `None` when the number
    /// has no E.164 form.
    ///
    /// ```
    /// use crm::Number;
    /// let beijing = Number::parse("+861065529988", "CN");
    /// assert_eq!(beijing.dialled_in("CN").as_deref(), Some("01065529988"));
    /// assert_eq!(beijing.dialled_in("DE").as_deref(), Some("00861065529988"));
    /// assert_eq!(beijing.dialled_in("US").as_deref(), Some("011861065529988"));
    /// ```
    pub fn dialled_in(&self, country: &str) -> Option<String> {
        let e164 = self.e164.as_deref()?;
        let number = phonenumber::parse(None, e164).ok()?;
        if number.country().id() != country::Id::from_str(country).ok() {
            return Some(format!("{}{}", international_prefix(country), &e164[1..]));
        }
        let national = number
            .format()
            .mode(phonenumber::Mode::National)
            .to_string();
        Some(national.chars().filter(char::is_ascii_digit).collect())
    }

    /// Whether there is anything to look up: an empty or withheld number has no owner.
    pub fn is_known(&self) -> bool {
        let raw = self.raw.as_str();
        self.e164.is_some()
            || !(raw.is_empty()
                || ["anonymous", "unknown", "unavailable", "restricted"]
                    .iter()
                    .any(|word| raw.eq_ignore_ascii_case(word)))
    }
}

/// Whether these two capital letters are a country with telephone numbers of its own (ISO 3166).
pub fn is_country(code: &str) -> bool {
    code.bytes().all(|byte| byte.is_ascii_uppercase()) && country::Id::from_str(code).is_ok()
}

fn e164(raw: &str, default_country: &str) -> Option<String> {
    if raw.len() > RAW_BYTES_MAX {
        return None;
    }
    let text = dialled(raw)?;
    if let Some(plain) = mainland_mobile(&text, default_country) {
        return Some(plain);
    }
    let number = match international(&text, default_country) {
        // Without a default: given one, the library takes that country's trunk prefix off a number of another (the 1 of +86 1… for the US).
        Some(number) => phonenumber::parse(None, &*number),
        None => phonenumber::parse(country::Id::from_str(default_country).ok(), &text),
    };
    let number = number.ok()?;
    number
        .is_valid()
        .then(|| number.format().mode(phonenumber::Mode::E164).to_string())
}

/// What stands for the `+` when one dials abroad (ITU-T E.164 recommends 00, and most countries follow).
fn international_prefix(country: &str) -> &'static str {
    match country {
        "US" | "CA" => "011",
        "JP" => "010",
        "HK" | "SG" | "KH" => "001",
        "TW" => "002",
        "KR" => "00700",
        "AU" => "0011",
        "RU" | "KZ" | "BY" => "810",
        _ => "00",
    }
}

/// The number with its `+`, when it is dialled internationally; `00` means that in the countries here, and is nobody's national number.
fn international<'t>(text: &'t str, default_country: &str) -> Option<std::borrow::Cow<'t, str>> {
    const BY_00: [&str; 16] = [
        "CN", "MO", "GB", "IE", "DE", "FR", "IT", "ES", "PT", "NL", "BE", "CH", "AT", "IN", "MY",
        "NZ",
    ];
    match text.strip_prefix("00") {
        Some(rest) if BY_00.contains(&default_country) => Some(format!("+{rest}").into()),
        _ => text.starts_with('+').then_some(text.into()),
    }
}

/// The digits and a leading `+`; `None` when there is anything that nobody can dial. Full-width digits are what a Chinese keyboard types.
fn dialled(raw: &str) -> Option<String> {
    let raw = raw
        .get(..4)
        .filter(|head| head.eq_ignore_ascii_case("tel:"))
        .map_or(raw, |_| &raw[4..]);
    let raw = raw.split_once(';').map_or(raw, |(number, _)| number);
    let mut text = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '0'..='9' => text.push(c),
            '０'..='９' => text.push(char::from(
                b'0' + u8::try_from(u32::from(c) - u32::from('０')).ok()?,
            )),
            '+' | '＋' if text.is_empty() => text.push('+'),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' | '－' | '（' | '）' => {}
            _ => return None,
        }
    }
    // Shorter than any subscriber's number with its area code; the library would guess.
    (text.len() > 4).then_some(text)
}

/// The short way for what most calls in China come from, a mobile number of the mainland in any of the forms that carriers use: a search through
/// the number plans takes longer than the rest of the look-up. Narrower than the plan on purpose: what is not certain here goes to the library. A
/// test holds the two together.
fn mainland_mobile(text: &str, default_country: &str) -> Option<String> {
    let prefixes: &[&str] = if default_country == "CN" {
        &["+86", "0086", "86", "0", ""]
    } else {
        &["+86"]
    };
    let national = prefixes
        .iter()
        .filter_map(|prefix| text.strip_prefix(prefix))
        .find(|national| national.len() == 11)?;
    let certain = matches!(national.as_bytes(), [b'1', b'3' | b'8', ..] | [b'1', b'5', b'0'..=b'3' | b'5'..=b'9', ..]);
    certain.then(|| format!("+86{national}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e164_of(raw: &str) -> Option<String> {
        Number::parse(raw, "CN").e164
    }

    #[test]
    fn what_carriers_and_people_write() {
        for (raw, expected) in [
            ("+8613800138000", Some("+8613800138000")),
            ("008613800138000", Some("+8613800138000")),
            ("8613800138000", Some("+8613800138000")),
            ("13800138000", Some("+8613800138000")),
            ("013800138000", Some("+8613800138000")),
            ("138-0013-8000", Some("+8613800138000")),
            ("１３８００１３８０００", Some("+8613800138000")),
            (" tel:+86-138-0013-8000;ext=12", Some("+8613800138000")),
            ("010-65529988", Some("+861065529988")),
            ("(021) 6428 0000", Some("+862164280000")),
            ("+86 755 8888 8888", Some("+8675588888888")),
            ("+1 212 736 5000", Some("+12127365000")),
            ("0012127365000", Some("+12127365000")),
            ("+852 2878 3300", Some("+85228783300")),
            ("0039 06 6982 0001", Some("+390669820001")),
            ("+39 06 6982 0001", Some("+390669820001")),
            ("+44 20 7946 0958", Some("+442079460958")),
            ("1001", None),
            ("101", None),
            ("+", None),
            ("", None),
            ("anonymous", None),
            ("95188", None),
            ("12345678901234567890", None),
            ("call 13800138000", None),
            ("+86138001380001", None),
        ] {
            assert_eq!(e164_of(raw).as_deref(), expected, "{raw}");
        }
        assert_eq!(Number::parse("13800138000", "nowhere").e164, None);
        assert_eq!(
            Number::parse(" 1001 ", "CN"),
            Number {
                e164: None,
                raw: "1001".into()
            }
        );
        assert_eq!(
            Number::parse("(212) 736-5000", "US").e164.as_deref(),
            Some("+12127365000")
        );
    }

    #[test]
    fn withheld_numbers_have_no_owner() {
        assert!(!Number::parse("Anonymous", "CN").is_known());
        assert!(!Number::parse("", "CN").is_known());
        assert!(Number::parse("1001", "CN").is_known());
        assert_eq!(Number::parse("1001", "CN").key(), "1001");
        assert_eq!(Number::parse("13800138000", "CN").key(), "+8613800138000");
    }

    #[test]
    fn the_short_way_agrees_with_the_library() {
        for prefix in 0..100u64 {
            for rest in [0u64, 12_345_678, 99_999_999] {
                for before in ["+86", "0086", "86", "0", ""] {
                    let text = format!("{before}1{prefix:02}{rest:08}");
                    let Some(short) = mainland_mobile(&text, "CN") else {
                        continue;
                    };
                    let number = phonenumber::parse(Some(country::Id::CN), &text).expect("parses");
                    assert!(number.is_valid(), "{text}");
                    assert_eq!(
                        number.format().mode(phonenumber::Mode::E164).to_string(),
                        short
                    );
                }
            }
        }
        assert_eq!(mainland_mobile("13800138000", "US"), None);
        assert_eq!(
            mainland_mobile("+8613800138000", "US").as_deref(),
            Some("+8613800138000")
        );
    }
}
