//! Customers.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use crm::{Customer, CustomerId, Number};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::List;
use crate::app::App;
use crate::auth::Who;
use crate::problem::{Body, Problem, Query, blocking};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// All customers on this number, in any usual form.
    phone: Option<String>,
    /// Part of an id, name, number or tag.
    q: Option<String>,
    cursor: Option<String>,
    /// At most 500.
    limit: Option<usize>,
}

/// A customer's record.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerForm {
    /// Made up when absent.
    #[serde(default)]
    id: String,
    name: String,
    /// `A`, `B`, `C`, or empty.
    #[serde(default)]
    class: String,
    /// In any usual form; kept as E.164.
    #[serde(default)]
    phones: Vec<String>,
    /// `zh-CN` or `en`, or empty.
    #[serde(default)]
    language: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    notes: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl CustomerForm {
    fn customer(self) -> Customer {
        Customer {
            id: CustomerId(self.id.into()),
            name: self.name,
            class: self.class,
            phones: self.phones,
            language: self.language,
            tags: self.tags,
            notes: self.notes,
            attributes: self.attributes,
        }
    }
}

/// Customers by id, by phone, or by a part of their name.
#[utoipa::path(get, path = "/api/v1/customers", tag = "customers", params(Filter), responses((status = 200, body = List<CustomerForm>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    _: Who,
    Query(filter): Query<Filter>,
) -> Result<Json<List<Customer>>, Problem> {
    let (store, country, limit) = (
        app.store.clone(),
        app.country.clone(),
        super::limit(filter.limit),
    );
    let page = blocking(move || {
        if let Some(phone) = &filter.phone {
            let items = store.customers_by_phone(&Number::parse(&plus(phone), &country))?;
            return Ok::<_, store::StoreError>(List { items, next: None });
        }
        let cursor = filter.cursor.as_deref();
        let page = match &filter.q {
            Some(text) => store.search_customers(text, cursor, limit)?,
            None => store.list_customers(cursor, limit)?,
        };
        Ok(List {
            items: page.items,
            next: page.next,
        })
    });
    page.await.map(Json)
}

/// Most customers of one `PUT`.
pub const MANY_MAX: usize = 1_000;
/// Longest body of one `PUT`, in bytes.
pub const MANY_BODY_MAX: usize = 8 * 1024 * 1024;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Many {
    /// Each with its id; at most 1000.
    items: Vec<CustomerForm>,
}

#[derive(Serialize, ToSchema)]
pub struct Taken {
    taken: usize,
}

/// Add or replace many customers in one step (supervisors): all or none. On disk when answered.
#[utoipa::path(put, path = "/api/v1/customers", tag = "customers", request_body = Many, responses((status = 200, body = Taken), (status = "4XX", body = Problem)))]
pub async fn put_many(
    State(app): State<App>,
    who: Who,
    Body(many): Body<Many>,
) -> Result<Json<Taken>, Problem> {
    who.must_oversee()?;
    if many.items.len() > MANY_MAX {
        return Err(Problem::unprocessable(format!(
            "{} customers; at most {MANY_MAX} at a time",
            many.items.len()
        )));
    }
    let (store, turn, country) = (
        app.store.clone(),
        app.customers.clone(),
        app.country.clone(),
    );
    let taken = blocking(move || {
        let mut customers = Vec::with_capacity(many.items.len());
        for form in many.items {
            let id = form.id.clone();
            let customer = sound(form.customer(), &country);
            customers.push(customer.map_err(|problem| {
                Problem::unprocessable(format!("customer {id:?}: {}", problem.detail()))
            })?);
        }
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        store.put_customers(&customers)?;
        Ok::<_, Problem>(customers.len())
    });
    Ok(Json(Taken {
        taken: taken.await?,
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Erasure {
    /// In any usual form.
    phone: String,
}

#[derive(Serialize, ToSchema)]
pub struct Gone {
    customers: usize,
    /// Keys under which the log held what is personal.
    keys: usize,
}

/// Remove everybody on a number, and destroy the keys under which their calls are sealed, for ever (supervisors).
#[utoipa::path(delete, path = "/api/v1/customers", tag = "customers", params(Erasure), responses((status = 200, body = Gone), (status = "4XX", body = Problem)))]
pub async fn erase(
    State(app): State<App>,
    who: Who,
    Query(erasure): Query<Erasure>,
) -> Result<Json<Gone>, Problem> {
    who.must_oversee()?;
    let number = Number::parse(&plus(&erasure.phone), &app.country);
    let (store, hub, turn) = (app.store.clone(), app.hub.clone(), app.customers.clone());
    let gone = blocking(move || {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        crate::index_closed(&hub, &store)?;
        let (customers, keys) = store.erase_number(&number)?;
        hub.forget_lines();
        Ok::<_, store::StoreError>((customers, keys))
    });
    let (customers, keys) = gone.await?;
    if customers == 0 && keys == 0 {
        return Err(Problem::not_found(format!(
            "nothing is kept of {}",
            erasure.phone
        )));
    }
    Ok(Json(Gone { customers, keys }))
}

/// A plus sign in a query string is read as a space.
fn plus(phone: &str) -> String {
    phone
        .strip_prefix(' ')
        .map_or_else(|| phone.to_owned(), |rest| format!("+{rest}"))
}

/// One customer.
#[utoipa::path(get, path = "/api/v1/customers/{id}", tag = "customers", params(("id" = String, Path)), responses((status = 200, body = CustomerForm), (status = "4XX", body = Problem)))]
pub async fn one(
    State(app): State<App>,
    _: Who,
    Path(id): Path<String>,
) -> Result<Json<Customer>, Problem> {
    let (store, key) = (app.store.clone(), id.clone());
    let found = blocking(move || store.customer(&key)).await?;
    found.map(Json).ok_or_else(|| missing(&id))
}

/// Add a customer; 409 when the id is taken. On disk when answered.
#[utoipa::path(post, path = "/api/v1/customers", tag = "customers", request_body = CustomerForm, responses((status = 201, body = CustomerForm), (status = 409, body = Problem), (status = "4XX", body = Problem)))]
pub async fn add(
    State(app): State<App>,
    _: Who,
    Body(form): Body<CustomerForm>,
) -> Result<Response, Problem> {
    let id = if form.id.is_empty() {
        made_up_id()?
    } else {
        form.id.clone()
    };
    let customer = sound(CustomerForm { id, ..form }.customer(), &app.country)?;
    let (store, turn) = (app.store.clone(), app.customers.clone());
    let added = blocking(move || {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if store.customer(&customer.id.0)?.is_some() {
            return Err(Problem::conflict(format!(
                "there is a customer {} already",
                customer.id.0
            )));
        }
        store.put_customers(std::slice::from_ref(&customer))?;
        Ok(customer)
    });
    let customer = added.await?;
    let place = format!("/api/v1/customers/{}", customer.id.0);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, place)],
        Json(customer),
    )
        .into_response())
}

/// Change some fields (RFC 7396 merge patch: null empties a field). On disk when answered.
#[utoipa::path(patch, path = "/api/v1/customers/{id}", tag = "customers", params(("id" = String, Path)), request_body(content = Object), responses((status = 200, body = CustomerForm), (status = "4XX", body = Problem)))]
pub async fn change(
    State(app): State<App>,
    _: Who,
    Path(id): Path<String>,
    Body(patch): Body<serde_json::Map<String, Value>>,
) -> Result<Json<Customer>, Problem> {
    let (store, turn, country) = (
        app.store.clone(),
        app.customers.clone(),
        app.country.clone(),
    );
    let changed = blocking(move || {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let old = store.customer(&id)?.ok_or_else(|| missing(&id))?;
        let customer = sound(patched(old, patch)?, &country)?;
        store.put_customers(std::slice::from_ref(&customer))?;
        Ok::<_, Problem>(customer)
    });
    changed.await.map(Json)
}

fn patched(old: Customer, patch: serde_json::Map<String, Value>) -> Result<Customer, Problem> {
    let mut form =
        serde_json::to_value(&old).map_err(|error| Problem::unprocessable(error.to_string()))?;
    let fields = form.as_object_mut().expect("a customer is an object");
    for (name, value) in patch {
        if name == "id" && value.as_str() != Some(&old.id.0) {
            return Err(Problem::unprocessable("a customer keeps its id"));
        }
        let Some(field) = fields.get_mut(&name) else {
            return Err(Problem::unprocessable(format!(
                "a customer has no field {name:?}"
            )));
        };
        match (field, value) {
            (field, Value::Null) => *field = empty(field),
            (Value::Object(field), Value::Object(changes)) => {
                for (key, value) in changes {
                    if value.is_null() {
                        field.remove(&key)
                    } else {
                        field.insert(key, value)
                    };
                }
            }
            (field, value) => *field = value,
        }
    }
    serde_json::from_value(form).map_err(|error| Problem::unprocessable(error.to_string()))
}

fn empty(value: &Value) -> Value {
    match value {
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Value::Object(serde_json::Map::new()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Value::String(String::new())
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Removal {
    /// Also destroy the keys under which the customer's calls are sealed, for ever.
    #[serde(default)]
    erase: bool,
}

/// Remove a customer (supervisors).
#[utoipa::path(delete, path = "/api/v1/customers/{id}", tag = "customers", params(("id" = String, Path), Removal), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn remove(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Query(removal): Query<Removal>,
) -> Result<StatusCode, Problem> {
    who.must_oversee()?;
    let (store, turn, key) = (app.store.clone(), app.customers.clone(), id.clone());
    let hub = app.hub.clone();
    let found = blocking(move || {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if removal.erase {
            // Calls that have just ended are sealed first, else they would be sealed under a new key afterwards.
            crate::index_closed(&hub, &store)?;
            let erased = store.erase_customer(&key)?;
            hub.forget_lines();
            Ok(erased.found)
        } else {
            store.delete_customer(&key)
        }
    });
    if found.await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing(&id))
    }
}

/// What a caller proves to be a customer with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinForm {
    /// 4 to 12 digits; null takes the PIN away.
    pin: Option<String>,
}

/// Whether there is a PIN now.
#[derive(Serialize, ToSchema)]
pub struct PinSet {
    set: bool,
}

/// Give a customer a PIN, or take it away (supervisors). Only its hash is kept; a lock-out ends with it. On disk when answered.
#[utoipa::path(put, path = "/api/v1/customers/{id}/pin", tag = "customers", params(("id" = String, Path)), request_body = PinForm, responses((status = 200, body = PinSet), (status = "4XX", body = Problem)))]
pub async fn set_pin(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Body(PinForm { pin }): Body<PinForm>,
) -> Result<Json<PinSet>, Problem> {
    who.must_oversee()?;
    let store = app.store.clone();
    let set = blocking(move || {
        store.customer(&id)?.ok_or_else(|| missing(&id))?;
        let hash = pin.map(|pin| hashed(&pin)).transpose()?;
        store.set_pin(&id, hash.as_deref())?;
        Ok::<_, Problem>(hash.is_some())
    });
    set.await.map(|set| Json(PinSet { set }))
}

fn hashed(pin: &str) -> Result<String, Problem> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)
        .map_err(|_| Problem::unavailable("no chance to be had from the system"))?;
    crm::pin::hash(pin, &salt).ok_or_else(|| Problem::unprocessable("pin: a PIN is 4 to 12 digits"))
}

fn missing(id: &str) -> Problem {
    Problem::not_found(format!("there is no customer {id}"))
}

/// Numbers as E.164, and everything within the bounds of a record.
fn sound(mut customer: Customer, country: &str) -> Result<Customer, Problem> {
    for phone in &mut customer.phones {
        let number = Number::parse(phone, country);
        *phone = number.e164.ok_or_else(|| {
            Problem::unprocessable(format!("phones: {phone:?} is no phone number"))
        })?;
    }
    customer.phones.sort_unstable();
    customer.phones.dedup();
    customer
        .check()
        .map_err(|error| Problem::unprocessable(error.to_string()))?;
    Ok(customer)
}

fn made_up_id() -> Result<String, Problem> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|_| Problem::unavailable("no chance to be had from the system"))?;
    Ok(format!("C{:016x}", u64::from_le_bytes(bytes)))
}
