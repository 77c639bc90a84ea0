//! Questions to a running engine over HTTP: `cordboard contact` and `cordboard report`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

/// Which engine, as whom.
#[derive(Args)]
pub struct Engine {
    /// Base address of the engine's HTTP.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "CORDBOARD_URL"
    )]
    url: String,
    /// A token of POST /api/v1/session.
    #[arg(long, env = "CORDBOARD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Sign in as this user; the password is CORDBOARD_PASSWORD in the environment.
    #[arg(long)]
    user: Option<String>,
}

#[derive(Args)]
#[group(multiple = false)]
pub struct View {
    /// The SIP messages, as a ladder.
    #[arg(long)]
    ladder: bool,
    /// The distributor's decisions.
    #[arg(long)]
    why: bool,
    /// The contact as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub enum Report {
    /// KPIs of an interval.
    Kpi {
        /// RFC 3339.
        #[arg(long, value_name = "T")]
        from: Option<String>,
        /// RFC 3339.
        #[arg(long, value_name = "T")]
        to: Option<String>,
        #[arg(long, value_enum, default_value_t = By::Queue)]
        by: By,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        #[command(flatten)]
        engine: Engine,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum By {
    Queue,
    Agent,
    Interval,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Json,
}

/// `cordboard contact ID`.
pub fn contact(id: &str, view: &View, engine: &Engine) -> anyhow::Result<ExitCode> {
    let path = match (view.ladder, view.why) {
        (true, _) => format!("/api/v1/contacts/{id}/ladder"),
        (_, true) => format!("/api/v1/contacts/{id}/why"),
        _ => format!("/api/v1/contacts/{id}"),
    };
    let answer = engine.get(&path, &[])?;
    let mut out = std::io::stdout().lock();
    match answer
        .get("messages")
        .and_then(Value::as_array)
        .filter(|_| view.ladder)
    {
        Some(lines) => {
            for line in lines {
                writeln!(out, "{}", line.as_str().unwrap_or_default())?;
            }
        }
        None if view.json => writeln!(out, "{answer}")?,
        None => writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `cordboard report`.
pub fn report(report: Report) -> anyhow::Result<ExitCode> {
    let Report::Kpi {
        from,
        to,
        by,
        format,
        engine,
    } = report;
    let by = match by {
        By::Queue => "queue",
        By::Agent => "agent",
        By::Interval => "interval",
    };
    let mut query = vec![("by", by.to_owned())];
    query.extend(from.map(|from| ("from", from)));
    query.extend(to.map(|to| ("to", to)));
    let answer = engine.get("/api/v1/kpi", &query)?;
    let rows = answer
        .get("rows")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{answer}")?,
        Format::Csv => table(&rows).iter().try_for_each(|row| {
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
            let rows = table(&rows);
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
    Ok(ExitCode::SUCCESS)
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

impl Engine {
    fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let token = self.token()?;
        let agent = client();
        let mut request = agent
            .get(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {token}"));
        for (key, value) in query {
            request = request.query(key, value);
        }
        let mut response = request
            .call()
            .with_context(|| format!("no engine answers at {}", self.url))?;
        let status = response.status();
        let body: Value = response.body_mut().read_json().unwrap_or_default();
        if !status.is_success() {
            let told = body
                .get("detail")
                .or_else(|| body.get("title"))
                .and_then(Value::as_str)
                .unwrap_or("no reason given");
            bail!("{path}: {status}: {told}");
        }
        Ok(body)
    }

    fn token(&self) -> anyhow::Result<String> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let Some(user) = &self.user else {
            bail!("who asks? give --token (CORDBOARD_TOKEN), or --user with CORDBOARD_PASSWORD")
        };
        let password =
            std::env::var("CORDBOARD_PASSWORD").context("CORDBOARD_PASSWORD is not set")?;
        let mut response = client()
            .post(format!("{}/api/v1/session", self.url))
            .send_json(serde_json::json!({"user": user, "password": password}))
            .with_context(|| format!("no engine answers at {}", self.url))?;
        if !response.status().is_success() {
            bail!("sign-in refused: {}", response.status());
        }
        let body: Value = response.body_mut().read_json()?;
        body["token"]
            .as_str()
            .map(str::to_owned)
            .context("the engine gave no token")
    }
}

/// A client to which a refusal is an answer.
fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(std::time::Duration::from_secs(30)))
        .build()
        .into()
}
