//! What `web` is given of the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use engine::Input;
use metrics::Counters;
use store::{LogHandle, Store};

use crate::clock::Clock;
use crate::config::Compiled;
use crate::edge::door::Door;
use crate::live::Live;
use crate::media_thread::MediaThreads;
use crate::people;
use crate::recorder::Recorder;

/// The hub over the restored folds, with its two words to the engine: what was delivered, and how many watch.
pub fn hub(
    compiled: &Compiled,
    board: web::Board,
    fold: metrics::Fold,
    door: &Door,
    clock: Clock,
) -> Arc<web::Hub> {
    let (delivery, audience) = (door.clone(), door.clone());
    let delivered = move |sequence| {
        delivery.offer(clock.now(), Input::Delivered { sequence });
    };
    let audience = move |count| {
        audience.offer(clock.now(), Input::Audience { count });
    };
    web::Hub::new(
        compiled.settings.node.clone(),
        board,
        fold,
        Box::new(delivered),
        Box::new(audience),
    )
}

/// Everything that the HTTP server asks for.
pub fn web_setup(
    live: &Arc<Live>,
    store: &Store,
    log: &LogHandle,
    gateway: web::Gateway,
    hub: Arc<web::Hub>,
    counters: Arc<Mutex<Counters>>,
    clock: Clock,
    draining: &Arc<AtomicBool>,
    media: &Arc<MediaThreads>,
    recorder: &Recorder,
    operator: &str,
) -> web::Setup {
    let compiled = live.current();
    let settings = &compiled.settings;
    let (shown, reloaded, draining, watched) =
        (live.clone(), live.clone(), draining.clone(), log.clone());
    let allowed = live.clone();
    let (failing, counted) = (recorder.clone(), recorder.clone());
    let troubles = move || {
        let mut troubles = Vec::new();
        if draining.load(Ordering::Acquire) {
            troubles.push("draining: no new calls".to_owned());
        }
        troubles.extend(
            watched
                .trouble()
                .map(|trouble| format!("the event log cannot be written: {}", trouble.message)),
        );
        troubles.extend(failing.trouble());
        troubles
    };
    // Weak: the threads end when the run drops them, whoever may still ask.
    let media = Arc::downgrade(media);
    let measure = move |counters: &mut Counters| {
        counted.measure(counters);
        if let Some(media) = media.upgrade() {
            media.measure(counters);
        }
    };
    web::Setup {
        node: settings.node.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        zone: settings.time_zone.clone(),
        country: settings.country.clone(),
        store: store.clone(),
        log: log.reader(),
        gateway,
        hub,
        counters,
        clock: Arc::new(move || clock.now()),
        accounts: people::accounts(&compiled),
        labels: people::labels(&compiled),
        metrics_token: settings.metrics_token.as_deref().map(Into::into),
        operator: Some(operator.into()),
        hooks: web::Hooks {
            effective: Box::new(move || shown.current().effective.value()),
            reload: Box::new(move |by| reloaded.reload_aloud(by).map_err(|refused| refused.0)),
            agents_may_listen: Box::new(move || allowed.current().settings.agents_may_listen),
            troubles: Box::new(troubles),
            measure: Box::new(measure),
        },
    }
}
