//! `cordboard check`.

use std::io::Write as _;
use std::process::ExitCode;

use crate::reach::counted;
use server::config::{Origin, Override, load, render};

/// Prints every fault; status 1 when one is an error.
pub fn run(origin: &Origin, overrides: &[Override], json: bool) -> anyhow::Result<ExitCode> {
    let loaded = load(origin, overrides);
    let mut out = std::io::stdout().lock();
    for diagnostic in &loaded.diagnostics {
        if json {
            let severity = if diagnostic.severity == server::config::Severity::Error {
                "error"
            } else {
                "warning"
            };
            let line = serde_json::json!({
                "severity": severity, "file": diagnostic.file, "line": diagnostic.line, "column": diagnostic.column,
                "message": diagnostic.message, "hint": diagnostic.hint,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", render(diagnostic, None))?;
        }
    }
    let (errors, warnings) = (loaded.errors(), loaded.diagnostics.len() - loaded.errors());
    match &loaded.compiled {
        Some(compiled) => {
            let engine = &compiled.engine;
            eprintln!(
                "good: {}, {}, {}, {}{}",
                counted(engine.acd.agents.len(), "agent"),
                counted(engine.queues.len(), "queue"),
                counted(engine.routes.len(), "number"),
                counted(engine.sip.trunks.len(), "trunk"),
                if warnings > 0 {
                    format!("; {}", counted(warnings, "warning"))
                } else {
                    String::new()
                }
            );
            Ok(ExitCode::SUCCESS)
        }
        None => {
            eprintln!(
                "{}, {}",
                counted(errors, "error"),
                counted(warnings, "warning")
            );
            Ok(ExitCode::FAILURE)
        }
    }
}
