//! What is being played: audio in every codec, run together without gaps.

use std::sync::Arc;
use std::time::Duration;

use crate::api::Item;
use crate::g711::{self, Law, RATE};
use crate::prompts::Prompts;
use crate::said::Learnt;
use crate::speech;

/// Audio in both laws of G.711; what goes to another codec is encoded from them as it is played.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    pub pcmu: Box<[u8]>,
    pub pcma: Box<[u8]>,
}

impl Clip {
    /// Encodes samples at 8 kHz.
    pub fn new(samples: &[i16]) -> Self {
        let in_law = |law| {
            samples
                .iter()
                .map(|sample| g711::encode(law, *sample))
                .collect()
        };
        Clip {
            pcmu: in_law(Law::Mu),
            pcma: in_law(Law::A),
        }
    }

    /// The octets to send; one a sample.
    pub fn octets(&self, law: Law) -> &[u8] {
        match law {
            Law::Mu => &self.pcmu,
            Law::A => &self.pcma,
        }
    }

    pub fn samples(&self) -> usize {
        self.pcmu.len()
    }

    /// Copies out of the endless repetition of this clip from sample `position` on. An empty clip gives silence.
    pub fn fill_endless(&self, law: Law, position: u64, out: &mut [u8]) {
        let octets = self.octets(law);
        if octets.is_empty() {
            out.fill(g711::silence(law));
            return;
        }
        let mut at = (position % octets.len() as u64) as usize;
        let mut filled = 0;
        while filled < out.len() {
            let part = (octets.len() - at).min(out.len() - filled);
            out[filled..filled + part].copy_from_slice(&octets[at..at + part]);
            filled += part;
            at = 0;
        }
    }
}

/// What comes next of a play list, where packets are encoded once for all.
#[derive(Debug)]
pub enum Step<'a> {
    /// Of a clip from this sample on.
    Clip(&'a Arc<Clip>, usize),
    Silence,
}

/// Pieces of one play request after numbers are put into words; more are left out.
const MAX_PIECES: usize = 512;
/// Longest silence in a play list.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// Pieces in order, and how far they have been sent.
#[derive(Debug)]
pub struct Playlist {
    pieces: Vec<Piece>,
    current: usize,
    /// Samples of the current piece that are sent.
    offset: usize,
}

#[derive(Debug)]
enum Piece {
    Clip(Arc<Clip>),
    /// Samples.
    Silence(usize),
}

impl Playlist {
    /// Looks the items up; also gives how many prompts are missing, which are left out.
    pub fn new(items: &[Item], prompts: &Prompts, learnt: &Learnt) -> (Playlist, u64) {
        let mut pieces = Vec::with_capacity(items.len().min(MAX_PIECES));
        let mut missing = 0;
        for item in items.iter().take(MAX_PIECES) {
            let mut add = |lang, name: &str| match prompts.find(lang, name) {
                Some(clip) => pieces.push(Piece::Clip(clip.clone())),
                None => missing += 1,
            };
            match item {
                Item::Prompt { lang, name } => add(*lang, name),
                Item::Number { lang, value } => {
                    speech::number(*lang, *value, &mut |name| add(*lang, name))
                }
                Item::Digits { lang, digits } => {
                    speech::digits(*lang, digits, &mut |name| add(*lang, name))
                }
                Item::Spoken { lang, what } => {
                    speech::say(*lang, what, &mut |name| add(*lang, name))
                }
                Item::Text { lang, text } => {
                    let clip =
                        (prompts.find_text(*lang, text)).or_else(|| learnt.find(*lang, text));
                    match clip {
                        Some(clip) => pieces.push(Piece::Clip(clip.clone())),
                        None => missing += 1,
                    }
                }
                Item::Silence(duration) => pieces.push(silence(*duration)),
            }
        }
        pieces.truncate(MAX_PIECES);
        (
            Playlist {
                pieces,
                current: 0,
                offset: 0,
            },
            missing,
        )
    }

    /// Samples at 8 kHz.
    pub fn of_samples(samples: &[i16]) -> Playlist {
        Playlist {
            pieces: vec![Piece::Clip(Arc::new(Clip::new(samples)))],
            current: 0,
            offset: 0,
        }
    }

    /// Goes on with these samples at 8 kHz, as far as there is room.
    pub fn append(&mut self, samples: &[i16]) {
        if self.pieces.len() < MAX_PIECES {
            self.pieces.push(Piece::Clip(Arc::new(Clip::new(samples))));
        }
    }

    /// The next so many samples, or what is left of a piece: a piece begins with a packet of its own. `None` when all is sent.
    pub fn step(&mut self, samples: usize) -> Option<Step<'_>> {
        while let Some(piece) = self.pieces.get(self.current)
            && piece.samples() == 0
        {
            self.current += 1;
        }
        let (current, offset) = (self.current, self.offset);
        let piece = self.pieces.get(current)?;
        self.offset += samples;
        if self.offset >= piece.samples() {
            (self.current, self.offset) = (current + 1, 0);
        }
        Some(match piece {
            Piece::Clip(clip) => Step::Clip(clip, offset),
            Piece::Silence(_) => Step::Silence,
        })
    }

    /// Fills a packet with what comes next, and with silence after the end. False, and nothing filled, when all is sent already.
    pub fn fill(&mut self, law: Law, out: &mut [u8]) -> bool {
        let mut filled = 0;
        while filled < out.len() {
            let Some(piece) = self.pieces.get(self.current) else {
                break;
            };
            let length = piece.samples();
            let part = (length - self.offset).min(out.len() - filled);
            let target = &mut out[filled..filled + part];
            match piece {
                Piece::Clip(clip) => {
                    target.copy_from_slice(&clip.octets(law)[self.offset..self.offset + part])
                }
                Piece::Silence(_) => target.fill(g711::silence(law)),
            }
            filled += part;
            self.offset += part;
            if self.offset == length {
                self.current += 1;
                self.offset = 0;
            }
        }
        let some = filled > 0;
        if some {
            out[filled..].fill(g711::silence(law));
        }
        some
    }
}

impl Piece {
    fn samples(&self) -> usize {
        match self {
            Piece::Clip(clip) => clip.samples(),
            Piece::Silence(samples) => *samples,
        }
    }
}

fn silence(duration: Duration) -> Piece {
    Piece::Silence((duration.min(MAX_SILENCE).as_millis() as usize) * RATE as usize / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Lang;

    fn prompts() -> Prompts {
        let mut prompts = Prompts::default();
        for (name, value, length) in [("a", 1000, 100), ("b", -2000, 250), ("digits/7", 3000, 10)] {
            prompts.insert_samples(Some(Lang::En), name, &vec![value; length]);
        }
        prompts
    }

    fn prompt(name: &str) -> Item {
        Item::Prompt {
            lang: Lang::En,
            name: name.into(),
        }
    }

    #[test]
    fn pieces_run_together_and_the_last_packet_is_padded() {
        let items = [
            prompt("a"),
            Item::Silence(Duration::from_millis(5)),
            prompt("gone"),
            prompt("b"),
        ];
        let (mut list, missing) = Playlist::new(&items, &prompts(), &Learnt::default());
        assert_eq!(missing, 1);
        let mut out = [0; 160];
        let mut sent = Vec::new();
        while list.fill(Law::A, &mut out) {
            sent.extend_from_slice(&out);
        }
        let [a, b] = [1000, -2000].map(|sample| g711::encode(Law::A, sample));
        let quiet = g711::silence(Law::A);
        let want: Vec<u8> = [vec![a; 100], vec![quiet; 40], vec![b; 250], vec![quiet; 90]].concat();
        assert_eq!(sent, want);
        assert!(!list.fill(Law::A, &mut out), "stays at its end");
    }

    #[test]
    fn steps_begin_each_piece_anew() {
        let items = [
            prompt("a"),
            Item::Silence(Duration::from_millis(30)),
            prompt("b"),
        ];
        let (mut list, _) = Playlist::new(&items, &prompts(), &Learnt::default());
        let mut steps = Vec::new();
        while let Some(step) = list.step(160) {
            steps.push(match step {
                Step::Clip(clip, offset) => (clip.samples(), offset),
                Step::Silence => (0, 0),
            });
        }
        assert_eq!(steps, [(100, 0), (0, 0), (0, 0), (250, 0), (250, 160)]);
    }

    #[test]
    fn numbers_and_digits_are_spoken_and_bounds_hold() {
        let items = [
            Item::Digits {
                lang: Lang::En,
                digits: "77".into(),
            },
            Item::Number {
                lang: Lang::En,
                value: 7,
            },
        ];
        let learnt = Learnt::default();
        let (list, missing) = Playlist::new(&items, &prompts(), &learnt);
        assert_eq!((list.pieces.len(), missing), (3, 0));
        let many = vec![
            Item::Digits {
                lang: Lang::En,
                digits: "7".repeat(40).into()
            };
            100
        ];
        assert_eq!(
            Playlist::new(&many, &prompts(), &learnt).0.pieces.len(),
            MAX_PIECES
        );
        let (mut empty, _) = Playlist::new(&[], &prompts(), &learnt);
        assert!(!empty.fill(Law::Mu, &mut [0; 160]));
    }

    #[test]
    fn an_endless_clip_wraps_inside_a_packet() {
        let clip = Clip {
            pcmu: [1, 2, 3].into(),
            pcma: [4, 5, 6].into(),
        };
        let mut out = [0; 8];
        clip.fill_endless(Law::Mu, 3_000_002, &mut out);
        assert_eq!(out, [3, 1, 2, 3, 1, 2, 3, 1]);
        Clip::new(&[]).fill_endless(Law::Mu, 9, &mut out);
        assert_eq!(out, [0xff; 8]);
    }
}
