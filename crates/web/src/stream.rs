//! `/api/v1/stream`: a snapshot, then every event after it, in order, once.
//!
//! Without `after` the snapshot is of this moment and its `sequence` is that of the last event in it. With `after=SEQ` the first message says
//! `"sequence": SEQ, "resumed": true`, and every event after SEQ follows, from memory or the log; its lists are of `as_of`, so that a client can
//! show the present at once and take the events up to there as news only. Where SEQ is not of this log, or too far back (see
//! [`REPLAYED_MAX`]), the answer is that to a stream without `after`, with `"resumed": false`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::accounts::Role;
use crate::app::App;
use crate::auth::{Who, same_origin, token_of};
use crate::hub::{self, Line, Listener, Missing, Subscription};
use crate::problem::{Problem, Query, blocking};
use crate::view::{self, AgentView, ContactView, QueueView};

/// Events that a client may have missed and still get; beyond it starts anew from a snapshot.
pub const REPLAYED_MAX: u64 = 100_000;
/// Events read from the log at a time.
const PAGE: usize = 1_000;
/// Open contacts in a snapshot, the newest; the rest is behind `/api/v1/contacts`.
const CONTACTS_MAX: usize = 2_000;
const PING_EVERY: Duration = Duration::from_secs(15);
/// A client that says nothing, not even pong, for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Longest wait for one message to be taken.
const SEND_WITHIN: Duration = Duration::from_secs(30);
/// How long a closed client may take to read why.
const LINGER: Duration = Duration::from_secs(20);
/// Clients send nothing that is long.
const INCOMING_MAX: usize = 4 * 1024;

const TOO_SLOW: u16 = 4008;
const SIGNED_OUT: u16 = 4001;
const GOING_AWAY: u16 = 1001;
const TRY_AGAIN: u16 = 1013;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Sequence of the last event seen.
    after: Option<u64>,
    /// For clients that can set no header.
    token: Option<String>,
}

#[derive(Serialize)]
struct Snapshot {
    r#type: &'static str,
    sequence: u64,
    as_of: u64,
    resumed: bool,
    queues: Vec<QueueView>,
    agents: Vec<AgentView>,
    contacts: Vec<ContactView>,
}

/// The live stream of events (WebSocket): a snapshot, then CloudEvents. Close code 4008: too slow, resume with `after`; 4001: signed out.
#[utoipa::path(get, path = "/api/v1/stream", tag = "events", params(Wanted), responses((status = 101, description = "WebSocket"), (status = "4XX", body = Problem)))]
pub async fn stream(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let token = match (wanted.token, token_of(&headers)) {
        (Some(token), _) => token,
        (None, Some((token, false))) => token,
        (None, Some((token, true))) if same_origin(&headers) => token,
        (None, Some(_)) => {
            return Err(Problem::forbidden(
                "a stream with a cookie must be opened by these pages (Origin)",
            ));
        }
        (None, None) => return Err(Problem::unauthorized()),
    };
    let who = app.who(token).await?;
    let upgrade =
        upgrade.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let upgrade = upgrade
        .max_message_size(INCOMING_MAX)
        .max_frame_size(INCOMING_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let mut client = Client {
            listener: listener(&app, &who),
            app,
            who,
            socket,
            heard: Instant::now(),
        };
        if let Err(Some((code, reason))) = client.run(wanted.after).await {
            client.close(code, reason).await;
        }
    }))
}

fn listener(app: &App, who: &Who) -> Listener {
    match who.role {
        Role::Agent => {
            let queues = app
                .accounts()
                .find(&who.user)
                .map(|account| account.queues.clone())
                .unwrap_or_default();
            Listener::Agent {
                id: who.user.clone(),
                queues,
            }
        }
        Role::Supervisor | Role::Admin | Role::Service => Listener::Overseer,
    }
}

/// Why a stream ends: with a code to say, or without a word because the other end is gone.
type End = Option<(u16, &'static str)>;

struct Client {
    app: App,
    who: Who,
    listener: Listener,
    socket: WebSocket,
    heard: Instant,
}

impl Client {
    async fn run(&mut self, after: Option<u64>) -> Result<(), End> {
        let slow = Notify::new();
        let now = self.app.hub.read(|state| state.board.sequence());
        let after = after.filter(|after| *after <= now && now - after <= REPLAYED_MAX);
        let Some(mut after) = after else {
            let ((snapshot, sequence), subscription) = self.join()?;
            self.greet(snapshot, sequence, false, &slow).await?;
            return self.live(subscription).await;
        };
        let (snapshot, _) = self.app.hub.read(|state| self.look(state));
        self.greet(snapshot, after, true, &slow).await?;
        loop {
            match self.app.hub.join(Some(after), |_| ()) {
                Ok(((), missed, subscription)) => {
                    self.send_lines(&missed, &subscription.slow).await?;
                    return self.live(subscription).await;
                }
                Err(Missing::Full) => return Err(Some((TRY_AGAIN, "too many clients"))),
                Err(Missing::Older { until }) => after = self.catch_up(after, until).await?,
            }
        }
    }

    /// A snapshot of now, and everything from there on.
    fn join(&self) -> Result<((Snapshot, u64), Subscription), End> {
        let joined = self.app.hub.join(None, |state| self.look(state));
        joined
            .map(|(seen, _, subscription)| (seen, subscription))
            .map_err(|_| Some((TRY_AGAIN, "too many clients")))
    }

    /// The snapshot as this listener may see it.
    fn look(&self, state: &hub::State) -> (Snapshot, u64) {
        let (now, accounts) = (self.app.now(), self.app.accounts());
        let own = match &self.listener {
            Listener::Overseer => None,
            Listener::Agent { id, queues } => Some((id, queues)),
        };
        let queues = state
            .fold
            .queues()
            .filter(|name| own.is_none_or(|(_, queues)| queues.contains(*name)));
        let agents = view::agent_ids(&state.board, &accounts)
            .into_iter()
            .filter(|id| own.is_none_or(|(own, _)| *id == own))
            .collect::<BTreeSet<_>>();
        let contacts = state.board.contacts.values().filter(|contact| {
            own.is_none_or(|(own, _)| {
                contact.agent.as_ref() == Some(own) || contact.by.as_ref() == Some(own)
            })
        });
        let mut contacts: Vec<_> = contacts.collect();
        contacts.sort_by_key(|contact| std::cmp::Reverse(contact.arrived));
        contacts.truncate(CONTACTS_MAX);
        let sequence = state.board.sequence();
        let snapshot = Snapshot {
            r#type: "snapshot",
            sequence,
            as_of: sequence,
            resumed: false,
            queues: queues
                .filter_map(|name| view::queue(&state.fold, name, now))
                .collect(),
            agents: agents
                .into_iter()
                .filter_map(|id| view::agent(&state.board, &state.fold, &accounts, id, now))
                .collect(),
            contacts: contacts.into_iter().map(view::contact).collect(),
        };
        (snapshot, sequence)
    }

    async fn greet(
        &mut self,
        mut snapshot: Snapshot,
        sequence: u64,
        resumed: bool,
        slow: &Notify,
    ) -> Result<(), End> {
        snapshot.sequence = sequence;
        snapshot.resumed = resumed;
        let text = serde_json::to_string(&snapshot).map_err(|_| None)?;
        self.send(text.into(), slow).await
    }

    /// Sends the events after `after` up to `until` from the log; returns how far it came.
    async fn catch_up(&mut self, mut after: u64, until: u64) -> Result<u64, End> {
        let never = Notify::new();
        while after < until {
            let (log, node) = (self.app.log.clone(), self.app.node.clone());
            let limit = PAGE.min(usize::try_from(until - after).unwrap_or(PAGE));
            let read = blocking(move || {
                let records = log.read(after, limit)?;
                Ok::<_, store::StoreError>(
                    records
                        .iter()
                        .filter_map(|record| line(record, &node))
                        .collect::<Vec<_>>(),
                )
            });
            let lines = read
                .await
                .map_err(|_| Some((TRY_AGAIN, "the log cannot be read")))?;
            let Some(last) = lines.last().map(|line| line.sequence) else {
                return Err(Some((TRY_AGAIN, "the log ends before the present")));
            };
            self.send_lines(&lines, &never).await?;
            after = last;
        }
        Ok(after)
    }

    async fn live(&mut self, mut subscription: Subscription) -> Result<(), End> {
        let mut leaving = self.app.leaving.subscribe();
        let mut reconfigured = self.app.reconfigured.subscribe();
        let mut ping = tokio::time::interval(PING_EVERY);
        loop {
            tokio::select! {
                biased;
                () = subscription.slow.notified() => return Err(Some((TOO_SLOW, "too slow: resume by sequence"))),
                () = told(&mut leaving) => return Err(Some((GOING_AWAY, "the server is stopping"))),
                _ = reconfigured.changed() => self.still_allowed().await?,
                batch = subscription.batches.recv() => match batch {
                    Some(batch) => self.send_lines(&batch.lines, &subscription.slow).await?,
                    None => return Err(Some((TOO_SLOW, "too slow: resume by sequence"))),
                },
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
                    Some(Ok(_)) => self.heard = Instant::now(),
                },
                _ = ping.tick() => self.still_there().await?,
            }
        }
    }

    async fn still_there(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > SILENCE_MAX {
            return Err(None);
        }
        self.still_allowed().await?;
        let sent = tokio::time::timeout(
            SEND_WITHIN,
            self.socket.send(Message::Ping(axum::body::Bytes::new())),
        )
        .await;
        sent.map_err(|_| None)?.map_err(|_| None)
    }

    /// Whether the session holds, and what it may hear by the configuration of now.
    async fn still_allowed(&mut self) -> Result<(), End> {
        let Ok(who) = self.app.who(self.who.token.clone()).await else {
            return Err(Some((SIGNED_OUT, "signed out")));
        };
        self.listener = listener(&self.app, &who);
        self.who = who;
        Ok(())
    }

    async fn send_lines(&mut self, lines: &[Line], slow: &Notify) -> Result<(), End> {
        for line in lines {
            if line.is_for(&self.listener) {
                self.send(line.text.clone(), slow).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, text: Utf8Bytes, slow: &Notify) -> Result<(), End> {
        tokio::select! {
            biased;
            () = slow.notified() => Err(Some((TOO_SLOW, "too slow: resume by sequence"))),
            sent = tokio::time::timeout(SEND_WITHIN, self.socket.send(Message::Text(text))) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(None),
                Err(_) => Err(Some((TOO_SLOW, "too slow: resume by sequence"))),
            },
        }
    }

    /// Says why, and waits a moment for the other end to read it.
    async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        let said = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(_)) = self.socket.recv().await {}
            Ok::<_, axum::Error>(())
        };
        let _ = tokio::time::timeout(LINGER, said).await;
    }
}

/// Resolves when the server is stopping.
async fn told(leaving: &mut tokio::sync::watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

/// An event of the log with its personal part; one of a type that this version does not know is passed over.
fn line(record: &store::Record, node: &str) -> Option<Line> {
    event(record).map(|event| Line::from_log(&event, node))
}

/// An event from its record, with its personal part where the person has not been erased.
pub fn event(record: &store::Record) -> Option<engine::Event> {
    let personal = record.personal.as_ref().map(|personal| &*personal.json);
    engine::Event::from_record(&record.json, personal)
        .map_err(|error| tracing::warn!(sequence = record.sequence, %error, "an event in the log cannot be read"))
        .ok()
}
