//! The way of flows' questions: HTTP to services (one client, connections kept), and the customers' records in the store.
//!
//! Who retries is the flow; here is one try. Every question gets exactly one answer, in time or as a time-out.

mod cache;
mod http;
mod records;
mod sign;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ivr::{Answer, Request};
use store::Store;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::edge::door::Door;

/// Questions under way at a time. A flow waits 3 s as a rule: that is 300 questions a second to services that are all dead, and then refusals.
const OPEN_MAX: usize = 1_000;

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
}

impl Inner {
    async fn answer(self: &Arc<Self>, request: Request, within: Duration) -> Answer {
        let answered = match request {
            Request::Http(request) => {
                let since = Instant::now();
                let service = request.service.clone();
                let answered =
                    tokio::time::timeout(within, self.http.ask(*request, self.clock.now())).await;
                let took_ms = since.elapsed().as_millis() as u64;
                tracing::debug!(%service, took_ms, "a service was asked");
                if let Ok(Err(error)) = &answered {
                    tracing::warn!(%service, "a service did not answer: {error:#}");
                } else if answered.is_err() {
                    tracing::warn!(%service, took_ms, "a service did not answer in time");
                }
                answered.map(|answer| answer.unwrap_or(Answer::Failed))
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
