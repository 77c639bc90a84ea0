//! The way of flows' questions: HTTP to services (one client, connections kept), and the customers' records in the store.
//!
//! Who retries is the flow; here is one try. Every question gets exactly one answer, in time or as a time-out.

mod cache;
mod http;
mod pins;
mod records;
mod sign;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ivr::{Answer, Pin, Request};
use store::Store;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::edge::door::Door;

/// Questions under way at a time. A flow waits 3 s as a rule: that is 300 questions a second to services that are all dead, and then refusals.
const OPEN_MAX: usize = 1_000;

/// PINs compared at a time: each takes 8 MiB and a core for some milliseconds.
const HASHING_MAX: usize = 2;
/// A message that was not taken is tried again after these.
const SEND_AGAIN: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];
/// One try.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// A hand on the client, cheap to clone.
#[derive(Clone)]
pub struct Services {
    inner: Arc<Inner>,
}

struct Inner {
    http: http::Client,
    store: Store,
    /// For numbers without a prefix.
    country: Arc<str>,
    runtime: tokio::runtime::Handle,
    open: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
    door: Door,
    clock: Clock,
}

impl Services {
    pub fn new(
        store: Store,
        runtime: tokio::runtime::Handle,
        door: Door,
        clock: Clock,
        country: Arc<str>,
    ) -> Services {
        Services {
            inner: Arc::new(Inner {
                http: http::Client::new(),
                store,
                country,
                runtime,
                open: Arc::new(Semaphore::new(OPEN_MAX)),
                hashing: Arc::new(Semaphore::new(HASHING_MAX)),
                door,
                clock,
            }),
        }
    }

    /// Asks; the answer comes in by the door. False when it cannot be asked now.
    pub fn ask(
        &self,
        contact: acd::ContactId,
        ask: u64,
        request: Request,
        within: Duration,
    ) -> bool {
        let Ok(open) = self.inner.open.clone().try_acquire_owned() else {
            return false;
        };
        let inner = self.inner.clone();
        self.inner.runtime.spawn(async move {
            let _open = open;
            let answer = inner.answer(request, within).await;
            let answered = engine::Input::Asked {
                contact,
                ask,
                answer,
            };
            inner.door.send(inner.clock.now(), answered);
        });
        true
    }

    /// Sends a message, and again until it is taken or tries are used up. False when there is no room for it.
    pub fn send(&self, request: ivr::HttpRequest) -> bool {
        let Ok(open) = self.inner.open.clone().try_acquire_owned() else {
            return false;
        };
        let inner = self.inner.clone();
        self.inner.runtime.spawn(async move {
            let _open = open;
            inner.send(request).await;
        });
        true
    }
}

impl Inner {
    /// Every try bears the same id, so that a service can tell a repeat (Standard Webhooks).
    async fn send(&self, request: ivr::HttpRequest) {
        let id = sign::id();
        let mut again = SEND_AGAIN.into_iter();
        loop {
            let now = self.clock.now();
            let answered = self.http.ask(request.clone(), now, id.as_deref().ok());
            let why = match tokio::time::timeout(SEND_WITHIN, answered).await {
                Ok(Ok(Answer::Reply { status, .. })) if (200..300).contains(&status) => return,
                Ok(Ok(Answer::Reply { status, .. })) => format!("status {status}"),
                Ok(Ok(Answer::TimedOut | Answer::Failed)) => "no answer".to_owned(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "too late".to_owned(),
            };
            let service = &request.service;
            let Some(pause) = again.next() else {
                tracing::error!(%service, why, "a message is lost: its tries are used up");
                return;
            };
            tracing::warn!(%service, why, "a message was not taken, it is sent again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn answer(self: &Arc<Self>, request: Request, within: Duration) -> Answer {
        let answered = match request {
            Request::Http(request) => {
                let since = Instant::now();
                let service = request.service.clone();
                let answered =
                    tokio::time::timeout(within, self.http.ask(*request, self.clock.now(), None))
                        .await;
                let took_ms = since.elapsed().as_millis() as u64;
                tracing::debug!(%service, took_ms, "a service was asked");
                if let Ok(Err(error)) = &answered {
                    tracing::warn!(%service, "a service did not answer: {error:#}");
                } else if answered.is_err() {
                    tracing::warn!(%service, took_ms, "a service did not answer in time");
                }
                answered.map(|answer| answer.unwrap_or(Answer::Failed))
            }
            Request::Pin { customer, pin } => {
                tokio::time::timeout(within, self.pin(customer, pin)).await
            }
            request => {
                let inner = self.clone();
                let found = tokio::task::spawn_blocking(move || inner.records(&request));
                tokio::time::timeout(within, found)
                    .await
                    .map(|answer| answer.unwrap_or(Answer::Failed))
            }
        };
        answered.unwrap_or(Answer::TimedOut)
    }

    async fn pin(self: &Arc<Self>, customer: String, pin: Pin) -> Answer {
        // It is never closed.
        let Ok(turn) = self.hashing.clone().acquire_owned().await else {
            return Answer::Failed;
        };
        let (store, now_ms) = (self.store.clone(), self.clock.now().as_millis());
        let tried = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            pins::answer(&store, &customer, &pin.0, now_ms)
        });
        match tried.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::error!(%error, "a PIN could not be looked at");
                Answer::Failed
            }
            Err(_) => Answer::Failed,
        }
    }

    fn records(&self, request: &Request) -> Answer {
        match records::answer(&self.store, &self.country, request) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "a flow's look-up failed");
                Answer::Failed
            }
        }
    }
}
