//! Opening hours: weekly times and closed days in a time zone, asked for a moment that is passed in.

use clock::Time;
use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];
const DAY_MINUTES: u16 = 24 * 60;

/// When somebody is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    zone: TimeZone,
    /// Open spans in minutes of the day, by weekday from Monday; the end is not included.
    week: [Vec<(u16, u16)>; 7],
    /// First and last closed day.
    closed: Vec<(Date, Date)>,
}

impl Calendar {
    /// A calendar that is never open.
    pub fn new(zone: TimeZone) -> Self {
        Calendar {
            zone,
            week: Default::default(),
            closed: Vec::new(),
        }
    }

    /// The zone by its IANA name, from the data in the program.
    pub fn zone(name: &str) -> Option<TimeZone> {
        TimeZoneDatabase::bundled().get(name).ok()
    }

    /// Adds `Mon-Fri 09:00-18:00`, `Sat 10:00-24:00` or, over midnight, `Fri 22:00-02:00`.
    pub fn open(&mut self, text: &str) -> Option<()> {
        let (days, times) = text.split_once(' ')?;
        let (from, to) = days.split_once('-').unwrap_or((days, days));
        let (from, to) = (weekday(from)?, weekday(to)?);
        let (start, end) = times.trim().split_once('-')?;
        let (start, end) = (minutes(start)?, minutes(end)?);
        if start == end {
            return None;
        }
        let mut day = from;
        loop {
            if start < end {
                self.week[day].push((start, end));
            } else {
                self.week[day].push((start, DAY_MINUTES));
                self.week[(day + 1) % 7].push((0, end));
            }
            if day == to {
                return Some(());
            }
            day = (day + 1) % 7;
        }
    }

    /// Adds a closed day `2026-10-01` or a span of them `2026-10-01..2026-10-07`, the last included.
    pub fn close(&mut self, text: &str) -> Option<()> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let (first, last): (Date, Date) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then(|| self.closed.push((first, last)))
    }

    /// Whether somebody is there at this moment.
    pub fn is_open(&self, now: Time) -> bool {
        let Ok(timestamp) = Timestamp::from_nanosecond(i128::from(now.as_nanos())) else {
            return false;
        };
        let local = timestamp.to_zoned(self.zone.clone());
        if self
            .closed
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&local.date()))
        {
            return false;
        }
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let day = local.weekday().to_monday_zero_offset() as usize;
        self.week[day]
            .iter()
            .any(|(start, end)| (*start..*end).contains(&minute))
    }
}

fn weekday(name: &str) -> Option<usize> {
    DAYS.iter()
        .position(|(day, _)| day.eq_ignore_ascii_case(name))
}

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour * 60 + minute <= DAY_MINUTES && hour <= 24).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        let timestamp: Timestamp = text.parse().unwrap();
        Time::from_nanos(timestamp.as_nanosecond() as u64)
    }

    #[test]
    fn shanghai_week() {
        let mut calendar = Calendar::new(Calendar::zone("Asia/Shanghai").unwrap());
        calendar.open("Mon-Fri 09:00-18:00").unwrap();
        calendar.open("Fri 22:00-02:00").unwrap();
        calendar.close("2026-10-01..2026-10-07").unwrap();
        assert!(
            calendar.is_open(at("2026-11-20T01:00:00Z")),
            "Friday 9:00 in Shanghai"
        );
        assert!(!calendar.is_open(at("2026-11-20T00:59:59Z")));
        assert!(
            !calendar.is_open(at("2026-11-20T10:00:00Z")),
            "the end is not included"
        );
        assert!(
            calendar.is_open(at("2026-11-20T17:59:00Z")),
            "Saturday 1:59"
        );
        assert!(!calendar.is_open(at("2026-10-05T02:00:00Z")), "a holiday");
        assert!(calendar.open("Mon 9-18").is_none());
        assert!(calendar.open("Mon 09:00-25:00").is_none());
        assert!(calendar.close("2026-02-30").is_none());
    }

    #[test]
    fn summer_time() {
        let mut calendar = Calendar::new(Calendar::zone("Europe/Berlin").unwrap());
        calendar.open("Mon-Sun 09:00-10:00").unwrap();
        assert!(calendar.is_open(at("2026-07-01T07:30:00Z")));
        assert!(!calendar.is_open(at("2026-12-01T07:30:00Z")));
        assert!(calendar.is_open(at("2026-12-01T08:30:00Z")));
    }
}
