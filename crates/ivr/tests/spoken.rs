//! What flows say by grammar, as their tests hear it.
#![allow(clippy::unwrap_used)] // the helpers of a test are part of it

use std::path::Path;

use ivr::{Flows, Lang, Surroundings, testing};

const FLOW: &str = r#"
[flow]
name = "main"
start = "told"
languages = ["zh-CN", "en"]
[defaults]
on_error = "sorry"
[arguments]
due = "2026-11-24T15:05:00+08:00"
balance = 12.5
left = 90
[state.told]
say = [
  { number = "{{ balance }}" }, { number = -3 }, { count = 2 }, { ordinal = "24" }, { agent = "1001" }, { digits = "{{ call.ani }}" },
  { date = "{{ due }}" }, { date = "12-31" }, { time = "{{ due }}" }, { duration = "{{ left }}" }, { duration = "1h30m" },
  { money = "{{ balance }}", currency = "CNY" }, { money = "{{ balance - 13 }}", currency = "USD" },
]
next = "read"
[state.read]
say = [{ text = { zh-CN = "您的余额是 {{ balance }} 元", en = "You have {{ balance }} yuan" } }, { text = "OK" }]
next = "owed"
[state.owed]
say = { date = "{{ balance }}" }
next = "sorry"
[state.sorry]
hangup = "sorry"
"#;

const TESTS: &str = r#"
[[test]]
name = "each is heard as it was written, and what is no date is an error of the flow"
ani = "+8613800138000"
steps = '''
expect number 12.5
expect number -3
expect count 2
expect ordinal 24
expect agent 1001
expect digits 8613800138000
expect date 2026-11-24
expect date 12-31
expect time 15:05
expect duration 90
expect duration 1h30m
expect money 12.5 CNY
expect money -0.50 USD
expect text "您的余额是 12.5 元"
expect text OK
expect prompt sorry
expect hangup
'''

[[test]]
name = "another day"
steps = '''
expect date 2026-11-25
'''
"#;

fn load(text: &str) -> (Flows, Vec<ivr::Diagnostic>) {
    let (queues, numbers) = (Default::default(), Default::default());
    let surroundings = Surroundings {
        has_prompt: &|_, _| true,
        queues: &queues,
        numbers: &numbers,
    };
    Flows::load(&[("main.toml".into(), text.to_owned())], &surroundings)
}

#[test]
fn tests_expect_what_is_said_by_grammar() {
    let (flows, diagnostics) = load(FLOW);
    assert_eq!(diagnostics, []);
    let report = testing::run(&flows, TESTS, Path::new("main.test.toml"));
    assert_eq!(report.diagnostics, []);
    assert_eq!(report.tests[0].failure, None);
    let failure = report.tests[1].failure.as_ref().unwrap();
    assert!(failure.message.contains("date 2026-11-25"), "{failure:?}");
    assert!(
        failure
            .happened
            .iter()
            .any(|line| line.contains("money -0.50 USD")),
        "{failure:?}"
    );
}

#[test]
fn a_flow_knows_which_words_it_needs() {
    let (flows, _) = load(FLOW);
    let folders = flows.get("main").unwrap().grammar_folders();
    let all = [
        "agent",
        "dates",
        "digits",
        "durations",
        "money",
        "numbers",
        "ordinals",
        "times",
    ];
    assert_eq!(folders.into_iter().collect::<Vec<_>>(), all);
    let texts = flows.get("main").unwrap().texts();
    let of = |lang| [(lang, None), (lang, Some("OK"))];
    assert!(
        texts
            .into_iter()
            .eq([Lang::ZhCn, Lang::En].into_iter().flat_map(of))
    );
    let (flows, _) =
        load("[flow]\nname = 'main'\nstart = 'a'\n[state.a]\nhangup = { digits = '1' }\n");
    let folders = flows.get("main").unwrap().grammar_folders();
    assert_eq!(folders.into_iter().collect::<Vec<_>>(), ["digits"]);
}

#[test]
fn steps_that_expect_nonsense_are_told() {
    let (flows, _) = load(FLOW);
    for (step, told) in [
        ("expect date tomorrow", "`tomorrow` is no date"),
        ("expect money 5 CHF", "`CHF` is no currency"),
        ("expect money 5", "nothing to expect"),
        ("expect tim 15:05", "nothing to expect"),
    ] {
        let text = format!("[[test]]\nname = 'x'\nsteps = '''\n{step}\n'''\n");
        let report = testing::run(&flows, &text, Path::new("main.test.toml"));
        assert!(report.diagnostics[0].message.contains(told), "{report}");
    }
}
