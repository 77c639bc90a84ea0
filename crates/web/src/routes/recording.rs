//! `GET /api/v1/contacts/{id}/recording`: what was said, opened while it is sent.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clock::Time;
use engine::Command;
use engine::api::AuditNote;
use serde::Serialize;
use serde_json::Value;
use store::{Playback, Recording, Store};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::contacts::find;
use crate::app::App;
use crate::auth::Who;
use crate::cloud::rfc3339;
use crate::problem::{Problem, blocking};

/// Chunks that wait for a slow client; each is some seconds of sound.
const AHEAD: usize = 2;

/// How a contact is, or was, recorded.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct RecordingView {
    /// `on`, `paused` or `off` while the contact is open, `saved` when there is something to be heard.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// Of the sound, without what was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
    /// Of the file on disk, which is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 of that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Everybody who was on the agent's side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Why it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<Recording> for RecordingView {
    fn from(recording: Recording) -> Self {
        RecordingView {
            state: "saved".to_owned(),
            began: Some(rfc3339(Time::from_nanos(recording.began))),
            length_ms: Some(recording.length_ms),
            bytes: Some(recording.bytes),
            checksum: Some(recording.checksum),
            agents: recording.agents,
            complete: Some(recording.complete),
            reason: recording.reason,
        }
    }
}

/// Puts what the index has into the forms of closed contacts. It reads the disk.
pub(super) fn fill_in(store: &Store, forms: &mut [Value]) -> Result<(), store::StoreError> {
    for form in forms.iter_mut().filter(|form| form["state"] == "closed") {
        let id = form["id"].as_str().unwrap_or_default();
        let found = store.recording(id)?.map(RecordingView::from);
        form["recording"] = serde_json::to_value(found).unwrap_or_default();
    }
    Ok(())
}

/// The recording of a contact that is over, as FLAC: the customer left, the agents right. Supervisors, and where `recording.agents_may_listen` is set
/// the contact's agent. Takes a `Range`. Who listens is in the audit before the first octet leaves.
#[utoipa::path(get, path = "/api/v1/contacts/{id}/recording", tag = "contacts", params(("id" = String, Path)), responses((status = 200, content_type = "audio/flac", body = Vec<u8>), (status = 206, content_type = "audio/flac", body = Vec<u8>), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn recording(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let contact = find(&app, &who, &id).await?;
    if !who.role.oversees() && !(app.hooks.agents_may_listen)() {
        return Err(Problem::forbidden("recordings are for supervisors"));
    }
    if contact["state"] != "closed" {
        return Err(Problem::conflict(
            "the contact is not over; `recording.saved` says when there is something to be heard",
        ));
    }
    let (store, key) = (app.store.clone(), id.clone());
    let playback = blocking(move || store.open_recording(&key)).await?;
    let playback =
        playback.ok_or_else(|| Problem::not_found(format!("there is no recording of {id}")))?;
    let octets = playback.octets();
    let wanted = headers.get(header::RANGE).map(|range| parse(range, octets));
    let (status, range) = match wanted {
        None | Some(Asked::Whole) => (StatusCode::OK, 0..octets),
        Some(Asked::Part(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(Asked::Beyond) => {
            let mut response = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "the recording is shorter",
            )
            .into_response();
            let all = content_range(&format!("*/{octets}"));
            response.headers_mut().insert(header::CONTENT_RANGE, all);
            return Ok(response);
        }
    };
    app.gateway
        .ask(Command::Audit(AuditNote {
            by: who.user,
            action: "recording_heard".into(),
            subject: id.as_str().into(),
            detail: (status == StatusCode::PARTIAL_CONTENT)
                .then(|| format!("octets {}-{} of {octets}", range.start, range.end - 1)),
        }))
        .await?;
    Ok(answer(status, range, octets, &id, playback))
}

fn answer(
    status: StatusCode,
    range: Range<u64>,
    octets: u64,
    id: &str,
    playback: Playback,
) -> Response {
    let length = range.end - range.start;
    let part = format!("{}-{}/{octets}", range.start, range.end.saturating_sub(1));
    let name = format!("inline; filename=\"{id}.flac\"");
    let mut response = Body::from_stream(stream(playback, range)).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let flac = HeaderValue::from_static("audio/flac");
    headers.insert(header::CONTENT_TYPE, flac);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(header::CONTENT_RANGE, content_range(&part));
    }
    response
}

fn content_range(text: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("bytes {text}")).expect("digits and signs are a header's value")
}

/// What a `Range` asks for (RFC 9110 section 14.2).
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Several ranges, other units, or nonsense: the whole is a good answer to each.
    Whole,
    Part(Range<u64>),
    Beyond,
}

fn parse(value: &HeaderValue, octets: u64) -> Asked {
    let range = value
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
        return Asked::Whole;
    };
    let (first, last) = (first.parse::<u64>(), last.trim());
    let range = match (first, last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(octets),
        (Ok(first), Err(_)) if last.is_empty() => first..octets,
        // The last so many.
        (Err(_), Ok(count)) if count > 0 => octets.saturating_sub(count)..octets,
        _ => return Asked::Whole,
    };
    if range.is_empty() {
        return Asked::Beyond;
    }
    Asked::Part(range)
}

/// The octets of a range, read and opened a chunk at a time as the client takes them.
fn stream(mut playback: Playback, range: Range<u64>) -> Chunks {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut at = range.start;
        while at < range.end {
            let chunk = match playback.from(at) {
                Ok(chunk) if chunk.is_empty() => return,
                Ok(mut chunk) => {
                    chunk.truncate((range.end - at) as usize);
                    at += chunk.len() as u64;
                    Ok(Bytes::from(chunk))
                }
                Err(error) => {
                    tracing::error!(%error, "a recording breaks off while it is heard");
                    at = range.end;
                    Err(std::io::Error::other(error))
                }
            };
            if sender.blocking_send(chunk).is_err() {
                return; // who listened has gone
            }
        }
    });
    Chunks(receiver)
}

struct Chunks(mpsc::Receiver<std::io::Result<Bytes>>);

impl futures_core::Stream for Chunks {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        for (text, asked) in [
            ("bytes=0-", Asked::Part(0..100)),
            ("bytes=10-19", Asked::Part(10..20)),
            ("bytes=90-200", Asked::Part(90..100)),
            ("bytes=-30", Asked::Part(70..100)),
            ("bytes=-300", Asked::Part(0..100)),
            ("bytes=100-", Asked::Beyond),
            ("bytes=20-10", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=-0", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes=x", Asked::Whole),
        ] {
            assert_eq!(parse(&HeaderValue::from_static(text), 100), asked, "{text}");
        }
    }
}
