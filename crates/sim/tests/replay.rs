//! The log keeps the distributor's inputs: fed to a fresh one, they give the same decisions, byte for byte.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use engine::AcdRecord;

/// What the log has of a decision.
fn decided(record: &AcdRecord) -> Option<String> {
    matches!(record, AcdRecord::Decision { .. }).then(|| serde_json::to_string(record).unwrap())
}

fn replay(records: &[(clock::Time, AcdRecord)]) -> Vec<String> {
    let mut acd = acd::Acd::new();
    let mut decisions = Vec::new();
    for (at, record) in records {
        // As the log would give it back.
        let record: AcdRecord =
            serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap();
        match record {
            AcdRecord::Input(input) => acd.handle(*at, input),
            AcdRecord::Timeout => acd.handle_timeout(*at),
            AcdRecord::Decision { .. } => {}
        }
        while let Some(output) = acd.poll_output() {
            if let acd::Output::Offered {
                contact,
                queue,
                decision,
                ..
            } = output
            {
                let record = AcdRecord::Decision {
                    contact,
                    queue,
                    decision: *decision,
                };
                decisions.push(serde_json::to_string(&record).unwrap());
            }
        }
    }
    decisions
}

#[test]
fn the_logged_inputs_give_the_same_decisions_again() {
    for seed in 0..20 {
        let (_, world) = sim::shift::play_through(seed);
        let logged: Vec<String> = world
            .acd_records
            .iter()
            .filter_map(|(_, record)| decided(record))
            .collect();
        assert!(!logged.is_empty());
        assert_eq!(replay(&world.acd_records), logged, "seed {seed}");
    }
}
