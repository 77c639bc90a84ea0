//! Customers, credentials, sessions and closed contacts.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeMap;

use crm::{Customer, CustomerId, LastContact, Number};
use store::{
    ClosedContact, ContactFilter, Credentials, DataDir, Personal, Session, Store, StoreError,
};

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&DataDir::open(dir.path()).unwrap()).unwrap();
    (dir, store)
}

fn customer(id: &str, class: &str, phones: &[&str]) -> Customer {
    Customer {
        id: CustomerId(id.into()),
        name: format!("Name {id}"),
        class: class.into(),
        phones: phones.iter().map(|phone| phone.to_string()).collect(),
        language: "zh-CN".into(),
        tags: vec!["vip".into()],
        notes: String::new(),
        attributes: BTreeMap::new(),
    }
}

fn ids<'a>(customers: impl IntoIterator<Item = &'a Customer>) -> Vec<String> {
    customers
        .into_iter()
        .map(|customer| customer.id.0.to_string())
        .collect()
}

fn number(raw: &str) -> Number {
    Number::parse(raw, "CN")
}

#[test]
fn customers_are_found_by_each_of_their_numbers() {
    let (_dir, store) = open();
    store
        .put_customers(&[
            customer("C1", "B", &["+8613800138000", "1001"]),
            customer("C2", "A", &["+8613800138000"]),
            customer("C10", "", &["+86138001380001"]),
        ])
        .unwrap();
    assert_eq!(
        ids(&store.customers_by_phone(&number("138 0013 8000")).unwrap()),
        ["C1", "C2"]
    );
    assert_eq!(
        ids(&store.customers_by_phone(&number("1001")).unwrap()),
        ["C1"]
    );
    assert!(
        store
            .customers_by_phone(&number("13911112222"))
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .customers_by_phone(&number("anonymous"))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.customer("C1").unwrap(),
        Some(customer("C1", "B", &["+8613800138000", "1001"]))
    );

    store
        .put_customers(&[customer("C1", "C", &["1002"])])
        .unwrap();
    assert_eq!(
        ids(&store.customers_by_phone(&number("13800138000")).unwrap()),
        ["C2"]
    );
    assert!(
        store
            .customers_by_phone(&number("1001"))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        ids(&store.customers_by_phone(&number("1002")).unwrap()),
        ["C1"]
    );

    assert!(store.delete_customer("C1").unwrap());
    assert!(!store.delete_customer("C1").unwrap());
    assert!(
        store
            .customers_by_phone(&number("1002"))
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.customers_count().unwrap(), 2);
}

#[test]
fn a_bad_record_takes_its_batch_with_it() {
    let (_dir, store) = open();
    let bad = store.put_customers(&[customer("C1", "A", &[]), customer("C2", "D", &[])]);
    assert!(matches!(bad, Err(StoreError::Refused(_))));
    assert_eq!(store.customers_count().unwrap(), 0);
}

#[test]
fn lists_have_pages() {
    let (_dir, store) = open();
    let all: Vec<Customer> = (0..25)
        .map(|n| customer(&format!("C{n:02}"), "A", &[&format!("+86138{n:08}")]))
        .collect();
    store.put_customers(&all).unwrap();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.list_customers(cursor.as_deref(), 10).unwrap();
        seen.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, all);
    assert_eq!(
        ids(&store.search_customers("name c1", None, 5).unwrap().items),
        ["C10", "C11", "C12", "C13", "C14"]
    );
    assert_eq!(
        ids(&store.search_customers("3800000007", None, 5).unwrap().items),
        ["C07"]
    );
    assert!(
        store
            .search_customers("nobody", None, 5)
            .unwrap()
            .items
            .is_empty()
    );
}

#[test]
fn erasing_a_customer_destroys_the_keys() {
    let (dir, store) = open();
    store
        .put_customers(&[customer("C1", "A", &["+8613800138000", "1001"])])
        .unwrap();
    store
        .index_contacts(
            &[
                contact("n-1", 5, &["C1"], "support", "tel:+8613800138000"),
                contact("n-2", 6, &[], "support", "tel:other"),
            ],
            9,
        )
        .unwrap();
    let erased = store.erase_customer("C1").unwrap();
    assert_eq!(
        (erased.found, erased.keys_destroyed, erased.phones.len()),
        (true, 1, 2)
    );
    assert!(!store.erase_customer("C1").unwrap().found);
    drop(store);
    let store = Store::open(&DataDir::open(dir.path()).unwrap()).unwrap();
    assert_eq!(store.customer("C1").unwrap(), None);
    assert_eq!(store.contact("n-1").unwrap().unwrap().personal, None);
    assert_eq!(
        store
            .contact("n-2")
            .unwrap()
            .unwrap()
            .personal
            .unwrap()
            .person
            .as_ref(),
        "tel:other"
    );
    let bytes = std::fs::read(dir.path().join("tables.redb")).unwrap();
    assert!(
        !bytes.windows(12).any(|window| window == b"secret of te"),
        "contacts' personal part is sealed"
    );
}

fn contact(id: &str, at: u64, customers: &[&str], queue: &str, person: &str) -> ClosedContact {
    ClosedContact {
        at,
        customers: customers
            .iter()
            .map(|id| CustomerId((*id).into()))
            .collect(),
        last: LastContact {
            contact: id.into(),
            arrived: format!("2026-11-21T00:00:{at:02}Z"),
            queue: Some(queue.into()),
            agent: Some(format!("10{:02}", at % 3)),
            outcome: "answered".into(),
        },
        json: format!(r#"{{"id":"{id}"}}"#).into(),
        personal: Some(Personal {
            person: person.into(),
            json: format!(r#"{{"note":"secret of {person}"}}"#).into(),
        }),
    }
}

#[test]
fn contacts_newest_first_by_any_list() {
    let (_dir, store) = open();
    assert_eq!(store.contacts_applied().unwrap(), 0);
    let all: Vec<ClosedContact> = (1..=30)
        .map(|n| {
            contact(
                &format!("n-{n}"),
                n,
                if n % 2 == 0 { &["C1"] } else { &["C1x", "C2"] },
                if n % 5 == 0 { "sales" } else { "support" },
                &format!("tel:{}", n % 4),
            )
        })
        .collect();
    store.index_contacts(&all[..20], 100).unwrap();
    store.index_contacts(&all[15..], 150).unwrap(); // some of them again
    assert_eq!(store.contacts_applied().unwrap(), 150);
    assert_eq!(store.contact("n-7").unwrap().as_ref(), Some(&all[6]));

    let list = |filter: ContactFilter<'_>| {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = store.contacts(&filter, cursor.as_deref(), 4).unwrap();
            seen.extend(page.items.iter().map(|contact| contact.at));
            cursor = page.next;
            if cursor.is_none() {
                return seen;
            }
        }
    };
    let expected =
        |wanted: &dyn Fn(u64) -> bool| (1..=30).rev().filter(|n| wanted(*n)).collect::<Vec<u64>>();
    assert_eq!(list(ContactFilter::default()), expected(&|_| true));
    assert_eq!(
        list(ContactFilter {
            customer: Some("C1"),
            ..Default::default()
        }),
        expected(&|n| n % 2 == 0)
    );
    assert_eq!(
        list(ContactFilter {
            queue: Some("sales"),
            ..Default::default()
        }),
        expected(&|n| n % 5 == 0)
    );
    assert_eq!(
        list(ContactFilter {
            queue: Some("sales"),
            agent: Some("1000"),
            ..Default::default()
        }),
        expected(&|n| n % 15 == 0)
    );
    assert_eq!(
        list(ContactFilter {
            from: Some(5),
            to: Some(9),
            ..Default::default()
        }),
        [8, 7, 6, 5]
    );
    assert!(
        list(ContactFilter {
            customer: Some("C"),
            ..Default::default()
        })
        .is_empty()
    );
    assert!(
        store
            .contacts(&ContactFilter::default(), Some("rubbish"), 4)
            .is_err()
    );

    let last: Vec<String> = store
        .last_contacts(&CustomerId("C1".into()), 3)
        .unwrap()
        .into_iter()
        .map(|contact| contact.contact)
        .collect();
    assert_eq!(last, ["n-30", "n-28", "n-26"]);

    store
        .put_customers(&[
            customer("C2", "B", &["+8613800138000"]),
            customer("C1", "A", &["+8613800138000"]),
        ])
        .unwrap();
    let pop = store.pop(&number("13800138000")).unwrap();
    assert_eq!(
        pop.customers.iter().map(|c| &*c.id.0).collect::<Vec<_>>(),
        ["C1", "C2"]
    );
    assert_eq!(
        pop.last_contacts
            .iter()
            .map(|c| c.contact.as_str())
            .collect::<Vec<_>>(),
        ["n-30", "n-29", "n-28", "n-27", "n-26"]
    );
    assert_eq!(
        store.pop(&number("anonymous")).unwrap(),
        crm::Pop::default()
    );
}

#[test]
fn credentials_and_sessions() {
    let (dir, store) = open();
    let user = |name: &str| Credentials {
        user: name.into(),
        role: "agent".into(),
        name: "Li Wei".into(),
        password: "$argon2id$hidden".into(),
        realm: "cordboard".into(),
        ha1_md5: "00ff".into(),
        ha1_sha256: String::new(),
    };
    store
        .put_credentials(&[user("1001"), user("1002"), user("1003")])
        .unwrap();
    assert_eq!(store.credentials("1002").unwrap(), Some(user("1002")));
    assert!(!format!("{:?}", user("1002")).contains("hidden"));
    let page = store.list_credentials(None, 2).unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (2, Some("1002")));
    assert_eq!(
        store
            .list_credentials(page.next.as_deref(), 2)
            .unwrap()
            .items,
        [user("1003")]
    );
    assert!(
        store.delete_credentials("1001").unwrap() && !store.delete_credentials("1001").unwrap()
    );

    let session = |user: &str, expires| Session {
        user: user.into(),
        role: "agent".into(),
        expires,
    };
    store.put_session("token-a", &session("1002", 100)).unwrap();
    store.put_session("token-b", &session("1003", 200)).unwrap();
    store.put_session("token-c", &session("1002", 300)).unwrap();
    assert_eq!(
        store.session("token-a", 99).unwrap(),
        Some(session("1002", 100))
    );
    assert_eq!(store.session("token-a", 100).unwrap(), None);
    assert_eq!(store.session("token-x", 1).unwrap(), None);
    assert_eq!(store.expire_sessions(100).unwrap(), 1);
    assert_eq!(store.expire_sessions(100).unwrap(), 0);
    assert_eq!(store.delete_sessions_of("1002").unwrap(), 1);
    assert!(store.delete_session("token-b").unwrap() && !store.delete_session("token-b").unwrap());
    drop(store);
    let bytes = std::fs::read(dir.path().join("tables.redb")).unwrap();
    assert!(
        !bytes.windows(7).any(|window| window == b"token-a"),
        "tokens are not kept"
    );
}
