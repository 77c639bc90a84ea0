//! What a reload changes, in words.

use std::collections::BTreeMap;

use serde_json::Value;

/// Lines like `queue support: ring 20s → 5s`, `agent 1007: added`; empty when nothing changed.
pub fn difference(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for section in ["cordboard", "queue", "agent", "trunk", "route", "outbound"] {
        match (&before[section], &after[section]) {
            (Value::Array(old), Value::Array(new)) => elements(section, old, new, &mut lines),
            (old, new) => values("", old, new, &mut |path, old, new| {
                lines.push(format!("{path}: {} → {}", show(old), show(new)))
            }),
        }
    }
    lines
}

/// Settings of the node that take effect only at a restart, and changed.
pub fn needs_restart(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for path in [
        "/node",
        "/data_dir",
        "/bind",
        "/sip/port",
        "/sip/bind",
        "/sip/tls_port",
        "/sip/dns",
        "/http/port",
        "/http/bind",
        "/http/metrics_token",
        "/sip/hep",
        "/rtp/first",
        "/rtp/last",
        "/rtp/bind",
        "/rtp/threads",
        "/rtp/browsers",
        "/log",
        "/media/timeout",
        "/locale/time_zone",
        "/locale/country",
        "/customers/first_import",
    ] {
        let (old, new) = (
            before["cordboard"].pointer(path),
            after["cordboard"].pointer(path),
        );
        if old != new {
            found.push(path.trim_start_matches('/').replace('/', "."));
        }
    }
    found
}

/// What names an element of a list: an agent's `id`, a queue's or trunk's `name`, a route's or outbound rule's `number`.
fn key_of(section: &str, element: &Value) -> String {
    let key = match section {
        "agent" => "id",
        "route" | "outbound" => "number",
        _ => "name",
    };
    element[key].as_str().unwrap_or_default().to_owned()
}

fn elements(section: &str, old: &[Value], new: &[Value], lines: &mut Vec<String>) {
    let index = |list: &[Value]| -> BTreeMap<String, Value> {
        list.iter()
            .map(|element| (key_of(section, element), element.clone()))
            .collect()
    };
    let (old, new) = (index(old), index(new));
    for (key, element) in &new {
        match old.get(key) {
            None => lines.push(format!("{section} {key}: added")),
            Some(before) => values("", before, element, &mut |path, old, new| {
                lines.push(format!(
                    "{section} {key}: {path} {} → {}",
                    show(old),
                    show(new)
                ))
            }),
        }
    }
    lines.extend(
        old.keys()
            .filter(|key| !new.contains_key(*key))
            .map(|key| format!("{section} {key}: removed")),
    );
}

fn values(path: &str, old: &Value, new: &Value, told: &mut dyn FnMut(&str, &Value, &Value)) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let inner = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                values(
                    &inner,
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    told,
                );
            }
        }
        (a, b) if a != b => told(path, a, b),
        _ => {}
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
