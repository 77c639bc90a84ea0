//! Telephone events (RFC 4733): one report a key press, and keys that we press.

use std::collections::VecDeque;
use std::time::Duration;

use clock::Time;

use crate::rtp::{Fixed, Header};
use crate::sender::Sender;

/// The payload of one event packet (RFC 4733 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    pub event: u8,
    pub end: bool,
    /// Power in dBm0 without its sign.
    pub volume: u8,
    /// In ticks of the events' clock.
    pub duration: u16,
}

impl Payload {
    pub const OCTETS: usize = 4;

    /// `None` when it is shorter than an event.
    pub fn parse(payload: &[u8]) -> Option<Payload> {
        let [event, flags, high, low, ..] = *payload else {
            return None;
        };
        Some(Payload {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    pub fn octets(&self) -> [u8; Payload::OCTETS] {
        let [high, low] = self.duration.to_be_bytes();
        [
            self.event,
            (u8::from(self.end) << 7) | (self.volume & 0x3f),
            high,
            low,
        ]
    }
}

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// The key of an event; other events (flash, tones) are none.
pub fn key(event: u8) -> Option<char> {
    KEYS.get(usize::from(event)).map(|octet| char::from(*octet))
}

/// The event of a key.
pub fn event(key: char) -> Option<u8> {
    KEYS.iter()
        .position(|octet| char::from(*octet) == key.to_ascii_uppercase())
        .map(|at| at as u8)
}

/// Turns event packets into key presses: the first packet seen of an event counts, whichever it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detector {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    payload: Payload,
    at: Time,
}

/// A marked packet this long after an event's end begins another one, whatever its sequence and timestamp say: players of captured packets (SIPp's
/// `play_pcap_audio`) repeat both.
const REPLAY_GAP: Duration = Duration::from_millis(200);

impl Detector {
    /// The key, if this packet is the first one seen of its event.
    pub fn detect(&mut self, now: Time, header: &Header, payload: Payload) -> Option<char> {
        let seen = Last {
            at: now,
            ssrc: header.ssrc,
            sequence: header.sequence,
            timestamp: header.timestamp,
            payload,
        };
        if let Some(last) = &mut self.last
            && last.ssrc == header.ssrc
            && !(last.payload.end && header.marker && now - last.at >= REPLAY_GAP)
        {
            let step = header.sequence.wrapping_sub(last.sequence) as i16;
            if step <= 0 && step > -crate::reception::MAX_MISORDER {
                return None; // late or twice
            }
            if last.timestamp == header.timestamp || last.is_continued_by(&seen) {
                *last = seen;
                return None;
            }
        }
        self.last = Some(seen);
        key(payload.event)
    }
}

impl Last {
    /// A key held longer than the duration field can say goes on as a new segment (RFC 4733 section 2.5.1.3).
    fn is_continued_by(&self, next: &Last) -> bool {
        let step = next.timestamp.wrapping_sub(self.timestamp);
        !self.payload.end
            && self.payload.event == next.payload.event
            && (step == u32::from(self.payload.duration) || step == 0xffff)
            && self.payload.duration >= 0xf000
    }
}

/// How long a key that we press lasts, and the pause after it: ITU-T Q.24 asks for 40 ms each; gateways like more.
const PRESS: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(80);
/// The last packet of an event goes out this often (RFC 4733 section 2.5.1.4).
const END_PACKETS: u8 = 3;
/// Keys waiting to be pressed on one stream.
pub const MAX_KEYS: usize = 64;
/// -10 dBm0, as telephones do.
const VOLUME: u8 = 10;

/// The time of one packet by the clock of the events and by that of the stream.
#[derive(Clone, Copy, Debug)]
pub struct PacketTime {
    pub milliseconds: u32,
    pub event_ticks: u32,
    pub stream_ticks: u32,
}

impl PacketTime {
    pub fn new(milliseconds: u32, event_rate: u32, stream_rate: u32) -> PacketTime {
        PacketTime {
            milliseconds,
            event_ticks: milliseconds * event_rate / 1000,
            stream_ticks: milliseconds * stream_rate / 1000,
        }
    }

    fn press_ticks(&self) -> u32 {
        PRESS.as_millis() as u32 * self.event_ticks / self.milliseconds.max(1)
    }
}

/// Keys to press, packet by packet at the stream's own pace.
#[derive(Debug, Default)]
pub struct Keypad {
    waiting: VecDeque<u8>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Pressed {
        event: u8,
        /// Timestamp of the event's begin, once its first packet has gone.
        began: Option<u32>,
        duration: u16,
    },
    Ending {
        event: u8,
        began: u32,
        duration: u16,
        left: u8,
    },
    Pause {
        until: Time,
    },
}

impl Keypad {
    /// Takes what fits of the digits; characters that are no key are left out.
    pub fn press(&mut self, digits: &str) {
        let room = MAX_KEYS - self.waiting.len();
        self.waiting
            .extend(digits.chars().filter_map(event).take(room));
    }

    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !matches!(self.phase, Phase::Idle)
    }

    /// The packet due at `now`, if it is not a pause; with it passes the time of a packet, which is so many ticks of the events' clock and of the stream's.
    pub fn tick(
        &mut self,
        now: Time,
        time: PacketTime,
        payload_type: u8,
        sender: &mut Sender,
    ) -> Option<(Fixed, Payload)> {
        if let Phase::Pause { until } = self.phase {
            if now < until {
                return None;
            }
            self.phase = Phase::Idle;
        }
        if let Phase::Idle = self.phase {
            self.phase = Phase::Pressed {
                event: self.waiting.pop_front()?,
                began: None,
                duration: 0,
            };
        }
        match self.phase {
            Phase::Pressed {
                event,
                began,
                duration,
            } => {
                let duration = duration.saturating_add(time.event_ticks as u16);
                let header = sender.event(now, payload_type, began, time.stream_ticks);
                let began = header.timestamp;
                self.phase = if u32::from(duration) >= time.press_ticks() {
                    Phase::Ending {
                        event,
                        began,
                        duration,
                        left: END_PACKETS,
                    }
                } else {
                    Phase::Pressed {
                        event,
                        began: Some(began),
                        duration,
                    }
                };
                Some((
                    header,
                    Payload {
                        event,
                        end: false,
                        volume: VOLUME,
                        duration,
                    },
                ))
            }
            Phase::Ending {
                event,
                began,
                duration,
                left,
            } => {
                let header = sender.event(now, payload_type, Some(began), time.stream_ticks);
                self.phase = if left > 1 {
                    Phase::Ending {
                        event,
                        began,
                        duration,
                        left: left - 1,
                    }
                } else {
                    Phase::Pause { until: now + PAUSE }
                };
                Some((
                    header,
                    Payload {
                        event,
                        end: true,
                        volume: VOLUME,
                        duration,
                    },
                ))
            }
            Phase::Idle | Phase::Pause { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32) -> Header {
        Header {
            marker: false,
            payload_type: 101,
            sequence,
            timestamp,
            ssrc: 1,
            payload: 12..16,
        }
    }

    fn five(end: bool, duration: u16) -> Payload {
        Payload {
            event: 5,
            end,
            volume: 10,
            duration,
        }
    }

    #[test]
    fn a_key_is_reported_once_whatever_gets_lost() {
        let all = [
            (1, false),
            (2, false),
            (3, false),
            (4, true),
            (5, true),
            (6, true),
        ];
        for first in 0..all.len() {
            let mut detector = Detector::default();
            let keys: Vec<_> = all[first..]
                .iter()
                .filter_map(|(sequence, end)| {
                    detector.detect(
                        Time::ZERO,
                        &packet(*sequence, 8_000),
                        five(*end, 160 * sequence),
                    )
                })
                .collect();
            assert_eq!(keys, ['5'], "first packet seen is {first}");
        }
    }

    #[test]
    fn the_same_key_again_is_a_second_report_and_late_packets_are_none() {
        let mut detector = Detector::default();
        assert_eq!(
            detector.detect(Time::ZERO, &packet(10, 8_000), five(false, 160)),
            Some('5')
        );
        assert_eq!(
            detector.detect(Time::ZERO, &packet(20, 16_000), five(false, 160)),
            Some('5')
        );
        assert_eq!(
            detector.detect(Time::ZERO, &packet(11, 8_000), five(true, 800)),
            None,
            "late end of the first"
        );
        assert_eq!(
            detector.detect(Time::ZERO, &packet(20, 16_000), five(false, 160)),
            None,
            "twice"
        );
        assert_eq!(
            detector.detect(Time::ZERO, &packet(21, 16_000), five(true, 320)),
            None
        );
    }

    #[test]
    fn a_captured_key_played_again_is_pressed_again() {
        let mut detector = Detector::default();
        let at = |ms: u64| Time::from_nanos(ms * 1_000_000);
        let first = Header {
            marker: true,
            ..packet(1, 8_000)
        };
        assert_eq!(detector.detect(at(0), &first, five(false, 160)), Some('5'));
        assert_eq!(
            detector.detect(at(100), &packet(2, 8_000), five(true, 800)),
            None
        );
        assert_eq!(
            detector.detect(at(150), &first, five(false, 160)),
            None,
            "a late start"
        );
        assert_eq!(
            detector.detect(at(1_000), &first, five(false, 160)),
            Some('5')
        );
        assert_eq!(
            detector.detect(at(1_100), &packet(2, 8_000), five(true, 800)),
            None
        );
    }

    #[test]
    fn a_key_held_for_ten_seconds_is_one_key() {
        let mut detector = Detector::default();
        assert_eq!(
            detector.detect(Time::ZERO, &packet(1, 0), five(false, 160)),
            Some('5')
        );
        assert_eq!(
            detector.detect(Time::ZERO, &packet(2, 0), five(false, 0xffff)),
            None
        );
        assert_eq!(
            detector.detect(Time::ZERO, &packet(3, 0xffff), five(false, 160)),
            None,
            "next segment"
        );
        assert_eq!(
            detector.detect(Time::ZERO, &packet(4, 0xffff), five(true, 320)),
            None
        );
    }

    #[test]
    fn keys_map_both_ways_and_flash_is_none() {
        for (number, digit) in "0123456789*#ABCD".chars().enumerate() {
            assert_eq!(key(number as u8), Some(digit));
            assert_eq!(event(digit), Some(number as u8));
        }
        assert_eq!((key(16), event('x'), event('a')), (None, None, Some(12)));
    }

    #[test]
    fn payloads_come_back_as_they_went() {
        let payload = Payload {
            event: 11,
            end: true,
            volume: 63,
            duration: 65_535,
        };
        assert_eq!(Payload::parse(&payload.octets()), Some(payload));
        assert_eq!(Payload::parse(&[1, 2, 3]), None);
    }
}
