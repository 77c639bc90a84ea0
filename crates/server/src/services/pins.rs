//! Whether a PIN is a customer's.

use ivr::{Answer, Value};
use store::{PinTry, Store, StoreError};

/// 200, or 401; 404 when there is none, 423 while nobody may try.
pub(super) fn answer(
    store: &Store,
    customer: &str,
    pin: &str,
    now_ms: u64,
) -> Result<Answer, StoreError> {
    let status = match store.try_pin(customer, now_ms)? {
        PinTry::None => 404,
        PinTry::Locked => 423,
        PinTry::Compare(hash) if crm::pin::is(pin, &hash) => {
            store.pin_was_right(customer)?;
            200
        }
        PinTry::Compare(_) => 401,
    };
    Ok(Answer::Reply {
        status,
        body: Value::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_ones_lock_everybody_out_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Store::open(&store::DataDir::open(directory.path()).unwrap()).unwrap();
        let store = open();
        let status = |store: &Store, pin: &str, now_ms| match answer(store, "C1", pin, now_ms) {
            Ok(Answer::Reply { status, .. }) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status(&store, "4711", 0), 404);
        store
            .set_pin("C1", crm::pin::hash("4711", &[1; 16]).as_deref())
            .unwrap();
        assert_eq!(status(&store, "4711", 0), 200);
        for _ in 0..4 {
            assert_eq!(status(&store, "4712", 0), 401);
        }
        // A right one in time forgives.
        assert_eq!(status(&store, "4711", 0), 200);
        for _ in 0..5 {
            assert_eq!(status(&store, "4712", 1_000), 401);
        }
        // Over a restart too.
        drop(store);
        let store = open();
        assert_eq!(status(&store, "4711", 1_000), 423);
        assert_eq!(status(&store, "4711", 999 + store::LOCKED_MS), 423);
        assert_eq!(status(&store, "4711", 1_000 + store::LOCKED_MS), 200);
        store.set_pin("C1", None).unwrap();
        assert_eq!(status(&store, "4711", 0), 404);
    }
}
