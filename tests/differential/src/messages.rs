//! Every message that is compared: what stands in the repository, byte for byte.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::ours;

/// A message and the name by which the table calls it: `directory/file`.
pub struct Sample {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Where messages stand, and what they are called in the table: torture messages from the RFCs, what real programs and our own
/// ladders sent (`samples/README.md`), and the seeds of the fuzzer.
const PLACES: [(&str, &str); 4] = [
    ("rfc4475", "../../crates/sip/tests/torture/rfc4475"),
    ("rfc5118", "../../crates/sip/tests/torture/rfc5118"),
    ("", "samples"),
    ("fuzz", "../../fuzz/corpus/message"),
];

/// Those that are well-formed, in the order of their names.
pub fn well_formed() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (label, place) in PLACES {
        walk(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(place),
            label,
            &mut samples,
        );
    }
    // The fuzzer's seeds are the torture messages, and what is left of them.
    let mut seen = HashSet::new();
    samples.retain(|sample| {
        ours::well_formed(&sample.bytes).is_some() && seen.insert(sample.bytes.clone())
    });
    samples.sort_by(|left, right| left.name.cmp(&right.name));
    samples
}

fn walk(directory: &Path, label: &str, samples: &mut Vec<Sample>) {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let stem = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            walk(&path, &stem, samples);
        } else if is_message(&path) {
            let bytes = std::fs::read(&path).expect("a readable file");
            samples.push(Sample {
                name: format!("{label}/{stem}"),
                bytes,
            });
        }
    }
}

fn is_message(path: &PathBuf) -> bool {
    path.extension().is_none_or(|extension| extension == "sip")
}
