//! The sample customers are sound, and the first caller of the manual is among them.

use crm::{Number, Pop, read_customers};

#[test]
fn the_demo_file_is_sound() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../config/demo-customers.csv"
    );
    let file = std::fs::File::open(file).expect("config/demo-customers.csv");
    let customers: Vec<_> = read_customers(file, "CN")
        .collect::<Result<_, _>>()
        .expect("every line is sound");
    assert!(customers.len() >= 12);

    let on = |phone: &str| {
        let number = Number::parse(phone, "CN");
        customers
            .iter()
            .filter(|customer| customer.phones.iter().any(|p| p == number.key()))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(on("13800138000")[0].name, "张伟");
    assert_eq!(on("+8613800138000").len(), 1);
    let shared = Pop::compose(on("021-64280000"), vec![]);
    assert_eq!(
        shared
            .customers
            .iter()
            .map(|c| c.class.as_str())
            .collect::<Vec<_>>(),
        ["A", "B"],
        "two customers on one number, the better class first"
    );
    for class in ["A", "B", "C", ""] {
        assert!(customers.iter().any(|customer| customer.class == class));
    }
}
