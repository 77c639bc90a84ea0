//! Customers, and whose a phone number is.

use crm::{Customer, CustomerId, Number, Pop};
use redb::{
    ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};

use super::{PAGE_MAX, Page, SCANNED_ROWS_MAX, Store, row_error};
use crate::error::StoreError;

const CUSTOMERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("customers");
/// Phone, a zero byte, customer's id.
const PHONES: TableDefinition<'_, &[u8], ()> = TableDefinition::new("phones");

/// Customers read for one number: a switchboard may have thousands, and a pop shows ten.
const CUSTOMERS_PER_PHONE_MAX: usize = 100;

/// What [`Store::erase_customer`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Whether there was such a record.
    pub found: bool,
    /// The numbers whose calls are now unreadable, for everybody on that number.
    pub phones: Vec<String>,
    pub keys_destroyed: usize,
}

pub(super) fn make(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(CUSTOMERS)?;
    transaction.open_table(PHONES)?;
    Ok(())
}

impl Store {
    pub fn customer(&self, id: &str) -> Result<Option<Customer>, StoreError> {
        self.read(|transaction| customer(&transaction.open_table(CUSTOMERS)?, id))
    }

    /// All customers on this number, by id; none for a withheld one.
    pub fn customers_by_phone(&self, number: &Number) -> Result<Vec<Customer>, StoreError> {
        if !number.is_known() {
            return Ok(Vec::new());
        }
        self.read(|transaction| by_phone(transaction, number.key()))
    }

    /// The screen pop of a caller: who is on this number, and their last contacts.
    pub fn pop(&self, number: &Number) -> Result<Pop, StoreError> {
        if !number.is_known() {
            return Ok(Pop::default());
        }
        let (customers, contacts) = self.read(|transaction| {
            let customers = by_phone(transaction, number.key())?;
            let mut contacts = Vec::new();
            for customer in customers.iter().take(crm::pop::POP_CUSTOMERS_MAX) {
                contacts.extend(super::contacts::last(
                    transaction,
                    &customer.id,
                    crm::pop::LAST_CONTACTS_MAX,
                )?);
            }
            Ok((customers, contacts))
        })?;
        Ok(Pop::compose(customers, contacts))
    }

    /// Adds customers, or replaces those that have the same id, in one transaction. An import gives them in batches of some thousands: each
    /// batch costs one sync.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a record that [`Customer::check`] refuses; then none of the batch is taken.
    pub fn put_customers(&self, batch: &[Customer]) -> Result<(), StoreError> {
        for customer in batch {
            customer.check().map_err(|error| {
                StoreError::Refused(format!("customer {:?}: {error}", customer.id.0))
            })?;
        }
        self.write(|transaction| {
            let mut customers = transaction.open_table(CUSTOMERS)?;
            let mut phones = transaction.open_table(PHONES)?;
            for customer in batch {
                let row = serde_json::to_vec(customer)
                    .map_err(|error| row_error("customer", &customer.id.0, error))?;
                let old = customers
                    .insert(&*customer.id.0, row.as_slice())?
                    .map(|old| parse(&customer.id.0, old.value()))
                    .transpose()?;
                let old = old.map_or_else(Vec::new, |old| old.phones);
                for phone in old.iter().filter(|phone| !customer.phones.contains(phone)) {
                    phones.remove(phone_key(phone, &customer.id).as_slice())?;
                }
                for phone in customer.phones.iter().filter(|phone| !old.contains(phone)) {
                    phones.insert(phone_key(phone, &customer.id).as_slice(), ())?;
                }
            }
            Ok(())
        })
    }

    /// Removes a record and its numbers from the index; what the log holds of its calls stays. False when there is none.
    pub fn delete_customer(&self, id: &str) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let mut customers = transaction.open_table(CUSTOMERS)?;
            let Some(old) = customers
                .remove(id)?
                .map(|old| parse(id, old.value()))
                .transpose()?
            else {
                return Ok(false);
            };
            remove_phones(&mut transaction.open_table(PHONES)?, &old)?;
            super::pins::remove(transaction, id)?;
            Ok(true)
        })
    }

    /// Removes a record, and destroys the keys under which the customer's and their numbers' calls are sealed.
    pub fn erase_customer(&self, id: &str) -> Result<Erased, StoreError> {
        let customer = self.customer(id)?;
        let phones = customer
            .as_ref()
            .map_or_else(Vec::new, |customer| customer.phones.clone());
        let mut erased = Erased {
            found: customer.is_some(),
            phones,
            keys_destroyed: 0,
        };
        // The keys first: should this be cut short, the record still says what remains to be done.
        let persons = erased
            .phones
            .iter()
            .map(|phone| format!("tel:{phone}"))
            .chain([format!("customer:{id}")]);
        for person in persons {
            erased.keys_destroyed += usize::from(self.erase_person(&person)?);
        }
        self.delete_customer(id)?;
        Ok(erased)
    }

    /// Erases every customer on a number, and the number itself, which may have called without being anybody's. Gives how many customers went
    /// and how many keys were destroyed.
    pub fn erase_number(&self, number: &Number) -> Result<(usize, usize), StoreError> {
        let customers = self.customers_by_phone(number)?;
        let mut keys = 0;
        for customer in &customers {
            keys += self.erase_customer(&customer.id.0)?.keys_destroyed;
        }
        keys += usize::from(self.erase_person(&format!("tel:{}", number.key()))?);
        Ok((customers.len(), keys))
    }

    /// Customers by id, behind `cursor`.
    pub fn list_customers(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Customer>, StoreError> {
        self.customers_where(cursor, limit, |_| true)
    }

    /// Customers whose id, name, tag, or number contains `text`, in any case, by id, behind `cursor`. A page may have fewer than `limit` items and still
    /// have one behind it.
    pub fn search_customers(
        &self,
        text: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Customer>, StoreError> {
        let text = text.to_lowercase();
        let has = |field: &String| field.to_lowercase().contains(&text);
        self.customers_where(cursor, limit, |customer| {
            has(&customer.name)
                || customer.id.0.to_lowercase().contains(&text)
                || customer.phones.iter().any(has)
                || customer.tags.iter().any(has)
        })
    }

    pub fn customers_count(&self) -> Result<u64, StoreError> {
        self.read(|transaction| Ok(transaction.open_table(CUSTOMERS)?.len()?))
    }

    fn customers_where(
        &self,
        cursor: Option<&str>,
        limit: usize,
        wanted: impl Fn(&Customer) -> bool,
    ) -> Result<Page<Customer>, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        self.read(|transaction| {
            let table = transaction.open_table(CUSTOMERS)?;
            let after = cursor.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
            let mut items = Vec::new();
            let mut last = None;
            for (scanned, row) in table
                .range::<&str>((after, std::ops::Bound::Unbounded))?
                .enumerate()
            {
                if items.len() == limit || scanned == SCANNED_ROWS_MAX {
                    return Ok(Page { items, next: last });
                }
                let (id, value) = row?;
                let customer = parse(id.value(), value.value())?;
                last = Some(id.value().to_owned());
                if wanted(&customer) {
                    items.push(customer);
                }
            }
            Ok(Page { items, next: None })
        })
    }
}

pub(super) fn by_phone(
    transaction: &ReadTransaction,
    phone: &str,
) -> Result<Vec<Customer>, redb::Error> {
    let phones = transaction.open_table(PHONES)?;
    let customers = transaction.open_table(CUSTOMERS)?;
    let start = phone_key(phone, &CustomerId("".into()));
    let mut found = Vec::new();
    for row in phones
        .range(start.as_slice()..)?
        .take(CUSTOMERS_PER_PHONE_MAX)
    {
        let row = row?.0;
        let Some(id) = row.value().strip_prefix(start.as_slice()) else {
            break;
        };
        let id = std::str::from_utf8(id).map_err(|error| row_error("phone", phone, error))?;
        // Both tables change in one transaction, so the record is there.
        found.extend(customer(&customers, id)?);
    }
    Ok(found)
}

fn customer(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    id: &str,
) -> Result<Option<Customer>, redb::Error> {
    table.get(id)?.map(|row| parse(id, row.value())).transpose()
}

fn parse(id: &str, row: &[u8]) -> Result<Customer, redb::Error> {
    serde_json::from_slice(row).map_err(|error| row_error("customer", id, error))
}

fn remove_phones(
    phones: &mut Table<'_, &[u8], ()>,
    customer: &Customer,
) -> Result<(), redb::Error> {
    for phone in &customer.phones {
        phones.remove(phone_key(phone, &customer.id).as_slice())?;
    }
    Ok(())
}

fn phone_key(phone: &str, id: &CustomerId) -> Vec<u8> {
    let mut key = Vec::with_capacity(phone.len() + 1 + id.0.len());
    key.extend(phone.as_bytes());
    key.push(0);
    key.extend(id.0.as_bytes());
    key
}
