//! Look-ups on the virtual clock, told as flow tests: what is asked, what counts as an answer, tries, time-outs, prompts meanwhile.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;

use ivr::{Flows, Header, Input, Output, Request, Session, Surroundings, Value};

fn load(text: &str) -> Flows {
    let surroundings = Surroundings {
        has_prompt: &|_, _| true,
        queues: &["support".to_owned()].into(),
        numbers: &Default::default(),
    };
    let (flows, diagnostics) = Flows::load(&[("main.toml".into(), text.into())], &surroundings);
    assert!(diagnostics.is_empty(), "{}", diagnostics[0]);
    flows
}

fn passes(flow: &str, steps: &str) {
    let report = run(flow, steps);
    assert!(report.passed(), "{report}");
}

fn run(flow: &str, steps: &str) -> ivr::testing::Report {
    let text = format!(
        "[[test]]\nname = \"a call\"\nani = \"+8613800138000\"\nsteps = '''\n{steps}\n'''\n"
    );
    ivr::testing::run(&load(flow), &text, Path::new("main.test.toml"))
}

const ORDER: &str = r#"
[flow]
name = "main"
start = "look"
[services.shop]
url = "https://shop.example/api/"
url_from = "SHOP_URL"
headers = { Authorization = { before = "Bearer ", env = "SHOP_TOKEN" } }
[variables]
order = "a b/ö?&"
count = 2
[state.look]
lookup = "POST /orders/{{ order }}/lines?n={{ count }}"
headers = { Accept-Language = "{{ language }}" }
body = { order = "{{ order }}", count = "{{ count }}", paid = true, by = { ani = "{{ call.ani }}" } }
prompt = "moment"
results = { status = "orders.0.status", days = { path = "days", default = 7 }, paid = "paid" }
timeout = "2s"
retries = 2
next = "found"
on_missing = "missing"
on_failed = "failed"
on_timeout = "late"
[state.found]
say = [{ number = "{{ days }}" }, { digits = "{{ status }}" }]
next = "decide"
[state.decide]
decide = [{ if = "paid == true", next = "support" }]
otherwise = "missing"
[state.support]
queue = "support"
[state.missing]
hangup = "missing"
[state.failed]
hangup = "failed"
[state.late]
hangup = "late"
"#;

#[test]
fn what_is_asked() {
    let mut session = Session::new(&load(ORDER), "main", Default::default()).unwrap();
    session.handle(clock::Time::ZERO, Input::Start);
    let outputs: Vec<Output> = std::iter::from_fn(|| session.poll_output()).collect();
    let Some(Output::LookUp {
        request: Request::Http(http),
        within,
        ..
    }) = outputs.last()
    else {
        panic!("{outputs:?}");
    };
    assert_eq!(within.as_secs(), 2);
    assert_eq!(http.method, "POST");
    assert_eq!(&*http.base, "https://shop.example/api");
    assert_eq!(http.base_from.as_deref(), Some("SHOP_URL"));
    assert_eq!(http.path, "/orders/a%20b%2F%C3%B6%3F%26/lines?n=2");
    let secret = Header::Secret {
        before: "Bearer ".into(),
        variable: "SHOP_TOKEN".into(),
    };
    assert_eq!(http.headers[0], ("Authorization".into(), secret));
    assert_eq!(
        http.headers[1],
        ("Accept-Language".into(), Header::Text("zh-CN".into()))
    );
    let Some(Value::Record(body)) = &http.body else {
        panic!("{http:?}")
    };
    assert_eq!(body["count"], Value::Number(2.0));
    assert_eq!(body["paid"], Value::Bool(true));
    assert_eq!(
        body["by"],
        Value::Record([("ani".to_owned(), Value::Text(String::new()))].into())
    );
    assert_eq!(http.cache, None);
}

#[test]
fn results_keep_their_types_and_have_defaults() {
    passes(
        ORDER,
        "expect lookup POST /orders/a%20b%2F%C3%B6%3F%26/lines?n=2 by.ani +8613800138000 count 2
lookup replies { orders = [{ status = \"17\" }], paid = true } after 1s
expect number 7
expect digits 17
expect queue support",
    );
    passes(
        ORDER,
        "lookup replies { orders = [{ status = \"1\" }], days = 2, paid = \"yes\" }\nexpect number 2\nexpect prompt missing",
    );
}

#[test]
fn what_is_no_answer() {
    passes(
        ORDER,
        "lookup replies 404\nexpect prompt missing\nexpect hangup",
    );
    passes(ORDER, "lookup replies 410\nexpect prompt missing");
    // No is no: it is not asked again.
    passes(ORDER, "lookup replies 403\nexpect prompt failed");
    passes(
        ORDER,
        "lookup replies { orders = [], paid = true }\nexpect prompt failed",
    );
    // Three tries in all.
    passes(
        ORDER,
        "lookup replies 500\nlookup replies 429\nlookup fails\nexpect prompt failed",
    );
    passes(
        ORDER,
        "lookup fails\nlookup times out\nlookup times out\nexpect prompt late",
    );
}

#[test]
fn what_is_said_meanwhile_is_said_to_its_end() {
    // A prompt takes two seconds.
    let flow = ORDER.replace("timeout = \"2s\"", "timeout = \"10s\"");
    passes(
        &flow,
        "expect prompt moment\nlookup replies 404\nexpect state look\nwait 1900ms\nexpect state missing",
    );
    passes(
        &flow,
        "lookup replies 404 after 3s\nexpect state missing\nexpect prompt missing",
    );
}

#[test]
fn a_late_answer_is_dropped_and_keys_are_kept() {
    let flow = ORDER.replace("retries = 2", "retries = 0");
    passes(
        &flow,
        "lookup replies 404 after 3s\nexpect prompt late\nexpect hangup",
    );
    let menu = flow.replace(
        "hangup = \"missing\"",
        "menu = \"missing\"\nkeys = { 1 = \"support\" }",
    );
    passes(
        &menu,
        "press 1\nlookup replies 404 after 1s\nexpect queue support",
    );
    let report = run(&flow, "lookup replies 404\nlookup replies 404");
    let failure = report.tests[0].failure.as_ref().unwrap();
    assert_eq!(
        failure.message,
        "no look-up waits for an answer: the call is in `missing`"
    );
}

#[test]
fn customers_and_their_history() {
    let flow = r#"
[flow]
name = "main"
start = "who"
[state.who]
lookup = "customer"
results = { name = "name", tags = "tags" }
next = "history"
on_missing = "support"
on_failed = "support"
[state.history]
lookup = "history"
number = "+86{{ name }}"
results = { last = "last.outcome", contacts = "count" }
next = "how"
on_failed = "support"
[state.how]
decide = [{ if = "'vip' in tags and last == 'answered' and contacts > 1", next = "bye" }]
otherwise = "support"
[state.support]
queue = "support"
[state.bye]
hangup = "bye"
"#;
    passes(
        flow,
        "expect lookup customer +8613800138000
lookup replies { name = \"17\", tags = [\"vip\"] }
expect lookup history +8617
lookup replies { count = 2, last = { outcome = \"answered\" } }
expect prompt bye",
    );
    passes(flow, "lookup replies 404\nexpect queue support");
}
