//! Which packets of which sender have been here: rollover counters and replay windows (RFC 3711 section 3.3).

/// Senders remembered under one key. A far end has one, and another one after a transfer behind its back; beyond so many the one that was heard longest
/// ago is forgotten.
const SOURCES: usize = 8;
/// Packets behind the newest one of which it is known whether they came: RFC 3711 wants 64 at least.
const WINDOW: u64 = 128;

/// The senders of one direction. Only who has proved to have the key gets a place.
#[derive(Debug, Default)]
pub struct Sources {
    places: [Option<Source>; SOURCES],
    /// Counts packets, to tell who was heard last.
    heard: u64,
}

/// One sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source {
    ssrc: u32,
    heard: u64,
    pub rtp: Window,
    pub rtcp: Window,
}

impl Sources {
    /// What is known of a sender: a fresh one where nothing is.
    pub fn of(&self, ssrc: u32) -> Source {
        let known = self.places.iter().flatten();
        known
            .copied()
            .find(|source| source.ssrc == ssrc)
            .unwrap_or_else(|| Source {
                ssrc,
                ..Source::default()
            })
    }

    /// An authentic packet of a sender.
    pub fn note(&mut self, ssrc: u32, note: impl FnOnce(&mut Source)) {
        self.heard += 1;
        let is = |place: &Option<Source>| place.is_some_and(|source| source.ssrc == ssrc);
        let place = match self.places.iter().position(is) {
            Some(place) => place,
            None => {
                let ages = self.places.iter().enumerate();
                let oldest = ages.min_by_key(|(_, place)| place.map_or(0, |source| source.heard));
                let place = oldest.map_or(0, |(place, _)| place);
                self.places[place] = Some(Source {
                    ssrc,
                    ..Source::default()
                });
                place
            }
        };
        if let Some(source) = &mut self.places[place] {
            source.heard = self.heard;
            note(source);
        }
    }
}

/// The newest number that has been here, and which of those before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    newest: Option<u64>,
    /// Bit n: newest - n has been here.
    seen: u128,
}

impl Window {
    /// The whole number of a packet, of which the wire has the last 16 bits: the one nearest to the newest (section 3.3.1). `None`: from before
    /// the beginning.
    pub fn guess(&self, sequence: u16) -> Option<u64> {
        let Some(newest) = self.newest else {
            return Some(sequence.into());
        };
        let step = sequence.wrapping_sub(newest as u16) as i16;
        newest.checked_add_signed(step.into())
    }

    pub fn is_new(&self, number: u64) -> bool {
        match self.newest {
            None => true,
            Some(newest) if number > newest => true,
            Some(newest) => newest - number < WINDOW && self.seen >> (newest - number) & 1 == 0,
        }
    }

    /// It has come, authentic and new.
    pub fn note(&mut self, number: u64) {
        let newest = *self.newest.get_or_insert(number);
        if number > newest {
            let step = u32::try_from(number - newest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(step).unwrap_or(0);
            self.newest = Some(number);
        }
        let behind = newest.saturating_sub(number);
        self.seen |= 1u128.checked_shl(behind as u32).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rollover_counter_follows_the_sequence_over_its_wrap_and_back() {
        let mut window = Window::default();
        assert_eq!(window.guess(65_534), Some(65_534));
        window.note(65_534);
        assert_eq!(window.guess(1), Some(65_537));
        window.note(65_537);
        assert_eq!(
            window.guess(65_535),
            Some(65_535),
            "late, from before the wrap"
        );
        assert!(window.is_new(65_535) && !window.is_new(65_534));
        window.note(65_535);
        assert!(!window.is_new(65_535) && window.is_new(65_536));
        for step in 1..=200_000u64 {
            let number = 65_537 + step;
            assert_eq!(window.guess(number as u16), Some(number));
            window.note(number);
        }
        let mut young = Window::default();
        young.note(3);
        assert_eq!(young.guess(65_530), None, "before the beginning");
    }

    #[test]
    fn what_came_and_what_is_too_old_is_refused() {
        let mut window = Window::default();
        window.note(1_000);
        for number in [1_000, 872, 1] {
            assert!(!window.is_new(number), "{number}");
        }
        assert!(window.is_new(873) && window.is_new(999) && window.is_new(1_001));
        window.note(873);
        window.note(5_000);
        assert!(!window.is_new(1_000) && window.is_new(4_873) && !window.is_new(4_872));
        window.note(5_001);
        assert!(!window.is_new(5_000) && !window.is_new(5_001));
    }

    #[test]
    fn a_returning_sender_is_known_and_the_one_heard_longest_ago_is_forgotten() {
        let mut sources = Sources::default();
        for ssrc in 0..SOURCES as u32 {
            sources.note(ssrc, |source| source.rtp.note(70_000));
        }
        sources.note(0, |source| source.rtp.note(70_001));
        assert!(!sources.of(0).rtp.is_new(70_000));
        sources.note(99, |source| source.rtp.note(5));
        assert!(!sources.of(0).rtp.is_new(70_001) && !sources.of(99).rtp.is_new(5));
        assert!(sources.of(1).rtp.is_new(70_000), "forgotten");
        assert!(!sources.of(2).rtp.is_new(70_000));
    }
}
