//! INVITE with Replaces (RFC 3891 section 3): which dialogs may be named, and what becomes of the rest.

mod world;

use world::{Phone, SDP, World, call_up, far_up, respond};

/// A call from the trunk's other address that wants to take the place of a dialog.
fn replace(world: &mut World, number: u32, replaces: &str) -> Option<u16> {
    let from = "10.0.0.2:5060";
    let mut phone = Phone::new(from, &format!("r{number}"), "sip:1000@10.9.9.9");
    let header = format!("Replaces: {replaces}\r\nRequire: replaces\r\n");
    let invite = phone.request("INVITE", &header, SDP);
    world.receive(from, &invite);
    let answer = world.last(from).clone();
    phone.learn(&answer);
    let ack = phone.same("ACK", "", "");
    world.receive(from, &ack);
    answer.status()
}

#[test]
fn an_early_dialog_is_nobodys_to_take_whoever_began_it() {
    let mut world = World::new();
    // They call us, and wait.
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    let theirs = world.leg();
    let name = world.endpoint.dialog(theirs).expect("a leg");
    // As the far end would name it: the To tag is ours.
    let swapped = |name: &sip::DialogName| {
        format!(
            "{};to-tag={};from-tag={}",
            name.call_id, name.from_tag, name.to_tag
        )
    };
    let by_trunk = swapped(&name);
    // Section 3: an early dialog that this user agent did not begin is 481.
    assert_eq!(replace(&mut world, 1, &by_trunk), Some(481));
    // One that we began is matched, and taking it over is not allowed.
    let ours = world.call("sip:agent@192.168.1.10:5060");
    let invite = world.last_request("192.168.1.10:5060", "INVITE");
    let ringing = respond(&invite, "180 Ringing", "ring", "sip:a@192.168.1.10", false);
    world.receive("192.168.1.10:5060", &ringing);
    let name = world.endpoint.dialog(ours).expect("a leg");
    assert_eq!(replace(&mut world, 2, &swapped(&name)), Some(403));
    world.text();
}

#[test]
fn the_dialogs_that_a_replaces_may_name() {
    let mut world = World::new();
    let caller = call_up(&mut world);
    let up = world.leg();
    let (far, _) = far_up(&mut world);
    world.forget();
    let name = |world: &World, leg| {
        let name = world.endpoint.dialog(leg).expect("a leg");
        format!(
            "{};to-tag={};from-tag={}",
            name.call_id, name.from_tag, name.to_tag
        )
    };
    let (theirs, ours) = (name(&world, up), name(&world, far));
    let mut said = Vec::new();
    for (number, replaces) in [
        format!("{theirs};early-only"),
        format!("{ours};early-only"),
        "nobody;to-tag=1;from-tag=2".to_owned(),
        format!("{}x", theirs),
        "x".to_owned(),
        format!("{theirs}\r\nReplaces: {ours}"),
    ]
    .iter()
    .enumerate()
    {
        said.push(replace(&mut world, number as u32, replaces));
    }
    // It is ending: 603, whoever asks (we wait for the answer to our BYE).
    world.hangup(up);
    said.push(replace(&mut world, 9, &theirs));
    let expected = [486, 486, 481, 481, 400, 400, 603].map(Some);
    assert_eq!(said, expected);
    assert_eq!(caller.call_id, "call-alice");
}
