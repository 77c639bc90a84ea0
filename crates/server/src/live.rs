//! The configuration in force, and how another one takes its place.

use std::sync::{Arc, Mutex};

use crate::clock::Clock;
use crate::config::check_listeners::told;
use crate::config::{self, Compiled, Origin, Override, difference, render};
use crate::edge::door::Door;
use crate::publish::lock;

/// What a start found out and a reload must keep: it is not in the files.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// What is bound, by transport.
    pub listeners: Vec<sip::Listener>,
    pub acd_seed: u64,
}

impl Fixed {
    /// Puts it into a compiled configuration.
    pub fn put_into(&self, compiled: &mut Compiled) {
        let public = &compiled.settings.sip_public;
        let engine = Arc::make_mut(&mut compiled.engine);
        engine.sip.listeners = self
            .listeners
            .iter()
            .map(|listener| {
                let ip = told(listener.address.ip(), public);
                let address = std::net::SocketAddr::new(ip, listener.address.port());
                sip::Listener {
                    address,
                    ..*listener
                }
            })
            .collect();
        Arc::make_mut(&mut engine.acd).seed = self.acd_seed;
    }
}

type Told = Box<dyn Fn(&Compiled) + Send + Sync>;

/// The configuration in force, where it came from, and whom a new one is told.
pub struct Live {
    origin: Origin,
    overrides: Vec<Override>,
    fixed: Fixed,
    current: Mutex<Arc<Compiled>>,
    /// Held by the reload that is under way.
    turn: Mutex<()>,
    door: Door,
    clock: Clock,
    /// Called with the new configuration after the engine has been given it.
    told: Mutex<Vec<Told>>,
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} fault(s)", .0.len())]
pub struct Refused(pub Vec<String>);

impl Live {
    /// The configuration that the run began with.
    pub fn new(
        origin: Origin,
        overrides: Vec<Override>,
        fixed: Fixed,
        current: Arc<Compiled>,
        door: Door,
        clock: Clock,
    ) -> Self {
        Live {
            origin,
            overrides,
            fixed,
            current: Mutex::new(current),
            turn: Mutex::default(),
            door,
            clock,
            told: Mutex::default(),
        }
    }

    /// Adds somebody who must know of a new configuration.
    pub fn tell(&self, told: impl Fn(&Compiled) + Send + Sync + 'static) {
        lock(&self.told).push(Box::new(told));
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Compiled> {
        lock(&self.current).clone()
    }

    /// [`Live::reload`], and says on stderr what came of it.
    ///
    /// # Errors
    /// As there.
    pub fn reload_aloud(&self, by: &str) -> Result<Vec<String>, Refused> {
        let outcome = self.reload(by);
        match &outcome {
            Ok(summary) if summary.is_empty() => eprintln!("configuration: nothing changed"),
            Ok(summary) => summary
                .iter()
                .for_each(|line| eprintln!("configuration: {line}")),
            Err(refused) => {
                refused.0.iter().for_each(|line| eprintln!("{line}"));
                eprintln!("configuration: {refused}; nothing changed");
            }
        }
        outcome
    }

    /// Reads the files again and applies the difference in one step; gives it, line by line.
    ///
    /// # Errors
    /// Every fault of the files; then nothing has changed.
    pub fn reload(&self, by: &str) -> Result<Vec<String>, Refused> {
        // One reload after the other, from the reading on: what was read first must not win over what was read later.
        let _turn = lock(&self.turn);
        let loaded = config::load(&self.origin, &self.overrides);
        let Some(mut compiled) = loaded.compiled else {
            return Err(Refused(
                loaded
                    .diagnostics
                    .iter()
                    .map(|diagnostic| render(diagnostic, None))
                    .collect(),
            ));
        };
        self.fixed.put_into(&mut compiled);
        let current = self.current();
        let (before, after) = (current.effective.value(), compiled.effective.value());
        let mut summary = difference::difference(&before, &after);
        summary.extend(credentials_changed(&current, &compiled));
        summary.extend(certificates_changed(&current, &compiled));
        summary.extend(flows_changed(&current, &compiled));
        let later = difference::needs_restart(&before, &after);
        if !later.is_empty() {
            summary.push(format!("at the next start only: {}", later.join(", ")));
        }
        let compiled = Arc::new(compiled);
        let input = engine::Input::Configure {
            config: compiled.engine.clone(),
            by: by.into(),
            summary: summary.clone(),
        };
        self.door.send(self.clock.now(), input);
        lock(&self.told).iter().for_each(|told| told(&compiled));
        *lock(&self.current) = compiled;
        Ok(summary)
    }
}

/// Secrets are not in what is compared and shown; that they changed is told all the same.
fn credentials_changed(before: &Compiled, after: &Compiled) -> Vec<String> {
    let changed = |id: &Arc<str>| {
        before.accounts.get(id).is_some_and(|old| {
            Some(&old.password) != after.accounts.get(id).map(|new| &new.password)
        }) || before.engine.sip.users.get(id) != after.engine.sip.users.get(id)
    };
    after
        .accounts
        .keys()
        .filter(|id| before.accounts.contains_key(*id) && changed(id))
        .map(|id| format!("agent {id}: credentials changed"))
        .collect()
}

/// Flows by their versions.
fn flows_changed(before: &Compiled, after: &Compiled) -> Vec<String> {
    let (old, new) = (&before.engine.flows, &after.engine.flows);
    let mut changed = Vec::new();
    for name in new.names() {
        let version = |flows: &ivr::Flows| flows.get(name).map(|flow| flow.version().to_owned());
        match (version(old), version(new)) {
            (None, _) => changed.push(format!("flow {name}: added")),
            (Some(was), Some(is)) if was != is => {
                changed.push(format!("flow {name}: version {was} → {is}"));
            }
            (Some(_), _) => {}
        }
    }
    let gone = old.names().filter(|name| new.get(name).is_none());
    changed.extend(gone.map(|name| format!("flow {name}: removed")));
    changed
}

/// The files of a certificate may have others in them under the same names.
fn certificates_changed(before: &Compiled, after: &Compiled) -> Vec<String> {
    let (old, new) = (&before.settings, &after.settings);
    let mut changed = Vec::new();
    if !old.sip_tls.same_certificate(&new.sip_tls) {
        changed.push("sip.tls: another certificate".to_owned());
    }
    if !old.http_tls.same_certificate(&new.http_tls) {
        changed.push("http.tls: another certificate".to_owned());
    }
    changed
}
