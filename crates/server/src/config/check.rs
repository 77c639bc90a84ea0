//! The checks that need more than one value: what they share.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ivr::{Diagnostic, Severity};

use super::compile::Sources;
use super::form::Forms;
use super::read::{AGENTS, QUEUES, TRUNKS};

type Name = Arc<str>;

pub(super) struct Check<'a> {
    pub(super) forms: &'a Forms,
    pub(super) sources: &'a Sources,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
    /// Whose each number is, for the message about a clash.
    pub(super) numbers: BTreeMap<Name, String>,
    pub(super) routes: BTreeMap<Name, engine::Route>,
    /// Routes that are one trunk's alone: trunk, number, target.
    pub(super) trunk_routes: Vec<(Name, Name, engine::Route)>,
}

impl Check<'_> {
    pub(super) fn tell(
        &mut self,
        file: &str,
        severity: Severity,
        span: &Range<usize>,
        message: String,
        hint: Option<String>,
    ) {
        let source = match file {
            QUEUES => &self.sources.queues,
            AGENTS => &self.sources.agents,
            TRUNKS => &self.sources.trunks,
            _ => &self.sources.centre,
        };
        let diagnostic = source.diagnostic(severity, span, message, hint);
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn error(
        &mut self,
        file: &str,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.tell(
            file,
            Severity::Error,
            span,
            message.into(),
            hint.map(str::to_owned),
        );
    }

    pub(super) fn warning(
        &mut self,
        file: &str,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.tell(
            file,
            Severity::Warning,
            span,
            message.into(),
            hint.map(str::to_owned),
        );
    }

    /// Takes a number for somebody; false when it is taken.
    pub(super) fn take_number(
        &mut self,
        file: &str,
        number: &str,
        span: &Range<usize>,
        whose: String,
        route: engine::Route,
    ) -> bool {
        if !is_number(number) {
            self.error(
                file,
                span,
                format!("\"{number}\" cannot be dialled"),
                Some("letters, digits, `+`, `*`, `#`, `-`, `_` and `.`"),
            );
            return false;
        }
        if let Some(owner) = self.numbers.get(number) {
            let message = format!("{whose} has the number {number}, which is {owner}'s");
            self.error(file, span, message, Some("a number leads to one place"));
            return false;
        }
        self.numbers.insert(number.into(), whose);
        self.routes.insert(number.into(), route);
        true
    }
}

/// Names that flows, events and metrics use.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+*#-_.".contains(&byte))
}
