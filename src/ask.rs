//! Questions: `cordboard contact` and `cordboard report`, of a running engine or of what a stopped one has left.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use server::replay;
use store::{DataDir, Store};

use crate::reach::{Reach, Reached};

#[derive(Args)]
#[group(multiple = false)]
pub struct View {
    /// The SIP messages, as a ladder: the parties side by side, time downwards.
    #[arg(long)]
    ladder: bool,
    /// The distributor's decisions and why it waits, in Chinese or English by the locale (LC_ALL, LC_MESSAGES, LANG).
    #[arg(long)]
    why: bool,
    /// The contact as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub enum Report {
    /// Every number of a span, by its definition.
    #[command(after_help = "Examples:
  cordboard report kpi                                              today, by queue
  cordboard report kpi --from 2026-11-20 --to 2026-11-21 --by agent --format csv
  CORDBOARD_PASSWORD=… cordboard report kpi --url http://cb.example:8080 --user 1900

Asks the running engine of the data directory; when none runs, the log is read. A span has at most 8 days.")]
    Kpi {
        /// RFC 3339, or a date in the centre's time zone; the start of today unless given.
        #[arg(long, value_name = "T")]
        from: Option<String>,
        /// As --from, exclusive; now unless given.
        #[arg(long, value_name = "T")]
        to: Option<String>,
        #[arg(long, value_enum, default_value_t = By::Queue)]
        by: By,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Only these, e.g. asa@1,sl_all@1.
        #[arg(long, value_name = "ID,…")]
        definition: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Where callers go in flows, how long they stay there, and where they hang up.
    #[command(after_help = "Examples:
  cordboard report flows --from 2026-11-20 --to 2026-11-21
  cordboard report flows --flow main --format csv

Reads the log of the data directory. `dropped` are callers who hung up in a state without having got what they called for.")]
    Flows {
        /// RFC 3339, or a date in the centre's time zone; the log's beginning unless given.
        #[arg(long, value_name = "T")]
        from: Option<String>,
        /// As --from, exclusive; the log's end unless given.
        #[arg(long, value_name = "T")]
        to: Option<String>,
        /// Only this flow.
        #[arg(long)]
        flow: Option<String>,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum By {
    Queue,
    Agent,
    Interval,
    Group,
    Centre,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Json,
}

/// `cordboard contact ID`.
pub fn contact(id: &str, view: &View, reach: Reach) -> anyhow::Result<ExitCode> {
    let path = match (view.ladder, view.why) {
        (true, _) => format!("/api/v1/contacts/{id}/ladder"),
        (_, true) => format!("/api/v1/contacts/{id}/why"),
        _ => format!("/api/v1/contacts/{id}"),
    };
    let answer = match reach.resolve()? {
        Reached::Engine(client) => client.get(&path, &[])?,
        Reached::Data { .. } if view.ladder || view.why => {
            bail!("no engine runs: messages and decisions are in its memory alone")
        }
        Reached::Data { dir, .. } => closed(&dir, id)?,
    };
    let mut out = std::io::stdout().lock();
    match answer
        .get("messages")
        .and_then(Value::as_array)
        .filter(|_| view.ladder)
    {
        Some(messages) => write!(out, "{}", crate::ladder::diagram(messages))?,
        None if view.why => {
            let tongue = crate::why::Tongue::of_environment();
            write!(out, "{}", crate::why::told(&answer, tongue))?;
        }
        None if view.json => writeln!(out, "{answer}")?,
        None => writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A contact of a stopped engine.
fn closed(dir: &std::path::Path, id: &str) -> anyhow::Result<Value> {
    if !dir.is_dir() {
        bail!("{}: no engine runs, and there is no data", dir.display());
    }
    let store = Store::open(&DataDir::open(dir)?)?;
    let found = store
        .contact(id)?
        .with_context(|| format!("there is no contact {id}"))?;
    let mut form: Value = serde_json::from_str(&found.json)?;
    if let (Some(form), Some(personal)) = (form.as_object_mut(), found.personal) {
        form.extend(serde_json::from_str::<serde_json::Map<_, _>>(
            &personal.json,
        )?);
    }
    Ok(form)
}

/// `cordboard report`.
pub fn report(report: Report) -> anyhow::Result<ExitCode> {
    let (from, to, by, format, definition, reach) = match report {
        Report::Kpi {
            from,
            to,
            by,
            format,
            definition,
            reach,
        } => (from, to, by, format, definition, reach),
        Report::Flows {
            from,
            to,
            flow,
            format,
            reach,
        } => {
            return flows(
                from.as_deref(),
                to.as_deref(),
                flow.as_deref(),
                format,
                reach,
            );
        }
    };
    let by = by
        .to_possible_value()
        .map(|by| by.get_name().to_owned())
        .unwrap_or_default();
    let answer = match reach.resolve()? {
        Reached::Engine(client) => {
            let wanted = [("from", from), ("to", to), ("definition", definition)];
            let mut query = vec![("by", by)];
            query.extend(
                wanted
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value?))),
            );
            client.get("/api/v1/kpi", &query)?
        }
        Reached::Data { dir, compiled } => {
            let zone = &compiled.settings.time_zone;
            let until = to.as_deref().map(|to| server::moment(to, zone)).transpose();
            let until = until.map_err(|wrong| anyhow::anyhow!("--to: {wrong}"))?;
            let (fold, last) = replay::fold(&dir, zone, until)?;
            let wanted = server::KpiWanted {
                from,
                to,
                by: Some(by),
                definition,
            };
            let now = until.map_or(last, |until| until.min(last));
            server::kpi_report(&fold, zone, &wanted, now).map_err(|wrong| anyhow::anyhow!(wrong))?
        }
    };
    let rows = answer
        .get("rows")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{answer}")?,
        Format::Csv | Format::Table => print(&mut out, &rows, format, true)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `cordboard report flows`.
fn flows(
    from: Option<&str>,
    to: Option<&str>,
    flow: Option<&str>,
    format: Format,
    reach: Reach,
) -> anyhow::Result<ExitCode> {
    let (dir, compiled) = reach.data()?;
    let moment = |name: &str, text: Option<&str>| {
        let moment = text.map(|text| server::moment(text, &compiled.settings.time_zone));
        moment
            .transpose()
            .map_err(|wrong| anyhow::anyhow!("--{name}: {wrong}"))
    };
    let paths = replay::paths(&dir, moment("from", from)?, moment("to", to)?)?;
    let rows: Vec<Value> = paths
        .states
        .iter()
        .filter(|((own, _), _)| flow.is_none_or(|flow| flow == &**own))
        .map(|((flow, state), totals)| {
            let calls = totals.entered.max(1) as f64;
            serde_json::json!({
                "flow": flow,
                "state": state,
                "verb": totals.verb,
                "calls": totals.entered,
                "dropped": totals.dropped,
                "dropped_share": totals.dropped as f64 / calls,
                "mean_s": totals.stay_ms as f64 / 1_000.0 / calls,
                "ways": totals.ways.iter().map(|(way, count)| format!("{way}: {count}")).collect::<Vec<_>>().join(", "),
            })
        })
        .collect();
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{}", serde_json::json!({ "rows": rows }))?,
        Format::Csv | Format::Table => print(&mut out, &rows, format, false)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// As CSV or as a table; few rows stand beside each other in a table that may turn them.
fn print(
    out: &mut impl std::io::Write,
    rows: &[Value],
    format: Format,
    may_turn: bool,
) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Csv => table(rows).iter().try_for_each(|row| {
            writeln!(
                out,
                "{}",
                row.iter()
                    .map(|cell| csv_cell(cell))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        })?,
        Format::Table => {
            let rows = match may_turn {
                true => turned(table(rows)),
                false => table(rows),
            };
            let columns = rows.first().map_or(0, Vec::len);
            let widths: Vec<usize> = (0..columns)
                .map(|column| {
                    rows.iter()
                        .map(|row| row[column].chars().count())
                        .max()
                        .unwrap_or(0)
                })
                .collect();
            for row in &rows {
                let cells: Vec<String> = row
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| format!("{cell:<width$}"))
                    .collect();
                writeln!(out, "{}", cells.join("  ").trim_end())?;
            }
        }
    }
    Ok(())
}

/// Rows that stand side by side as columns: a row of the answer has more cells than a line has room.
const SIDE_BY_SIDE_MAX: usize = 8;

/// A table for people: a line a number, when there are few enough rows to stand beside each other.
fn turned(table: Vec<Vec<String>>) -> Vec<Vec<String>> {
    if table.len() > SIDE_BY_SIDE_MAX + 1 {
        return table;
    }
    let lines = table.first().map_or(0, Vec::len);
    (0..lines)
        .map(|line| table.iter().map(|row| row[line].clone()).collect())
        .collect()
}

/// The header, then the rows; nested objects become columns `a.b`.
fn table(rows: &[Value]) -> Vec<Vec<String>> {
    let flat: Vec<Vec<(String, String)>> = rows
        .iter()
        .map(|row| {
            let mut cells = Vec::new();
            flatten("", row, &mut cells);
            cells
        })
        .collect();
    let mut columns: Vec<String> = Vec::new();
    for (name, _) in flat.iter().flatten() {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let body = flat.iter().map(|cells| {
        columns
            .iter()
            .map(|column| {
                cells
                    .iter()
                    .find(|(name, _)| name == column)
                    .map_or_else(String::new, |(_, text)| text.clone())
            })
            .collect()
    });
    std::iter::once(columns.clone()).chain(body).collect()
}

fn flatten(prefix: &str, value: &Value, cells: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                flatten(
                    &if prefix.is_empty() {
                        key.clone()
                    } else {
                        format!("{prefix}.{key}")
                    },
                    inner,
                    cells,
                );
            }
        }
        Value::Null => cells.push((prefix.to_owned(), String::new())),
        Value::String(text) => cells.push((prefix.to_owned(), text.clone())),
        Value::Number(number) if number.is_f64() => cells.push((
            prefix.to_owned(),
            format!("{:.4}", number.as_f64().unwrap_or(f64::NAN)),
        )),
        other => cells.push((prefix.to_owned(), other.to_string())),
    }
}

fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
