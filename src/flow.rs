//! `cordboard flow test | draw | versions | put-back`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ivr::testing::{self, Fuzzed, Report};
use server::config::{Compiled, load, render};
use server::versions::{self, Kept};

use crate::ConfigArgs;

/// Names of what was missed that are told of each flow.
const MISSED_TOLD: usize = 10;

#[derive(Subcommand)]
pub enum Command {
    /// Run the *.test.toml of the flows in virtual time.
    #[command(after_help = "Examples:
  cordboard flow test
  cordboard flow test ivr-scripts/main.test.toml
  cordboard flow test --calls 10000 --seed 7     ten thousand callers who press anything

Without PATH all tests of the flow directory run, and callers who press anything call every flow of it.
Exit status 1 when a test failed, coverage that is asked for is missing, or such a call did not come to its end.")]
    Test {
        /// Test files, or directories of them.
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Callers who press anything, for each flow; 0 for none [default: 200 without PATH].
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
        calls: Option<u32>,
        /// The same callers as another run with this seed.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// A picture of a flow, as SVG.
    #[command(after_help = "Examples:
  cordboard flow draw main -o main.svg
  cordboard flow draw main > main.svg

Blue listens, yellow decides, violet asks services, green hands over, red hangs up; a star is a goal, dashed is what goes wrong.")]
    Draw {
        /// The flow's name.
        flow: String,
        /// The file to write instead of stdout.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// The versions of a flow that have been in force, the newest first; a star marks the file as it is now.
    Versions {
        /// The flow's name.
        flow: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Writes a version of a flow into its file again. A running engine takes it with the next reload.
    #[command(after_help = "Example:
  cordboard flow put-back main 9f3c && kill -HUP $(pidof cordboard)")]
    PutBack {
        #[command(flatten)]
        version: Version,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// A flow as it was.
#[derive(Args)]
pub struct Version {
    /// The flow's name.
    flow: String,
    /// A version of `cordboard flow versions`, or its beginning.
    version: String,
}

/// Calls of each flow by callers who press anything, when nobody says how many: a second's work for thirty flows.
const CALLS: u32 = 200;

/// Runs the subcommand.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Test {
            paths,
            calls,
            seed,
            config,
        } => {
            let calls = calls.unwrap_or(if paths.is_empty() { CALLS } else { 0 });
            test(paths, calls, seed, config)
        }
        Command::Draw {
            flow,
            output,
            config,
        } => draw(&flow, output.as_deref(), config),
        Command::Versions { flow, config } => list(&flow, config),
        Command::PutBack { version, config } => put_back(&version, config),
    }
}

fn list(name: &str, config: ConfigArgs) -> anyhow::Result<ExitCode> {
    let compiled = compiled(config)?;
    let now = compiled.engine.flows.get(name).map(ivr::Flow::version);
    let kept = versions::list(&compiled.settings.data_dir, name)?;
    if kept.is_empty() {
        bail!("no version of `{name}` is kept: none has been in force here");
    }
    let mut out = std::io::stdout().lock();
    for Kept { version, since, .. } in kept {
        let mark = if now == Some(&*version) { "*" } else { " " };
        let since = jiff::Timestamp::try_from(since)?;
        let since = since.to_zoned(compiled.settings.time_zone.clone());
        writeln!(
            out,
            "{mark} {version}  {}",
            since.strftime("%Y-%m-%d %H:%M:%S")
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn put_back(wanted: &Version, config: ConfigArgs) -> anyhow::Result<ExitCode> {
    let compiled = compiled(config)?;
    let Version {
        flow: name,
        version,
    } = wanted;
    let flow = compiled.engine.flows.get(name);
    let flow = flow.with_context(|| format!("there is no flow `{name}`"))?;
    let kept = versions::list(&compiled.settings.data_dir, name)?;
    let mut found = kept.iter().filter(|kept| kept.version.starts_with(version));
    let (Some(one), None) = (found.next(), found.next()) else {
        bail!(
            "`{version}` is not the beginning of exactly one version: see `cordboard flow versions {name}`"
        );
    };
    std::fs::copy(&one.file, flow.file()).with_context(|| flow.file().display().to_string())?;
    eprintln!(
        "{} is version {} again; a reload puts it in force",
        flow.file().display(),
        one.version
    );
    Ok(ExitCode::SUCCESS)
}

fn compiled(config: ConfigArgs) -> anyhow::Result<Compiled> {
    let (origin, overrides) = config.resolve();
    let loaded = load(&origin, &overrides);
    let Some(compiled) = loaded.compiled else {
        loaded
            .diagnostics
            .iter()
            .for_each(|diagnostic| eprintln!("{}", render(diagnostic, None)));
        bail!("the configuration or a flow is wrong");
    };
    Ok(compiled)
}

fn draw(name: &str, output: Option<&Path>, config: ConfigArgs) -> anyhow::Result<ExitCode> {
    let compiled = compiled(config)?;
    let flows = &compiled.engine.flows;
    let Some(flow) = flows.get(name) else {
        let names: Vec<&str> = flows.names().collect();
        bail!("there is no flow `{name}`; there are: {}", names.join(", "));
    };
    let svg = ivr::draw(flow);
    match output {
        Some(path) => std::fs::write(path, svg).with_context(|| path.display().to_string())?,
        None => std::io::stdout().write_all(svg.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn test(
    paths: Vec<PathBuf>,
    calls: u32,
    seed: u64,
    config: ConfigArgs,
) -> anyhow::Result<ExitCode> {
    let compiled = compiled(config)?;
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
    let mut broken = reports.iter().filter(|report| !report.passed()).count();
    if calls > 0 {
        for name in compiled.engine.flows.names() {
            if let Some(fuzzed) = testing::fuzz(&compiled.engine.flows, name, seed, calls) {
                print_fuzzed(&mut out, &fuzzed)?;
                broken += fuzzed.failures.len();
            }
        }
    }
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

fn print_fuzzed(out: &mut impl std::io::Write, fuzzed: &Fuzzed) -> std::io::Result<()> {
    let Fuzzed {
        seed,
        calls,
        coverage,
        failures,
        doubtful,
    } = fuzzed;
    let (states, branches) = (&coverage.states, &coverage.branches);
    writeln!(
        out,
        "any   {}: {calls} calls (seed {seed}): {}/{} states, {}/{} branches{}",
        coverage.flow,
        states.hit,
        states.all,
        branches.hit,
        branches.all,
        match doubtful {
            0 => String::new(),
            doubtful => format!(", {doubtful} took the error path after made-up answers"),
        }
    )?;
    for failure in failures {
        writeln!(
            out,
            "FAIL  {}: call {} of seed {seed}: {}",
            coverage.flow, failure.call, failure.message
        )?;
        for line in &failure.happened {
            writeln!(out, "        {line}")?;
        }
    }
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
