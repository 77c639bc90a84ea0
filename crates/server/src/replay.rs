//! Numbers of a data directory without its engine: a replay of the log, which anybody may read while it is written.

use std::path::Path;
use std::time::Duration;

use ::clock::Time;
use anyhow::Context as _;
use engine::event::Event;
use metrics::{Fold, Paths};
use store::{LogReader, RecordKind};

/// What began before the end of a span may be booked this much later: an agent's day is one piece.
const BOOKED_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// The fold of a log's events, all or those that can matter to a span that ends at `to`, and the time of the last.
///
/// # Errors
/// When there is no log, or it is damaged.
pub fn fold(
    data_dir: &Path,
    zone: &jiff::tz::TimeZone,
    to: Option<Time>,
) -> anyhow::Result<(Fold, Time)> {
    if !data_dir.join("log").is_dir() {
        anyhow::bail!("{}: there is no log", data_dir.display());
    }
    let log = LogReader::open(data_dir, None)
        .with_context(|| format!("the log in {}", data_dir.display()))?;
    let until = to.map(|to| to + BOOKED_WITHIN);
    let (mut fold, mut last) = (Fold::new(zone.clone()), Time::from_nanos(0));
    for record in log.iterate_after(0) {
        let record = record?;
        if record.kind != RecordKind::Event {
            continue;
        }
        let event = Event::from_record(&record.json, None)
            .map_err(|error| anyhow::anyhow!("event {} of the log: {error}", record.sequence))?;
        if until.is_some_and(|until| event.at > until) {
            break;
        }
        last = event.at;
        fold.apply(&event);
    }
    Ok((fold, last))
}

/// Where callers went in flows within a span, by the log of a data directory.
///
/// # Errors
/// When there is no log, or it is damaged.
pub fn paths(data_dir: &Path, from: Option<Time>, to: Option<Time>) -> anyhow::Result<Paths> {
    if !data_dir.join("log").is_dir() {
        anyhow::bail!("{}: there is no log", data_dir.display());
    }
    let log = LogReader::open(data_dir, None)
        .with_context(|| format!("the log in {}", data_dir.display()))?;
    let mut paths = Paths::default();
    for record in log.iterate_after(0) {
        let record = record?;
        let at = Time::from_nanos(record.at);
        if record.kind != RecordKind::Event || from.is_some_and(|from| at < from) {
            continue;
        }
        if to.is_some_and(|to| at >= to) {
            break;
        }
        let event = Event::from_record(&record.json, None)
            .map_err(|error| anyhow::anyhow!("event {} of the log: {error}", record.sequence))?;
        paths.apply(&event);
    }
    Ok(paths)
}
