//! The HTTP server: what it holds, and how it is started.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use clock::Time;
use metrics::{Counters, Exposition, Labels};
use store::{LogReader, Store};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::accounts::Accounts;
use crate::auth::Guard;
use crate::gateway::Gateway;
use crate::https::{self, Https, Keys};
use crate::hub::Hub;
use crate::problem::Problem;
use crate::{index, pages, routes};

/// Longest body of a request, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// Passwords verified at a time: each takes 19 MiB and some 20 ms.
const VERIFYING_MAX: usize = 2;
/// How often closed contacts go into the index.
const INDEX_EVERY: Duration = Duration::from_millis(200);
/// Longest wait for clients to leave at shutdown.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// Reloads the configuration for this user: the difference that was applied, or every error.
pub type Reload = Box<dyn Fn(&str) -> Result<Vec<String>, Vec<String>> + Send + Sync>;

/// What the server is asked for that `web` does not know itself. Each may block for a moment: they are called on a blocking thread.
pub struct Hooks {
    /// `GET /api/v1/config/effective`, without secrets.
    pub effective: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// `POST /api/v1/config/reload`.
    pub reload: Reload,
    /// `GET /readyz`: everything that is wrong; none: ready.
    pub troubles: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Whether agents may hear the recordings of their own contacts.
    pub agents_may_listen: Box<dyn Fn() -> bool + Send + Sync>,
    /// `GET /metrics`: sets what others count (RTP) in a copy of the counters.
    pub measure: Box<dyn Fn(&mut Counters) + Send + Sync>,
}

/// What the HTTP server begins with.
pub struct Setup {
    pub node: Arc<str>,
    pub version: Arc<str>,
    /// The centre's time zone, for "today".
    pub zone: jiff::tz::TimeZone,
    /// Two-letter country of phone numbers without a prefix.
    pub country: Arc<str>,
    pub store: Store,
    pub log: LogReader,
    pub gateway: Gateway,
    pub hub: Arc<Hub>,
    pub counters: Arc<Mutex<Counters>>,
    /// The engine's time.
    pub clock: Arc<dyn Fn() -> Time + Send + Sync>,
    pub accounts: Accounts,
    pub labels: Labels,
    /// Opens `/metrics` and the health pages to others than loopback.
    pub metrics_token: Option<Arc<str>>,
    /// The token of whoever may read the data directory: an administrator by the name of [`OPERATOR`].
    pub operator: Option<Arc<str>>,
    pub hooks: Hooks,
}

/// Who the commands on this machine are in events.
pub const OPERATOR: &str = "operator";

/// The HTTP server's state; a clone is the same one.
#[derive(Clone)]
pub struct App(Arc<Inner>);

pub struct Inner {
    pub(crate) node: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) zone: jiff::tz::TimeZone,
    pub(crate) country: Arc<str>,
    pub(crate) store: Store,
    pub(crate) log: LogReader,
    pub(crate) gateway: Gateway,
    pub(crate) hub: Arc<Hub>,
    pub(crate) counters: Arc<Mutex<Counters>>,
    clock: Arc<dyn Fn() -> Time + Send + Sync>,
    /// What changes with the configuration.
    configured: RwLock<(Arc<Accounts>, Arc<Exposition>)>,
    pub(crate) metrics_token: Option<Arc<str>>,
    pub(crate) operator: Option<Arc<str>>,
    pub(crate) hooks: Hooks,
    pub(crate) guard: Guard,
    pub(crate) verifying: Arc<Semaphore>,
    /// Changes of customers, one at a time: read, change, write.
    pub(crate) customers: Arc<Mutex<()>>,
    /// Tells the streams to end.
    pub(crate) leaving: tokio::sync::watch::Sender<bool>,
    /// Told of every new configuration: streams ask again who hears them.
    pub(crate) reconfigured: tokio::sync::watch::Sender<()>,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// The state from what it begins with.
    pub fn new(setup: Setup) -> App {
        let configured = (
            Arc::new(setup.accounts),
            Arc::new(Exposition::new(setup.labels)),
        );
        App(Arc::new(Inner {
            node: setup.node,
            version: setup.version,
            zone: setup.zone,
            country: setup.country,
            store: setup.store,
            log: setup.log,
            gateway: setup.gateway,
            hub: setup.hub,
            counters: setup.counters,
            clock: setup.clock,
            configured: RwLock::new(configured),
            metrics_token: setup.metrics_token,
            operator: setup.operator,
            hooks: setup.hooks,
            guard: Guard::default(),
            verifying: Arc::new(Semaphore::new(VERIFYING_MAX)),
            customers: Arc::default(),
            leaving: tokio::sync::watch::Sender::new(false),
            reconfigured: tokio::sync::watch::Sender::new(()),
        }))
    }

    /// A new configuration: people and label sets. Sessions of people who are gone, or whose password is another, are over. May block on the disk.
    pub fn configure(&self, accounts: Accounts, labels: Labels) {
        let (before, after) = (self.accounts(), Arc::new(accounts));
        *self
            .configured
            .write()
            .unwrap_or_else(PoisonError::into_inner) =
            (after.clone(), Arc::new(Exposition::new(labels)));
        self.end_sessions(&before, &after);
        self.reconfigured.send_replace(());
    }

    pub(crate) fn now(&self) -> Time {
        (self.clock)()
    }

    pub(crate) fn accounts(&self) -> Arc<Accounts> {
        self.configured
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    pub(crate) fn exposition(&self) -> Arc<Exposition> {
        self.configured
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone()
    }

    /// All routes.
    pub fn router(&self) -> Router {
        let set = |name: HeaderName, value: &'static str| {
            SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
        };
        routes::router()
            .merge(pages::router())
            .fallback(async || Problem::not_found("there is nothing at this address"))
            .method_not_allowed_fallback(async || {
                Problem::new(
                    axum::http::StatusCode::METHOD_NOT_ALLOWED,
                    "this address has other methods",
                )
            })
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(set(header::REFERRER_POLICY, "no-referrer"))
            .layer(set(header::X_FRAME_OPTIONS, "DENY"))
            .layer(set(header::CONTENT_SECURITY_POLICY, pages::POLICY))
            .layer(set(header::CACHE_CONTROL, "no-store"))
            .with_state(self.clone())
    }
}

/// Serves until `shutdown` resolves, then lets requests finish for a moment. `tls` makes it HTTPS; `more` are other protocols on the same port
/// (SIP over WebSocket).
///
/// # Errors
/// Those of accepting connections.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Keys>,
    app: App,
    more: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let indexing = tokio::spawn(index_always(app.clone()));
    let router = app.router().merge(more);
    let leaving = app.clone();
    let (began, begins) = tokio::sync::oneshot::channel();
    let stop = async move {
        shutdown.await;
        leaving.leaving.send_replace(true);
        let _ = began.send(());
    };
    let late = async move {
        let _ = begins.await;
        tokio::time::sleep(LEAVE_WITHIN).await;
    };
    let served: Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>> = match tls {
        None => {
            let router = router.into_make_service_with_connect_info::<SocketAddr>();
            let plain = axum::serve(listener, router).with_graceful_shutdown(stop);
            Box::pin(plain.into_future())
        }
        Some(keys) => {
            let router = router.layer(axum::middleware::from_fn(https::as_plain));
            let router = router.into_make_service_with_connect_info::<https::Remote>();
            let secure = axum::serve(Https::new(listener, keys)?, router);
            Box::pin(secure.with_graceful_shutdown(stop).into_future())
        }
    };
    let result = tokio::select! {
        result = served => result,
        () = late => Ok(()),
    };
    indexing.abort();
    let (hub, store) = (app.hub.clone(), app.store.clone());
    let _ = tokio::task::spawn_blocking(move || index::index_closed(&hub, &store)).await;
    result
}

async fn index_always(app: App) {
    let mut failing = false;
    loop {
        tokio::time::sleep(INDEX_EVERY).await;
        let (hub, store) = (app.hub.clone(), app.store.clone());
        match tokio::task::spawn_blocking(move || index::index_closed(&hub, &store)).await {
            Ok(Err(error)) if !failing => {
                failing = true;
                tracing::error!(%error, "closed contacts cannot be indexed; they are kept in memory and tried again");
            }
            Ok(Err(_)) | Err(_) => {}
            Ok(Ok(_)) => failing = false,
        }
    }
}
