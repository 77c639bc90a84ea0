//! `cordboard check`.

use std::io::Write as _;
use std::process::ExitCode;

use crate::reach::counted;
use server::config::{Diagnostic, Loaded, Origin, Override, Severity, load, render};
use server::prompts;

/// Prints every fault; status 1 when one is an error.
pub fn run(origin: &Origin, overrides: &[Override], json: bool) -> anyhow::Result<ExitCode> {
    let mut loaded = load(origin, overrides);
    unplayable(&mut loaded);
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

/// Every prompt file is decoded: a start leaves out what cannot be played, a check tells it.
fn unplayable(loaded: &mut Loaded) {
    let compiled = loaded.compiled.as_ref();
    let Some(dir) = compiled.and_then(|compiled| compiled.settings.ivr_dir.as_ref()) else {
        return;
    };
    let (_, faults) = prompts::load(&dir.join("prompts"));
    if faults.is_empty() {
        return;
    }
    loaded.diagnostics.extend(faults.into_iter().map(|fault| {
        Diagnostic {
            severity: Severity::Error,
            file: fault.path,
            line: 0,
            column: 0,
            message: fault.what,
            hint: Some(
                "WAV (PCM, µ-law, A-law, ADPCM), FLAC, MP3 or Ogg Vorbis, 20 minutes at most"
                    .to_owned(),
            ),
        }
    }));
    loaded.compiled = None;
}
