//! Makes samples of messages that were on a wire: `take PLACE [SOURCE] < HEX`, where HEX has one message a line, as
//! `tshark -r FILE -T fields -e udp.payload` writes them. Of messages that look alike the first is kept.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;

use sip::message::{HeaderName, Message};
use sip_differential::ours::well_formed;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().expect("a directory");
    let source = arguments.next();
    let mut seen = BTreeSet::new();
    for line in std::io::stdin().lock().lines() {
        let bytes = from_hex(line.expect("a line").trim());
        let Some(message) = well_formed(&bytes) else {
            continue;
        };
        let source = source.clone().unwrap_or_else(|| source_of(&message));
        let start = match (message.method(), message.status()) {
            (Some(method), _) => method.to_string(),
            (None, status) => format!(
                "{}-{}",
                status.unwrap_or_default(),
                message.cseq().expect("it was read").1
            ),
        };
        if !seen.insert((source.clone(), shape(&message))) {
            continue;
        }
        let directory = Path::new(&place).join(&source);
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = (1..)
            .map(|n| directory.join(format!("{}-{n}.sip", start.to_lowercase())))
            .find(|file| !file.exists());
        std::fs::write(file.expect("there is always one more"), &bytes).expect("a file");
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// By what it calls itself; SIPp's scenarios say nothing.
fn source_of(message: &Message) -> String {
    let product = message
        .header_named("User-Agent")
        .or(message.header_named("Server"))
        .unwrap_or("none")
        .to_lowercase();
    [
        "baresip",
        "kamailio",
        "linphone",
        "sipsak",
        "cordboard",
        "sipp",
    ]
    .into_iter()
    .find(|name| product.contains(name))
    .unwrap_or("none")
    .to_owned()
}

/// What makes a message interesting to a parser: which headers and parameters it has, not their values.
fn shape(message: &Message) -> Vec<String> {
    let mut shape: BTreeSet<String> = message.lines().map(|(name, _)| name.to_owned()).collect();
    for name in [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::Contact,
    ] {
        for value in message.values(name) {
            shape.extend(
                value
                    .split(';')
                    .skip(1)
                    .map(|param| format!("{name:?};{}", param.split('=').next().unwrap_or(param))),
            );
            shape.insert(format!(
                "{name:?} {} {}",
                value.contains('"'),
                value.contains('[')
            ));
        }
    }
    let start = format!(
        "{:?}{:?}{}",
        message.method(),
        message.status(),
        message.body().is_empty()
    );
    [start].into_iter().chain(shape).collect()
}
