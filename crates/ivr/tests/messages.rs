//! What a broken flow file is told: every error with its place and a hint.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use ivr::{Flows, Lang, Surroundings};

/// Loads one file and compares everything that is said about it.
fn check(text: &str, expected: Expect) {
    check_all(&[("main.toml", text)], expected);
}

fn check_all(files: &[(&str, &str)], expected: Expect) {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| ((*path).into(), (*text).to_owned()))
        .collect();
    let queues: BTreeSet<String> = ["support", "sales"].map(str::to_owned).into();
    let numbers: BTreeSet<String> = ["1001", "1002", "2000"].map(str::to_owned).into();
    let has_prompt = |lang, name: &str| {
        name.starts_with("system/") || name == "hello" || (name == "only_en" && lang == Lang::En)
    };
    let surroundings = Surroundings {
        has_prompt: &has_prompt,
        queues: &queues,
        numbers: &numbers,
    };
    let (flows, diagnostics) = Flows::load(&files, &surroundings);
    let messages: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    expected.assert_eq(&messages.join("\n"));
    assert!(
        diagnostics.is_empty() || flows.names().count() < files.len(),
        "a flow with errors must not load"
    );
}

#[test]
fn a_whole_flow_has_nothing_to_say() {
    check(
        r#"
[flow]
name = "main"
start = "hello"
[state.hello]
menu = ["hello", { number = 3 }, { silence = "500ms" }]
keys = { 1 = "help" }
[state.help]
queue = "support"
"#,
        expect![[""]],
    );
}

#[test]
fn no_toml() {
    check(
        "[flow\nname = main\n",
        expect![[r#"
            main.toml:1:6: error: unclosed table, expected `]`
                hint: docs/flows.md says how a flow is written"#]],
    );
    check(
        "",
        expect![[r#"
        main.toml:1:1: error: `flow` is missing
            hint: begin with `[flow]`, `name = …` and `start = …`
        main.toml:1:1: error: `state` is missing
            hint: add a `[state.NAME]` table with a verb"#]],
    );
    check(
        "[flow]\nname = 'a'\nstart = 'b'\n",
        expect![[r#"
        main.toml:1:1: error: `state` is missing
            hint: add a `[state.NAME]` table with a verb"#]],
    );
}

#[test]
fn every_error_of_a_file_at_once() {
    check(
        r#"
[flow]
name = "main"
start = "helo"
languages = ["zh-CN", "fr"]
colour = "red"

[defaults]
retrys = 2
first_digit = "5 seconds"
retries = 50

[keys]
0 = "person"
11 = "hello"

[state.hello]
menu = ["hello", "missing", { number = "{{ n }}", digits = "5" }]
keys = { 1 = "suport", 2 = "hello" }
barge_in = "yes"

[state.support]
queue = "suport"
skills = { mandarin = 30 }
priority = "{{ credit"
on_ful = "hello"

[state.two]
say = "hello"
hangup = "hello"

[state.none]
colect = "digits"

[state.later]
voicemail = "box"

[state.repeat]
hangup = true
"#,
        expect![[r#"
            main.toml:4:9: error: there is no state `helo`
                hint: did you mean `hello`?
            main.toml:5:23: error: `fr` is no language known here
                hint: there are `zh-CN` and `en`
            main.toml:6:1: error: `[flow]` has no `colour`
                hint: known here: name, start, languages, transfers, coverage
            main.toml:9:1: error: `[defaults]` has no `retrys`
                hint: did you mean `retries`?
            main.toml:10:15: error: `first_digit`: `5 seconds` is no duration
                hint: write it as `300ms`, `5s`, `2m` or `1h`, at most a day
            main.toml:11:11: error: `retries` must be 0 to 9, not 50
                hint: docs/flows.md says how a flow is written
            main.toml:14:5: error: there is no state `person`
                hint: write `[state.person]` with what it does
            main.toml:15:1: error: `11` is no key
                hint: keys are `0` to `9`, `*`, `#` and `A` to `D`
            main.toml:18:18: error: there is no prompt `missing` in zh-CN
                hint: add `"missing" = …` under `[zh-CN]` in prompts/texts.toml, or a recording
            main.toml:18:29: error: a prompt says exactly one thing
                hint: write one of `prompt`, `text`, `number`, `digits`, `count`, `ordinal`, `agent`, `date`, `time`, `duration`, `money`, `silence`
            main.toml:19:14: error: there is no state `suport`
                hint: did you mean `support`?
            main.toml:20:12: error: `barge_in` must be true or false, not a string
                hint: docs/flows.md says how a flow is written
            main.toml:23:9: error: there is no queue `suport`
                hint: did you mean `support`?
            main.toml:24:23: error: `mandarin` must be 1 to 10, not 30
                hint: docs/flows.md says how a flow is written
            main.toml:25:13: error: in the expression: `{{` without `}}`
                hint: docs/flows.md says how a flow is written
            main.toml:26:1: error: state `support` has no `on_ful`
                hint: did you mean `on_full`?
            main.toml:30:1: error: state `two` has two verbs, `say` and `hangup`
                hint: make a second state for one of them
            main.toml:32:8: error: state `none` has no verb
                hint: did you mean `collect`?
            main.toml:36:1: error: the verb `voicemail` does not exist yet
                hint: docs/flows.md says how a flow is written
            main.toml:38:8: error: `repeat` is what a key can do, it cannot name a state
                hint: docs/flows.md says how a flow is written"#]],
    );
}

#[test]
fn expressions() {
    check(
        r#"
[flow]
name = "main"
start = "a"
[state.a]
decide = [
  { if = "customer.clas == 'A'", next = "b" },
  { if = "customer.class == 'A", next = "b" },
  { if = "call.number", next = "b", then = "c" },
  { next = "b" },
]
otherwise = "b"
[state.b]
set = { Loud = 1, call = 2, x = "{% if a %}", list = [1], language = "de" }
next = "c"
[state.c]
hangup = true
"#,
        expect![[r#"
            main.toml:7:11: error: there is no `customer.clas`
                hint: did you mean `class`?
            main.toml:8:11: error: in the expression: unexpected end of string
                hint: docs/flows.md says how a flow is written
            main.toml:9:11: error: there is no `call.number`
                hint: there are: ani, dnis, anonymous
            main.toml:9:11: error: `call` is not set on every path to here
                hint: give it a first value in `[variables]`
            main.toml:9:37: error: a case has no `then`
                hint: known here: if, next
            main.toml:10:3: error: `if` is missing
                hint: a condition, e.g. `customer.class == 'A'`
            main.toml:14:9: error: `Loud` cannot name a variable
                hint: use small letters, digits and `_`, a letter first
            main.toml:14:19: error: `call` has a meaning of its own, it cannot name a variable
                hint: docs/flows.md says how a flow is written
            main.toml:14:34: error: in the expression: a text has no statements: branch with a `decide` state
                hint: docs/flows.md says how a flow is written
            main.toml:14:54: error: `list` must be a string, a number, true or false
                hint: docs/flows.md says how a flow is written
            main.toml:14:70: error: `de` is no language known here
                hint: there are `zh-CN` and `en`"#]],
    );
}

#[test]
fn variables_are_set_before_they_are_read() {
    check(
        r#"
[flow]
name = "main"
start = "ask"
[variables]
credit = 0
[state.ask]
menu = "hello"
keys = { 1 = "account", 2 = "queue" }
[state.account]
collect = "account"
prompt = "hello"
next = "queue"
[state.queue]
queue = "support"
priority = "{{ credit }}"
data = { account = "{{ account }}", pin = "{{ acount }}", other = "{{ whatever | default('x') }}" }
"#,
        expect![[r#"
            main.toml:17:24: error: `account` is not set on every path to here
                hint: give it a first value in `[variables]`
            main.toml:17:47: error: no state sets the variable `acount`
                hint: did you mean `account`?
            main.toml:17:71: error: no state sets the variable `whatever`
                hint: give it a first value in `[variables]`"#]],
    );
}

#[test]
fn paths() {
    check(
        r#"
[flow]
name = "main"
start = "a"
[state.a]
say = "hello"
next = "b"
[state.b]
decide = [{ if = "call.anonymous", next = "c" }, { if = "call.ani == '1'", next = "round" }]
otherwise = "end"
[state.c]
say = "hello"
next = "d"
[state.d]
set = { x = 1 }
next = "c"
[state.round]
menu = "hello"
keys = { 1 = "end" }
on_retries = "round"
[state.again]
queue = "support"
on_full = "again"
[state.end]
hangup = "hello"
[state.lost]
say = "hello"
next = "end"
"#,
        expect![[r#"
            main.toml:11:8: error: this loop turns without the caller: c → d → c
                hint: end it, or put a state that listens to the caller into it
            main.toml:17:8: error: this loop turns without the caller: round → round
                hint: end it, or put a state that listens to the caller into it
            main.toml:21:8: error: no path leads to state `again`
                hint: lead a path to it, or take it out
            main.toml:26:8: error: no path leads to state `lost`
                hint: lead a path to it, or take it out"#]],
    );
}

#[test]
fn a_queue_that_sends_back_is_a_loop() {
    check(
        r#"
[flow]
name = "main"
start = "q"
[state.q]
queue = "support"
on_full = "sorry"
[state.sorry]
say = "hello"
next = "q"
"#,
        expect![[r#"
            main.toml:5:8: error: this loop turns without the caller: q → sorry → q
                hint: end it, or put a state that listens to the caller into it"#]],
    );
}

#[test]
fn prompts_in_each_language() {
    check(
        r#"
[flow]
name = "main"
start = "a"
[state.a]
say = ["only_en", { prompt = "only_en", lang = "en" }]
next = "b"
[state.b]
hangup = ["nowhere"]
"#,
        expect![[r#"
            main.toml:6:8: error: there is no prompt `only_en` in zh-CN
                hint: add `"only_en" = …` under `[zh-CN]` in prompts/texts.toml, or a recording
            main.toml:9:11: error: there is no prompt `nowhere` in zh-CN
                hint: add `"nowhere" = …` under `[zh-CN]` in prompts/texts.toml, or a recording
            main.toml:9:11: error: there is no prompt `nowhere` in en
                hint: add `"nowhere" = …` under `[en]` in prompts/texts.toml, or a recording"#]],
    );
}

#[test]
fn transfers_stay_in_the_house() {
    check(
        r#"
[flow]
name = "main"
start = "a"
[state.a]
transfer = "1003"
on_busy = "b"
on_failed = "c"
[state.b]
transfer = "1001"
[state.c]
transfer = "+8613800138000"
"#,
        expect![[r#"
            main.toml:6:12: error: `1003` is no number of this centre
                hint: did you mean `1001`?
            main.toml:12:12: error: `+8613800138000` is no number of this centre
                hint: `transfers = "external"` in `[flow]` allows other telephone numbers"#]],
    );
    check(
        "[flow]\nname = 'a'\nstart = 'a'\ntransfers = 'external'\n[state.a]\ntransfer = '+8613800138000'\non_failed = 'b'\n[state.b]\ntransfer = 'police'\n",
        expect![[r#"
            main.toml:9:12: error: `police` is no telephone number
                hint: docs/flows.md says how a flow is written"#]],
    );
}

#[test]
fn hours_and_numbers() {
    check(
        r#"
[flow]
name = "main"
start = "a"
[state.a]
hours = ["Mon-Fri 9-18", "Mon-Fri 09:00-18:00"]
zone = "Asia/Shangai"
holidays = ["2026-02-30"]
open = "b"
closed = "b"
[state.b]
collect = "pin"
prompt = "hello"
min = 6
max = 4
terminator = 'xx'
next = "c"
[state.c]
confirm = "hello"
yes = "d"
yes_key = "2"
[state.d]
hangup = true
"#,
        expect![[r#"
            main.toml:6:10: error: these are no opening hours
                hint: write `Mon-Fri 09:00-18:00` or `Sat 10:00-14:00`
            main.toml:7:8: error: there is no time zone `Asia/Shangai`
                hint: did you mean `Asia/Shanghai`?
            main.toml:8:13: error: this is no day
                hint: write `2026-10-01` or `2026-10-01..2026-10-07`
            main.toml:14:1: error: `min` is 6, but `max` is 4
                hint: docs/flows.md says how a flow is written
            main.toml:16:14: error: `xx` is no key
                hint: keys are `0` to `9`, `*`, `#` and `A` to `D`
            main.toml:18:1: error: `no` is missing
                hint: name the state after a no
            main.toml:21:1: error: `yes_key` and `no_key` are the same
                hint: docs/flows.md says how a flow is written"#]],
    );
}

#[test]
fn calls_between_flows() {
    check_all(
        &[
            (
                "main.toml",
                "[flow]\nname = 'main'\nstart = 'a'\n[state.a]\ncall = 'pin'\nwith = { lenght = 4 }\nresults = { p = 'pin', q = 'quality' }\nnext = 'b'\n[state.b]\ncall = 'pim'\nnext = 'c'\n[state.c]\nhangup = true\n",
            ),
            (
                "pin.toml",
                "[flow]\nname = 'pin'\nstart = 'a'\nlanguages = ['en']\n[arguments]\nlength = 6\n[state.a]\ncall = 'main'\nnext = 'b'\n[state.b]\nreturn = { pin = '1' }\n",
            ),
            (
                "pin2.toml",
                "[flow]\nname = 'pin'\nstart = 'a'\n[state.a]\nhangup = true\n",
            ),
        ],
        expect![[r#"
            main.toml:4:8: error: flow `pin` takes no argument `lenght`
                hint: did you mean `length`?
            main.toml:4:8: error: flow `pin` does not return `quality` in its state `b`
                hint: docs/flows.md says how a flow is written
            main.toml:4:8: error: flow `pin` does not speak zh-CN
                hint: docs/flows.md says how a flow is written
            main.toml:4:8: error: flow `pin` leads back to `main`
                hint: a flow may not call itself; lead to a state instead
            main.toml:10:8: error: there is no flow `pim`
                hint: did you mean `pin`?
            pin.toml:7:8: error: flow `main` leads back to `pin`
                hint: a flow may not call itself; lead to a state instead
            pin2.toml:2:8: error: another file has a flow `pin` already
                hint: docs/flows.md says how a flow is written"#]],
    );
}

#[test]
fn what_is_said_by_grammar_is_read_when_it_stands_in_the_file() {
    check(
        r#"
[flow]
name = "main"
start = "a"
[variables]
n = 1
[state.a]
say = [
  { number = "twelve" }, { count = 2 }, { ordinal = "-1" }, { agent = "li" }, { number = -0.5 },
  { date = "2026-02-30" }, { date = "2026-02-28", weekday = false }, { time = "25:00" }, { duration = "1h30m" },
  { money = "1,50", currency = "CNY" }, { money = 12.5, currency = "USA" }, { money = "{{ n }}" },
  { time = "09:05", currency = "CNY" }, { date = "{{ n }}", weekday = "no" }, { money = "{{ m }}", currency = "EUR" },
  { text = "hello {{ n " }, { text = { en = "hello", fr = "salut" } }, { text = { en = "hello {{ n }}", zh-CN = "您好" } },
]
next = "b"
[state.b]
hangup = true
"#,
        expect![[r#"
            main.toml:9:14: error: `twelve` is no number
                hint: write it as `12`, `-3` or `0.5`
            main.toml:9:53: error: `-1` is no ordinal
                hint: write a whole number, e.g. `12`
            main.toml:9:71: error: `li` is no agent
                hint: write an agent's number, e.g. `1001`
            main.toml:10:12: error: `2026-02-30` is no date
                hint: write it as `2026-11-24`, or `11-24` without the year
            main.toml:10:79: error: `25:00` is no time
                hint: write it as `15:05`
            main.toml:11:13: error: `1,50` is no money
                hint: write it as `12.50`
            main.toml:11:68: error: `USA` is no currency that can be said
                hint: did you mean `USD`?
            main.toml:11:77: error: `money` needs a `currency`
                hint: there are CNY, USD, EUR
            main.toml:12:3: error: `weekday` goes with `date`, and `currency` with `money`
            main.toml:12:71: error: `weekday` must be true or false, not a string
                hint: docs/flows.md says how a flow is written
            main.toml:12:93: error: no state sets the variable `m`
                hint: give it a first value in `[variables]`
            main.toml:13:19: error: in the expression: `{{` without `}}`
                hint: docs/flows.md says how a flow is written
            main.toml:13:38: error: there is no text in zh-CN
                hint: add `"zh-CN" = …` to it
            main.toml:13:54: error: `fr` is no language of this flow
                hint: its languages are zh-CN, en"#]],
    );
}

#[test]
fn look_ups() {
    check(
        r#"
[flow]
name = "main"
start = "a"
[services.shop]
url = "shop.example"
headers = { Authorization = { env = "s3cret" }, "a b" = "c" }
[services.bank]
url = "https://{{ host }}"
token = "x"
[state.a]
lookup = "GET /orders"
body = { a = 1 }
results = { status = "a..b", call = "x" }
next = "b"
on_failed = "b"
[state.b]
lookup = "TAKE /orders"
service = "shops"
next = "c"
[state.c]
lookup = "/orders/{{ n"
service = "shop"
timeout = "2m"
retries = 9
next = "d"
on_failed = "d"
[state.d]
lookup = "POST /orders"
service = "shop"
cache = "1m"
on_failed = "e"
next = "e"
[state.e]
hangup = true
"#,
        expect![[r#"
            main.toml:6:7: error: `shop.example` is no address of a service
                hint: write `http://HOST:PORT` or `https://HOST`, perhaps with the beginning of the path
            main.toml:7:37: error: this is no environment variable
                hint: name the variable, not its value: secrets do not stand in flows, e.g. `ORDERS_TOKEN`
            main.toml:7:49: error: `a b` cannot name a header
                hint: docs/flows.md says how a flow is written
            main.toml:9:7: error: `https://{{ host }}` is no address of a service
                hint: write `http://HOST:PORT` or `https://HOST`, perhaps with the beginning of the path
            main.toml:10:1: error: `[services.bank]` has no `token`
                hint: known here: url, url_from, headers, signed_by
            main.toml:11:1: error: `service` is missing
                hint: name one of: bank, shop
            main.toml:13:1: error: a GET has no body
                hint: docs/flows.md says how a flow is written
            main.toml:14:22: error: this is no place in an answer
                hint: names of fields and numbers of elements, with dots between: `orders.0.status`
            main.toml:14:30: error: `call` has a meaning of its own, it cannot name a variable
                hint: docs/flows.md says how a flow is written
            main.toml:17:1: error: `on_failed` is missing
                hint: where a call goes when there is no answer, e.g. to a person
            main.toml:18:10: error: `TAKE /orders` is nothing to look up
                hint: write `GET /orders/{{ number }}`, `customer` or `history`; methods: GET, POST, PUT, PATCH, DELETE
            main.toml:19:11: error: there is no service `shops`
                hint: did you mean `shop`?
            main.toml:22:19: error: in the expression: `{{` without `}}`
                hint: docs/flows.md says how a flow is written
            main.toml:24:11: error: `timeout` is at most 30 s, and not zero
                hint: docs/flows.md says how a flow is written
            main.toml:25:11: error: `retries` must be 0 to 3, not 9
                hint: docs/flows.md says how a flow is written
            main.toml:31:1: error: only the answer to a GET can serve others
                hint: docs/flows.md says how a flow is written"#]],
    );
}

#[test]
fn proofs_messages_surveys_and_types() {
    check(
        r#"
[flow]
name = "main"
start = "a"
coverage = { states = 101, lines = 3 }
[services.crm]
url = "http://127.0.0.1:1"
[variables]
n = 1
text = ""
[state.a]
authenticate = "{{ customer.id }}"
tries = 9
next = "b"
[state.b]
message = "fax"
text = { zh-CN = "您好", fr = "salut" }
next = "c"
[state.c]
message = "email"
text = "hello"
next = "d"
[state.d]
survey = "mark"
next = "e"
[state.e]
collect = "n"
prompt = "hello"
matching = "[1-5"
check = "lun"
next = "f"
[state.f]
set = { text = 3, n = true }
next = "g"
[state.g]
queue = "support"
announce = [{ agent = "{{ n }}" }, { agent = true }]
"#,
        expect![[r#"
            main.toml:5:23: error: `states` must be 0 to 100, not 101
                hint: docs/flows.md says how a flow is written
            main.toml:5:28: error: `coverage` has no `lines`
                hint: known here: states, branches
            main.toml:11:1: error: `prompt` is missing
                hint: ask for the PIN
            main.toml:11:1: error: `on_refused` is missing
                hint: where a caller goes who cannot prove it, e.g. to a person
            main.toml:13:9: error: `tries` must be 1 to 5, not 9
                hint: docs/flows.md says how a flow is written
            main.toml:16:11: error: there is no kind of message `fax`
                hint: there are `sms` and `email`
            main.toml:16:11: error: `to` is missing
                hint: whose address is it for?
            main.toml:17:8: error: there is no text in en
                hint: add `en = "…"`
            main.toml:17:24: error: the flow does not speak `fr`
                hint: docs/flows.md says how a flow is written
            main.toml:20:11: error: `to` is missing
                hint: whose address is it for?
            main.toml:24:10: error: there is no flow `mark`
                hint: did you mean `main`?
            main.toml:26:8: error: `n` is a text here, but a number in `[variables]`
                hint: comparisons of a text with a number are never true: keep to one, or use another variable; `| int` makes a number
            main.toml:29:12: error: `[1-5` is no regular expression
                hint: e.g. `1[3-9][0-9]{9}` for a mobile number of China; \ is written \\ between "quotes"
            main.toml:30:9: error: there is no check digit `lun`
                hint: did you mean `luhn`?
            main.toml:32:8: error: `text` is a number here, but a text in `[variables]`
                hint: comparisons of a text with a number are never true: keep to one, or use another variable; `| int` makes a number
            main.toml:32:8: error: `n` is true or false here, but a number in `[variables]`
                hint: comparisons of a text with a number are never true: keep to one, or use another variable; `| int` makes a number"#]],
    );
}
