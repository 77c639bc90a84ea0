//! Good answers that serve others for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ivr::Answer;

/// Answers kept. Each is 64 KiB at most and a few hundred bytes as a rule.
const KEPT_MAX: usize = 1_000;

#[derive(Default)]
pub(super) struct Cache {
    kept: Mutex<BTreeMap<String, (Instant, Answer)>>,
}

impl Cache {
    /// What was answered to the same question, if it is still good.
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<Answer> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, answer) = kept.get(key)?;
        (now < *until).then(|| answer.clone())
    }

    /// Keeps an answer; when there is no room, the one that would be stale first gives way.
    pub(super) fn put(&self, key: String, until: Instant, answer: Answer, now: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (until, _)| now < *until);
        }
        if kept.len() >= KEPT_MAX
            && let Some(first) = kept.iter().min_by_key(|(_, (until, _))| *until)
        {
            let first = first.0.clone();
            kept.remove(&first);
        }
        kept.insert(key, (until, answer));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(status: u16) -> Answer {
        Answer::Reply {
            status,
            body: ivr::Value::Nothing,
        }
    }

    #[test]
    fn an_answer_serves_until_it_is_stale_and_the_stalest_gives_way() {
        let cache = Cache::default();
        let now = Instant::now();
        let second = Duration::from_secs(1);
        cache.put("a".into(), now + second, answer(200), now);
        assert_eq!(cache.get("a", now), Some(answer(200)));
        assert_eq!(cache.get("a", now + second), None);
        assert_eq!(cache.get("b", now), None);
        for n in 0..KEPT_MAX {
            cache.put(format!("n{n}"), now + 2 * second, answer(201), now);
        }
        assert_eq!(cache.get("a", now), None, "gave way");
        assert_eq!(cache.get("n0", now), Some(answer(201)));
        assert_eq!(cache.kept.lock().unwrap().len(), KEPT_MAX);
    }
}
