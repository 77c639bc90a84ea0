//! Prompt files: whatever is in them, they load or are refused, and what loaded can be played.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use media::{Lang, Prompts, Said};

fuzz_target!(|bytes: &[u8]| {
    let mut prompts = Prompts::default();
    for extension in ["wav", "flac", "mp3", "ogg"] {
        if prompts.insert(Some(Lang::En), "hello", bytes, extension).is_ok() {
            let length = prompts.duration(Lang::En, "hello").expect("it is there");
            assert!(length.as_secs() <= 1200 && prompts.octets() > 0);
        }
    }
    let text: Arc<str> = "hello".into();
    if let Ok(said) = Said::new(Lang::En, text, bytes) {
        prompts.insert_text(said);
        assert!(prompts.has_text(Lang::En, "hello"));
    }
});
