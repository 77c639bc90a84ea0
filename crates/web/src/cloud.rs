//! Events as CloudEvents 1.0 JSON, and times as RFC 3339.

use clock::Time;
use engine::event::{Event, EventKind};
use serde::Serialize;

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    subject: &'a str,
    time: String,
    sequence: u64,
    datacontenttype: &'static str,
    /// `type` and `data`.
    #[serde(flatten)]
    kind: Kind<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Kind<'a> {
    AsLogged(&'a EventKind),
    /// With times in words: the log's nanoseconds are more than a browser's numbers hold.
    Told(serde_json::Value),
}

fn told(kind: &EventKind) -> Kind<'_> {
    let EventKind::AgentState {
        until: Some(until), ..
    } = kind
    else {
        return Kind::AsLogged(kind);
    };
    let mut form = serde_json::to_value(kind).expect("an event is plain data with string keys");
    form["data"]["until"] = rfc3339(*until).into();
    Kind::Told(form)
}

/// One event as CloudEvents 1.0 JSON. Its `id` is unique over nodes and restarts: the node and the sequence in its log.
pub fn cloud_event(event: &Event, node: &str) -> String {
    let form = CloudEvent {
        specversion: "1.0",
        id: format!("{node}-{}", event.sequence),
        source: format!("/cordboard/{node}"),
        subject: event.subject(),
        time: rfc3339(event.at),
        sequence: event.sequence,
        datacontenttype: "application/json",
        kind: told(&event.kind),
    };
    serde_json::to_string(&form).expect("an event is plain data with string keys")
}

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Time) -> String {
    match jiff::Timestamp::from_millisecond(i64::try_from(at.as_millis()).unwrap_or(i64::MAX)) {
        Ok(stamp) => format!("{stamp:.3}"),
        Err(_) => format!("{:.3}", jiff::Timestamp::MAX),
    }
}

/// A time from RFC 3339, with any offset.
pub fn parse_time(text: &str) -> Option<Time> {
    let stamp: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(stamp.as_nanosecond())
        .ok()
        .map(Time::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_cloud_event() {
        let kind = EventKind::QueueChanged {
            queue: "support".into(),
            change: "added".into(),
            target_ms: 20_000,
            short_abandon_ms: 5_000,
        };
        let event = Event {
            sequence: 7,
            at: Time::from_nanos(1_772_380_800_123_456_789),
            kind,
            person: None,
        };
        let json: serde_json::Value = serde_json::from_str(&cloud_event(&event, "n1")).unwrap();
        let expected = serde_json::json!({
            "specversion": "1.0", "id": "n1-7", "source": "/cordboard/n1", "type": "queue.changed", "subject": "support",
            "time": "2026-03-01T16:00:00.123Z", "sequence": 7, "datacontenttype": "application/json",
            "data": {"queue": "support", "change": "added", "target_ms": 20000, "short_abandon_ms": 5000}
        });
        assert_eq!(json, expected);
        assert_eq!(
            parse_time("2026-03-02T00:00:00.123+08:00"),
            Some(Time::from_nanos(1_772_380_800_123_000_000))
        );
    }
}
