//! Flow files: whatever the text, it is refused with places or it runs; a test file beside it does no harm, and it can be drawn.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // A test file may follow the flow's.
    let (flow, tests) = text.split_once("\n====\n").unwrap_or((text, ""));
    let surroundings = ivr::Surroundings {
        has_prompt: &|_, name| !name.starts_with("missing"),
        queues: &["support".to_owned()].into(),
        numbers: &["1001".to_owned()].into(),
    };
    let (flows, diagnostics) = ivr::Flows::load(&[("a.toml".into(), flow.into())], &surroundings);
    for diagnostic in &diagnostics {
        assert!(!diagnostic.message.is_empty(), "{diagnostic}");
    }
    let Some(name) = flows.names().next().map(str::to_owned) else {
        assert!(!diagnostics.is_empty(), "neither loaded nor refused");
        return;
    };
    let flow = flows.get(&name).expect("it was named");
    assert!(ivr::draw(flow).ends_with("</svg>\n"));
    let _ = ivr::testing::run(&flows, tests, Path::new("a.test.toml"));
    let _ = ivr::testing::fuzz(&flows, &name, 1, 3);
});
