//! `cordboard simulate`: a day of a forecast through the distributor, in virtual time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use clock::Time;
use forecast::day::{Centre, Day, callers, run as run_day};
use forecast::erlang::{self, Load};
use forecast::logged::{self, End, Visit};
use forecast::plan::{self, Row};
use forecast::report::{self, Estimate, Line};
use serde_json::{Value, json};
use server::config::{Compiled, Origin, load, render};

/// How long a phone rings before its agent answers.
const ANSWERS_AFTER: Duration = Duration::from_secs(2);
/// Most runs: more make no interval noticeably narrower.
const RUNS_MAX: u64 = 1_000;

#[derive(Args)]
pub struct Simulate {
    /// The configuration: its queues, skills and rules.
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Another configuration: told is what it has more or less, each run with the same callers.
    #[arg(long, value_name = "DIR")]
    vs: Option<PathBuf>,
    /// The same seed gives the same bytes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Days that are drawn; more make the intervals of confidence narrower.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=RUNS_MAX))]
    runs: u64,
    /// In place of the simulation: agents needed, by Erlang C, to answer this share within so many seconds.
    #[arg(long, value_name = "SHARE/SECONDS", value_parser = staffing, conflicts_with = "vs")]
    staff: Option<Staffing>,
    #[arg(long)]
    json: bool,
}

/// What the day is made of.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// CSV: interval_start,queue,arrivals,aht_seconds,patience_seconds,staff.
    #[arg(long, value_name = "FILE")]
    forecast: Option<PathBuf>,
    /// A day that has been: its events as `GET /api/v1/events` gives them, one a line.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// The day before a seed has drawn its callers.
enum Plan {
    Forecast(Vec<Row>),
    Log {
        visits: Vec<Visit>,
        duty: Vec<(Arc<str>, Time, Time)>,
    },
}

impl Plan {
    fn read(source: &Source) -> anyhow::Result<Plan> {
        match (&source.forecast, &source.log) {
            (Some(file), _) => Ok(Plan::Forecast(rows(file)?)),
            (None, Some(file)) => read_log(file),
            (None, None) => bail!("--forecast FILE or --log FILE"),
        }
    }

    /// The rows are the same for every seed.
    fn rows(&self) -> Vec<Row> {
        match self {
            Plan::Forecast(rows) => rows.clone(),
            Plan::Log { visits, duty } => logged::day(visits, duty, 0).rows,
        }
    }

    fn run(&self, rows: &[Row], centre: &Centre, seed: u64) -> Day {
        match self {
            Plan::Forecast(_) => run_day(rows, &callers(rows, seed), centre),
            Plan::Log { visits, duty } => {
                let day = logged::day(visits, duty, seed);
                let centre = Centre {
                    present: Some(day.present),
                    ..centre.clone()
                };
                run_day(rows, &day.callers, &centre)
            }
        }
    }
}

/// Visits and spells of duty out of events. Handling is talk and hold: after-call work is the configuration's.
fn read_log(file: &Path) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (mut visits, mut duty) = (Vec::<Visit>::new(), Vec::new());
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    let mut on: BTreeMap<Arc<str>, Time> = BTreeMap::new();
    let mut last = Time::ZERO;
    for (line, text) in (1..).zip(text.lines()) {
        let place = || format!("{}:{line}:1: no event", file.display());
        let event: Value = serde_json::from_str(text).with_context(place)?;
        let time = event["time"].as_str().with_context(place)?;
        let at = server::moment(time, &server::utc())
            .map_err(|wrong| anyhow::anyhow!("{}: {wrong}", place()))?;
        last = last.max(at);
        let data = &event["data"];
        let contact = data["contact"].as_str().unwrap_or_default().to_owned();
        let waited = Duration::from_millis(data["wait_ms"].as_u64().unwrap_or(0));
        match event["type"].as_str().unwrap_or_default() {
            "contact.queued" => {
                open.insert(contact, visits.len());
                visits.push(Visit {
                    queue: data["queue"].as_str().unwrap_or_default().into(),
                    at,
                    waited: Duration::ZERO,
                    end: End::Other,
                });
            }
            "contact.answered" => {
                if let Some(visit) = open.get(&contact).and_then(|at| visits.get_mut(*at)) {
                    let handling = Duration::ZERO;
                    (visit.waited, visit.end) = (waited, End::Answered { handling });
                }
            }
            "contact.abandoned" => {
                if let Some(visit) = open.remove(&contact).and_then(|at| visits.get_mut(at)) {
                    (visit.waited, visit.end) = (waited, End::Abandoned);
                }
            }
            "contact.left_queue" => {
                if let Some(visit) = open.remove(&contact).and_then(|at| visits.get_mut(at)) {
                    visit.waited = waited;
                }
            }
            "contact.closed" => {
                let spoken = |key: &str| data[key].as_u64().unwrap_or(0);
                if let Some(visit) = open.remove(&contact).and_then(|at| visits.get_mut(at))
                    && let End::Answered { handling } = &mut visit.end
                {
                    *handling = Duration::from_millis(spoken("talk_ms") + spoken("hold_ms"));
                }
            }
            "agent.state" => {
                let agent: Arc<str> = data["agent"].as_str().unwrap_or_default().into();
                if data["state"] == "logged_out" {
                    duty.extend(on.remove(&agent).map(|from| (agent, from, at)));
                } else {
                    on.entry(agent).or_insert(at);
                }
            }
            _ => {}
        }
    }
    duty.extend(on.into_iter().map(|(agent, from)| (agent, from, last)));
    Ok(Plan::Log { visits, duty })
}

/// `80/20`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Staffing {
    share: f64,
    within: Duration,
}

fn staffing(text: &str) -> Result<Staffing, String> {
    let parts = text.split_once('/').and_then(|(share, within)| {
        Some((share.parse::<f64>().ok()?, within.parse::<u64>().ok()?))
    });
    match parts {
        Some((share, within)) if share > 0.0 && share < 100.0 => Ok(Staffing {
            share: share / 100.0,
            within: Duration::from_secs(within),
        }),
        _ => Err("a share in per cent and seconds, e.g. 80/20".to_owned()),
    }
}

/// Runs the subcommand.
pub fn run(wanted: &Simulate) -> anyhow::Result<ExitCode> {
    let plan = Plan::read(&wanted.source)?;
    let rows = plan.rows();
    let centre = centre(&wanted.config, &rows)?;
    let mut out = std::io::stdout().lock();
    if let Some(staffing) = wanted.staff {
        write_staff(&mut out, &rows, staffing, wanted.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let days = days(&plan, &rows, &centre, wanted);
    let lines = report::lines(&rows, &days);
    let against = match &wanted.vs {
        Some(dir) => {
            let other = self::centre(dir, &rows)?;
            Some(report::differences(
                &rows,
                &self::days(&plan, &rows, &other, wanted),
                &days,
            ))
        }
        None => None,
    };
    if wanted.json {
        let told = json!({ "seed": wanted.seed, "runs": wanted.runs, "lines": lines, "differences": against });
        writeln!(out, "{told}")?;
        return Ok(ExitCode::SUCCESS);
    }
    write_table(&mut out, &lines)?;
    if let Some(against) = against {
        writeln!(
            out,
            "\nDifferences of {} (each run with the same callers):",
            wanted.vs.as_deref().unwrap_or(Path::new("")).display()
        )?;
        write_table(&mut out, &against)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(file: &Path) -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    plan::parse(&text)
        .map_err(|wrong| anyhow::anyhow!("{}:{}:1: {}", file.display(), wrong.line, wrong.message))
}

fn centre(dir: &Path, rows: &[Row]) -> anyhow::Result<Centre> {
    let loaded = load(&Origin::Dir(dir.to_path_buf()), &[]);
    let Some(Compiled { engine, .. }) = loaded.compiled else {
        loaded
            .diagnostics
            .iter()
            .for_each(|diagnostic| eprintln!("{}", render(diagnostic, None)));
        bail!("the configuration is wrong");
    };
    if let Some(row) = rows
        .iter()
        .find(|row| !engine.queues.contains_key(&row.queue))
    {
        bail!(
            "{} has no queue `{}`, which the forecast names",
            dir.display(),
            row.queue
        );
    }
    let overflow = engine.queues.values().filter_map(|queue| {
        let next: Arc<str> = queue.overflow.as_deref()?.strip_prefix("queue:")?.into();
        Some((queue.name.clone(), next))
    });
    Ok(Centre {
        acd: (*engine.acd).clone(),
        overflow: overflow.collect(),
        answers_after: ANSWERS_AFTER,
        targets: engine
            .queues
            .values()
            .map(|queue| (queue.name.clone(), queue.service_level))
            .collect::<BTreeMap<_, _>>(),
        present: None,
    })
}

fn days(plan: &Plan, rows: &[Row], centre: &Centre, wanted: &Simulate) -> Vec<Day> {
    (0..wanted.runs)
        .map(|number| plan.run(rows, centre, wanted.seed.wrapping_add(number << 32)))
        .collect()
}

fn write_table(out: &mut impl std::io::Write, lines: &[Line]) -> std::io::Result<()> {
    writeln!(
        out,
        "{:<9} {:<14} {:>14} {:>16} {:>14} {:>14} {:>14} {:>14}",
        "interval",
        "queue",
        "offered",
        "service level",
        "ASA s",
        "abandoned",
        "turned away",
        "occupancy"
    )?;
    for Line {
        interval_start,
        queue,
        numbers,
    } in lines
    {
        let count =
            |of: Estimate, digits: usize| format!("{:.digits$} ±{:.digits$}", of.mean, of.within);
        let share = |of: Estimate| format!("{:.1} ±{:.1} %", of.mean * 100.0, of.within * 100.0);
        writeln!(
            out,
            "{interval_start:<9} {queue:<14} {:>14} {:>16} {:>14} {:>14} {:>14} {:>14}",
            count(numbers.offered, 1),
            share(numbers.service_level),
            count(numbers.asa, 1),
            share(numbers.abandonment),
            share(numbers.turned_away),
            share(numbers.occupancy),
        )?;
    }
    Ok(())
}

/// A first staffing, each queue by itself: agents who share queues make it smaller.
fn write_staff(
    out: &mut impl std::io::Write,
    rows: &[Row],
    wanted: Staffing,
    json: bool,
) -> anyhow::Result<()> {
    let mut told = Vec::new();
    for row in rows {
        let load = Load::new(row.arrivals, row.lasts, row.handling);
        let agents = erlang::agents_for(load, wanted.share, wanted.within);
        let minutes = row.start.as_secs() / 60;
        let patient = (!row.patience.is_zero() && row.arrivals > 0.0)
            .then(|| erlang::with_patience(load, agents, row.patience));
        told.push(json!({
            "interval_start": format!("{:02}:{:02}", minutes / 60, minutes % 60),
            "queue": &*row.queue,
            "erlangs": load.erlangs,
            "agents": agents,
            "planned": row.staff,
            "service_level": erlang::answered_within(load, agents, wanted.within),
            "asa_seconds": erlang::mean_wait(load, agents).map(|wait| wait.as_secs_f64()),
            "occupancy": load.erlangs / f64::from(agents),
            "abandonment": patient.map(|patient| patient.abandons),
        }));
    }
    if json {
        writeln!(out, "{}", json!({ "staff": told }))?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<9} {:<14} {:>8} {:>7} {:>8} {:>14} {:>7} {:>10} {:>10}",
        "interval",
        "queue",
        "erlangs",
        "agents",
        "planned",
        "service level",
        "ASA s",
        "occupancy",
        "abandoned"
    )?;
    for row in told {
        let number = |key: &str| row[key].as_f64().unwrap_or(0.0);
        writeln!(
            out,
            "{:<9} {:<14} {:>8.2} {:>7} {:>8} {:>12.1} % {:>7.1} {:>8.1} % {:>8.1} %",
            row["interval_start"].as_str().unwrap_or_default(),
            row["queue"].as_str().unwrap_or_default(),
            number("erlangs"),
            row["agents"],
            row["planned"],
            number("service_level") * 100.0,
            number("asa_seconds"),
            number("occupancy") * 100.0,
            number("abandonment") * 100.0,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_and_seconds() {
        let wanted = staffing("80/20").unwrap();
        assert_eq!(
            (wanted.share, wanted.within),
            (0.8, Duration::from_secs(20))
        );
        assert!(staffing("80").is_err() && staffing("0/20").is_err() && staffing("a/b").is_err());
    }
}
