//! Check digits: numbers that know whether they were keyed in right.

/// How a number's last digit follows from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckDigit {
    /// Bank cards, IMEI (ISO/IEC 7812-1 annex B).
    Luhn,
    /// Goods and parcels (GS1: EAN, UPC, SSCC).
    Gs1,
    /// Identity cards of China (GB 11643-1999, ISO 7064 MOD 11-2); the star key is X.
    IdCard,
}

impl CheckDigit {
    pub(crate) const ALL: [(&'static str, CheckDigit); 3] = [
        ("luhn", CheckDigit::Luhn),
        ("gs1", CheckDigit::Gs1),
        ("id_card", CheckDigit::IdCard),
    ];

    pub(crate) fn holds(self, digits: &str) -> bool {
        let values: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(10)).collect();
        match (self, values) {
            (CheckDigit::Luhn, Some(values)) => {
                weighed(&values, |place, value| match place % 2 {
                    0 => value,
                    _ => value * 2 / 10 + value * 2 % 10,
                }) % 10
                    == 0
            }
            (CheckDigit::Gs1, Some(values)) => {
                weighed(&values, |place, value| value * [1, 3][place % 2]) % 10 == 0
            }
            (CheckDigit::IdCard, _) => id_card(digits),
            (CheckDigit::Luhn | CheckDigit::Gs1, None) => false,
        }
    }
}

/// The sum over all digits, their places counted from the last.
fn weighed(values: &[u32], weigh: impl Fn(usize, u32) -> u32) -> u32 {
    let places = values.iter().rev().enumerate();
    places.map(|(place, value)| weigh(place, *value)).sum()
}

fn id_card(digits: &str) -> bool {
    let (body, last) = digits.split_at_checked(17).unwrap_or((digits, ""));
    let last = match last {
        "*" | "X" => Some(10),
        _ => last.parse::<u32>().ok().filter(|_| last.len() == 1),
    };
    let values: Option<Vec<u32>> = body.chars().map(|digit| digit.to_digit(10)).collect();
    let (Some(last), Some(values)) = (last, values) else {
        return false;
    };
    // The weight of a place is 2 to its power, modulo 11.
    let sum = weighed(&values, |place, value| {
        value * (2u32.pow(place as u32 + 1) % 11)
    });
    (sum + last) % 11 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        assert!(CheckDigit::Luhn.holds("4111111111111111"));
        assert!(CheckDigit::Luhn.holds("79927398713"));
        assert!(!CheckDigit::Luhn.holds("79927398710"));
        assert!(CheckDigit::Gs1.holds("6901234567892"));
        assert!(CheckDigit::Gs1.holds("4006381333931"));
        assert!(!CheckDigit::Gs1.holds("4006381333930"));
        // The examples of GB 11643.
        assert!(CheckDigit::IdCard.holds("11010519491231002X"));
        assert!(CheckDigit::IdCard.holds("11010519491231002*"));
        assert!(CheckDigit::IdCard.holds("440524188001010014"));
        assert!(!CheckDigit::IdCard.holds("440524188001010015"));
        assert!(!CheckDigit::IdCard.holds("4405241880010100"));
    }

    #[test]
    fn one_wrong_key_is_always_found() {
        for (check, number) in [
            (CheckDigit::Luhn, "4111111111111111"),
            (CheckDigit::Gs1, "6901234567892"),
            (CheckDigit::IdCard, "440524188001010014"),
        ] {
            for at in 0..number.len() {
                for wrong in ('0'..='9').filter(|digit| !number[at..].starts_with(*digit)) {
                    let keyed = format!("{}{wrong}{}", &number[..at], &number[at + 1..]);
                    assert!(!check.holds(&keyed), "{check:?} {keyed}");
                }
            }
        }
    }
}
