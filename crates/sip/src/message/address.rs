//! `name-addr` and header parameters (RFC 3261 section 25.1).

use std::borrow::Cow;

use super::text::{find, find_outside, is_token, saturating_number, split_once, trim, unquote};
use super::{FieldError, Uri};

/// The parameters behind a header's value: `;name=value;name`. Read when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a> {
    text: &'a str,
}

impl<'a> Params<'a> {
    /// Checks and keeps `text`, which is empty or starts with a semicolon.
    ///
    /// # Errors
    /// [`FieldError`] when something else is in the way, a name is no token, or a quote is not closed.
    pub fn parse(text: &'a str, field: &'static str) -> Result<Params<'a>, FieldError> {
        let text = trim(text);
        if text.is_empty() {
            return Ok(Params::default());
        }
        let bad = |what| FieldError { field, what };
        if !text.starts_with(';') {
            return Err(bad("text after the address"));
        }
        let params = Params { text };
        let mut pieces = params.into_iter();
        while let Some(pair) = pieces.piece() {
            if pair.is_empty() {
                // One semicolon too many at the end is common and harmless.
                if pieces.rest.is_empty() {
                    break;
                }
                return Err(bad("empty parameter"));
            }
            let (name, value) = name_value(pair);
            if !is_token(name.as_bytes()) {
                return Err(bad("parameter name"));
            }
            if let Some(value) = value
                && !is_param_value(value)
            {
                return Err(bad("parameter value"));
            }
        }
        Ok(params)
    }

    /// A parameter's value, quotes on; `Some("")` when it has none.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or(""))
    }

    /// The text, from its first semicolon; empty when there is none.
    pub fn as_str(&self) -> &'a str {
        self.text
    }
}

/// A token, host or quoted string; we only insist on balance and on the absence of what would end the value.
fn is_param_value(value: &str) -> bool {
    match value.strip_prefix('"') {
        Some(rest) => closing_quote(rest).is_some_and(|end| end + 1 == rest.len()),
        None => {
            !value.is_empty()
                && !value
                    .bytes()
                    .any(|byte| byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | b','))
        }
    }
}

/// Where the quoted string ends whose opening quote is already off.
pub(crate) fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

impl<'a> IntoIterator for Params<'a> {
    type Item = (&'a str, Option<&'a str>);
    type IntoIter = ParamsIter<'a>;

    fn into_iter(self) -> ParamsIter<'a> {
        ParamsIter { rest: self.text }
    }
}

/// Walks over [`Params`]; white space around names and values is off, empty parameters are skipped.
#[derive(Clone, Debug)]
pub struct ParamsIter<'a> {
    rest: &'a str,
}

impl<'a> ParamsIter<'a> {
    /// What stands up to the next semicolon, perhaps nothing.
    fn piece(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = self.rest.strip_prefix(';').unwrap_or(self.rest);
        let end = find_outside(rest, b';').unwrap_or(rest.len());
        self.rest = &rest[end..];
        Some(trim(&rest[..end]))
    }
}

fn name_value(pair: &str) -> (&str, Option<&str>) {
    match split_once(pair, b'=') {
        Some((name, value)) => (trim(name), Some(trim(value))),
        None => (pair, None),
    }
}

impl<'a> Iterator for ParamsIter<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.piece()? {
                "" => {}
                pair => return Some(name_value(pair)),
            }
        }
    }
}

/// A From, To, Contact, Route, Record-Route, Refer-To or P-Asserted-Identity value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// As written, quotes on; see [`NameAddr::display`].
    raw_display: &'a str,
    pub uri: Uri<'a>,
    /// The URI as written, without angle brackets.
    pub uri_text: &'a str,
    /// The header's parameters (not the URI's).
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value; `field` names it in the error.
    ///
    /// # Errors
    /// [`FieldError`] for what does not follow RFC 3261 sections 20.10 and 25.1: unbalanced quotes or brackets, a bad URI, or
    /// a URI with `?` or `,` that is not in angle brackets.
    pub fn parse(text: &'a str, field: &'static str) -> Result<NameAddr<'a>, FieldError> {
        let bad = |what| FieldError { field, what };
        let text = trim(text);
        let open = match text.strip_prefix('"') {
            Some(rest) => {
                let end = closing_quote(rest).ok_or(bad("quote not closed"))?;
                let behind = &rest[end + 1..];
                let gap = behind.len() - trim_start(behind).len();
                if !behind[gap..].starts_with('<') {
                    return Err(bad("no address after the name"));
                }
                Some(end + 2 + gap)
            }
            None => find(text, b'<'),
        };
        let Some(open) = open else {
            return NameAddr::bare(text, field);
        };
        let raw_display = trim(&text[..open]);
        let foreign = |byte| matches!(byte, b'"' | b';' | b',' | b':' | b'@');
        if !raw_display.starts_with('"') && raw_display.bytes().any(foreign) {
            return Err(bad("display name"));
        }
        let close = open + find(&text[open..], b'>').ok_or(bad("bracket not closed"))?;
        let uri_text = trim(&text[open + 1..close]);
        Ok(NameAddr {
            raw_display,
            uri: Uri::parse(uri_text).map_err(|error| bad(error.what))?,
            uri_text,
            params: Params::parse(&text[close + 1..], field)?,
        })
    }

    /// `addr-spec` without brackets: parameters belong to the header (section 20.10).
    fn bare(text: &'a str, field: &'static str) -> Result<NameAddr<'a>, FieldError> {
        let bad = |what| FieldError { field, what };
        let end = find(text, b';').unwrap_or(text.len());
        let uri_text = trim(&text[..end]);
        if uri_text.bytes().any(|byte| matches!(byte, b'?' | b',')) {
            return Err(bad("this URI needs angle brackets"));
        }
        Ok(NameAddr {
            raw_display: "",
            uri: Uri::parse(uri_text).map_err(|error| bad(error.what))?,
            uri_text,
            params: Params::parse(&text[end..], field)?,
        })
    }

    /// The display name, without quotes and escapes; `None` when there is none or it is empty.
    pub fn display(&self) -> Option<Cow<'a, str>> {
        let name = match self.raw_display.strip_prefix('"') {
            Some(rest) => unquote(rest.strip_suffix('"').unwrap_or(rest)),
            None => Cow::Borrowed(self.raw_display),
        };
        (!name.is_empty()).then_some(name)
    }

    /// The `tag` parameter of From and To.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// The `expires` parameter of a Contact, in seconds; too large a number saturates, nonsense counts as 3600 (section 20.10).
    pub fn expires(&self) -> Option<u32> {
        self.params
            .get("expires")
            .map(|value| saturating_number(value).unwrap_or(3600))
    }

    /// The `q` parameter of a Contact in thousandths, 1000 when it is absent or nonsense.
    pub fn q(&self) -> u16 {
        self.params.get("q").and_then(thousandths).unwrap_or(1000)
    }
}

fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = [1000, 100, 10, 1][fraction.len()];
    let fraction: u16 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    match whole {
        "0" | "" => Some(fraction * scale),
        "1" => Some(1000),
        _ => None,
    }
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}
