//! Contacts, open and closed, and the questions about them.
//!
//! A list goes through the open contacts (newest first), then through the closed ones (last closed first): those on the board that the store's
//! index does not have yet, then the index. A cursor says in which part it is: `o<arrived><id>` or `c<ended><id>`, times in 16 hex digits.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use clock::Time;
use engine::{Answer, Command, ContactId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{ClosedContact, ContactFilter};
use utoipa::{IntoParams, ToSchema};

use super::List;
use crate::app::App;
use crate::auth::Who;
use crate::board::{Contact, ContactState};
use crate::cloud::rfc3339;
use crate::problem::{Problem, Query, blocking};
use crate::view::{self, ContactView};

/// Bits of a contact's number in the distributor that count within a boot.
const COUNTER_BITS: u32 = 40;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// `in_ivr`, `waiting`, `offered`, `connected`, `closed`, or `open` for all but closed.
    state: Option<String>,
    queue: Option<String>,
    agent: Option<String>,
    /// A customer's id.
    customer: Option<String>,
    cursor: Option<String>,
    /// At most 500.
    limit: Option<usize>,
}

/// Which states are wanted.
enum States {
    All,
    Open,
    Only(ContactState),
}

impl Filter {
    fn states(&self) -> Result<States, Problem> {
        Ok(match self.state.as_deref() {
            None => States::All,
            Some("open") => States::Open,
            Some("in_ivr") => States::Only(ContactState::InIvr),
            Some("waiting") => States::Only(ContactState::Waiting),
            Some("offered") => States::Only(ContactState::Offered),
            Some("connected") => States::Only(ContactState::Connected),
            Some("closed") => States::Only(ContactState::Closed),
            Some(other) => {
                return Err(Problem::bad_request(format!(
                    "{other:?} is no state of a contact"
                )));
            }
        })
    }

    fn fits(&self, contact: &Contact) -> bool {
        let is = |wanted: &Option<String>, found: &Option<std::sync::Arc<str>>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| found.as_deref() == Some(wanted))
        };
        is(&self.queue, &contact.queue)
            && is(&self.agent, &contact.agent)
            && self
                .customer
                .as_deref()
                .is_none_or(|wanted| contact.customers.iter().any(|id| &*id.0 == wanted))
    }
}

/// Contacts, newest first, closed ones included. Agents see their own.
#[utoipa::path(get, path = "/api/v1/contacts", tag = "contacts", params(Filter), responses((status = 200, body = List<ContactView>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    who: Who,
    Query(mut filter): Query<Filter>,
) -> Result<Json<List<Value>>, Problem> {
    if !who.role.oversees() {
        filter.agent = Some(who.user.to_string());
    }
    let states = filter.states()?;
    let limit = super::limit(filter.limit);
    let cursor = filter.cursor.as_deref().map(parse_cursor).transpose()?;
    let mut items = Vec::new();
    let in_open = cursor.as_ref().is_none_or(|cursor| cursor.open);
    if in_open && !matches!(states, States::Only(ContactState::Closed)) {
        let (found, next) = open_page(&app, &filter, &states, cursor.as_ref(), limit);
        items = found;
        if next.is_some() {
            return Ok(Json(shown_to(&who, items, next)));
        }
    }
    if matches!(states, States::Open)
        || matches!(states, States::Only(state) if state != ContactState::Closed)
    {
        return Ok(Json(shown_to(&who, items, None)));
    }
    if items.len() == limit {
        return Ok(Json(shown_to(&who, items, Some("c".to_owned()))));
    }
    let behind = cursor
        .filter(|cursor| !cursor.open)
        .map(|cursor| cursor.place)
        .filter(|place| !place.is_empty());
    let (mut closed, next) = closed_page(&app, filter, behind, limit - items.len()).await?;
    let store = app.store.clone();
    closed = blocking(move || {
        super::recording::fill_in(&store, &mut closed)?;
        Ok::<_, store::StoreError>(closed)
    })
    .await?;
    items.extend(closed);
    Ok(Json(shown_to(&who, items, next)))
}

fn shown_to(who: &Who, mut items: Vec<Value>, next: Option<String>) -> List<Value> {
    items.iter_mut().for_each(|form| withhold(who, form));
    List { items, next }
}

/// Who wants not to be known is known to those who oversee, for the sake of callers who threaten, and not to agents.
fn withhold(who: &Who, form: &mut Value) {
    let hidden = form["withheld"] == true && form["ani"].is_null();
    if hidden
        && !who.role.oversees()
        && let Some(signalling) = form.get_mut("signalling").and_then(Value::as_object_mut)
    {
        signalling.remove("asserted");
    }
}

struct Cursor {
    open: bool,
    /// Time in 16 hex digits, then the id; empty: the beginning.
    place: String,
}

fn parse_cursor(text: &str) -> Result<Cursor, Problem> {
    let (open, place) = match (text.strip_prefix('o'), text.strip_prefix('c')) {
        (Some(place), _) => (true, place),
        (_, Some(place)) => (false, place),
        (None, None) => return Err(Problem::bad_request("not a cursor of this list")),
    };
    let sound = place.is_empty() && !open
        || place
            .split_at_checked(16)
            .is_some_and(|(at, _)| u64::from_str_radix(at, 16).is_ok());
    if sound {
        Ok(Cursor {
            open,
            place: place.to_owned(),
        })
    } else {
        Err(Problem::bad_request("not a cursor of this list"))
    }
}

fn place(at: Time, contact: &Contact) -> String {
    format!("{:016x}{}", at.as_nanos(), contact.id)
}

fn open_page(
    app: &App,
    filter: &Filter,
    states: &States,
    cursor: Option<&Cursor>,
    limit: usize,
) -> (Vec<Value>, Option<String>) {
    app.hub.read(|state| {
        let wanted = |contact: &&Contact| match states {
            States::Only(state) => contact.state == *state,
            States::All | States::Open => true,
        };
        let mut found: Vec<(String, &Contact)> = state
            .board
            .contacts
            .values()
            .filter(wanted)
            .filter(|contact| filter.fits(contact))
            .map(|contact| (place(contact.arrived, contact), contact))
            .filter(|(place, _)| cursor.is_none_or(|cursor| *place < cursor.place))
            .collect();
        found.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let next = (found.len() > limit).then(|| format!("o{}", found[limit - 1].0));
        found.truncate(limit);
        (
            found
                .into_iter()
                .map(|(_, contact)| form(contact))
                .collect(),
            next,
        )
    })
}

async fn closed_page(
    app: &App,
    filter: Filter,
    behind: Option<String>,
    limit: usize,
) -> Result<(Vec<Value>, Option<String>), Problem> {
    let (mut items, mut seen, mut last) = (Vec::new(), BTreeSet::new(), None);
    app.hub.read(|state| {
        for contact in state
            .board
            .closed
            .iter()
            .rev()
            .filter(|contact| filter.fits(contact))
        {
            let place = place(contact.ended.unwrap_or(contact.arrived), contact);
            if behind.as_ref().is_none_or(|behind| place < *behind) && items.len() < limit {
                seen.insert(contact.id.0.to_string());
                items.push(form(contact));
                last = Some(place);
            }
        }
    });
    if items.len() == limit {
        return Ok((items, last.map(|last| format!("c{last}"))));
    }
    let store = app.store.clone();
    let rest = limit - items.len();
    let page = blocking(move || {
        let wanted = ContactFilter {
            customer: filter.customer.as_deref(),
            queue: filter.queue.as_deref(),
            agent: filter.agent.as_deref(),
            from: None,
            to: None,
        };
        store.contacts(&wanted, behind.as_deref(), rest)
    });
    let page = page.await?;
    // One that went into the index between the two looks is in both.
    items.extend(
        page.items
            .iter()
            .filter(|closed| !seen.contains(&closed.last.contact))
            .map(closed_form),
    );
    Ok((items, page.next.map(|next| format!("c{next}"))))
}

fn form(contact: &Contact) -> Value {
    serde_json::to_value(view::contact(contact)).unwrap_or_default()
}

fn closed_form(closed: &ClosedContact) -> Value {
    let mut form: Value = serde_json::from_str(&closed.json).unwrap_or_default();
    let personal = closed.personal.as_ref().and_then(|personal| {
        serde_json::from_str::<serde_json::Map<String, Value>>(&personal.json).ok()
    });
    if let (Some(form), Some(personal)) = (form.as_object_mut(), personal) {
        form.extend(personal);
    }
    form
}

/// One contact, open or closed.
#[utoipa::path(get, path = "/api/v1/contacts/{id}", tag = "contacts", params(("id" = String, Path)), responses((status = 200, body = ContactView), (status = "4XX", body = Problem)))]
pub async fn one(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    find(&app, &who, &id).await.map(Json)
}

pub(super) async fn find(app: &App, who: &Who, id: &str) -> Result<Value, Problem> {
    let missing = || Problem::not_found(format!("there is no contact {id}"));
    let mut found = match app.hub.read(|state| state.board.contact(id).map(form)) {
        Some(form) => form,
        None => {
            let (store, key) = (app.store.clone(), id.to_owned());
            blocking(move || store.contact(&key))
                .await?
                .as_ref()
                .map(closed_form)
                .ok_or_else(missing)?
        }
    };
    if found["state"] == "closed" {
        let store = app.store.clone();
        found = blocking(move || {
            let mut forms = [found];
            super::recording::fill_in(&store, &mut forms)?;
            let [form] = forms;
            Ok::<_, store::StoreError>(form)
        })
        .await?;
    }
    // An agent learns nothing of others' contacts, not even that they exist.
    let is = |key| found.get(key).and_then(Value::as_str) == Some(&*who.user);
    // Who has passed a contact on still writes down what it was about, in the wrap-up of it.
    let own = is("agent") || is("by") || works_on(app, &who.user, id);
    if own || who.role.oversees() {
        withhold(who, &mut found);
        Ok(found)
    } else {
        Err(missing())
    }
}

/// Whether an agent's state is about this contact.
fn works_on(app: &App, agent: &str, id: &str) -> bool {
    app.hub.read(|state| {
        let row = state.board.agents.get(agent);
        row.and_then(|row| row.contact.as_ref())
            .is_some_and(|contact| *contact.0 == *id)
    })
}

/// The distributor's decisions on a contact.
#[derive(Serialize, ToSchema)]
pub struct Why {
    contact: String,
    decisions: Vec<Decision>,
    /// Why it waits at this moment, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
}

/// Why a contact waits.
#[derive(Serialize, ToSchema)]
pub struct Waiting {
    queue: String,
    position: u32,
    /// Steps of the queue that are in force.
    step: u32,
    /// When the requirement relaxes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_step: Option<String>,
    /// What is required now.
    #[schema(value_type = Object)]
    skills: std::collections::BTreeMap<acd::Name, u8>,
    /// The agent whom it waits for alone, and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_for: Option<HeldFor>,
    /// Waits to be called back.
    detached: bool,
    /// Agents who cannot have it, by reason.
    #[schema(value_type = Vec<Object>)]
    excluded: Vec<acd::Excluded>,
    /// How often others were offered before it, by reason.
    #[schema(value_type = Object)]
    overtaken_by: std::collections::BTreeMap<acd::Name, u32>,
}

#[derive(Serialize, ToSchema)]
pub struct HeldFor {
    agent: String,
    until: String,
}

fn waiting_form(waiting: acd::Waiting) -> Waiting {
    Waiting {
        queue: waiting.queue.to_string(),
        position: waiting.position,
        step: waiting.step,
        next_step: waiting.next_step.map(rfc3339),
        skills: waiting.skills,
        held_for: waiting.held_for.map(|(agent, until)| HeldFor {
            agent: agent.to_string(),
            until: rfc3339(until),
        }),
        detached: waiting.detached,
        excluded: waiting.excluded,
        overtaken_by: waiting.overtaken_by,
    }
}

#[derive(Serialize, ToSchema)]
pub struct Decision {
    at: String,
    queue: String,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    decision: acd::Decision,
    /// Contacts that had waited longer and were passed over.
    overtaken: Vec<String>,
}

/// Why the contact went to its agents.
#[utoipa::path(get, path = "/api/v1/contacts/{id}/why", tag = "contacts", params(("id" = String, Path)), responses((status = 200, body = Why), (status = "4XX", body = Problem)))]
pub async fn why(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Json<Why>, Problem> {
    find(&app, &who, &id).await?;
    let asked = Command::Why {
        contact: ContactId(id.as_str().into()),
    };
    let (decisions, waiting) = match app.gateway.ask(asked).await {
        Ok(Answer::Why { decisions, waiting }) => (decisions, waiting),
        Ok(_) => (Vec::new(), None),
        // The contact exists: it was never offered, or so long ago that memory has let it go.
        Err(problem) if problem.is_not_found() => (Vec::new(), None),
        Err(problem) => return Err(problem),
    };
    let decision = |(at, queue, mut decision): (Time, std::sync::Arc<str>, acd::Decision)| {
        let overtaken = std::mem::take(&mut decision.overtaken);
        let overtaken = overtaken
            .into_iter()
            .map(|number| contact_name(&app.node, number))
            .collect();
        Decision {
            at: rfc3339(at),
            queue: queue.to_string(),
            decision,
            overtaken,
        }
    };
    Ok(Json(Why {
        contact: id,
        decisions: decisions.into_iter().map(decision).collect(),
        waiting: waiting.map(|waiting| waiting_form(*waiting)),
    }))
}

pub(super) fn contact_name(node: &str, number: acd::ContactId) -> String {
    format!(
        "{node}-{}-{}",
        number.0 >> COUNTER_BITS,
        number.0 & ((1 << COUNTER_BITS) - 1)
    )
}

/// Hang a contact up: the agent who has it, or a supervisor.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/hangup", tag = "contacts", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn hangup(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let contact = find(&app, &who, &id).await?;
    match contact.get("state").and_then(Value::as_str) {
        Some("closed") => return Err(Problem::conflict("the contact is over")),
        Some("connected") => {}
        // Whose phone merely rings does not end the caller's call.
        _ if !who.role.oversees() => return Err(Problem::conflict("the contact is not answered")),
        _ => {}
    }
    app.gateway
        .ask(Command::Hangup {
            by: who.user,
            contact: ContactId(id.as_str().into()),
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
