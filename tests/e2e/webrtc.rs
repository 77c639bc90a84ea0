//! Browser legs: JsSIP in Debian's Chromium, with the browser's own WebRTC, takes and makes calls; each end hears the other's tone.

use std::path::PathBuf;

use serde_json::json;

use crate::api::Client;
use crate::baresip::Baresip;
use crate::browser::Page;
use crate::centre::{Centre, wait_for};
use crate::hostile::still_fine;
use crate::linphone::wave;
use crate::srtp::none_is_bad;
use crate::wss::jssip;

const CALLER: u32 = 440;
const BROWSER: u32 = 1000;

/// A page with JsSIP, registered as 1001, whose microphone hears a sine.
struct Telephone {
    page: Page,
    _microphone: tempfile::TempDir,
}

impl Telephone {
    fn start(centre: &Centre) -> Telephone {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file: PathBuf = directory.path().join("microphone.wav");
        std::fs::write(&file, wave(BROWSER)).expect("a file");
        let sound = format!("--use-file-for-fake-audio-capture={}", file.display());
        let http = centre.ready["http"].as_str().expect("http is told");
        let mut page = Page::open_with(
            &format!("http://{http}"),
            &[
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                "--autoplay-policy=no-user-gesture-required",
                "--allow-loopback-in-peer-connection",
                &sound,
            ],
        );
        page.evaluate(&jssip());
        page.evaluate(&format!("window.host = {}; {PAGE}", json!(http)));
        let mut telephone = Telephone {
            page,
            _microphone: directory,
        };
        telephone.says("registered");
        telephone
    }

    fn says(&mut self, what: &str) {
        let expression = format!("said.some(line => line.startsWith({}))", json!(what));
        self.page.wait(what, &expression);
    }

    /// Waits until it hears a tone of this frequency.
    fn hears(&mut self, hertz: u32) {
        self.page.wait(
            &format!("{hertz} Hz"),
            &format!("Math.abs(hertz() - {hertz}) < 20"),
        );
    }

    fn does(&mut self, what: &str) {
        self.page.evaluate(&format!("{what}; 0"));
    }
}

/// What the page does: answers by itself, listens to what comes, writes down what happens.
const PAGE: &str = r"
window.said = [];
const audio = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
window.options = {mediaConstraints: {audio, video: false}, pcConfig: {iceServers: []}, rtcOfferConstraints: {}};
window.context = new AudioContext();
window.analyser = context.createAnalyser();
analyser.fftSize = 8192;
window.hertz = () => {
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  let best = 0;
  bins.forEach((power, bin) => { if (power > bins[best]) best = bin; });
  return bins[best] > -60 ? best * context.sampleRate / analyser.fftSize : 0;
};
window.listen = connection => connection.addEventListener('track', ({track}) => {
  const stream = new MediaStream([track]);
  window.element = new Audio();
  element.srcObject = stream;
  element.muted = true;
  element.play();
  context.resume();
  context.createMediaStreamSource(stream).connect(analyser);
  said.push('track');
});
window.ua = new JsSIP.UA({sockets: [new JsSIP.WebSocketInterface('ws://' + host + '/sip')],
  uri: 'sip:1001@cordboard', password: 'demo-1001', register_expires: 300, session_timers: false});
for (const kind of ['registered', 'registrationFailed'])
  ua.on(kind, event => said.push(kind + ' ' + event.response?.status_code));
ua.on('newRTCSession', ({originator, session}) => {
  window.session = session;
  said.push(originator + ' call');
  for (const kind of ['accepted', 'confirmed', 'hold', 'unhold'])
    session.on(kind, () => said.push(kind));
  for (const kind of ['failed', 'ended'])
    session.on(kind, event => said.push(kind + ' ' + event.originator + ' ' + event.cause));
  session.on('peerconnection:setremotedescriptionfailed', error => said.push('remote description: ' + error));
  if (originator === 'remote') {
    session.on('peerconnection', ({peerconnection}) => listen(peerconnection));
    session.answer(options);
  } else listen(session.connection);
});
ua.start();
0";

fn set() -> [&'static str; 1] {
    [r#"media.codecs=["PCMA", "PCMU"]"#]
}

#[test]
fn a_browser_takes_the_call_of_a_queue_holds_and_resumes() {
    let centre = Centre::start_with(
        &[
            ("queues.toml", crate::centre::QUEUES),
            ("agents.toml", &crate::centre::agents()),
        ],
        &set(),
    );
    let client = Client::sign_in_any(&centre);
    let mut agent = Telephone::start(&centre);
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start(&centre, "13800138000", None, CALLER, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    agent.says("confirmed");
    agent.hears(CALLER);
    caller.wait_tone(BROWSER);
    let answered = client.wait_event("contact.answered", |_| true);
    let contact = answered["data"]["contact"].as_str().expect("a contact");
    agent.does("session.hold()");
    client.wait_event("contact.held", |_| true);
    agent.does("session.unhold()");
    client.wait_event("contact.resumed", |_| true);
    caller.listen_anew();
    caller.wait_tone(BROWSER);
    agent.hears(CALLER);
    let path = format!("/api/v1/contacts/{contact}/ladder?raw=true");
    let (_, ladder) = client.get(&path);
    let ladder = ladder.to_string();
    assert!(ladder.contains("UDP/TLS/RTP/SAVPF"), "{ladder}");
    let mut secrets = ladder.split("a=ice-pwd:").skip(1);
    assert!(
        secrets.all(|secret| secret.starts_with("****************")),
        "{ladder}"
    );
    agent.does("session.terminate()");
    caller.wait("CALL_CLOSED");
    client.wait_event("contact.closed", |_| true);
    none_is_bad(&centre);
    still_fine(&centre);
}

#[test]
fn a_browser_calls_a_colleague_at_a_telephone() {
    let centre = Centre::start_with(
        &[
            ("queues.toml", crate::centre::QUEUES),
            ("agents.toml", &crate::centre::agents()),
        ],
        &set(),
    );
    let client = Client::sign_in_any(&centre);
    let mut colleague = Baresip::start(&centre, "1002", Some("demo-1002"), CALLER, true);
    colleague.registered();
    client.wait_agent("1002", "ready");
    let mut browser = Telephone::start(&centre);
    browser.does("ua.call('sip:1002@cordboard', options)");
    colleague.wait("CALL_ESTABLISHED");
    browser.says("confirmed");
    browser.hears(CALLER);
    colleague.wait_tone(BROWSER);
    // A key of the browser's goes through as an event at the clock of its codec.
    browser.does("session.sendDTMF('5', {transportType: 'RFC2833'})");
    colleague.wait("CALL_DTMF_START");
    browser.does("session.terminate()");
    colleague.wait("CALL_CLOSED");
    wait_for("the contact's end", || {
        let ended = client
            .events()
            .iter()
            .any(|event| event["type"] == "contact.closed");
        ended.then_some(())
    });
    still_fine(&centre);
}
