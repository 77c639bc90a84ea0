//! Facts for `/metrics` that are no events: counted since the process began, never in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::api::Count;
use serde::{Deserialize, Serialize};

/// A histogram over microseconds, in integers so that a snapshot gives back the same numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Upper edges in microseconds, ascending.
    edges_us: Vec<u64>,
    /// One more than edges: the last is what lies above all of them.
    counts: Vec<u64>,
    sum_us: u64,
}

impl Histogram {
    /// An empty histogram with these upper edges in microseconds.
    pub fn new(edges_us: &[u64]) -> Histogram {
        let mut edges_us = edges_us.to_vec();
        edges_us.sort_unstable();
        edges_us.dedup();
        Histogram {
            counts: vec![0; edges_us.len() + 1],
            edges_us,
            sum_us: 0,
        }
    }

    /// Adds an edge. What was observed before stays in the bucket above it, as nobody knows on which side it lay.
    pub fn add_edge(&mut self, edge_us: u64) {
        if let Err(place) = self.edges_us.binary_search(&edge_us) {
            self.edges_us.insert(place, edge_us);
            self.counts.insert(place, 0);
        }
    }

    /// Counts one observation.
    pub fn observe_us(&mut self, us: u64) {
        let place = self.edges_us.partition_point(|edge| *edge < us);
        self.counts[place] += 1;
        self.sum_us += us;
    }

    /// Counts one observation in seconds; what is no finite positive number counts as zero.
    pub fn observe(&mut self, seconds: f64) {
        self.observe_us((seconds * 1e6) as u64);
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum in seconds.
    pub fn sum(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    /// Upper edges in seconds, each with the number of observations up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut below = 0;
        self.edges_us
            .iter()
            .zip(&self.counts)
            .map(move |(edge, count)| {
                below += count;
                (*edge as f64 / 1e6, below)
            })
    }
}

const SETUP_EDGES_US: [u64; 10] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
];
/// 20 ms is the patience of the ring, 50 ms the budget.
const POP_EDGES_US: [u64; 9] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000,
];
const COMMIT_EDGES_US: [u64; 10] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 2_000_000,
];

/// Scores in millionths: the borders of G.107's categories (annex B) among them, from nearly all dissatisfied to very satisfied.
const MOS_EDGES: [u64; 7] = [
    1_500_000, 2_580_000, 3_100_000, 3_600_000, 4_030_000, 4_340_000, 4_500_000,
];
const JITTER_EDGES_US: [u64; 8] = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 80_000, 200_000];
/// Shares in millionths.
const LOSS_EDGES: [u64; 8] = [0, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000];
const ROUND_TRIP_EDGES_US: [u64; 9] = [
    1_000, 5_000, 20_000, 50_000, 100_000, 150_000, 300_000, 500_000, 1_000_000,
];

/// Methods whose requests are counted from nought, so that their first is an increase.
const METHODS: [&str; 6] = ["ACK", "BYE", "CANCEL", "INVITE", "OPTIONS", "REGISTER"];

/// Transports of SIP that have connections.
const CONNECTED: [&str; 4] = ["tcp", "tls", "ws", "wss"];

/// What the process counted since it began.
#[derive(Clone, Debug)]
pub struct Counters {
    /// By outbound, method and status class (`request` for requests).
    pub sip_messages: BTreeMap<(bool, &'static str, &'static str), u64>,
    pub sip_refused: BTreeMap<&'static str, u64>,
    pub overload_rejected: BTreeMap<&'static str, u64>,
    /// SIP messages that came again, and that we sent again.
    pub sip_retransmissions: [u64; 2],
    pub sip_server_transactions: u64,
    pub sip_client_transactions: u64,
    pub sip_dialogs: u64,
    pub sip_registrations: u64,
    /// Open connections by transport; those that know connections are there from the start.
    pub sip_connections: BTreeMap<&'static str, u64>,
    /// Packets to the HEP collector that were sent, and that were left out as it did not keep up.
    pub hep_packets: [u64; 2],
    /// By name, those of earlier configurations among them.
    pub trunks: BTreeMap<Arc<str>, TrunkCounters>,
    pub call_setup: Histogram,
    pub screen_pop: Histogram,
    pub store_commit: Histogram,
    pub rtp_streams_active: i64,
    pub rtp_packets_in: u64,
    pub rtp_packets_out: u64,
    pub rtp_lost: u64,
    /// Packets that the kernel did not take.
    pub rtp_send_errors: u64,
    pub rtp_rejected: BTreeMap<&'static str, u64>,
    /// Compound packets in and out.
    pub rtcp_packets: [u64; 2],
    /// One observation for each stream that has ended and heard something.
    pub rtp_mos: Histogram,
    pub rtp_jitter: Histogram,
    pub rtp_loss: Histogram,
    pub rtp_round_trip: Histogram,
    pub recordings_active: u64,
    pub recordings_saved: u64,
    /// Of their files.
    pub recordings_bytes: u64,
    /// Recordings that are not whole, or not there, by reason.
    pub recordings_failed: BTreeMap<&'static str, u64>,
    pub websocket_clients: u64,
    /// Clients closed with 4008 because they could not keep up.
    pub websocket_slow_closed: u64,
    /// Last event on disk.
    pub events_sequence: u64,
    /// The store could not write when last it tried.
    pub store_failing: bool,
}

impl Default for Counters {
    fn default() -> Self {
        let told = |outbound| METHODS.map(|method| ((outbound, method, "request"), 0));
        Counters {
            sip_messages: [false, true].into_iter().flat_map(told).collect(),
            sip_refused: BTreeMap::new(),
            overload_rejected: BTreeMap::new(),
            sip_retransmissions: [0; 2],
            sip_server_transactions: 0,
            sip_client_transactions: 0,
            sip_dialogs: 0,
            sip_registrations: 0,
            sip_connections: CONNECTED.map(|transport| (transport, 0)).into(),
            hep_packets: [0; 2],
            trunks: BTreeMap::new(),
            call_setup: Histogram::new(&SETUP_EDGES_US),
            screen_pop: Histogram::new(&POP_EDGES_US),
            store_commit: Histogram::new(&COMMIT_EDGES_US),
            rtp_streams_active: 0,
            rtp_packets_in: 0,
            rtp_packets_out: 0,
            rtp_lost: 0,
            rtp_send_errors: 0,
            rtp_rejected: BTreeMap::new(),
            rtcp_packets: [0; 2],
            rtp_mos: Histogram::new(&MOS_EDGES),
            rtp_jitter: Histogram::new(&JITTER_EDGES_US),
            rtp_loss: Histogram::new(&LOSS_EDGES),
            rtp_round_trip: Histogram::new(&ROUND_TRIP_EDGES_US),
            recordings_active: 0,
            recordings_saved: 0,
            recordings_bytes: 0,
            recordings_failed: BTreeMap::new(),
            websocket_clients: 0,
            websocket_slow_closed: 0,
            events_sequence: 0,
            store_failing: false,
        }
    }
}

/// One trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkCounters {
    /// As the engine told it last.
    pub state: Option<engine::TrunkState>,
    /// Calls in and out since the process began.
    pub calls: [u64; 2],
    pub refused: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// How a stream sounded; its packets have been counted by its media thread.
    fn stream_ended(&mut self, stats: &engine::StreamStats) {
        let Some(mos) = stats.mos else { return };
        self.rtp_mos.observe(f64::from(mos));
        self.rtp_jitter.observe(f64::from(stats.jitter_ms) / 1000.0);
        let sent = stats.packets_in + stats.lost;
        self.rtp_loss.observe(stats.lost as f64 / sent as f64);
        if let Some(round_trip_ms) = stats.round_trip_ms {
            self.rtp_round_trip
                .observe(f64::from(round_trip_ms) / 1000.0);
        }
    }

    fn trunk(&mut self, name: &Arc<str>) -> &mut TrunkCounters {
        self.trunks.entry(name.clone()).or_default()
    }

    /// Counts what the engine tells, but for RTP: whoever shows the counters sets `rtp_*` from the media threads.
    pub fn apply(&mut self, count: &Count) {
        match count {
            Count::SipMessage {
                outbound,
                method,
                class,
            } => {
                *self
                    .sip_messages
                    .entry((*outbound, method, class))
                    .or_default() += 1;
            }
            Count::SipRefused { what } => *self.sip_refused.entry(what).or_default() += 1,
            Count::OverloadRejected { reason } => {
                *self.overload_rejected.entry(reason).or_default() += 1
            }
            Count::Trunk(state) => self.trunk(&state.trunk).state = Some(state.clone()),
            Count::TrunkCall { trunk, outbound } => {
                self.trunk(trunk).calls[usize::from(*outbound)] += 1;
            }
            Count::TrunkRefused { trunk, reason } => {
                *self.trunk(trunk).refused.entry(reason).or_default() += 1;
            }
            Count::CallSetup { seconds } => self.call_setup.observe(*seconds),
            Count::ScreenPop { seconds } => self.screen_pop.observe(*seconds),
            Count::Media(stats) => self.stream_ended(stats),
            // The media threads count these themselves, while they flow and on idle ports too.
            Count::RtpStreams { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_on_an_edge_is_within_it() {
        let mut histogram = Histogram::new(&[2_000_000, 1_000_000]);
        histogram.observe(1.0);
        histogram.observe(1.5);
        histogram.observe(9.0);
        histogram.observe(f64::NAN);
        assert_eq!(
            histogram.cumulative().collect::<Vec<_>>(),
            [(1.0, 2), (2.0, 3)]
        );
        assert_eq!((histogram.count(), histogram.sum()), (4, 11.5));
        histogram.add_edge(1_200_000);
        histogram.observe(1.1);
        assert_eq!(
            histogram.cumulative().collect::<Vec<_>>(),
            [(1.0, 2), (1.2, 3), (2.0, 4)]
        );
    }
}
