//! Registrations that outlive the process (decision 12): the engine tells each change, a thread of its own writes them down in groups, a restart gives them
//! back.
//!
//! A REGISTER is answered before it is on disk: a crash loses at most what came in the last [`GROUP_EVERY`] and the commit after it, and a phone that it
//! loses registers again by itself, as it must after any loss. Waiting for the disk would cost each REGISTER a commit.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ::clock::Time;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde::{Deserialize, Serialize};
use sip::registrar::Binding;
use sip::{Peer, Transport};
use store::Store;

use crate::fatal;

type Name = Arc<str>;

/// Changes that may wait for the disk: a centre of 6,000 agents that all register anew while a commit hangs. Beyond it a change is not kept; the phone's
/// next refresh is.
const WAITING_MAX: usize = 8_192;
/// Changes within so long share a commit.
const GROUP_EVERY: Duration = Duration::from_millis(200);

/// The engine thread's end.
#[derive(Clone)]
pub struct Bindings {
    sender: Sender<(Name, Vec<Binding>)>,
}

impl Bindings {
    /// What a user's bindings are from now on.
    pub fn keep(&self, user: Name, bindings: Vec<Binding>) {
        match self.sender.try_send((user, bindings)) {
            Ok(()) => {}
            Err(TrySendError::Full((user, _))) => {
                tracing::warn!(%user, "a registration was not kept for a restart: the disk is slow");
            }
            // The process ends.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

/// Starts the thread; it ends, with everything written, when the last [`Bindings`] is dropped.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(store: Store) -> io::Result<(Bindings, JoinHandle<()>)> {
    let (sender, receiver) = bounded(WAITING_MAX);
    let thread = fatal::spawn("bindings", move || run(&store, &receiver))?;
    Ok((Bindings { sender }, thread))
}

fn run(store: &Store, receiver: &Receiver<(Name, Vec<Binding>)>) {
    while let Ok((user, bindings)) = receiver.recv() {
        let mut group = BTreeMap::from([(user, row(&bindings))]);
        // More will come: a centre registers in waves.
        std::thread::sleep(GROUP_EVERY);
        while let Ok((user, bindings)) = receiver.try_recv() {
            group.insert(user, row(&bindings));
        }
        let rows = group.iter().map(|(user, row)| (&**user, row.as_slice()));
        if let Err(error) = store.put_bindings(rows) {
            tracing::warn!("registrations were not kept for a restart: {error}");
        }
    }
}

/// Every binding that was kept. A row that this version cannot read is told and left out.
///
/// # Errors
/// When the store cannot be read.
pub fn kept(store: &Store) -> Result<Vec<(Name, Binding)>, store::StoreError> {
    let mut all = Vec::new();
    for (user, row) in store.bindings()? {
        let user: Name = user.into();
        match serde_json::from_slice::<Vec<Kept>>(&row) {
            Ok(kept) => all.extend(
                kept.into_iter()
                    .map(|kept| (user.clone(), kept.into_binding())),
            ),
            Err(error) => {
                tracing::warn!(%user, %error, "a kept registration cannot be read");
            }
        }
    }
    Ok(all)
}

fn row(bindings: &[Binding]) -> Vec<u8> {
    if bindings.is_empty() {
        return Vec::new();
    }
    let kept: Vec<Kept> = bindings.iter().map(Kept::of).collect();
    serde_json::to_vec(&kept).expect("a binding is plain data with string keys")
}

/// A binding on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    uri: String,
    q: u16,
    /// Nanoseconds of the engine's time.
    expires: u64,
    call_id: String,
    cseq: u32,
    transport: Way,
    remote: SocketAddr,
    #[serde(default)]
    path: Vec<String>,
    updated: u64,
    #[serde(default)]
    instance: Option<String>,
    #[serde(default)]
    reg_id: Option<u32>,
}

/// The transport that a REGISTER came by.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Kept {
    fn of(binding: &Binding) -> Kept {
        Kept {
            uri: binding.uri.clone(),
            q: binding.q,
            expires: binding.expires.as_nanos(),
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
            transport: match binding.peer.transport {
                Transport::Udp => Way::Udp,
                Transport::Tcp => Way::Tcp,
                Transport::Tls => Way::Tls,
                Transport::Ws => Way::Ws,
                Transport::Wss => Way::Wss,
            },
            remote: binding.peer.remote,
            path: binding.path.clone(),
            updated: binding.updated,
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
        }
    }

    fn into_binding(self) -> Binding {
        Binding {
            uri: self.uri,
            q: self.q,
            expires: Time::from_nanos(self.expires),
            call_id: self.call_id,
            cseq: self.cseq,
            peer: Peer {
                transport: match self.transport {
                    Way::Udp => Transport::Udp,
                    Way::Tcp => Transport::Tcp,
                    Way::Tls => Transport::Tls,
                    Way::Ws => Transport::Ws,
                    Way::Wss => Transport::Wss,
                },
                remote: self.remote,
                flow: None,
            },
            path: self.path,
            updated: self.updated,
            instance: self.instance,
            reg_id: self.reg_id,
        }
    }
}
