//! The screen pop: what an agent sees of the caller before the phone is answered.

use std::collections::BTreeMap;

use crate::api::{Customer, LastContact, Pop, PopCustomer};
use crate::customer::{class_rank, facts_of};

/// Most customers on one number that a pop shows; a switchboard may have hundreds.
pub const POP_CUSTOMERS_MAX: usize = 10;
/// Most earlier contacts that a pop shows.
pub const LAST_CONTACTS_MAX: usize = 5;

impl Pop {
    /// Puts a pop together: best class first (then by id, so that the same data give the same pop), the newest contacts first.
    pub fn compose(mut customers: Vec<Customer>, mut last_contacts: Vec<LastContact>) -> Pop {
        customers.sort_by(|a, b| (class_rank(&a.class), &a.id).cmp(&(class_rank(&b.class), &b.id)));
        customers.truncate(POP_CUSTOMERS_MAX);
        // RFC 3339 in UTC sorts as text.
        last_contacts.sort_by(|a, b| (&b.arrived, &b.contact).cmp(&(&a.arrived, &a.contact)));
        last_contacts.dedup_by(|a, b| a.contact == b.contact);
        last_contacts.truncate(LAST_CONTACTS_MAX);
        Pop {
            customers: customers.into_iter().map(PopCustomer::from).collect(),
            last_contacts,
        }
    }

    /// The best customer's class, for the distributor; `None` without a customer or a class.
    pub fn class(&self) -> Option<&str> {
        self.customers
            .first()
            .map(|customer| customer.class.as_str())
            .filter(|class| !class.is_empty())
    }

    /// What a flow reads as `customer.…` (see [`Customer::facts`]): the best customer's facts, and `customers`, how many there are on the
    /// number. Empty for a caller whom nobody knows.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let Some(best) = self.customers.first() else {
            return BTreeMap::new();
        };
        let mut facts = facts_of(
            &best.id,
            &best.name,
            &best.class,
            &best.language,
            &best.tags,
        );
        facts.insert("customers".to_owned(), self.customers.len().to_string());
        facts
    }
}

impl From<Customer> for PopCustomer {
    fn from(customer: Customer) -> Self {
        let Customer {
            id,
            name,
            class,
            language,
            tags,
            ..
        } = customer;
        PopCustomer {
            id,
            name,
            class,
            language,
            tags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::CustomerId;

    fn customer(id: &str, class: &str) -> Customer {
        Customer {
            id: CustomerId(id.into()),
            name: id.to_lowercase(),
            class: class.into(),
            phones: vec![],
            language: String::new(),
            tags: vec![],
            notes: String::new(),
            attributes: BTreeMap::new(),
        }
    }

    fn contact(id: &str, arrived: &str) -> LastContact {
        LastContact {
            contact: id.into(),
            arrived: arrived.into(),
            queue: None,
            agent: None,
            outcome: "answered".into(),
        }
    }

    #[test]
    fn best_class_and_newest_contact_first() {
        let contacts = (0..8)
            .map(|n| contact(&format!("n-{n}"), &format!("2026-11-2{n}T00:00:00Z")))
            .collect();
        let pop = Pop::compose(
            vec![
                customer("C3", ""),
                customer("C2", "B"),
                customer("C1", "B"),
                customer("C9", "A"),
            ],
            contacts,
        );
        assert_eq!(
            pop.customers.iter().map(|c| &*c.id.0).collect::<Vec<_>>(),
            ["C9", "C1", "C2", "C3"]
        );
        assert_eq!(
            pop.last_contacts
                .iter()
                .map(|c| c.contact.as_str())
                .collect::<Vec<_>>(),
            ["n-7", "n-6", "n-5", "n-4", "n-3"]
        );
        assert_eq!(pop.class(), Some("A"));
        assert_eq!(pop.facts()["id"], "C9");
        assert_eq!(pop.facts()["customers"], "4");
    }

    #[test]
    fn nobody_has_no_facts() {
        let pop = Pop::compose(vec![], vec![]);
        assert_eq!(pop, Pop::default());
        assert!(pop.facts().is_empty());
        assert_eq!(pop.class(), None);
    }
}
