//! `cordboard flow test`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use ivr::testing::{self, Report};
use server::config::{load, render};

use crate::ConfigArgs;

/// Names of what was missed that are told of each flow.
const MISSED_TOLD: usize = 10;

#[derive(Subcommand)]
pub enum Command {
    /// Run the *.test.toml of the flows in virtual time.
    #[command(after_help = "Examples:
  cordboard flow test
  cordboard flow test ivr-scripts/main.test.toml

Without PATH all tests of the flow directory run. Exit status 1 when a test failed or coverage that is asked for is missing.")]
    Test {
        /// Test files, or directories of them.
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// Runs the subcommand.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Test { paths, config } = command;
    let (origin, overrides) = config.resolve();
    let loaded = load(&origin, &overrides);
    let Some(compiled) = loaded.compiled else {
        loaded
            .diagnostics
            .iter()
            .for_each(|diagnostic| eprintln!("{}", render(diagnostic, None)));
        bail!("the configuration or a flow is wrong");
    };
    let roots = match (paths.is_empty(), &compiled.settings.ivr_dir) {
        (false, _) => paths,
        (true, Some(dir)) => vec![dir.clone()],
        (true, None) => bail!("there is no flow directory: set ivr.dir"),
    };
    let mut files = Vec::new();
    for root in &roots {
        collect(root, &mut files)?;
    }
    if files.is_empty() {
        bail!("no *.test.toml found");
    }
    let mut reports = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        reports.push(testing::run(&compiled.engine.flows, &text, file));
    }
    let mut out = std::io::stdout().lock();
    for report in &reports {
        print(&mut out, report)?;
    }
    let (tests, failed): (usize, usize) = (
        reports.iter().map(|report| report.tests.len()).sum(),
        reports.iter().map(Report::failed).sum(),
    );
    let broken = reports.iter().filter(|report| !report.passed()).count();
    writeln!(
        out,
        "flow tests: {tests} run, {} passed, {failed} failed",
        tests - failed
    )?;
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .with_context(|| path.display().to_string())?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    files.extend(
        entries
            .into_iter()
            .filter(|entry| entry.to_string_lossy().ends_with(".test.toml")),
    );
    Ok(())
}

fn print(out: &mut impl std::io::Write, report: &Report) -> std::io::Result<()> {
    let file = report.file.display();
    for diagnostic in &report.diagnostics {
        writeln!(out, "{}", render(diagnostic, None))?;
    }
    for test in &report.tests {
        match &test.failure {
            None => writeln!(out, "ok    {file}: {}", test.name)?,
            Some(failure) => {
                writeln!(
                    out,
                    "FAIL  {file}:{}: {}: {}",
                    failure.line, test.name, failure.message
                )?;
                for line in &failure.happened {
                    writeln!(out, "        {line}")?;
                }
            }
        }
    }
    for coverage in &report.coverage {
        let (states, branches) = (&coverage.states, &coverage.branches);
        writeln!(
            out,
            "      {}: {}/{} states, {}/{} branches",
            coverage.flow, states.hit, states.all, branches.hit, branches.all
        )?;
        let missed: Vec<&String> = states.missed.iter().chain(&branches.missed).collect();
        if !missed.is_empty() {
            let told: Vec<&str> = missed
                .iter()
                .take(MISSED_TOLD)
                .map(|name| name.as_str())
                .collect();
            let more = if missed.len() > MISSED_TOLD {
                format!(" and {} more", missed.len() - MISSED_TOLD)
            } else {
                String::new()
            };
            writeln!(out, "        not walked: {}{more}", told.join(", "))?;
        }
    }
    for unmet in &report.unmet {
        writeln!(out, "FAIL  {file}: {unmet}")?;
    }
    Ok(())
}
