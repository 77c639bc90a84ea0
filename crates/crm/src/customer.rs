//! What a sound customer record is, its order by value class, and the facts that a flow reads.

use std::collections::BTreeMap;

use crate::api::{Customer, CustomerId};
use crate::number::RAW_BYTES_MAX;

/// Longest id in bytes.
pub const ID_BYTES_MAX: usize = 64;
/// Most phone numbers of one customer: a household or a small firm, not a directory.
pub const PHONES_MAX: usize = 16;
/// Most tags of one customer.
pub const TAGS_MAX: usize = 64;
/// Most attributes of one customer.
pub const ATTRIBUTES_MAX: usize = 64;
/// Longest text of one field in bytes.
pub const FIELD_BYTES_MAX: usize = 8 * 1024;

/// What is wrong with a field of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message} ({hint})")]
pub struct FieldError {
    pub field: String,
    pub message: String,
    pub hint: String,
}

impl FieldError {
    pub(crate) fn new(field: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        FieldError {
            field: field.to_owned(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl Customer {
    /// Whether the record can be kept: the bounds above, an id that can be an index key and part of a URL's path, a known class.
    /// For what comes in through a file or the API, before it goes to the store.
    pub fn check(&self) -> Result<(), FieldError> {
        let id = &*self.id.0;
        if id.is_empty()
            || id.len() > ID_BYTES_MAX
            || id
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || "/?#%".contains(c))
        {
            return Err(FieldError::new(
                "id",
                format!("{id:?} is no customer id"),
                "1 to 64 bytes without spaces, control characters, / ? # %",
            ));
        }
        if !matches!(self.class.as_str(), "" | "A" | "B" | "C") {
            return Err(FieldError::new(
                "class",
                format!("{:?} is no value class", self.class),
                "A, B, C, or empty",
            ));
        }
        if !self
            .language
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-')
            || self.language.len() > 35
        {
            return Err(FieldError::new(
                "language",
                format!("{:?} is no language tag", self.language),
                "zh-CN, en, or empty",
            ));
        }
        check_list("phones", &self.phones, PHONES_MAX, RAW_BYTES_MAX)?;
        check_list("tags", &self.tags, TAGS_MAX, FIELD_BYTES_MAX)?;
        for (field, text) in [("name", &self.name), ("notes", &self.notes)] {
            check_text(field, text, FIELD_BYTES_MAX)?;
        }
        if self.attributes.len() > ATTRIBUTES_MAX {
            return Err(FieldError::new(
                "attributes",
                format!("{} of them", self.attributes.len()),
                format!("at most {ATTRIBUTES_MAX}"),
            ));
        }
        self.attributes
            .iter()
            .try_for_each(|(name, text)| check_text(name, text, FIELD_BYTES_MAX))
    }

    /// What a flow reads as `customer.…`: `id`, `name`, `class`, `language`, `tags` (joined by `;`), and `known`, which is always `true`;
    /// a caller whom nobody knows has no facts at all. Attributes come under their own names unless one of these has taken it.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let mut facts = self.attributes.clone();
        facts.extend(facts_of(
            &self.id,
            &self.name,
            &self.class,
            &self.language,
            &self.tags,
        ));
        facts
    }
}

pub(crate) fn facts_of(
    id: &CustomerId,
    name: &str,
    class: &str,
    language: &str,
    tags: &[String],
) -> BTreeMap<String, String> {
    [
        ("id", id.0.to_string()),
        ("name", name.to_owned()),
        ("class", class.to_owned()),
        ("language", language.to_owned()),
        ("tags", tags.join(";")),
        ("known", "true".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Order of value classes: A before B before C before what has none. The smaller is served first.
pub fn class_rank(class: &str) -> u8 {
    match class {
        "A" => 0,
        "B" => 1,
        "C" => 2,
        _ => 3,
    }
}

fn check_list(field: &str, list: &[String], most: usize, bytes: usize) -> Result<(), FieldError> {
    if list.len() > most {
        return Err(FieldError::new(
            field,
            format!("{} of them", list.len()),
            format!("at most {most}"),
        ));
    }
    if list
        .iter()
        .any(|text| text.trim().is_empty() || text.contains(';'))
    {
        return Err(FieldError::new(
            field,
            "one is empty or has a `;`",
            "several are separated by `;`",
        ));
    }
    list.iter()
        .try_for_each(|text| check_text(field, text, bytes))
}

fn check_text(field: &str, text: &str, bytes: usize) -> Result<(), FieldError> {
    if text.len() > bytes {
        return Err(FieldError::new(
            field,
            format!("{} bytes long", text.len()),
            format!("at most {bytes} bytes"),
        ));
    }
    if text.contains('\0') {
        return Err(FieldError::new(field, "has a NUL character", "remove it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Customer {
        Customer {
            id: CustomerId("C1".into()),
            name: "张伟".into(),
            class: "A".into(),
            phones: vec!["+8613800138000".into()],
            language: "zh-CN".into(),
            tags: vec!["vip".into(), "renewal".into()],
            notes: String::new(),
            attributes: BTreeMap::from([
                ("city".to_owned(), "北京".to_owned()),
                ("class".to_owned(), "other".to_owned()),
            ]),
        }
    }

    #[test]
    fn bounds_are_named() {
        assert_eq!(customer().check(), Ok(()));
        for (field, change) in [
            (
                "id",
                (|c: &mut Customer| c.id = CustomerId("a b".into())) as fn(&mut Customer),
            ),
            ("id", |c| c.id = CustomerId("".into())),
            ("class", |c| c.class = "D".into()),
            ("language", |c| c.language = "zh_CN".into()),
            ("phones", |c| c.phones = vec!["1".into(); PHONES_MAX + 1]),
            ("phones", |c| c.phones = vec!["1;2".into()]),
            ("tags", |c| c.tags = vec![String::new()]),
            ("notes", |c| c.notes = "x".repeat(FIELD_BYTES_MAX + 1)),
            ("name", |c| c.name = "\0".into()),
        ] {
            let mut bad = customer();
            change(&mut bad);
            assert_eq!(bad.check().expect_err(field).field, field);
        }
    }

    #[test]
    fn facts_for_a_flow() {
        let facts = customer().facts();
        assert_eq!(facts["class"], "A");
        assert_eq!(facts["tags"], "vip;renewal");
        assert_eq!(facts["known"], "true");
        assert_eq!(facts["city"], "北京");
    }

    #[test]
    fn classes_have_an_order() {
        assert!(
            class_rank("A") < class_rank("B")
                && class_rank("B") < class_rank("C")
                && class_rank("C") < class_rank("")
        );
    }
}
