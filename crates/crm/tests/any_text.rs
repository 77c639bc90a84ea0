//! No text breaks the number reader or the importer.

use crm::{Customer, CustomerId, Number, read_customers, write_customers};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    // Leading and trailing blanks do not survive a spreadsheet.
    "[^\\x00]{0,20}".prop_map(|text: String| text.trim().to_owned())
}

fn customer() -> impl Strategy<Value = Customer> {
    let attributes = prop::collection::btree_map(
        "x[a-z]{1,5}",
        text().prop_filter("an empty cell is no attribute", |t| !t.is_empty()),
        0..4,
    );
    (
        "[A-Za-z0-9_.-]{1,12}",
        text(),
        "[ABC]?",
        prop::collection::btree_set("\\+861[358][0-35-9][0-9]{8}", 0..4),
        "(zh-CN|en)?",
        text(),
        attributes,
    )
        .prop_map(
            |(id, name, class, phones, language, notes, attributes)| Customer {
                id: CustomerId(id.into()),
                name,
                class,
                phones: phones.into_iter().collect(),
                language,
                tags: vec![],
                notes,
                attributes,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_number(raw in any::<String>(), country in "[A-Z]{2}") {
        let number = Number::parse(&raw, &country);
        if let Some(e164) = &number.e164 {
            prop_assert!(e164.starts_with('+') && e164.len() <= 16);
            prop_assert_eq!(&Number::parse(e164, "CN").e164, &number.e164, "E.164 means itself");
        }
    }

    #[test]
    fn any_digits(raw in "[+]?[0-9]{0,20}") {
        let number = Number::parse(&raw, "CN");
        if let Some(e164) = &number.e164 {
            prop_assert_eq!(&Number::parse(e164, "US").e164, &number.e164, "E.164 means itself anywhere");
        }
    }

    #[test]
    fn any_file(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for _ in read_customers(bytes.as_slice(), "CN") {}
        let mut named = b"id,phones\n".to_vec();
        named.extend(bytes);
        for _ in read_customers(named.as_slice(), "CN") {}
    }

    #[test]
    fn what_goes_out_comes_back(customer in customer()) {
        let mut file = Vec::new();
        let names = customer.attributes.keys().cloned().collect();
        write_customers(&mut file, &names, [customer.clone()]).expect("writes");
        let back: Vec<_> = read_customers(file.as_slice(), "CN").collect();
        prop_assert_eq!(back, vec![Ok(customer)]);
    }
}
