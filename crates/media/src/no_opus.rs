//! In the place of `libopus.rs` where this was built without the feature `opus`: there is no codec, so nothing is ever coded.

use crate::api::Wishes;

/// None can be made.
#[derive(Debug)]
pub enum Decoder {}

impl Decoder {
    pub fn new(_rate: u32) -> Option<Decoder> {
        None
    }

    pub fn decode(&mut self, _payload: &[u8], _out: &mut Vec<i16>) {
        match *self {}
    }

    pub fn conceal(&mut self, _samples: usize, _next: &[u8], _out: &mut Vec<i16>) {
        match *self {}
    }
}

/// None can be made.
#[derive(Debug)]
pub enum Encoder {}

impl Encoder {
    pub fn new(_rate: u32, _wishes: Wishes) -> Option<Encoder> {
        None
    }

    pub fn encode(&mut self, _samples: &[i16], _payload: &mut [u8]) -> Option<usize> {
        match *self {}
    }
}
