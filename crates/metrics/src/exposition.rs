//! The fold as Prometheus metric families: KPI.md's names to the letter, with the prefix `cordboard_`.
//!
//! Label sets of configured queues, groups and definitions exist from the start; a ratio without data is NaN. No label holds a number, a
//! name of a person, a call id or an agent id.

use std::collections::BTreeSet;
use std::sync::Arc;

use clock::Time;
use prometheus::proto::{Bucket, Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::counters::{Counters, Histogram};
use crate::fold::Fold;
use crate::kpi::{self, Definition};
use crate::query::QueueNow;
use crate::totals::{AgentTotals, DIRECTIONS, EXITS, OFFER_ENDS, OUTCOMES, QueueTotals, STATES};

type Name = Arc<str>;

/// The one channel there is today.
const CHANNEL: &str = "voice";
/// Reasons known beforehand, so that their series begin at zero.
const OVERLOAD_REASONS: [&str; 6] = [
    "drain",
    "max_calls",
    "queue",
    "rtp_ports",
    "source_rate",
    "waiting_time",
];
const RECORDING_REASONS: [&str; 5] = ["codec", "disk_full", "io", "overrun", "store"];
const RTP_REJECTED_REASONS: [&str; 7] = [
    "ice",
    "idle_port",
    "malformed",
    "payload_type",
    "source",
    "srtp",
    "unready",
];

/// What is configured: these label sets exist from the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    pub queues: Vec<Name>,
    /// Each agent's id and group. An agent that no event has named yet is counted as logged out; one that is no longer configured is not
    /// counted once logged out.
    pub agents: Vec<(Name, Name)>,
}

/// The form of `/metrics`.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    labels: Labels,
}

impl Exposition {
    /// An exposition for this configuration; make a new one when it changes.
    pub fn new(labels: Labels) -> Exposition {
        Exposition { labels }
    }

    /// All families, in KPI.md's order.
    pub fn families(&self, fold: &Fold, counters: &Counters, now: Time) -> Vec<MetricFamily> {
        let mut families = Vec::with_capacity(48);
        calls(&mut families, fold, counters, now);
        self.queues(&mut families, fold, now);
        self.agents(&mut families, fold, now);
        edge(&mut families, counters);
        families.retain(|family| !family.get_metric().is_empty());
        families
    }

    /// The text format of [`Exposition::families`] and of `more` (process metrics of the edge).
    pub fn text(
        &self,
        fold: &Fold,
        counters: &Counters,
        now: Time,
        more: Vec<MetricFamily>,
    ) -> String {
        let mut families = self.families(fold, counters, now);
        families.extend(
            more.into_iter()
                .filter(|family| !family.get_metric().is_empty()),
        );
        let mut text = String::with_capacity(64 * 1024);
        if let Err(problem) = prometheus::TextEncoder::new().encode_utf8(&families, &mut text) {
            text.push_str("# ");
            text.push_str(&problem.to_string().replace('\n', " "));
            text.push('\n');
        }
        text
    }

    fn queues(&self, families: &mut Vec<MetricFamily>, fold: &Fold, now: Time) {
        let names: BTreeSet<&Name> = self.labels.queues.iter().chain(fold.queues()).collect();
        let rows: Vec<QueueRow<'_>> = names
            .into_iter()
            .map(|name| QueueRow::new(name, fold, now))
            .collect();
        queue_states(families, &rows, now);
        queue_visits(families, &rows);
        queue_ratios(families, &rows);
    }

    fn agents(&self, families: &mut Vec<MetricFamily>, fold: &Fold, now: Time) {
        let names: BTreeSet<&Name> = self
            .labels
            .agents
            .iter()
            .map(|(_, group)| group)
            .chain(fold.groups())
            .collect();
        let mut present = family("agents", GAUGE, "Agents by group and state.");
        let mut states = family(
            "agent_state_seconds_total",
            COUNTER,
            "Time of agents in each state, the running state included.",
        );
        let mut occupancy = family(
            "agent_occupancy_ratio",
            GAUGE,
            "Occupancy today by definition.",
        );
        let mut offers = family(
            "agent_offers_total",
            COUNTER,
            "Offers to agents by how they ended.",
        );
        let mut handle = family(
            "agent_handle_seconds",
            HISTOGRAM,
            "Talk, hold and wrap-up of each handled contact.",
        );
        let empty = crate::fold::GroupFold::default();
        for name in names {
            let group: &str = name;
            let total = fold.group_total(group, now).unwrap_or_default();
            let today = fold.group_today(group, now).unwrap_or_default();
            let counts = self.counts(fold, group);
            for (state, word) in STATES {
                present.gauge(
                    &[("group", group), ("state", word)],
                    counts[state as usize] as f64,
                );
                states.counter(
                    &[("group", group), ("state", word)],
                    total.state_ms.of(state) as f64 / 1000.0,
                );
            }
            for id in kpi::OCCUPANCIES {
                occupancy.gauge(
                    &[("group", group), ("definition", id)],
                    of_agent(id, &today),
                );
            }
            offers.counter(
                &[("group", group), ("result", "answered")],
                total.offers.answered as f64,
            );
            for (end, word) in OFFER_ENDS {
                offers.counter(
                    &[("group", group), ("result", word)],
                    total.offers.ended[end as usize] as f64,
                );
            }
            let parts = &fold.groups.get(group).unwrap_or(&empty).handle;
            for (place, part) in ["talk", "hold", "wrap_up"].into_iter().enumerate() {
                handle.histogram(&[("group", group), ("part", part)], &parts[place]);
            }
        }
        families.extend([present, states, occupancy, offers, handle].map(Family::done));
    }

    /// Agents by state: the configured ones, and others as long as they are signed in.
    fn counts(&self, fold: &Fold, group: &str) -> [u64; 9] {
        let mut counts = fold.agents_by_state(group);
        let logged_out = engine::event::AgentState::LoggedOut as usize;
        if !self.labels.agents.is_empty() {
            counts[logged_out] = self
                .labels
                .agents
                .iter()
                .filter(|(id, of)| {
                    **of == *group
                        && fold
                            .agents
                            .get(id)
                            .is_none_or(|agent| agent.state as usize == logged_out)
                })
                .count() as u64;
        }
        counts
    }
}

struct QueueRow<'a> {
    name: &'a str,
    now: Option<QueueNow>,
    total: QueueTotals,
    today: QueueTotals,
    answer_wait: Histogram,
}

impl<'a> QueueRow<'a> {
    fn new(name: &'a Name, fold: &Fold, now: Time) -> QueueRow<'a> {
        let known = fold.queues.get(name);
        let present = fold.queue_now(name, now);
        QueueRow {
            name,
            total: known
                .map(|queue| queue.series.total.clone())
                .unwrap_or_default(),
            today: present
                .as_ref()
                .map(|queue| queue.today.clone())
                .unwrap_or_default(),
            now: present,
            answer_wait: known.map_or_else(
                || Histogram::new(&crate::fold::wait_edges_us()),
                |queue| queue.answer_wait.clone(),
            ),
        }
    }
}

fn queue_states(families: &mut Vec<MetricFamily>, rows: &[QueueRow<'_>], now: Time) {
    let mut waiting = family(
        "queue_waiting_contacts",
        GAUGE,
        "Contacts that wait in the queue, those being offered included.",
    );
    let mut longest = family(
        "queue_longest_wait_seconds",
        GAUGE,
        "Age of the oldest visit that still waits; 0 when none does.",
    );
    for row in rows {
        let present = row.now.as_ref();
        waiting.gauge(
            &[("queue", row.name), ("channel", CHANNEL)],
            present.map_or(0, |queue| queue.waiting) as f64,
        );
        let since = present.and_then(|queue| queue.longest_since);
        longest.gauge(
            &[("queue", row.name)],
            since.map_or(0.0, |since| now.since(since).as_secs_f64()),
        );
    }
    families.extend([waiting, longest].map(Family::done));
}

fn queue_visits(families: &mut Vec<MetricFamily>, rows: &[QueueRow<'_>]) {
    let mut offered = family("queue_offered_total", COUNTER, "Visits to the queue.");
    let mut answered = family(
        "queue_answered_total",
        COUNTER,
        "Visits that ended with an agent.",
    );
    let mut abandoned = family(
        "queue_abandoned_total",
        COUNTER,
        "Visits that the caller ended by hanging up; short: before short_abandon.",
    );
    let mut left = family("queue_left_total", COUNTER, "Visits that ended otherwise.");
    let mut within = family(
        "queue_answered_within_target_total",
        COUNTER,
        "Visits answered within the queue's target.",
    );
    let mut wait = family(
        "queue_answer_wait_seconds",
        HISTOGRAM,
        "Wait of answered visits; sum / count is asa@1.",
    );
    for row in rows {
        let labels = [("queue", row.name), ("channel", CHANNEL)];
        offered.counter(&labels, row.total.offered as f64);
        answered.counter(&labels, row.total.answered as f64);
        within.counter(&labels, row.total.answered_within as f64);
        for (short, count) in [
            ("true", row.total.abandoned_short),
            ("false", row.total.abandoned - row.total.abandoned_short),
        ] {
            abandoned.counter(&[labels[0], labels[1], ("short", short)], count as f64);
        }
        for (exit, word) in EXITS {
            left.counter(
                &[labels[0], labels[1], ("outcome", word)],
                row.total.left[exit as usize] as f64,
            );
        }
        wait.histogram(&[labels[0]], &row.answer_wait);
    }
    families.extend([offered, answered, abandoned, left, within, wait].map(Family::done));
}

fn queue_ratios(families: &mut Vec<MetricFamily>, rows: &[QueueRow<'_>]) {
    let mut asa = family(
        "queue_asa_seconds",
        GAUGE,
        "Average speed of answer today (asa@1).",
    );
    let mut abandonment = family(
        "queue_abandonment_ratio",
        GAUGE,
        "Abandonment today by definition.",
    );
    let mut level = family(
        "queue_service_level_ratio",
        GAUGE,
        "Service level today by definition.",
    );
    let mut expected = family(
        "queue_expected_wait_seconds",
        GAUGE,
        "Wait that a caller would be told; NaN while there is no estimate.",
    );
    for row in rows {
        asa.gauge(&[("queue", row.name)], of_queue("asa@1", &row.today));
        for id in kpi::ABANDONMENTS {
            abandonment.gauge(
                &[("queue", row.name), ("definition", id)],
                of_queue(id, &row.today),
            );
        }
        for id in kpi::SERVICE_LEVELS {
            level.gauge(
                &[("queue", row.name), ("definition", id)],
                of_queue(id, &row.today),
            );
        }
        expected.gauge(&[("queue", row.name)], f64::NAN);
    }
    families.extend([asa, abandonment, level, expected].map(Family::done));
}

fn of_queue(id: &str, totals: &QueueTotals) -> f64 {
    kpi::definition(id)
        .and_then(|definition: &Definition| definition.of_queue(totals))
        .unwrap_or(f64::NAN)
}

fn of_agent(id: &str, totals: &AgentTotals) -> f64 {
    kpi::definition(id)
        .and_then(|definition: &Definition| definition.of_agent(totals))
        .unwrap_or(f64::NAN)
}

fn calls(families: &mut Vec<MetricFamily>, fold: &Fold, counters: &Counters, now: Time) {
    let mut active = family("calls_active", GAUGE, "Contacts in progress.");
    let mut total = family("calls_total", COUNTER, "Closed contacts.");
    let mut service = family(
        "self_service_ratio",
        GAUGE,
        "Self-service today by definition.",
    );
    for (direction, word) in DIRECTIONS {
        active.gauge(&[("direction", word)], fold.active(direction) as f64);
        for (outcome, end) in OUTCOMES {
            let count = fold.centre.total.closed[direction as usize][outcome as usize];
            total.counter(&[("direction", word), ("outcome", end)], count as f64);
        }
    }
    service.gauge(
        &[("definition", "self_service@1")],
        kpi::self_service(&fold.centre_today(now)).unwrap_or(f64::NAN),
    );
    let mut setup = family(
        "call_setup_duration_seconds",
        HISTOGRAM,
        "INVITE to our final answer.",
    );
    setup.histogram(&[], &counters.call_setup);
    let mut sip = family(
        "sip_messages_total",
        COUNTER,
        "SIP messages by direction, method and status class.",
    );
    for ((outbound, method, class), count) in &counters.sip_messages {
        let direction = if *outbound { "out" } else { "in" };
        sip.counter(
            &[
                ("direction", direction),
                ("method", method),
                ("status_class", class),
            ],
            *count as f64,
        );
    }
    let mut refused = family(
        "sip_refused_total",
        COUNTER,
        "SIP that was refused or dropped, by what was wrong with it.",
    );
    for (reason, count) in &counters.sip_refused {
        refused.counter(&[("reason", reason)], *count as f64);
    }
    families.extend([active, total, service, setup, sip, refused].map(Family::done));
    sip_state(families, counters);
}

/// What SIP holds, and what had to be said twice.
fn sip_state(families: &mut Vec<MetricFamily>, counters: &Counters) {
    let mut again = family(
        "sip_retransmissions_total",
        COUNTER,
        "SIP messages that came again or were sent again.",
    );
    for (direction, count) in ["in", "out"].iter().zip(counters.sip_retransmissions) {
        again.counter(&[("direction", direction)], count as f64);
    }
    let mut transactions = family(
        "sip_transactions",
        GAUGE,
        "Transactions held, those that only linger among them.",
    );
    for (kind, count) in [
        ("server", counters.sip_server_transactions),
        ("client", counters.sip_client_transactions),
    ] {
        transactions.gauge(&[("kind", kind)], count as f64);
    }
    let mut dialogs = family("sip_dialogs", GAUGE, "Dialogs, early ones among them.");
    dialogs.gauge(&[], counters.sip_dialogs as f64);
    let mut registrations = family("sip_registrations", GAUGE, "Addresses registered.");
    registrations.gauge(&[], counters.sip_registrations as f64);
    let mut connections = family(
        "sip_connections",
        GAUGE,
        "Connections that SIP has open, whoever opened them.",
    );
    for (transport, open) in &counters.sip_connections {
        connections.gauge(&[("transport", transport)], *open as f64);
    }
    let mut hep = family(
        "hep_packets_total",
        COUNTER,
        "Packets to the HEP collector, and those left out because it did not keep up.",
    );
    for (result, count) in ["sent", "dropped"].iter().zip(counters.hep_packets) {
        hep.counter(&[("result", result)], count as f64);
    }
    families.extend(
        [
            again,
            transactions,
            dialogs,
            registrations,
            connections,
            hep,
        ]
        .map(Family::done),
    );
}

/// Why a trunk refuses calls; each trunk has all of these from the start.
const TRUNK_REASONS: [&str; 2] = ["full", "rate"];

fn trunks(families: &mut Vec<MetricFamily>, counters: &Counters) {
    let mut up = family(
        "sip_trunk_up",
        GAUGE,
        "1 while calls are sent to the trunk before others.",
    );
    let mut registered = family(
        "sip_trunk_registered",
        GAUGE,
        "1 while we are registered at the trunk; absent where we don't register.",
    );
    let mut active = family(
        "sip_trunk_calls_active",
        GAUGE,
        "Calls by the trunk now, both directions.",
    );
    let mut calls = family("sip_trunk_calls_total", COUNTER, "Calls by the trunk.");
    let mut refused = family(
        "sip_trunk_refused_total",
        COUNTER,
        "Calls that the trunk's caps refused.",
    );
    for (name, trunk) in &counters.trunks {
        let label = ("trunk", &**name);
        let state = trunk.state.as_ref();
        up.gauge(
            &[label],
            f64::from(u8::from(state.is_none_or(|state| state.up))),
        );
        if let Some(is) = state.and_then(|state| state.registered) {
            registered.gauge(&[label], f64::from(u8::from(is)));
        }
        active.gauge(&[label], state.map_or(0, |state| state.calls) as f64);
        for (direction, count) in [("in", trunk.calls[0]), ("out", trunk.calls[1])] {
            calls.counter(&[label, ("direction", direction)], count as f64);
        }
        for reason in TRUNK_REASONS {
            let count = trunk.refused.get(reason).copied().unwrap_or(0);
            refused.counter(&[label, ("reason", reason)], count as f64);
        }
    }
    families.extend([up, registered, active, calls, refused].map(Family::done));
}

fn edge(families: &mut Vec<MetricFamily>, counters: &Counters) {
    trunks(families, counters);
    let mut pop = family(
        "screen_pop_duration_seconds",
        HISTOGRAM,
        "Reservation to the pop's delivery.",
    );
    pop.histogram(&[], &counters.screen_pop);
    let mut commit = family(
        "store_commit_duration_seconds",
        HISTOGRAM,
        "One group commit of the store.",
    );
    commit.histogram(&[], &counters.store_commit);
    let mut packets = family("rtp_packets_total", COUNTER, "RTP packets.");
    packets.counter(&[("direction", "in")], counters.rtp_packets_in as f64);
    packets.counter(&[("direction", "out")], counters.rtp_packets_out as f64);
    let mut lost = family(
        "rtp_lost_packets_total",
        COUNTER,
        "RTP packets that never came.",
    );
    lost.counter(&[], counters.rtp_lost as f64);
    let mut send_errors = family(
        "rtp_send_errors_total",
        COUNTER,
        "RTP packets that the kernel did not take.",
    );
    send_errors.counter(&[], counters.rtp_send_errors as f64);
    let quality = |name, help, histogram: &Histogram| {
        let mut family = family(name, HISTOGRAM, help);
        family.histogram(&[], histogram);
        family
    };
    let mut reports = family("rtcp_packets_total", COUNTER, "RTCP packets, compound.");
    reports.counter(&[("direction", "in")], counters.rtcp_packets[0] as f64);
    reports.counter(&[("direction", "out")], counters.rtcp_packets[1] as f64);
    let reasons = |known: &[&'static str],
                   counts: &std::collections::BTreeMap<&'static str, u64>,
                   family: &mut Family| {
        let names: BTreeSet<&str> = known.iter().chain(counts.keys()).copied().collect();
        for reason in names {
            family.counter(
                &[("reason", reason)],
                counts.get(reason).copied().unwrap_or(0) as f64,
            );
        }
    };
    let mut rejected = family(
        "rtp_rejected_total",
        COUNTER,
        "Packets on RTP ports that were not accepted.",
    );
    reasons(&RTP_REJECTED_REASONS, &counters.rtp_rejected, &mut rejected);
    let mut overload = family(
        "overload_rejected_total",
        COUNTER,
        "New work refused to keep the old going.",
    );
    reasons(
        &OVERLOAD_REASONS,
        &counters.overload_rejected,
        &mut overload,
    );
    let mut slow = family(
        "websocket_slow_closed_total",
        COUNTER,
        "Clients closed because they could not keep up.",
    );
    slow.counter(&[], counters.websocket_slow_closed as f64);
    let mut failed = family(
        "recordings_failed_total",
        COUNTER,
        "Recordings that are not whole, or not there.",
    );
    reasons(&RECORDING_REASONS, &counters.recordings_failed, &mut failed);
    let mut saved = family("recordings_saved_total", COUNTER, "Recordings on disk.");
    saved.counter(&[], counters.recordings_saved as f64);
    let mut saved_bytes = family("recordings_bytes_total", COUNTER, "Of their files.");
    saved_bytes.counter(&[], counters.recordings_bytes as f64);
    let one = |name, help, value| {
        let mut family = family(name, GAUGE, help);
        family.gauge(&[], value);
        family
    };
    families.extend(
        [
            pop,
            commit,
            one(
                "rtp_streams_active",
                "RTP streams in progress.",
                counters.rtp_streams_active as f64,
            ),
            packets,
            lost,
            send_errors,
            rejected,
            reports,
            quality(
                "rtp_mos",
                "Mean opinion score by the E-model (G.107) of each stream that has ended.",
                &counters.rtp_mos,
            ),
            quality(
                "rtp_loss_ratio",
                "Share of packets that never came, of each stream that has ended.",
                &counters.rtp_loss,
            ),
            quality(
                "rtp_jitter_seconds",
                "Interarrival jitter of each stream that has ended.",
                &counters.rtp_jitter,
            ),
            quality(
                "rtp_round_trip_seconds",
                "The way there and back by RTCP, of each stream that has ended.",
                &counters.rtp_round_trip,
            ),
            one(
                "events_sequence",
                "Sequence of the last event on disk.",
                counters.events_sequence as f64,
            ),
            one(
                "store_failing",
                "1 while the store cannot write.",
                f64::from(u8::from(counters.store_failing)),
            ),
            one(
                "websocket_clients",
                "Clients of the event stream.",
                counters.websocket_clients as f64,
            ),
            slow,
            overload,
            one(
                "recordings_active",
                "Contacts being recorded, pauses included.",
                counters.recordings_active as f64,
            ),
            saved,
            saved_bytes,
            failed,
        ]
        .map(Family::done),
    );
}

const GAUGE: MetricType = MetricType::GAUGE;
const COUNTER: MetricType = MetricType::COUNTER;
const HISTOGRAM: MetricType = MetricType::HISTOGRAM;

struct Family {
    family: MetricFamily,
    metrics: Vec<Metric>,
}

fn family(name: &str, kind: MetricType, help: &str) -> Family {
    let mut family = MetricFamily::default();
    family.set_name(format!("cordboard_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    Family {
        family,
        metrics: Vec::new(),
    }
}

impl Family {
    fn metric(&mut self, labels: &[(&str, &str)], fill: impl FnOnce(&mut Metric)) {
        let pairs = labels.iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = Metric::default();
        metric.set_label(pairs.collect());
        fill(&mut metric);
        self.metrics.push(metric);
    }

    fn gauge(&mut self, labels: &[(&str, &str)], value: f64) {
        self.metric(labels, |metric| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        });
    }

    fn counter(&mut self, labels: &[(&str, &str)], value: f64) {
        self.metric(labels, |metric| {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        });
    }

    fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        self.metric(labels, |metric| {
            let buckets = histogram.cumulative().map(|(edge, count)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(edge);
                bucket.set_cumulative_count(count);
                bucket
            });
            let mut form = prometheus::proto::Histogram::default();
            form.set_bucket(buckets.collect());
            form.set_sample_count(histogram.count());
            form.set_sample_sum(histogram.sum());
            metric.set_histogram(form);
        });
    }

    fn done(self) -> MetricFamily {
        let mut family = self.family;
        family.set_metric(self.metrics);
        family
    }
}
