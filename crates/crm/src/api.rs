//! The shapes that other crates share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A customer's id, e.g. `C1001`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomerId(pub Arc<str>);

/// A phone number: E.164 where the raw text is one, and the raw text beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Number {
    /// `+8613800138000`; `None` for an extension, `anonymous`, or what is no valid number.
    pub e164: Option<String>,
    pub raw: String,
}

/// A customer's record. Unknown CSV columns are kept in `attributes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    pub id: CustomerId,
    pub name: String,
    /// Value class `A`, `B`, `C`, or empty.
    #[serde(default)]
    pub class: String,
    #[serde(default)]
    pub phones: Vec<String>,
    /// `zh-CN` or `en`, or empty.
    #[serde(default)]
    pub language: String,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub notes: String,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// One earlier contact as the pop shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastContact {
    pub contact: String,
    /// RFC 3339.
    pub arrived: String,
    pub queue: Option<String>,
    pub agent: Option<String>,
    pub outcome: String,
}

/// What a look-up by phone found, and what the desk shows before the ring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pop {
    /// All customers on this number, best class first; empty for an unknown number.
    pub customers: Vec<PopCustomer>,
    /// Newest first, at most 5.
    pub last_contacts: Vec<LastContact>,
}

/// A customer in a pop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PopCustomer {
    pub id: CustomerId,
    pub name: String,
    pub class: String,
    pub language: String,
    pub tags: Vec<String>,
}
