//! The torture messages of RFC 4475 and RFC 5118 and what is expected of each: `tests/torture`.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;

use bytes::Bytes;

/// One message with its row of the table.
pub struct Case {
    pub rfc: String,
    pub section: String,
    pub name: String,
    /// What the parser must find: `good`, `bad FIELD` or `refused: REASON`.
    pub parser: String,
    /// What the endpoint must answer: statuses in their order.
    pub answer: String,
    pub bytes: Bytes,
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture")
}

/// Every row of `verdicts.txt` with its message.
pub fn cases() -> Vec<Case> {
    let table = std::fs::read_to_string(directory().join("verdicts.txt")).unwrap();
    let mut rfc = String::new();
    let mut cases = Vec::new();
    for line in table.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [naming, parser, answer, _why] = columns[..] else {
            line.clone_into(&mut rfc);
            continue;
        };
        let (section, name) = naming.split_once(' ').unwrap();
        let name = name.trim().to_owned();
        let file = directory().join(&rfc).join(format!("{name}.sip"));
        cases.push(Case {
            rfc: rfc.clone(),
            section: section.to_owned(),
            parser: parser.to_owned(),
            answer: answer.to_owned(),
            bytes: std::fs::read(file).unwrap().into(),
            name,
        });
    }
    cases
}

/// How many messages there are in the directory, rows or not.
pub fn files() -> usize {
    ["rfc4475", "rfc5118"]
        .iter()
        .flat_map(|rfc| std::fs::read_dir(directory().join(rfc)).unwrap())
        .count()
}
