//! Who there is: what the configuration says of people, for sign-in and for showing agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

type Name = Arc<str>;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Own state, own contacts, customers.
    Agent,
    /// Everything of the floor.
    Supervisor,
    /// The configuration too.
    Admin,
    /// A program: everything of the floor.
    Service,
}

impl Role {
    /// The word of the configuration and the API.
    pub fn word(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Supervisor => "supervisor",
            Role::Admin => "admin",
            Role::Service => "service",
        }
    }

    /// From that word.
    pub fn parse(word: &str) -> Option<Role> {
        [Role::Agent, Role::Supervisor, Role::Admin, Role::Service]
            .into_iter()
            .find(|role| role.word() == word)
    }

    /// May see and steer what others do.
    pub fn oversees(self) -> bool {
        !matches!(self, Role::Agent)
    }
}

/// How somebody proves to be one.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// Not by the configuration; the store's credentials may know better.
    None,
    /// Argon2id as a PHC string.
    Argon2(Name),
    /// A demo password in the open; the configuration allows it on loopback alone.
    Demo(Name),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Password::None => "None",
            Password::Argon2(_) => "Argon2(…)",
            Password::Demo(_) => "Demo(…)",
        })
    }
}

/// Somebody who may sign in, and what of them is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub id: Name,
    pub name: String,
    pub role: Role,
    pub group: Name,
    pub skills: BTreeMap<Name, u8>,
    /// Queues whose events an agent sees; empty: none.
    pub queues: BTreeSet<Name>,
    pub password: Password,
    /// Is an agent of the distributor (has a phone), and so is listed under `/agents`.
    pub takes_calls: bool,
}

/// Everybody, by id.
#[derive(Clone, Debug, Default)]
pub struct Accounts(pub BTreeMap<Name, Account>);

impl Accounts {
    /// From a list.
    pub fn new(accounts: impl IntoIterator<Item = Account>) -> Accounts {
        Accounts(
            accounts
                .into_iter()
                .map(|account| (account.id.clone(), account))
                .collect(),
        )
    }

    /// Looks somebody up.
    pub fn find(&self, id: &str) -> Option<&Account> {
        self.0.get(id)
    }
}
