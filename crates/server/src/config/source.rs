//! One configuration file as text: where a byte is (line, column), and what was put over it from the command line and the environment.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ivr::{Diagnostic, Severity};

/// A setting given outside the files, e.g. `--set sip.port=15060`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// How the user wrote it: named in messages.
    pub label: String,
    /// `sip.port`
    pub path: Vec<String>,
    pub value: String,
}

impl Override {
    /// From `--set`'s `path=value`.
    ///
    /// # Errors
    /// A sentence when there is no `=` or the path is empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (path, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not KEY=VALUE, e.g. sip.port=15060"))?;
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(format!(
                "`{text}` has an empty key; write e.g. sip.port=15060"
            ));
        }
        Ok(Override {
            label: format!("--set {}", path.join(".")),
            path,
            value: value.trim().to_owned(),
        })
    }

    /// From the environment: `CORDBOARD__SIP__PORT=15060` is `sip.port`. Other variables are none of ours.
    pub fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Self> {
        let mut found: Vec<Self> = variables
            .filter_map(|(name, value)| {
                let path: Vec<String> = name
                    .strip_prefix("CORDBOARD__")?
                    .to_lowercase()
                    .split("__")
                    .map(str::to_owned)
                    .collect();
                Some(Override {
                    label: name,
                    path,
                    value,
                })
            })
            .collect();
        found.sort_by(|a, b| a.label.cmp(&b.label));
        found
    }
}

/// A file's text with its overrides behind it, so that one byte offset names a place in either.
#[derive(Debug)]
pub struct Source {
    pub file: PathBuf,
    /// The built-in default, because there is no such file.
    pub built_in: bool,
    text: String,
    overrides: Vec<Applied>,
    end: usize,
}

#[derive(Debug)]
struct Applied {
    range: Range<usize>,
    over: Override,
    /// A document whose only key [`VALUE_KEY`] has the value, behind so many blanks that the parser's spans are ours.
    padded: String,
}

/// What stands before an override's value in its document.
const VALUE_KEY: &str = "v=";

impl Source {
    /// A file's text.
    pub fn new(file: PathBuf, text: String, built_in: bool) -> Self {
        let end = text.len() + VALUE_KEY.len();
        Source {
            file,
            built_in,
            text,
            overrides: Vec::new(),
            end,
        }
    }

    /// The file's own text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Puts an override over the file.
    pub fn put_over(&mut self, over: Override) {
        let range = self.end..self.end + over.value.len();
        self.end = range.end + VALUE_KEY.len();
        let padded = format!(
            "{}{VALUE_KEY}{}",
            " ".repeat(range.start - VALUE_KEY.len()),
            over.value
        );
        self.overrides.push(Applied {
            range,
            over,
            padded,
        });
    }

    /// The overrides in the order given, each with its padded value and its span.
    pub fn overrides(&self) -> impl Iterator<Item = (&Override, &str, Range<usize>)> {
        self.overrides.iter().map(|applied| {
            (
                &applied.over,
                applied.padded.as_str(),
                applied.range.clone(),
            )
        })
    }

    /// What an override at this span says, as it was written.
    pub fn override_text(&self, span: &Range<usize>) -> Option<&str> {
        self.override_at(span.start)
            .map(|applied| applied.over.value.as_str())
    }

    fn override_at(&self, offset: usize) -> Option<&Applied> {
        self.overrides
            .iter()
            .find(|applied| applied.range.start <= offset && offset <= applied.range.end)
    }

    /// A message about the text at `span`.
    pub fn diagnostic(
        &self,
        severity: Severity,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        let message = message.into();
        if let Some(applied) = self
            .override_at(span.start)
            .filter(|_| span.start >= self.text.len())
        {
            return Diagnostic {
                severity,
                file: PathBuf::from(&applied.over.label),
                line: 0,
                column: 0,
                message,
                hint,
            };
        }
        let (line, column) = position(&self.text, span.start);
        Diagnostic {
            severity,
            file: self.file.clone(),
            line,
            column,
            message,
            hint,
        }
    }
}

/// Line and column of a byte, from 1; columns count characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

/// One line for people: `agents.toml:3:1: error: … (hint)`.
pub fn render(diagnostic: &Diagnostic, relative_to: Option<&Path>) -> String {
    let file = relative_to
        .and_then(|base| diagnostic.file.strip_prefix(base).ok())
        .unwrap_or(&diagnostic.file);
    let mut text = file.display().to_string();
    if diagnostic.line > 0 {
        text.push_str(&format!(":{}:{}", diagnostic.line, diagnostic.column));
    }
    let severity = match diagnostic.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    text.push_str(&format!(": {severity}: {}", diagnostic.message));
    if let Some(hint) = &diagnostic.hint {
        text.push_str(&format!("\n    hint: {hint}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        assert_eq!(position("a = \"李\" x\nb", 10), (1, 9));
        assert_eq!(position("a\nbc", 3), (2, 2));
        assert_eq!(position("a", 99), (1, 2));
    }

    #[test]
    fn overrides_from_both_ways() {
        let over = Override::parse("sip.port=15060").unwrap();
        assert_eq!(
            (over.path.join("."), over.value.as_str()),
            ("sip.port".to_owned(), "15060")
        );
        assert!(Override::parse("sip.port").is_err());
        assert!(Override::parse("=3").is_err());
        let found = Override::from_environment(
            [
                ("CORDBOARD__SIP__PORT".to_owned(), "1".to_owned()),
                ("HOME".to_owned(), "/root".to_owned()),
            ]
            .into_iter(),
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, ["sip", "port"]);
    }
}
