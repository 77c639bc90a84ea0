//! Who may sign in, and who has.

use std::fmt;

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{PAGE_MAX, Page, Store, row_error};
use crate::error::StoreError;

const CREDENTIALS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("credentials");
/// By SHA-256 of the token: who reads the file cannot take over a session.
const SESSIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("sessions");

/// Most sessions at a time. Whoever can sign in could fill the disk otherwise.
pub const SESSIONS_MAX: u64 = 100_000;

/// How a user proves to be one. Without the secrets in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// SIP user, extension and name for the web.
    pub user: String,
    /// `agent`, `supervisor`, `admin`, `service`.
    pub role: String,
    #[serde(default)]
    pub name: String,
    /// Argon2id as a PHC string; empty: no sign-in by password.
    #[serde(default)]
    pub password: String,
    /// The realm that the HA1 values are for.
    #[serde(default)]
    pub realm: String,
    /// Digest HA1 (RFC 8760), lower-case hex; empty: not with this algorithm.
    #[serde(default)]
    pub ha1_md5: String,
    #[serde(default)]
    pub ha1_sha256: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// A sign-in that holds until `expires`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub user: String,
    pub role: String,
    /// Nanoseconds of the engine's time.
    pub expires: u64,
}

pub(super) fn make(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(CREDENTIALS)?;
    transaction.open_table(SESSIONS)?;
    Ok(())
}

impl Store {
    pub fn credentials(&self, user: &str) -> Result<Option<Credentials>, StoreError> {
        self.read(|transaction| {
            transaction
                .open_table(CREDENTIALS)?
                .get(user)?
                .map(|row| parse("credentials", user, row.value()))
                .transpose()
        })
    }

    /// Adds users, or replaces those of the same name, in one transaction.
    pub fn put_credentials(&self, batch: &[Credentials]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(CREDENTIALS)?;
            for credentials in batch {
                let row = serde_json::to_vec(credentials)
                    .map_err(|error| row_error("credentials", &credentials.user, error))?;
                table.insert(credentials.user.as_str(), row.as_slice())?;
            }
            Ok(())
        })
    }

    /// False when there is no such user.
    pub fn delete_credentials(&self, user: &str) -> Result<bool, StoreError> {
        self.write(|transaction| Ok(transaction.open_table(CREDENTIALS)?.remove(user)?.is_some()))
    }

    /// Users by name, behind `cursor`.
    pub fn list_credentials(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Credentials>, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        self.read(|transaction| {
            let table = transaction.open_table(CREDENTIALS)?;
            let after = cursor.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
            let mut items: Vec<Credentials> = Vec::new();
            for row in table.range::<&str>((after, std::ops::Bound::Unbounded))? {
                if items.len() == limit {
                    let next = items.last().map(|last| last.user.clone());
                    return Ok(Page { items, next });
                }
                let (user, value) = row?;
                items.push(parse("credentials", user.value(), value.value())?);
            }
            Ok(Page { items, next: None })
        })
    }

    /// Keeps a session under its token; `token` itself is not kept.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there are [`SESSIONS_MAX`]; [`Self::expire_sessions`] makes room.
    pub fn put_session(&self, token: &str, session: &Session) -> Result<(), StoreError> {
        let row =
            serde_json::to_vec(session).map_err(|error| StoreError::Refused(error.to_string()))?;
        let taken = self.write(|transaction| {
            let mut table = transaction.open_table(SESSIONS)?;
            if redb::ReadableTableMetadata::len(&table)? >= SESSIONS_MAX {
                return Ok(false);
            }
            table.insert(digest(token).as_slice(), row.as_slice())?;
            Ok(true)
        })?;
        if taken {
            Ok(())
        } else {
            Err(StoreError::Refused(format!(
                "{SESSIONS_MAX} sessions are open"
            )))
        }
    }

    /// The session of a token, unless it has expired at `now` (nanoseconds of the engine's time).
    pub fn session(&self, token: &str, now: u64) -> Result<Option<Session>, StoreError> {
        let session: Option<Session> = self.read(|transaction| {
            transaction
                .open_table(SESSIONS)?
                .get(digest(token).as_slice())?
                .map(|row| parse("session", "", row.value()))
                .transpose()
        })?;
        Ok(session.filter(|session| session.expires > now))
    }

    /// False when there is none.
    pub fn delete_session(&self, token: &str) -> Result<bool, StoreError> {
        self.write(|transaction| {
            Ok(transaction
                .open_table(SESSIONS)?
                .remove(digest(token).as_slice())?
                .is_some())
        })
    }

    /// Ends every session of a user, as after a new password; how many there were.
    pub fn delete_sessions_of(&self, user: &str) -> Result<usize, StoreError> {
        self.delete_sessions(|session| session.user == user)
    }

    /// Removes the sessions that have expired at `now`; how many there were.
    pub fn expire_sessions(&self, now: u64) -> Result<usize, StoreError> {
        self.delete_sessions(|session| session.expires <= now)
    }

    fn delete_sessions(&self, over: impl Fn(&Session) -> bool) -> Result<usize, StoreError> {
        let is_over =
            |row: &[u8]| serde_json::from_slice(row).map_or(true, |session| over(&session));
        // Most calls find nothing: those must not cost a sync.
        let any = self.read(|transaction| {
            for row in transaction.open_table(SESSIONS)?.iter()? {
                if is_over(row?.1.value()) {
                    return Ok(true);
                }
            }
            Ok(false)
        })?;
        if !any {
            return Ok(0);
        }
        self.write(|transaction| {
            let mut removed = 0;
            transaction.open_table(SESSIONS)?.retain(|_, row| {
                let over = is_over(row);
                removed += usize::from(over);
                !over
            })?;
            Ok(removed)
        })
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn parse<T: for<'a> Deserialize<'a>>(what: &str, id: &str, row: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(row).map_err(|error| row_error(what, id, error))
}
