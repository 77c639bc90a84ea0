//! Three parsers on every well-formed message: they agree, or the disagreement stands in `disagreements.txt` with its reason.
//!
//! The table is exact both ways. After a change `UPDATE_DISAGREEMENTS=1 cargo test` writes it anew, keeps the reasons that it has,
//! and puts `?` where one is to be found: the test passes when none is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use sip_differential::messages::{Sample, well_formed};
use sip_differential::{Facts, old, ours, stack};

/// Parser, message, field: what is disagreed on.
type Key = (String, String, String);

/// What each side says, and why.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    ours: String,
    theirs: String,
    reason: String,
}

#[derive(Default)]
struct Table {
    reasons: BTreeMap<String, String>,
    rows: BTreeMap<Key, Row>,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("disagreements.txt")
}

impl Table {
    /// `code = text` gives a reason; `parser | message | field | ours | theirs | code` is a row.
    fn read(text: &str) -> Table {
        let mut table = Table::default();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
            if let [parser, message, field, ours, theirs, reason] = columns[..] {
                let key = (parser.to_owned(), message.to_owned(), field.to_owned());
                let row = Row {
                    ours: ours.to_owned(),
                    theirs: theirs.to_owned(),
                    reason: reason.to_owned(),
                };
                assert!(table.rows.insert(key, row).is_none(), "twice: {line}");
            } else {
                let (code, reason) = line
                    .split_once(" = ")
                    .unwrap_or_else(|| panic!("neither reason nor row: {line}"));
                table
                    .reasons
                    .insert(code.trim().to_owned(), reason.trim().to_owned());
            }
        }
        table
    }

    fn write(&self) -> String {
        let mut text = HEAD.to_owned();
        for (code, reason) in &self.reasons {
            writeln!(text, "{code} = {reason}").expect("a string takes it");
        }
        let mut before = String::new();
        for ((parser, message, field), row) in &self.rows {
            if *parser != before {
                writeln!(text, "\n# parser | message | field | ours | theirs | why")
                    .expect("a string takes it");
                parser.clone_into(&mut before);
            }
            let Row {
                ours,
                theirs,
                reason,
            } = row;
            writeln!(
                text,
                "{parser} | {message} | {field} | {ours} | {theirs} | {reason}"
            )
            .expect("a string takes it");
        }
        text
    }
}

const HEAD: &str = "\
# Where our SIP parser and another one disagree on a well-formed message, and why ours is right. `tests/disagreements.rs` holds the
# table to what the parsers do: a disagreement that is not here fails, and one that is here and no longer occurs fails.
#
# Reasons. Sections are those of RFC 3261 where no other RFC is named.
";

/// One line of text, so that a row is a line.
fn shown(value: &str) -> String {
    value
        .escape_debug()
        .to_string()
        .replace(" | ", " \\u{7c} ")
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}

fn compare(
    parser: &str,
    sample: &Sample,
    ours: &Facts,
    theirs: &Facts,
    found: &mut BTreeMap<Key, Row>,
) {
    let mut put = |field: &str, ours: &str, theirs: &str| {
        let key = (parser.to_owned(), sample.name.clone(), field.to_owned());
        found.insert(
            key,
            Row {
                ours: shown(ours),
                theirs: shown(theirs),
                reason: "?".to_owned(),
            },
        );
    };
    if let Some(refused) = theirs.get("message") {
        return put("message", "taken", refused);
    }
    for (field, mine) in ours {
        let other = theirs
            .get(field)
            .unwrap_or_else(|| panic!("{parser} has no {field}"));
        if mine != other {
            put(field, mine, other);
        }
    }
}

fn disagreements() -> BTreeMap<Key, Row> {
    let mut found = BTreeMap::new();
    for sample in well_formed() {
        let mine = ours::facts(&sample.bytes);
        compare(
            "rsip",
            &sample,
            &mine,
            &old::facts(&sample.bytes),
            &mut found,
        );
        compare(
            "rsipstack",
            &sample,
            &mine,
            &stack::facts(&sample.bytes),
            &mut found,
        );
    }
    found
}

#[test]
fn every_disagreement_is_listed_and_every_listed_one_occurs() {
    // A parser that panics has refused; its words would only be in the way.
    std::panic::set_hook(Box::new(|_| {}));
    let mut found = disagreements();
    let _ = std::panic::take_hook();
    let mut table = Table::read(&std::fs::read_to_string(path()).unwrap_or_default());
    for (key, row) in &mut found {
        if let Some(known) = table
            .rows
            .get(key)
            .filter(|known| (&known.ours, &known.theirs) == (&row.ours, &row.theirs))
        {
            row.reason.clone_from(&known.reason);
        }
    }
    if std::env::var_os("UPDATE_DISAGREEMENTS").is_some() {
        table.rows = found;
        std::fs::write(path(), table.write()).expect("a table to write");
        return;
    }
    let mut wrong = String::new();
    for (key, row) in found
        .iter()
        .filter(|(key, row)| table.rows.get(key) != Some(row))
    {
        writeln!(wrong, "not listed: {key:?} {row:?}").expect("a string takes it");
    }
    for key in table.rows.keys().filter(|key| !found.contains_key(*key)) {
        writeln!(wrong, "no longer so: {key:?}").expect("a string takes it");
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_reason_is_given_and_needed() {
    let table = Table::read(&std::fs::read_to_string(path()).expect("the table"));
    let used: BTreeSet<&str> = table.rows.values().map(|row| row.reason.as_str()).collect();
    let given: BTreeSet<&str> = table.reasons.keys().map(String::as_str).collect();
    assert_eq!(used, given);
}

/// The samples are there, and from whom they should be.
#[test]
fn every_source_has_messages() {
    let samples = well_formed();
    let of = |source: &str| {
        samples
            .iter()
            .filter(|sample| sample.name.starts_with(source))
            .count()
    };
    for (source, least) in [
        ("rfc4475/", 20),
        ("rfc5118/", 9),
        ("baresip/", 10),
        ("kamailio/", 5),
        ("sipp/", 4),
        ("linphone/", 4),
        ("ladders/", 100),
    ] {
        assert!(of(source) >= least, "{source} {}", of(source));
    }
}
