//! A forecast: how many callers each queue expects in each interval, what they need, how long they wait, and who is there.

use std::sync::Arc;
use std::time::Duration;

/// The header that a forecast has.
pub const HEADER: &str = "interval_start,queue,arrivals,aht_seconds,patience_seconds,staff";
/// Lines of one forecast: a week of quarter hours for 700 queues.
const LINES_MAX: usize = 500_000;
/// Length of an interval when a queue has only one.
const INTERVAL: Duration = Duration::from_secs(1_800);

/// One queue in one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Since the start of the day.
    pub start: Duration,
    pub lasts: Duration,
    pub queue: Arc<str>,
    pub arrivals: f64,
    pub handling: Duration,
    /// Mean patience; zero is endless.
    pub patience: Duration,
    pub staff: u32,
}

/// What is wrong with a forecast: the line, from 1, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub line: usize,
    pub message: String,
}

/// Reads a forecast. Intervals begin at `09:30`, or at `2026-11-20T09:30`, of which the day is not looked at.
///
/// # Errors
/// The first line that is not one of a forecast.
pub fn parse(text: &str) -> Result<Vec<Row>, Wrong> {
    let mut lines = (1..).zip(text.lines());
    let wrong = |line, message: String| Wrong { line, message };
    match lines.next() {
        Some((_, header)) if header.trim_start_matches('\u{feff}').trim() == HEADER => {}
        _ => return Err(wrong(1, format!("the first line must be `{HEADER}`"))),
    }
    let mut rows = Vec::new();
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        if rows.len() == LINES_MAX {
            return Err(wrong(line, format!("more than {LINES_MAX} lines")));
        }
        rows.push(row(text).map_err(|message| wrong(line, message))?);
    }
    lengths(&mut rows);
    Ok(rows)
}

fn row(text: &str) -> Result<Row, String> {
    let cells: Vec<&str> = text.split(',').map(str::trim).collect();
    let [start, queue, arrivals, handling, patience, staff] = cells[..] else {
        return Err(format!("{} cells instead of 6", cells.len()));
    };
    if queue.is_empty() {
        return Err("there is no queue".to_owned());
    }
    let number = |name: &str, text: &str, most: f64| match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number <= most => Ok(number),
        _ => Err(format!("{name}: \"{text}\" is no number from 0 to {most}")),
    };
    let handling = number("aht_seconds", handling, 86_400.0)?;
    if handling == 0.0 {
        return Err("aht_seconds: a contact takes time".to_owned());
    }
    Ok(Row {
        start: clock_time(start).ok_or_else(|| format!("\"{start}\" is no time, e.g. 09:30"))?,
        lasts: INTERVAL,
        queue: queue.into(),
        arrivals: number("arrivals", arrivals, 1e6)?,
        handling: Duration::from_secs_f64(handling),
        patience: Duration::from_secs_f64(number("patience_seconds", patience, 86_400.0)?),
        staff: number("staff", staff, 10_000.0)? as u32,
    })
}

fn clock_time(text: &str) -> Option<Duration> {
    let time = text.split_once('T').map_or(text, |(_, time)| time);
    let mut parts = time.split(':');
    let (hour, minute) = (
        parts.next()?.parse().ok()?,
        parts.next()?.get(..2)?.parse().ok()?,
    );
    let minutes: u64 = 60 * u64::from(u8::min(hour, 24)) + u64::from(u8::min(minute, 59));
    (hour < 24 && minute < 60).then(|| Duration::from_secs(60 * minutes))
}

/// An interval lasts until the next one of the forecast; the last one as long as the one before it.
fn lengths(rows: &mut [Row]) {
    let mut starts: Vec<Duration> = rows.iter().map(|row| row.start).collect();
    starts.sort_unstable();
    starts.dedup();
    let mut last = INTERVAL;
    let mut of = std::collections::BTreeMap::new();
    for pair in starts.windows(2) {
        last = pair[1] - pair[0];
        of.insert(pair[0], last);
    }
    for row in rows {
        row.lasts = of.get(&row.start).copied().unwrap_or(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_intervals_and_says_what_is_wrong_where() {
        let rows = parse(&format!(
            "{HEADER}\n09:00,support,100,180,120,14\n2026-11-20T09:15:00,support,50,180,0,8\n"
        ))
        .unwrap();
        assert_eq!(rows[0].lasts, Duration::from_secs(900));
        assert_eq!(
            (rows[1].start, rows[1].lasts),
            (Duration::from_secs(33_300), Duration::from_secs(900))
        );
        for (line, message) in [
            ("09:00,support,100,180,120", "5 cells instead of 6"),
            ("9,support,1,1,1,1", "\"9\" is no time, e.g. 09:30"),
            (
                "09:00,support,many,1,1,1",
                "arrivals: \"many\" is no number from 0 to 1000000",
            ),
            ("09:00,support,1,0,1,1", "aht_seconds: a contact takes time"),
        ] {
            let told = parse(&format!("{HEADER}\n{line}\n")).unwrap_err();
            assert_eq!((told.line, told.message.as_str()), (2, message));
        }
        assert!(parse("queue,staff\n").is_err());
    }
}
