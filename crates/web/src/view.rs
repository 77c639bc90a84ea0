//! The API's JSON forms (DESIGN section 5) of what the board and the numbers hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Time;
use engine::identity::Signalling;
use metrics::{AgentTotals, Fold, Handling, QueueTotals, kpi};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::{Account, Accounts};
use crate::board::{Board, Contact, ContactState, Visit};
use crate::cloud::rfc3339;
use crate::routes::recording::RecordingView;

/// A contact.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContactView {
    pub id: String,
    pub state: ContactState,
    pub channel: String,
    pub direction: &'static str,
    /// E.164 where valid, else as signalled; null when withheld or erased.
    pub ani: Option<String>,
    /// The caller wants not to be known (RFC 3323).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    pub dnis: String,
    /// What its trunk said of the caller and the way that the call came: `asserted`, `called_party`, `diversions`, `history`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub signalling: Option<Arc<Signalling>>,
    /// The best match of the caller's number.
    pub customer: Option<String>,
    /// Everybody on the caller's number.
    pub customers: Vec<String>,
    pub class: Option<String>,
    pub queue: Option<String>,
    pub agent: Option<String>,
    /// The agent who placed the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What the agent says it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
    /// RFC 3339, as all times.
    pub arrived: String,
    pub answered: Option<String>,
    pub ended: Option<String>,
    pub outcome: Option<&'static str>,
    pub cause: Option<String>,
    pub held: bool,
    /// How each leg sounded, once the contact is closed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub quality: Vec<engine::LegQuality>,
    pub recording: Option<RecordingView>,
    pub entry: String,
    pub visits: Vec<VisitView>,
    /// The screen pop, while the contact is open and offered or answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub pop: Option<crm::Pop>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_data: Option<BTreeMap<String, String>>,
}

/// One stay in a queue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VisitView {
    pub queue: String,
    pub visit: u32,
    pub queued: String,
    pub offers: u32,
    pub ended: Option<String>,
    pub exit: Option<String>,
    pub wait_ms: Option<u64>,
}

/// A queue now and today.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueView {
    pub name: String,
    pub waiting: u64,
    /// When the visit that waits longest began.
    pub longest_since: Option<String>,
    pub longest_wait_seconds: f64,
    pub target_seconds: f64,
    pub today: QueueToday,
    /// Every definition by its id; null without data.
    pub kpi: BTreeMap<&'static str, Option<f64>>,
}

/// What went through a queue, in visits and milliseconds (KPI.md).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueToday {
    pub offered: u64,
    pub answered: u64,
    /// Answered after at most the queue's target.
    pub answered_within: u64,
    pub answered_wait_ms: u64,
    /// In queue or in ring, shorts included.
    pub abandoned: u64,
    pub abandoned_short: u64,
    pub abandoned_within: u64,
    /// Other exits, by outcome.
    pub left: BTreeMap<&'static str, u64>,
    pub unanswered_late: u64,
    pub exit_wait_ms: u64,
    #[schema(value_type = Object)]
    pub handling: Handling,
}

/// An agent now and today.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgentView {
    pub id: String,
    pub name: String,
    pub role: String,
    pub group: String,
    #[schema(value_type = BTreeMap<String, u8>)]
    pub skills: BTreeMap<Arc<str>, u8>,
    pub state: &'static str,
    pub reason: Option<String>,
    pub contact: Option<String>,
    pub queue: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub today: AgentToday,
    /// Every definition by its id; null without data.
    pub kpi: BTreeMap<&'static str, Option<f64>>,
}

/// What an agent did today.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgentToday {
    pub handled: u64,
    pub offers_answered: u64,
    pub offers: u64,
    /// Seconds in each state.
    pub state_seconds: BTreeMap<&'static str, f64>,
}

/// A contact's form.
pub fn contact(contact: &Contact) -> ContactView {
    let text = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
    let open = contact.state != ContactState::Closed;
    ContactView {
        id: contact.id.0.to_string(),
        state: contact.state,
        channel: contact.channel.to_string(),
        direction: metrics::totals::DIRECTIONS[contact.direction as usize].1,
        ani: contact.ani.clone(),
        withheld: contact.withheld,
        signalling: contact.signalling.clone(),
        dnis: contact.dnis.to_string(),
        customer: contact.customers.first().map(|id| id.0.to_string()),
        customers: contact
            .customers
            .iter()
            .map(|id| id.0.to_string())
            .collect(),
        class: text(&contact.class),
        queue: text(&contact.queue),
        agent: text(&contact.agent),
        by: text(&contact.by),
        disposition: text(&contact.disposition),
        arrived: rfc3339(contact.arrived),
        answered: contact.answered.map(rfc3339),
        ended: contact.ended.map(rfc3339),
        outcome: contact
            .outcome
            .map(|outcome| metrics::totals::OUTCOMES[outcome as usize].1),
        cause: text(&contact.cause),
        held: contact.held,
        quality: contact.quality.clone(),
        recording: contact.recording.as_ref().map(|state| RecordingView {
            state: state.to_string(),
            ..RecordingView::default()
        }),
        entry: contact.entry.to_string(),
        visits: contact.visits.iter().map(visit).collect(),
        pop: contact.pop.clone().filter(|_| open),
        flow_data: contact.flow_data.clone().filter(|_| open),
    }
}

fn visit(visit: &Visit) -> VisitView {
    VisitView {
        queue: visit.queue.to_string(),
        visit: visit.visit,
        queued: rfc3339(visit.queued),
        offers: visit.offers,
        ended: visit.ended.map(rfc3339),
        exit: visit.exit.as_deref().map(str::to_owned),
        wait_ms: visit.wait_ms,
    }
}

/// A queue's form; `None` when no event has named it.
pub fn queue(fold: &Fold, name: &str, now: Time) -> Option<QueueView> {
    let queue = fold.queue_now(name, now)?;
    Some(QueueView {
        name: name.to_owned(),
        waiting: queue.waiting,
        longest_since: queue.longest_since.map(rfc3339),
        longest_wait_seconds: queue
            .longest_since
            .map_or(0.0, |since| now.since(since).as_secs_f64()),
        target_seconds: queue.target_ms as f64 / 1000.0,
        kpi: queue_kpis(&queue.today),
        today: queue_today(&queue.today),
    })
}

/// What went through a queue.
pub fn queue_today(totals: &QueueTotals) -> QueueToday {
    let left = metrics::totals::EXITS.iter().zip(totals.left);
    QueueToday {
        offered: totals.offered,
        answered: totals.answered,
        answered_within: totals.answered_within,
        answered_wait_ms: totals.answered_wait_ms,
        abandoned: totals.abandoned,
        abandoned_short: totals.abandoned_short,
        abandoned_within: totals.abandoned_within,
        left: left.map(|((_, word), count)| (*word, count)).collect(),
        unanswered_late: totals.unanswered_late,
        exit_wait_ms: totals.exit_wait_ms,
        handling: totals.handling.clone(),
    }
}

/// Every definition of queues.
pub fn queue_kpis(totals: &QueueTotals) -> BTreeMap<&'static str, Option<f64>> {
    kpi::DEFINITIONS
        .iter()
        .filter(|one| one.is_of_queues())
        .map(|one| (one.id, one.of_queue(totals)))
        .collect()
}

/// Every definition of agents.
pub fn agent_kpis(totals: &AgentTotals) -> BTreeMap<&'static str, Option<f64>> {
    kpi::DEFINITIONS
        .iter()
        .filter(|one| one.is_of_agents())
        .map(|one| (one.id, one.of_agent(totals)))
        .collect()
}

/// An agent's form; `None` when neither the configuration nor an event knows them.
pub fn agent(
    board: &Board,
    fold: &Fold,
    accounts: &Accounts,
    id: &str,
    now: Time,
) -> Option<AgentView> {
    let account: Option<&Account> = accounts.find(id).filter(|account| account.takes_calls);
    let row = board.agents.get(id);
    if account.is_none() && row.is_none() {
        return None;
    }
    let today = fold
        .agent_now(id, now)
        .map(|agent| agent.today)
        .unwrap_or_default();
    let state = row.map_or(engine::AgentState::LoggedOut, |row| row.state);
    Some(AgentView {
        id: id.to_owned(),
        name: account.map_or_else(|| id.to_owned(), |account| account.name.clone()),
        role: account
            .map_or("agent", |account| account.role.word())
            .to_owned(),
        group: row
            .map(|row| &row.group)
            .or(account.map(|account| &account.group))
            .map_or_else(String::new, |group| group.to_string()),
        skills: account
            .map(|account| account.skills.clone())
            .unwrap_or_default(),
        state: metrics::totals::state_name(state),
        reason: row.and_then(|row| row.reason.as_deref()).map(str::to_owned),
        contact: row
            .and_then(|row| row.contact.as_ref())
            .map(|contact| contact.0.to_string()),
        queue: row.and_then(|row| row.queue.as_deref()).map(str::to_owned),
        since: row.map(|row| rfc3339(row.since)),
        until: row.and_then(|row| row.until).map(rfc3339),
        today: agent_today(&today),
        kpi: agent_kpis(&today),
    })
}

/// What an agent did, in seconds.
pub fn agent_today(totals: &AgentTotals) -> AgentToday {
    let seconds = |(state, word): &(engine::AgentState, &'static str)| {
        (*word, totals.state_ms.of(*state) as f64 / 1000.0)
    };
    AgentToday {
        handled: totals.handling.handled,
        offers_answered: totals.offers.answered,
        offers: totals.offers.blamable(),
        state_seconds: metrics::totals::STATES.iter().map(seconds).collect(),
    }
}

/// Everybody who takes calls, and whoever the events name beside them.
pub fn agent_ids<'a>(
    board: &'a Board,
    accounts: &'a Accounts,
) -> std::collections::BTreeSet<&'a Arc<str>> {
    let configured = accounts
        .0
        .values()
        .filter(|account| account.takes_calls)
        .map(|account| &account.id);
    // One who is no longer configured is shown until logged out.
    let others = board
        .agents
        .iter()
        .filter(|(_, agent)| agent.state != engine::AgentState::LoggedOut)
        .map(|(id, _)| id);
    configured.chain(others).collect()
}
