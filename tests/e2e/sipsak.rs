//! sipsak, which administrators ask with: whether a server lives, and whether an account can register.

use std::process::{Command, Output};

use crate::api::Client;
use crate::centre::Centre;

fn sipsak(arguments: &[&str]) -> Output {
    Command::new("sipsak")
        .args(arguments)
        .output()
        .expect("sipsak is installed (make test installs it)")
}

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn options_from_a_trunk_are_answered() {
    let centre = Centre::start();
    let output = sipsak(&["-vv", "-s", &format!("sip:{}", centre.sip())]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("SIP/2.0 200 OK"),
        "{}",
        told(&output)
    );
}

#[test]
fn an_account_registers_with_digest_and_a_wrong_password_does_not() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let uri = format!("sip:1001@{}", centre.sip());
    let register = |password: &str| {
        let contact = "sip:1001@127.0.0.1:9";
        sipsak(&[
            "-U", "-v", "-C", contact, "-u", "1001", "-a", password, "-x", "120", "-s", &uri,
        ])
    };
    let refused = register("wrong");
    assert!(!refused.status.success(), "{}", told(&refused));
    let (_, agent) = client.get("/api/v1/agents/1001");
    assert_eq!(agent["state"], "logged_out", "{agent}");
    let taken = register("demo-1001");
    assert!(taken.status.success(), "{}", told(&taken));
    client.wait_agent("1001", "ready");
}
