//! Reading TOML with places: every value knows where it stands, and every complaint says so.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::api::{Diagnostic, Severity};

/// Most complaints about one file; after that they repeat themselves.
const MAX_DIAGNOSTICS: usize = 200;
/// How alike (0 to 1) a word must be to be suggested.
const LIKENESS: f64 = 0.6;

/// Where complaints about one file go.
pub(crate) struct Sink<'a> {
    file: &'a Path,
    text: &'a str,
    found: RefCell<Vec<Diagnostic>>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        Sink {
            file,
            text,
            found: RefCell::default(),
        }
    }

    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>) {
        let hint = "docs/flows.md says how a flow is written".to_owned();
        self.push(Some(span), message.into(), Some(hint));
    }

    pub(crate) fn error_with(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.push(Some(span), message.into(), hint);
    }

    /// About the file as a whole.
    pub(crate) fn error_in_file(&self, message: impl Into<String>, hint: Option<String>) {
        self.push(None, message.into(), hint);
    }

    fn push(&self, span: Option<Range<usize>>, message: String, hint: Option<String>) {
        let mut found = self.found.borrow_mut();
        let (line, column) = span.map_or((0, 0), |span| place(self.text, span.start));
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            file: self.file.into(),
            line,
            column,
            message,
            hint,
        };
        if found.len() < MAX_DIAGNOSTICS && !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }

    /// Everything found, in the file's order.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        found
    }

    /// Line and column where a span begins.
    pub(crate) fn place(&self, span: Range<usize>) -> (usize, usize) {
        place(self.text, span.start)
    }

    /// Where `word` stands within `span`, or the whole span.
    pub(crate) fn find(&self, span: Range<usize>, word: &str) -> Range<usize> {
        let Some(slice) = self.text.get(span.clone()) else {
            return span;
        };
        let whole = |at: usize| {
            let part = |c: char| c.is_alphanumeric() || c == '_';
            !slice[..at].ends_with(part) && !slice[at + word.len()..].starts_with(part)
        };
        match slice.match_indices(word).find(|(at, _)| whole(*at)) {
            Some((at, _)) => span.start + at..span.start + at + word.len(),
            None => span,
        }
    }

    fn mismatch(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let is = value.get_ref().type_str();
        self.error(
            value.span(),
            format!("`{key}` must be {wanted}, not {} {is}", article(is)),
        );
    }

    pub(crate) fn string<'v>(&self, key: &str, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.mismatch(key, value, "a string");
        }
        text
    }

    pub(crate) fn boolean(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.mismatch(key, value, "true or false");
        }
        truth
    }

    pub(crate) fn integer(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        range: Range<i64>,
    ) -> Option<i64> {
        let Some(number) = integer(value.get_ref()) else {
            self.mismatch(key, value, "a whole number");
            return None;
        };
        if !range.contains(&number) {
            let (low, high) = (range.start, range.end - 1);
            self.error(
                value.span(),
                format!("`{key}` must be {low} to {high}, not {number}"),
            );
            return None;
        }
        Some(number)
    }

    pub(crate) fn duration(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let text = self.string(key, value)?;
        let duration = duration(text);
        if duration.is_none() {
            let hint = Some("write it as `300ms`, `5s`, `2m` or `1h`, at most a day".to_owned());
            self.error_with(
                value.span(),
                format!("`{key}`: `{text}` is no duration"),
                hint,
            );
        }
        duration
    }

    pub(crate) fn table<'v>(
        &self,
        key: &str,
        value: &'v Spanned<DeValue<'v>>,
    ) -> Option<Table<'v>> {
        let Some(table) = value.get_ref().as_table() else {
            self.mismatch(key, value, "a table");
            return None;
        };
        Some(Table {
            table,
            span: value.span(),
            asked: Vec::new(),
        })
    }

    pub(crate) fn array<'v>(
        &self,
        key: &str,
        value: &'v Spanned<DeValue<'v>>,
    ) -> &'v [Spanned<DeValue<'v>>] {
        match value.get_ref().as_array() {
            Some(array) => array,
            None => {
                self.mismatch(key, value, "an array");
                &[]
            }
        }
    }
}

/// A table that remembers which keys were asked for, so that the rest can be complained about.
pub(crate) struct Table<'v> {
    table: &'v DeTable<'v>,
    pub(crate) span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'v> Table<'v> {
    pub(crate) fn root(document: &'v Spanned<DeTable<'v>>) -> Self {
        Table {
            table: document.get_ref(),
            span: document.span(),
            asked: Vec::new(),
        }
    }

    pub(crate) fn of(table: &'v DeTable<'v>, span: Range<usize>) -> Self {
        Table {
            table,
            span,
            asked: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'v Spanned<DeValue<'v>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// As `take`, and its absence is an error at the table.
    pub(crate) fn need(
        &mut self,
        sink: &Sink<'_>,
        key: &'static str,
        hint: &str,
    ) -> Option<&'v Spanned<DeValue<'v>>> {
        let value = self.take(key);
        if value.is_none() {
            sink.error_with(
                self.span.clone(),
                format!("`{key}` is missing"),
                Some(hint.to_owned()),
            );
        }
        value
    }

    /// All entries in the file's order, for tables whose keys are the author's.
    pub(crate) fn entries(&self) -> Vec<(&'v str, Range<usize>, &'v Spanned<DeValue<'v>>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
            .collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    pub(crate) fn key_span(&self, key: &str) -> Range<usize> {
        self.table
            .get_key_value(key)
            .map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// Complains about every key that nobody asked for.
    pub(crate) fn finish(self, sink: &Sink<'_>, owner: &str) {
        for (key, span, _) in self.entries() {
            if !self.asked.contains(&key) {
                let hint = suggest(key, self.asked.iter().copied())
                    .or_else(|| Some(format!("known here: {}", self.asked.join(", "))));
                sink.error_with(span, format!("{owner} has no `{key}`"), hint);
            }
        }
    }
}

/// "did you mean": the closest of the candidates, when it is close.
pub(crate) fn suggest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    let best = candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))?;
    // A shared prefix alone makes short words alike for Jaro-Winkler; edits must be few as well.
    let few_edits = strsim::damerau_levenshtein(word, best.1) <= 1 + word.chars().count() / 3;
    (best.0 >= LIKENESS && few_edits).then(|| format!("did you mean `{}`?", best.1))
}

/// Line and column, both from 1, the column in characters.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        1 + before.matches('\n').count(),
        1 + before[start..].chars().count(),
    )
}

pub(crate) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

pub(crate) fn duration(text: &str) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(86_400);
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    let millis: u64 = match &text[unit..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(millis)?);
    (duration <= DAY).then_some(duration)
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}
