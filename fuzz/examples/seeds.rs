//! Writes the first of the corpus: torture messages, and what stands in the tests. `cargo run --example seeds`. What fuzzing found beside
//! them is kept minimised (`make fuzz-corpus`); the moves of `endpoint` and `engine` are all of that kind.

use std::path::Path;

fn put(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join(name), bytes).expect("a file");
}

fn main() {
    let torture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/sip/tests/torture");
    for rfc in ["rfc4475", "rfc5118"] {
        for entry in std::fs::read_dir(torture.join(rfc)).expect("the torture messages") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).expect("a message");
            put("message", &name, &bytes);
            put("framing", &name, &[b"\x00\x07\x20\x01\x03", &bytes[..]].concat());
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = &bytes[end + 4..];
                if body.starts_with(b"v=0") {
                    put("sdp", &name, body);
                }
            }
        }
    }
    for (name, value) in [
        ("response", "Digest username=\"Mufasa\", realm=\"test\", nonce=\"dcd98b\", uri=\"/dir/index.html\", qop=auth, nc=00000001, cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", opaque=\"5ccc\""),
        ("sha256", "Digest username=\"a\", realm=\"test\", nonce=\"n\", uri=\"sip:h\", algorithm=SHA-256, qop=auth, nc=0000000f, cnonce=\"c\", response=\"00\""),
        ("challenge", "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd\", opaque=\"5ccc069c\", algorithm=MD5, stale=false"),
        ("other", "NoOneKnowsThisScheme opaque-data=here"),
    ] {
        put("digest", name, value.as_bytes());
    }
}
