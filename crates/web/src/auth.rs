//! Who is asking: tokens, cookies, passwords, and the slowing of those who guess.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::{HeaderMap, Method, header, request::Parts};
use clock::Time;
use sha2::{Digest, Sha256};
use store::Session;

use crate::accounts::{Accounts, Password, Role};
use crate::app::{App, OPERATOR};
use crate::problem::{Problem, blocking};

/// How long a sign-in holds.
pub const SESSION_LASTS: Duration = Duration::from_secs(12 * 3600);
/// The cookie's name.
pub const COOKIE: &str = "cordboard_session";
/// Sessions remembered in memory, so that a request does not read the disk.
const CACHED_MAX: usize = 10_000;
/// Pairs of user and source that are watched.
const WATCHED_MAX: usize = 4_096;
/// Wrong passwords before the waiting begins.
const FREE_TRIES: u32 = 5;
/// Longest wait between two tries.
const WAIT_MAX: u64 = 60;
/// A hash that no password has, verified when there is none, so that an unknown user takes as long as a wrong password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y29yZGJvYXJkLW5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct Who {
    pub user: std::sync::Arc<str>,
    pub role: Role,
    pub token: String,
}

impl Who {
    /// # Errors
    /// 403 for agents.
    pub fn must_oversee(&self) -> Result<(), Problem> {
        if self.role.oversees() {
            Ok(())
        } else {
            Err(Problem::forbidden("this is for supervisors"))
        }
    }

    /// # Errors
    /// 403 for all but administrators.
    pub fn must_administer(&self) -> Result<(), Problem> {
        if self.role == Role::Admin {
            Ok(())
        } else {
            Err(Problem::forbidden("this is for administrators"))
        }
    }

    /// # Errors
    /// 403 for an agent who asks for somebody else.
    pub fn must_be_or_oversee(&self, user: &str) -> Result<(), Problem> {
        if *self.user == *user || self.role.oversees() {
            Ok(())
        } else {
            Err(Problem::forbidden("agents may do this for themselves only"))
        }
    }
}

impl FromRequestParts<App> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let writes = !matches!(parts.method, Method::GET | Method::HEAD);
        let (token, by_cookie) = token_of(&parts.headers).ok_or_else(Problem::unauthorized)?;
        if by_cookie && writes && !same_origin(&parts.headers) {
            return Err(Problem::forbidden(
                "a request with a cookie must come from these pages (Origin)",
            ));
        }
        app.who(token).await
    }
}

/// The bearer token, or the cookie's; and whether it was the cookie's.
pub fn token_of(headers: &HeaderMap) -> Option<(String, bool)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(value) = text(header::AUTHORIZATION) {
        let (scheme, token) = value.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| (token.trim().to_owned(), false));
    }
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .into_iter()
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| (token.to_owned(), true))
}

/// Whether a browser says that one of our own pages sends this.
pub fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host");
    match text("origin") {
        Some(origin) => host.is_some() && origin.split_once("://").map(|(_, host)| host) == host,
        None => text("sec-fetch-site") == Some("same-origin"),
    }
}

/// The address of whoever is at the other end.
pub struct Peer(pub IpAddr);

impl FromRequestParts<App> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(address)| address.ip().to_canonical());
        peer.map(Peer)
            .ok_or_else(|| Problem::unavailable("no address"))
    }
}

/// What the process remembers of sign-ins.
#[derive(Default)]
pub struct Guard {
    cached: Mutex<Cached>,
    watched: Mutex<BTreeMap<(String, IpAddr), Watched>>,
}

#[derive(Default)]
struct Cached {
    /// By SHA-256 of the token.
    sessions: BTreeMap<[u8; 32], Session>,
    /// Rises when sessions are ended: what was read from the store before that is not kept.
    ended: u64,
}

#[derive(Clone, Copy)]
struct Watched {
    failures: u32,
    last: Time,
}

impl Watched {
    fn wait(&self) -> Duration {
        let over = self.failures.saturating_sub(FREE_TRIES);
        if over == 0 {
            Duration::ZERO
        } else {
            Duration::from_secs((1 << over.min(6)).min(WAIT_MAX))
        }
    }
}

impl Guard {
    /// Seconds until this source may try this user again.
    fn must_wait(&self, user: &str, source: IpAddr, now: Time) -> Option<u64> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let until = watched
            .get(&(user.to_owned(), source))
            .map(|one| one.last + one.wait())?;
        (until > now).then(|| (until - now).as_secs() + 1)
    }

    fn failed(&self, user: &str, source: IpAddr, now: Time) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.len() >= WATCHED_MAX {
            let oldest = watched
                .iter()
                .min_by_key(|(_, one)| one.last)
                .map(|(key, _)| key.clone());
            oldest.map(|key| watched.remove(&key));
        }
        let one = watched.entry((user.to_owned(), source)).or_insert(Watched {
            failures: 0,
            last: now,
        });
        *one = Watched {
            failures: one.failures.saturating_add(1),
            last: now,
        };
    }

    fn succeeded(&self, user: &str, source: IpAddr) {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(user.to_owned(), source));
    }

    /// What is remembered, and how often sessions have been ended: for [`Guard::cache`].
    fn cached(&self, token: &str) -> (Option<Session>, u64) {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        (cached.sessions.get(&digest(token)).cloned(), cached.ended)
    }

    fn cache(&self, token: &str, session: Session, ended: u64) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.ended != ended {
            return; // it may be one of those
        }
        if cached.sessions.len() >= CACHED_MAX {
            cached.sessions.pop_first(); // by digest: as good as any
        }
        cached.sessions.insert(digest(token), session);
    }

    /// After the store has forgotten it.
    fn forget(&self, token: &str) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.ended += 1;
        cached.sessions.remove(&digest(token));
    }

    fn forget_users(&self, users: &BTreeSet<&str>) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.ended += 1;
        cached
            .sessions
            .retain(|_, session| !users.contains(&*session.user));
    }
}

/// Whether two secrets are the same; the time it takes tells nothing of how much of them is.
pub fn same(one: &str, other: &str) -> bool {
    digest(one) == digest(other)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl App {
    /// Whose token this is.
    pub(crate) async fn who(&self, token: String) -> Result<Who, Problem> {
        if self
            .operator
            .as_deref()
            .is_some_and(|known| same(known, &token))
        {
            return Ok(Who {
                user: OPERATOR.into(),
                role: Role::Admin,
                token,
            });
        }
        let now = self.now();
        let (cached, ended) = self.guard.cached(&token);
        let session = match cached {
            Some(session) => Some(session),
            None => {
                let (store, key) = (self.store.clone(), token.clone());
                let found = blocking(move || store.session(&key, now.as_nanos())).await?;
                if let Some(session) = &found {
                    self.guard.cache(&token, session.clone(), ended);
                }
                found
            }
        };
        let session = session
            .filter(|session| session.expires > now.as_nanos())
            .ok_or_else(Problem::unauthorized)?;
        // The configuration of now decides what somebody may do, not that of the sign-in.
        let configured = self
            .accounts()
            .find(&session.user)
            .map(|account| account.role);
        let role = match configured {
            Some(role) => Some(role),
            None => {
                let (store, user) = (self.store.clone(), session.user.clone());
                let known = blocking(move || store.credentials(&user)).await?;
                known.and_then(|known| Role::parse(&known.role))
            }
        };
        Ok(Who {
            user: session.user.into(),
            role: role.ok_or_else(Problem::unauthorized)?,
            token,
        })
    }

    /// Signs somebody in: a fresh token and the role.
    ///
    /// # Errors
    /// 401 for an unknown user and a wrong password alike, 429 while this source guesses, 503 when too many sign in at once.
    pub(crate) async fn sign_in(
        &self,
        user: &str,
        password: &str,
        source: IpAddr,
    ) -> Result<(String, Role), Problem> {
        if let Some(seconds) = self.guard.must_wait(user, source, self.now()) {
            return Err(Problem::too_many("too many wrong passwords", seconds));
        }
        let turn = tokio::time::timeout(
            Duration::from_secs(5),
            self.verifying.clone().acquire_owned(),
        );
        let Ok(Ok(turn)) = turn.await else {
            return Err(Problem::unavailable("too many sign-ins at once"));
        };
        let account = self.accounts().find(user).cloned();
        let password_then = account.as_ref().map(|account| account.password.clone());
        let (store, name, given) = (self.store.clone(), user.to_owned(), password.to_owned());
        let role = blocking(move || {
            let _turn = turn;
            let known = store.credentials(&name)?;
            let (secret, role) = match account {
                Some(account) if account.password != Password::None => {
                    (account.password, Some(account.role))
                }
                account => {
                    let hash = known
                        .as_ref()
                        .filter(|known| !known.password.is_empty())
                        .map(|known| known.password.as_str().into());
                    let role = account
                        .map(|account| account.role)
                        .or_else(|| known.as_ref().and_then(|known| Role::parse(&known.role)));
                    (hash.map_or(Password::None, Password::Argon2), role)
                }
            };
            // First the proof, then the rest: an unknown user must take as long as a wrong password.
            let proved = proves(&secret, &given);
            Ok::<_, store::StoreError>(role.filter(|_| proved))
        });
        let Some(role) = role.await? else {
            self.guard.failed(user, source, self.now());
            tracing::warn!(%source, "sign-in failed");
            return Err(Problem::new(
                axum::http::StatusCode::UNAUTHORIZED,
                "user or password is wrong",
            ));
        };
        self.guard.succeeded(user, source);
        let token = fresh_token()?;
        let expires = (self.now() + SESSION_LASTS).as_nanos();
        let session = Session {
            user: user.to_owned(),
            role: role.word().to_owned(),
            expires,
        };
        let (_, ended) = self.guard.cached(&token);
        let (store, key, kept, now) = (
            self.store.clone(),
            token.clone(),
            session.clone(),
            self.now().as_nanos(),
        );
        blocking(move || {
            store.expire_sessions(now)?;
            store.put_session(&key, &kept)
        })
        .await?;
        self.guard.cache(&token, session, ended);
        let password_now = self.accounts().find(user).map(|one| one.password.clone());
        if password_now != password_then {
            // A reload came between: it may have ended this user's sessions before this one was there.
            self.end_session(&token).await?;
            return Err(Problem::unavailable("the configuration has just changed"));
        }
        Ok((token, role))
    }

    /// Ends a sign-in.
    pub(crate) async fn sign_out(&self, who: &Who) -> Result<(), Problem> {
        self.end_session(&who.token).await
    }

    async fn end_session(&self, token: &str) -> Result<(), Problem> {
        let (store, key) = (self.store.clone(), token.to_owned());
        blocking(move || store.delete_session(&key)).await?;
        self.guard.forget(token);
        Ok(())
    }

    /// Ends the sessions of those who are gone or have another password.
    pub(crate) fn end_sessions(&self, before: &Accounts, after: &Accounts) {
        let over: BTreeSet<&str> = before
            .0
            .values()
            .filter(|old| {
                after
                    .find(&old.id)
                    .is_none_or(|new| new.password != old.password)
            })
            .map(|old| &*old.id)
            .collect();
        if over.is_empty() {
            return;
        }
        for user in &over {
            if let Err(error) = self.store.delete_sessions_of(user) {
                tracing::error!(%error, user, "sessions could not be ended");
            }
        }
        self.guard.forget_users(&over);
    }
}

/// Takes as long for every kind of secret.
fn proves(secret: &Password, given: &str) -> bool {
    let hash = match secret {
        Password::Argon2(hash) => hash,
        Password::None | Password::Demo(_) => NOBODY,
    };
    let verified = PasswordHash::new(hash).is_ok_and(|hash| verifies(&hash, given) == Some(true));
    match secret {
        Password::Argon2(_) => verified,
        Password::Demo(password) => same(password, given),
        Password::None => false,
    }
}

/// What Argon2 works in, kept: taken anew each time, its 19 MB would stay in the heap of every thread that has ever verified a password.
static WORKSPACE: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Whether this is the password of a hash; `None` for a hash of another kind.
fn verifies(hash: &PasswordHash, given: &str) -> Option<bool> {
    let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = Version::try_from(hash.version.unwrap_or_default()).ok()?;
    let params = Params::try_from(hash).ok()?;
    let blocks = params.block_count();
    let mut workspace = WORKSPACE.lock().unwrap_or_else(PoisonError::into_inner);
    if workspace.len() < blocks {
        workspace.resize(blocks, Block::new());
    }
    let mut found = [0; Output::MAX_LENGTH];
    let found = found.get_mut(..expected.len())?;
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(given.as_bytes(), salt, found, &mut workspace[..blocks])
        .ok()?;
    // Compares in constant time.
    Some(Output::new(found).ok()? == *expected)
}

/// 256 bits of chance, in hexadecimal.
fn fresh_token() -> Result<String, Problem> {
    use std::fmt::Write;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| Problem::unavailable("no chance to be had from the system"))?;
    let mut token = String::with_capacity(64);
    for byte in bytes {
        let _ = write!(token, "{byte:02x}");
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_gets_slower_and_only_for_this_source_and_user() {
        let guard = Guard::default();
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let now = Time::from_secs(1000);
        for _ in 0..FREE_TRIES {
            guard.failed("1001", here, now);
            assert_eq!(guard.must_wait("1001", here, now), None);
        }
        guard.failed("1001", here, now);
        assert_eq!(guard.must_wait("1001", here, now), Some(3));
        assert_eq!(guard.must_wait("1001", there, now), None);
        assert_eq!(
            guard.must_wait("1001", here, now + Duration::from_secs(3)),
            None
        );
        for _ in 0..40 {
            guard.failed("1001", here, now);
        }
        assert_eq!(guard.must_wait("1001", here, now), Some(61));
        guard.succeeded("1001", here);
        assert_eq!(guard.must_wait("1001", here, now), None);
    }

    #[test]
    fn the_hash_of_nobody_is_sound_and_fits_nothing() {
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(!proves(&Password::None, ""));
        assert!(proves(&Password::Demo("demo-1001".into()), "demo-1001"));
        assert!(!proves(&Password::Demo("demo-1001".into()), "demo-1002"));
    }

    #[test]
    fn a_hash_of_any_cost_is_verified_in_the_same_memory() {
        use argon2::PasswordHasher;
        for (memory, rounds) in [(64, 1), (19_456, 2), (32, 3)] {
            let params = Params::new(memory, rounds, 1, None).unwrap();
            let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_with_salt(b"geheim", b"sixteen octets..")
                .unwrap();
            let secret = Password::Argon2(hash.to_string().into());
            assert!(proves(&secret, "geheim"));
            assert!(!proves(&secret, "Geheim"));
        }
        assert!(!proves(
            &Password::Argon2("$scrypt$ln=1$c2FsdHNhbHQ$aGFzaA".into()),
            ""
        ));
    }

    #[test]
    fn only_our_own_origin_is_the_same() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs
                .iter()
                .map(|(name, value)| {
                    (
                        header::HeaderName::from_static(name),
                        header::HeaderValue::from_static(value),
                    )
                })
                .collect::<HeaderMap>()
        };
        assert!(same_origin(&headers(&[
            ("host", "127.0.0.1:8080"),
            ("origin", "http://127.0.0.1:8080")
        ])));
        assert!(!same_origin(&headers(&[
            ("host", "127.0.0.1:8080"),
            ("origin", "http://evil.example")
        ])));
        assert!(!same_origin(&headers(&[
            ("host", "127.0.0.1:8080"),
            ("origin", "null")
        ])));
        assert!(same_origin(&headers(&[
            ("host", "127.0.0.1:8080"),
            ("sec-fetch-site", "same-origin")
        ])));
        assert!(!same_origin(&headers(&[("host", "127.0.0.1:8080")])));
    }
}
