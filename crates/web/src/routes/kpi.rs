//! Every number of a span of time.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use clock::Time;
use metrics::{Fold, kpi as definitions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Who;
use crate::cloud::{parse_time, rfc3339};
use crate::problem::{Problem, Query};
use crate::view;

/// What is asked.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// RFC 3339, or a date of the centre's time zone; the start of today unless given. Intervals (of agents: days) that begin at or after it.
    pub from: Option<String>,
    /// As `from`; now unless given. Intervals that begin before it.
    pub to: Option<String>,
    /// `queue` (default), `agent`, `group`, `interval` or `centre`.
    pub by: Option<String>,
    /// Ids with commas between them, for example `asa@1,sl_all@1`; all unless given.
    pub definition: Option<String>,
}

/// The numbers.
#[derive(Serialize, ToSchema)]
pub struct Kpi {
    from: String,
    to: String,
    by: String,
    /// What each id means.
    definitions: BTreeMap<&'static str, &'static str>,
    rows: Vec<Row>,
}

#[derive(Serialize, ToSchema)]
pub struct Row {
    /// Name of the queue, agent or group, or start of the interval.
    key: String,
    /// By definition; null without data.
    values: BTreeMap<&'static str, Option<f64>>,
    #[schema(value_type = Object)]
    totals: Value,
}

struct Span {
    from: Time,
    to: Time,
    now: Time,
}

/// KPIs of a span (KPI.md), eight days back at most; older ones are a replay of the log (`cordboard report kpi`).
#[utoipa::path(get, path = "/api/v1/kpi", tag = "kpi", params(Wanted), responses((status = 200, body = Kpi), (status = "4XX", body = Problem)))]
pub async fn kpi(
    State(app): State<App>,
    who: Who,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Kpi>, Problem> {
    let now = app.now();
    let own = (!who.role.oversees()).then_some(&*who.user);
    let answer = app
        .hub
        .read(|state| report(&state.fold, &app.zone, &wanted, now, own));
    answer.map(Json)
}

/// The answer of `GET /api/v1/kpi` from any fold: that of a replay too.
///
/// # Errors
/// A sentence, where the question is wrong.
pub fn kpi_report(
    fold: &Fold,
    zone: &jiff::tz::TimeZone,
    wanted: &Wanted,
    now: Time,
) -> Result<Value, String> {
    report(fold, zone, wanted, now, None)
        .map(|kpi| form(&kpi))
        .map_err(|problem| problem.detail().to_owned())
}

/// A time of a question: RFC 3339, or a date in the centre's zone.
///
/// # Errors
/// A sentence, where it is neither.
pub fn moment(text: &str, zone: &jiff::tz::TimeZone) -> Result<Time, String> {
    parse_time(text)
        .or_else(|| start_of(text, zone))
        .ok_or_else(|| format!("{text:?} is no RFC 3339 time and no date"))
}

/// `own`: an agent who sees no others.
fn report(
    fold: &Fold,
    zone: &jiff::tz::TimeZone,
    wanted: &Wanted,
    now: Time,
    own: Option<&str>,
) -> Result<Kpi, Problem> {
    let time = |text: &Option<String>, name: &str| {
        let parse = |text: &String| {
            moment(text, zone).map_err(|wrong| Problem::bad_request(format!("{name}: {wrong}")))
        };
        text.as_ref().map(parse).transpose()
    };
    let ids: Option<Vec<&str>> = wanted
        .definition
        .as_deref()
        .map(|ids| ids.split(',').collect());
    if let Some(unknown) = ids
        .iter()
        .flatten()
        .find(|id| definitions::definition(id).is_none())
    {
        return Err(Problem::bad_request(format!(
            "definition: there is no {unknown:?}"
        )));
    }
    let by = wanted.by.as_deref().unwrap_or("queue");
    let to = time(&wanted.to, "to")?.unwrap_or(now);
    let from = time(&wanted.from, "from")?.unwrap_or_else(|| fold.today_start(now));
    let mut rows = rows(fold, by, &Span { from, to, now }, own)?;
    for row in &mut rows {
        row.values
            .retain(|id, _| ids.as_ref().is_none_or(|ids| ids.contains(id)));
    }
    let known = definitions::DEFINITIONS
        .iter()
        .chain([&definitions::SELF_SERVICE]);
    let known = known
        .filter(|one| ids.as_ref().is_none_or(|ids| ids.contains(&one.id)))
        .map(|one| (one.id, one.text));
    Ok(Kpi {
        from: rfc3339(from),
        to: rfc3339(to),
        by: by.to_owned(),
        definitions: known.collect(),
        rows,
    })
}

/// The start of a date in the centre's zone.
fn start_of(date: &str, zone: &jiff::tz::TimeZone) -> Option<Time> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let start = date.to_zoned(zone.clone()).ok()?.timestamp();
    u64::try_from(start.as_nanosecond())
        .ok()
        .map(Time::from_nanos)
}

fn rows(fold: &Fold, by: &str, span: &Span, own: Option<&str>) -> Result<Vec<Row>, Problem> {
    let Span { from, to, now } = *span;
    let queue = |key: String, totals: metrics::QueueTotals| Row {
        key,
        values: view::queue_kpis(&totals),
        totals: form(&view::queue_today(&totals)),
    };
    let agent = |key: &str, totals: metrics::AgentTotals| Row {
        key: key.to_owned(),
        values: view::agent_kpis(&totals),
        totals: agent_form(&totals),
    };
    Ok(match by {
        "queue" => fold
            .queues()
            .filter_map(|name| Some(queue(name.to_string(), fold.queue_between(name, from, to)?)))
            .collect(),
        "interval" => fold
            .intervals(from, to)
            .into_iter()
            .map(|(start, totals)| queue(rfc3339(start), totals))
            .collect(),
        "agent" => {
            let seen = fold
                .agents()
                .filter(|id| own.is_none_or(|own| own == &***id));
            seen.filter_map(|id| Some(agent(id, fold.agent_between(id, from, to, now)?)))
                .collect()
        }
        "group" => fold
            .groups()
            .filter_map(|name| Some(agent(name, fold.group_between(name, from, to, now)?)))
            .collect(),
        "centre" => {
            let totals = fold.centre_between(from, to);
            let values = BTreeMap::from([(
                definitions::SELF_SERVICE.id,
                definitions::self_service(&totals),
            )]);
            vec![Row {
                key: "centre".to_owned(),
                values,
                totals: centre_form(&totals),
            }]
        }
        other => {
            return Err(Problem::bad_request(format!(
                "by: {other:?} is none of queue, agent, group, interval, centre"
            )));
        }
    })
}

fn form<T: Serialize>(totals: &T) -> Value {
    serde_json::to_value(totals).unwrap_or_default()
}

fn agent_form(totals: &metrics::AgentTotals) -> Value {
    let mut form = form(&view::agent_today(totals));
    form["handling"] = self::form(&totals.handling);
    form
}

fn centre_form(totals: &metrics::CentreTotals) -> Value {
    use metrics::totals::{DIRECTIONS, OUTCOMES};
    let by_outcome = |direction: usize| -> BTreeMap<&str, u64> {
        OUTCOMES
            .iter()
            .map(|(outcome, word)| (*word, totals.closed[direction][*outcome as usize]))
            .collect()
    };
    let closed: BTreeMap<&str, BTreeMap<&str, u64>> = DIRECTIONS
        .iter()
        .map(|(direction, word)| (*word, by_outcome(*direction as usize)))
        .collect();
    serde_json::json!({ "closed": closed, "ivr_entered": totals.ivr_entered, "self_served": totals.self_served })
}
