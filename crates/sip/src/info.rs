//! Keys in INFO requests: what the bodies `application/dtmf-relay` and `application/dtmf` say, read and written.
//!
//! Neither type was ever registered or specified; gateways agree on them all the same. Keys in RTP (RFC 4733) are better where both sides have them.

use std::time::Duration;

/// The type that we write, and the first of those that we read.
pub const RELAY: &str = "application/dtmf-relay";
/// A key alone.
pub const KEY: &str = "application/dtmf";

/// What a 415 says that we take.
pub const ACCEPT: &str = "application/dtmf-relay, application/dtmf";

/// How long a key is pressed whose body does not say, in milliseconds.
const DURATION_MS: u64 = 160;
/// Durations that are believed, in milliseconds: shorter ones are not heard, longer ones are a stuck key.
const DURATION_MS_BOUNDS: (u64, u64) = (40, 5_000);

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// `0`–`9`, `*`, `#` or `A`–`D`.
    pub digit: char,
    pub duration: Duration,
}

/// Why a body is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another content type: 415.
    Type,
    /// One of ours that says nothing that makes sense: 400.
    Body,
}

/// The key of an INFO body; `None` for what is no key but understood: a hook flash, which has no meaning here.
///
/// ```
/// let key = sip::info::read("application/dtmf-relay", b"Signal= 5\r\nDuration= 250\r\n");
/// assert_eq!(key.map(|key| key.map(|key| key.digit)), Ok(Some('5')));
/// assert_eq!(sip::info::read("application/dtmf", b"x"), Err(sip::info::Fault::Body));
/// ```
///
/// # Errors
/// [`Fault`] says how the request is to be refused.
pub fn read(content_type: &str, body: &[u8]) -> Result<Option<Key>, Fault> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let text = str::from_utf8(body).map_err(|_| Fault::Body);
    if kind.eq_ignore_ascii_case(RELAY) {
        let text = text?;
        let signal = field(text, "Signal").ok_or(Fault::Body)?;
        key(signal, duration(text))
    } else if kind.eq_ignore_ascii_case(KEY) {
        key(text?.trim(), Duration::from_millis(DURATION_MS))
    } else {
        Err(Fault::Type)
    }
}

/// The body of an INFO for this key, as [`RELAY`].
pub fn write(key: &Key) -> String {
    let Key { digit, duration } = key;
    format!("Signal={digit}\r\nDuration={}\r\n", duration.as_millis())
}

/// The value of `Name = value`, in any case and spacing.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once('=')?;
        found
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim())
    })
}

/// One that cannot be read does not cost the key.
fn duration(text: &str) -> Duration {
    let millis = field(text, "Duration")
        .and_then(|value| value.parse().ok())
        .unwrap_or(DURATION_MS);
    let (least, most) = DURATION_MS_BOUNDS;
    Duration::from_millis(millis.clamp(least, most))
}

/// A key by its sign, or by its number in RFC 4733 section 3.2: some gateways write `10` for the star.
fn key(signal: &str, duration: Duration) -> Result<Option<Key>, Fault> {
    const NUMBERED: [(&str, char); 6] = [
        ("10", '*'),
        ("11", '#'),
        ("12", 'A'),
        ("13", 'B'),
        ("14", 'C'),
        ("15", 'D'),
    ];
    if matches!(signal, "!" | "16" | "flash" | "hf") {
        return Ok(None);
    }
    let numbered = NUMBERED.iter().find(|(number, _)| *number == signal);
    let digit = match (numbered, signal.as_bytes()) {
        (Some((_, digit)), _) => *digit,
        (None, [one]) => char::from(one.to_ascii_uppercase()),
        (None, _) => return Err(Fault::Body),
    };
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D')
        .then_some(Some(Key { digit, duration }))
        .ok_or(Fault::Body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digit(content_type: &str, body: &str) -> Result<Option<char>, Fault> {
        Ok(read(content_type, body.as_bytes())?.map(|key| key.digit))
    }

    #[test]
    fn keys_as_they_are_written() {
        for (content_type, body, expected) in [
            (RELAY, "Signal=5\r\nDuration=160\r\n", Ok(Some('5'))),
            (RELAY, "Signal= 5\nDuration= 160\n", Ok(Some('5'))),
            (RELAY, "Duration = 160\r\nsignal = *", Ok(Some('*'))),
            (RELAY, "Signal=11", Ok(Some('#'))),
            (RELAY, "Signal=d", Ok(Some('D'))),
            (RELAY, "Signal=hf\r\n", Ok(None)),
            (
                "Application/DTMF-Relay; charset=x",
                "Signal=1",
                Ok(Some('1')),
            ),
            (KEY, "7", Ok(Some('7'))),
            (KEY, " #\r\n", Ok(Some('#'))),
            (KEY, "10", Ok(Some('*'))),
            (KEY, "!", Ok(None)),
            (RELAY, "", Err(Fault::Body)),
            (RELAY, "5", Err(Fault::Body)),
            (RELAY, "Signal=", Err(Fault::Body)),
            (RELAY, "Signal=E", Err(Fault::Body)),
            (RELAY, "Signal=55", Err(Fault::Body)),
            (RELAY, "Signal=５", Err(Fault::Body)),
            (KEY, "", Err(Fault::Body)),
            (KEY, "17", Err(Fault::Body)),
            ("application/media_control+xml", "<x/>", Err(Fault::Type)),
            ("", "5", Err(Fault::Type)),
        ] {
            assert_eq!(
                digit(content_type, body),
                expected,
                "{content_type} {body:?}"
            );
        }
        assert_eq!(read(KEY, &[0xff]), Err(Fault::Body));
    }

    #[test]
    fn durations_are_kept_in_bounds_and_cost_no_key() {
        for (written, millis) in [
            ("250", 250),
            ("1", 40),
            ("99999999", 5_000),
            ("long", DURATION_MS),
            ("", DURATION_MS),
        ] {
            let body = format!("Signal=1\r\nDuration={written}\r\n");
            let key = read(RELAY, body.as_bytes()).unwrap().unwrap();
            assert_eq!(key.duration.as_millis(), u128::from(millis), "{written}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(kind in "(application/dtmf(-relay)?|.{0,20})", body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
            let _ = read(&kind, &body);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for digit in "0123456789*#ABCD".chars() {
            let key = Key {
                digit,
                duration: Duration::from_millis(200),
            };
            assert_eq!(read(RELAY, write(&key).as_bytes()), Ok(Some(key)));
        }
    }
}
