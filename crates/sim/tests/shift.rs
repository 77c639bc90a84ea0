//! Seeded shifts. `SHIFT_SEEDS=n` plays n of them, `SHIFT_SEED=s` replays one.

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn shifts_keep_every_invariant() {
    let seeds: Vec<u64> = match env("SHIFT_SEED") {
        Some(seed) => vec![seed],
        None => (0..env("SHIFT_SEEDS").unwrap_or(200)).collect(),
    };
    let mut total = sim::shift::Outcome::default();
    for seed in seeds {
        let played = std::panic::catch_unwind(|| sim::shift::play(seed));
        let outcome = played.unwrap_or_else(|_| panic!("seed {seed} failed; replay it alone with SHIFT_SEED={seed} cargo test -p sim --test shift"));
        assert!(
            outcome.calls >= outcome.answered,
            "seed {seed}: {outcome:?}"
        );
        total.calls += outcome.calls;
        total.answered += outcome.answered;
        total.closed += outcome.closed;
        total.messages += outcome.messages;
        total.lost += outcome.lost;
    }
    println!("{total:?}");
    assert!(
        total.answered > 0 && total.answered < total.closed,
        "the shifts are not trivial: {total:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_shift() {
    assert_eq!(sim::shift::play(7), sim::shift::play(7));
}
