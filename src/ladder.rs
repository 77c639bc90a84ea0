//! `cordboard contact ID --ladder`: parties side by side, time downwards.

use serde_json::Value;

/// Room between two parties; longer words are cut.
const GAP: usize = 34;

/// The messages of `GET /api/v1/contacts/{id}/ladder` as a diagram.
pub fn diagram(messages: &[Value]) -> String {
    let parties = parties(messages);
    let us = parties.iter().filter(|party| party.inbound).count();
    let mut names: Vec<&str> = parties.iter().map(|party| party.name.as_str()).collect();
    names.insert(us, "cordboard");
    let head: String = names
        .iter()
        .map(|name| format!("{name:^width$}", width = GAP + 1))
        .collect();
    let mut out = row("", &head);
    for message in messages {
        let leg = message["leg"].as_u64();
        let Some(party) = parties.iter().position(|party| Some(party.leg) == leg) else {
            continue;
        };
        let column = if party < us { party } else { party + 1 };
        out.push_str(&arrow(message, column, us, names.len()));
    }
    out
}

struct Party {
    leg: u64,
    name: String,
    inbound: bool,
}

/// A column a leg, those that called us first: they stand to our left.
fn parties(messages: &[Value]) -> Vec<Party> {
    let mut parties: Vec<Party> = Vec::new();
    for message in messages {
        let Some(leg) = message["leg"].as_u64() else {
            continue;
        };
        if parties.iter().all(|party| party.leg != leg) {
            parties.push(Party {
                leg,
                name: message["party"].as_str().unwrap_or_default().to_owned(),
                inbound: message["inbound_leg"] == true,
            });
        }
    }
    parties.sort_by_key(|party| !party.inbound);
    parties
}

/// One message: a bar for each column, and over them an arrow between its party and us.
fn arrow(message: &Value, column: usize, us: usize, columns: usize) -> String {
    let bar = |column: usize| GAP / 2 + column * (GAP + 1);
    let mut line = vec![' '; bar(columns - 1) + 1];
    for column in 0..columns {
        line[bar(column)] = '│';
    }
    let (from, to) = (bar(column.min(us)) + 1, bar(column.max(us)));
    line[from..to].fill('─');
    let to_the_right = (message["direction"] == "in") == (column < us);
    if to_the_right {
        line[to - 1] = '▶';
    } else {
        line[from] = '◀';
    }
    let room = from + 2..to - 2;
    let words = format!(" {} ", words(message));
    for (place, letter) in line[room].iter_mut().zip(words.chars()) {
        *place = letter;
    }
    let time = message["at"].as_str().unwrap_or_default();
    let time = time.split(['T', 'Z']).nth(1).unwrap_or_default();
    row(time, &line.into_iter().collect::<String>())
}

/// `INVITE +sdp`, `200 OK (INVITE)`: the summary without what every line has.
fn words(message: &Value) -> String {
    let summary = message["summary"].as_str().unwrap_or_default();
    match message["status"].as_u64() {
        Some(_) => summary.trim_start_matches("SIP/2.0 ").to_owned(),
        None => {
            let method = summary.split(' ').next().unwrap_or_default();
            let marks = summary.split_once("SIP/2.0").map_or("", |(_, marks)| marks);
            format!("{method}{marks}")
        }
    }
}

fn row(time: &str, line: &str) -> String {
    format!("{time:<14}{line}").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(
        at: &str,
        leg: u64,
        party: &str,
        inbound: bool,
        direction: &str,
        status: Option<u16>,
        summary: &str,
    ) -> Value {
        json!({"at": format!("2026-11-24T{at}Z"), "leg": leg, "party": party, "inbound_leg": inbound, "direction": direction, "status": status, "summary": summary})
    }

    #[test]
    fn a_call_to_an_agent() {
        let messages = [
            message(
                "09:00:00.000",
                1,
                "caller",
                true,
                "in",
                None,
                "INVITE sip:2000@h SIP/2.0 +sdp",
            ),
            message(
                "09:00:00.001",
                1,
                "caller",
                true,
                "out",
                Some(200),
                "SIP/2.0 200 OK (INVITE) +sdp",
            ),
            message(
                "09:00:00.020",
                2,
                "1001",
                false,
                "out",
                None,
                "INVITE sip:1001@h SIP/2.0 +sdp",
            ),
            message(
                "09:00:00.530",
                2,
                "1001",
                false,
                "out",
                None,
                "INVITE sip:1001@h SIP/2.0 +sdp (again)",
            ),
            message(
                "09:00:01.000",
                2,
                "1001",
                false,
                "in",
                Some(486),
                "SIP/2.0 486 Busy Here (INVITE)",
            ),
            message(
                "09:00:02.000",
                3,
                "1002",
                false,
                "out",
                None,
                "INVITE sip:1002@h SIP/2.0 +sdp",
            ),
        ];
        expect_test::expect![[r#"
                                        caller                            cordboard                            1001                               1002
            09:00:00.000                   │── INVITE +sdp ──────────────────▶│                                  │                                  │
            09:00:00.001                   │◀─ 200 OK (INVITE) +sdp ──────────│                                  │                                  │
            09:00:00.020                   │                                  │── INVITE +sdp ──────────────────▶│                                  │
            09:00:00.530                   │                                  │── INVITE +sdp (again) ──────────▶│                                  │
            09:00:01.000                   │                                  │◀─ 486 Busy Here (INVITE) ────────│                                  │
            09:00:02.000                   │                                  │── INVITE +sdp ─────────────────────────────────────────────────────▶│
        "#]]
        .assert_eq(&diagram(&messages));
    }
}
