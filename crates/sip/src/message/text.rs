//! Bytes and separators of the grammar (RFC 3261 section 25.1).

use memchr::{memchr, memchr2};

/// Which bytes may stand in a `token`.
static TOKEN: [bool; 256] = token_table();

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z'
            | b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        byte += 1;
    }
    table
}

/// True for a non-empty `token`.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| TOKEN[usize::from(byte)])
}

/// White space that may surround a separator; CR and LF only occur in folds.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without white space at either end. By bytes: this runs several times for each header that is read.
pub(crate) fn trim(text: &str) -> &str {
    let bytes = text.as_bytes();
    let (mut start, mut end) = (0, bytes.len());
    while start < end && is_space(bytes[start]) {
        start += 1;
    }
    while end > start && is_space(bytes[end - 1]) {
        end -= 1;
    }
    // White space is ASCII, so that these are boundaries of characters.
    &text[start..end]
}

/// Where a byte that is ASCII stands first.
pub(crate) fn find(text: &str, byte: u8) -> Option<usize> {
    memchr(byte, text.as_bytes())
}

/// What stands before and behind the first `separator`, which is ASCII.
pub(crate) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = find(text, separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// A number of digits only; saturates instead of overflowing. `None` when it is not a number.
pub(crate) fn saturating_number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    Some(if digits.is_empty() {
        0
    } else {
        digits.parse().unwrap_or(u32::MAX)
    })
}

/// Where `separator` first stands outside quoted strings and angle brackets.
pub(crate) fn find_outside(text: &str, separator: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    // Most values have neither separator nor quotes: that is seen many bytes at a step.
    let first = memchr(separator, bytes)?;
    if memchr2(b'"', b'<', &bytes[..first]).is_none() {
        return Some(first);
    }
    let (mut quoted, mut angle, mut at) = (false, false, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if quoted {
            match byte {
                b'\\' => at += 1,
                b'"' => quoted = false,
                _ => {}
            }
        } else if byte == separator && !angle {
            return Some(at);
        } else {
            match byte {
                // A quote inside angle brackets is no quoted string: it is a fault that the URI parser will name.
                b'"' => quoted = !angle,
                b'<' => angle = true,
                b'>' => angle = false,
                _ => {}
            }
        }
        at += 1;
    }
    None
}

/// The values of one header line that are separated by commas (RFC 3261 section 7.3.1); empty ones are skipped.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: Option<&'a str>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(line: &'a str) -> Self {
        Values { rest: Some(line) }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while let Some(rest) = self.rest {
            let value = match find_outside(rest, b',') {
                Some(comma) => {
                    self.rest = Some(&rest[comma + 1..]);
                    &rest[..comma]
                }
                None => {
                    self.rest = None;
                    rest
                }
            };
            let value = trim(value);
            if !value.is_empty() {
                return Some(value);
            }
        }
        None
    }
}

/// The text of a quoted string whose quotes are already off: `\x` becomes `x`.
pub(crate) fn unquote(inner: &str) -> std::borrow::Cow<'_, str> {
    if !inner.contains('\\') {
        return std::borrow::Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    std::borrow::Cow::Owned(text)
}
