//! Session descriptions: an offer, its answer, and what both sides agreed on (RFC 3264, RFC 8866, RFC 4733).
//!
//! One audio stream, in clear or under keys that the descriptions bear ([`crate::sdes`]) or that browsers agree on ([`crate::webrtc`]). RTCP shares its port where both sides can (RFC 5761), and
//! else has the next one or what `a=rtcp` says (RFC 3605). Absent on purpose: multicast, and host
//! names in `c=`, since nothing here can resolve them.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sdp_types::{Connection, Media, RtpMap, Session};

use crate::sdes::{self, Agreed, Security, Srtp};
use crate::webrtc::{self, Browser, is_browsers};

/// Largest description that is read, in bytes.
pub const MAX_SDP: usize = 16 * 1024;
/// Most media lines; each must be answered (RFC 3264 section 6).
pub const MAX_MEDIA: usize = 32;
/// Payload type of telephone events in our offers; every phone uses it. Those at the clock of Opus have one of their own.
const TELEPHONE_EVENT: u8 = 101;
const TELEPHONE_EVENT_WIDE: u8 = 110;
/// The profile of browsers (RFC 8827 section 6.5).
const BROWSER: &str = "UDP/TLS/RTP/SAVPF";
/// Packet times that a far end may ask us to send.
const PTIME_MIN: u64 = 10;
const PTIME_MAX: u64 = 60;

/// An audio codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    Pcmu,
    Pcma,
    G722,
    Opus,
}

impl Codec {
    /// Every codec, in the order of our preference.
    pub const ALL: [Codec; 4] = [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus];

    /// The encoding name of `a=rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::Opus => "opus",
        }
    }

    /// The clock rate of `a=rtpmap`, in Hz. That of G.722 is not what it samples at (RFC 3551 section 4.5.2).
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8000,
            Codec::Opus => 48_000,
        }
    }

    /// The channels of `a=rtpmap`: Opus always says two, whatever it sends (RFC 7587 section 7).
    const fn channels(self) -> u8 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 1,
            Codec::Opus => 2,
        }
    }

    /// The payload type that we offer it with: the static one of RFC 3551 where there is one.
    pub const fn payload_type(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::G722 => 9,
            Codec::Opus => 111,
        }
    }

    /// What a static payload type means without `a=rtpmap` (RFC 3551 section 6).
    fn of_static(payload_type: u8) -> Option<Codec> {
        match payload_type {
            0 => Some(Codec::Pcmu),
            8 => Some(Codec::Pcma),
            9 => Some(Codec::G722),
            _ => None,
        }
    }

    fn of_map(map: &RtpMap) -> Option<Codec> {
        let channels = map.encoding_params.as_deref().unwrap_or("1").parse();
        let matches = |codec: &Codec| {
            channels == Ok(codec.channels())
                && map.encoding_name.eq_ignore_ascii_case(codec.name())
                && map.clock_rate == codec.clock_rate()
        };
        Codec::ALL.into_iter().find(matches)
    }
}

/// Which way the stream flows, seen from us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// From its two halves.
    pub const fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// We send.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// We receive.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn parse(name: &str) -> Option<Direction> {
        [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ]
        .into_iter()
        .find(|direction| direction.as_str() == name)
    }
}

/// Our side of a session.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// Where we receive.
    pub address: IpAddr,
    pub port: u16,
    /// `o=`: the same for the whole dialog.
    pub session_id: u64,
    /// `o=`: one more with each changed description (RFC 3264 section 8).
    pub version: u64,
    /// What we can speak, in the order of preference when we offer.
    pub codecs: &'a [Codec],
    /// RFC 4733 events, at the clock of each codec.
    pub telephone_event: bool,
    /// Packet time that we like to receive, and send when the far end has no wish.
    pub ptime: Duration,
    /// What we want at most.
    pub direction: Direction,
    /// What it is encrypted with.
    pub security: Security<'a>,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Where we send. The address may be unspecified while the far end holds; then [`Negotiated::direction`] does not send.
    pub remote: SocketAddr,
    /// Where RTCP goes; `None`: where RTP goes, and ours comes to our RTP port.
    pub rtcp: Option<SocketAddr>,
    pub codec: Codec,
    pub payload_type: u8,
    /// Packet time to send, 10 to 60 ms in steps of 10 ms.
    pub send_ptime: Duration,
    /// Payload type of RFC 4733 events, and their clock: the codec's, unless the far end has none at it.
    pub telephone_event: Option<u8>,
    pub event_rate: u32,
    /// What the far end wants of our Opus (RFC 7587 section 6.1): each packet with a copy of the one before, nothing in silence.
    pub opus_fec: bool,
    pub opus_dtx: bool,
    /// Seen from us.
    pub direction: Direction,
    /// What it is encrypted with; `None`: it goes in clear, or the far end is a browser.
    pub secured: Option<Agreed>,
    /// The far end agrees on keys by DTLS, and ICE finds it.
    pub browser: Option<Browser>,
}

/// Why there is no session: answer 488 (RFC 3261 section 21.4.26), or end the call when it was an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("malformed session description")]
    Malformed,
    #[error("session description larger than the bound")]
    TooLarge,
    #[error("no audio over RTP")]
    NoAudio,
    /// Encrypted where we may not, in clear where we must not, or under keys that are of no use to us.
    #[error("no encryption in common")]
    Security,
    #[error("no codec in common")]
    NoCodec,
    #[error("no usable address")]
    Address,
}

/// An offer of what we can speak.
pub fn offer(local: &Local<'_>) -> Bytes {
    let mut text = session(local);
    let profile = match (local.security.door, local.security.srtp) {
        (Some(_), _) => BROWSER,
        (None, Srtp::Off | Srtp::Optional) => "RTP/AVP",
        (None, Srtp::Required) => "RTP/SAVP",
    };
    if profile == BROWSER {
        webrtc::session_lines(&mut text, None);
    }
    audio_offer(&mut text, local, profile, None, None, None);
    text.into()
}

/// An offer in a call where `last` is what we described before: the same media lines in the same places, those not in use still
/// refused, and events under the number that they have (RFC 3264 sections 8 and 8.3.2).
pub fn offer_again(last: &[u8], agreed: Option<&Negotiated>, local: &Local<'_>) -> Bytes {
    let Ok(described) = parse(last) else {
        return offer(local);
    };
    let lines = described.medias.iter();
    let used = lines.clone().position(|media| media.port != 0);
    let Some(used) = used.or_else(|| lines.clone().position(is_audio)) else {
        return offer(local);
    };
    let known = agreed.and_then(|agreed| Some((agreed.telephone_event?, agreed.event_rate)));
    let secured = agreed.and_then(|agreed| agreed.secured.as_ref());
    let mut text = session(local);
    if is_browsers(&described.medias[used]) {
        webrtc::session_lines(&mut text, Some(&described.medias[used]));
    }
    for (position, media) in described.medias.iter().enumerate() {
        if position == used {
            audio_offer(&mut text, local, &media.proto, known, secured, Some(media));
        } else {
            refused(&mut text, media);
        }
    }
    text.into()
}

/// The answer to an offer, and what it agrees on. The codec is the first of the offer that we speak; media lines that we
/// do not take are refused in their place (RFC 3264 section 6).
///
/// # Errors
/// [`SdpError`] when there is nothing to agree on: answer 488.
pub fn answer(offer: &[u8], local: &Local<'_>) -> Result<(Bytes, Negotiated), SdpError> {
    let offered = parse(offer)?;
    let (taken, agreed) = choose(&offered, local)?;
    Ok((answered(&offered, Some((taken, &agreed)), local), agreed))
}

/// The answer to an offer in a call that has agreed on something `before`. A stream that is switched off (port 0) ends no call there: some
/// phones hold so, and its line is answered with port 0 (RFC 3264 sections 6 and 8.2).
///
/// # Errors
/// [`SdpError`] when there is nothing to agree on: answer 488, and all stays as it was.
pub fn answer_again(
    offer: &[u8],
    before: &Negotiated,
    local: &Local<'_>,
) -> Result<(Bytes, Negotiated), SdpError> {
    match answer(offer, local) {
        Err(SdpError::NoAudio) => {
            let offered = parse(offer)?;
            let off = before.switched_off(&offered)?;
            Ok((answered(&offered, None, local), off))
        }
        answered => answered,
    }
}

/// What an answer to our [`offer`] agrees on.
///
/// # Errors
/// [`SdpError`] when the far end refused the stream or answered with what was not offered.
pub fn accept(answer: &[u8], local: &Local<'_>) -> Result<Negotiated, SdpError> {
    Ok(choose(&parse(answer)?, local)?.1)
}

/// What an answer to an [`offer_again`] agrees on: a stream that it switches off is held.
///
/// # Errors
/// [`SdpError`] when the answer is none; then all stays as it was.
pub fn accept_again(
    answer: &[u8],
    before: &Negotiated,
    local: &Local<'_>,
) -> Result<Negotiated, SdpError> {
    match accept(answer, local) {
        Err(SdpError::NoAudio) => before.switched_off(&parse(answer)?),
        accepted => accepted,
    }
}

impl Negotiated {
    /// What is left when the far end has switched its stream off: nothing flows, and the rest is as it was for when it comes back.
    fn switched_off(&self, described: &Session) -> Result<Negotiated, SdpError> {
        // A line that was never taken is not the stream.
        let ours = |media: &Media| !sdes::is_secured(media) || self.secured.is_some();
        let off = |media: &Media| is_audio(media) && ours(media) && media.port == 0;
        if !described.medias.iter().any(off) {
            return Err(SdpError::NoAudio);
        }
        Ok(Negotiated {
            direction: Direction::Inactive,
            ..*self
        })
    }
}

/// The media line that we take, and what is agreed on it. Of two lines for the same voice an encrypted one comes first.
fn choose(described: &Session, local: &Local<'_>) -> Result<(usize, Negotiated), SdpError> {
    let mut fault = SdpError::NoAudio;
    let lines = described.medias.iter().enumerate();
    let (secured, clear): (Vec<_>, Vec<_>) = lines.partition(|(_, line)| sdes::is_offered(line));
    for (position, media) in secured.into_iter().chain(clear) {
        match agree(described, media, local) {
            Ok(agreed) => return Ok((position, agreed)),
            // What is wrong with a stream that we could have taken says more than that there are others.
            Err(SdpError::NoAudio) => {}
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

/// Our description that answers these lines: the one taken, all others refused.
fn answered(offered: &Session, taken: Option<(usize, &Negotiated)>, local: &Local<'_>) -> Bytes {
    let mut text = session(local);
    if let Some((position, _)) = taken.filter(|(_, agreed)| agreed.browser.is_some()) {
        webrtc::session_lines(&mut text, offered.medias.get(position));
    }
    for (position, media) in offered.medias.iter().enumerate() {
        let Some((_, agreed)) = taken.filter(|(taken, _)| *taken == position) else {
            refused(&mut text, media);
            continue;
        };
        let _ = write!(
            text,
            "m=audio {} {} {}",
            port(local, media),
            media.proto,
            agreed.payload_type
        );
        if let Some(events) = agreed.telephone_event {
            let _ = write!(text, " {events}");
        }
        text.push_str("\r\n");
        rtpmap(&mut text, agreed.codec, agreed.payload_type);
        let events = agreed
            .telephone_event
            .map(|number| (number, agreed.event_rate));
        attributes(
            &mut text,
            local,
            events.as_slice(),
            agreed.rtcp.is_none(),
            agreed.direction,
        );
        text.extend(agreed.secured.as_ref().map(sdes::answer));
        if let (Some(door), Some(_)) = (&local.security.door, &agreed.browser) {
            webrtc::media_lines(&mut text, door, local.address, Some(media));
        }
    }
    text.into()
}

fn parse(bytes: &[u8]) -> Result<Session, SdpError> {
    if bytes.len() > MAX_SDP {
        return Err(SdpError::TooLarge);
    }
    // Session names in other encodings are not worth a refusal.
    let text = String::from_utf8_lossy(bytes);
    let session = Session::parse(text.as_bytes()).map_err(|_| SdpError::Malformed)?;
    if session.medias.len() > MAX_MEDIA {
        return Err(SdpError::TooLarge);
    }
    Ok(session)
}

/// What can be agreed on one media line of the far end.
fn agree(session: &Session, media: &Media, local: &Local<'_>) -> Result<Negotiated, SdpError> {
    if !is_audio(media) || media.port == 0 {
        return Err(SdpError::NoAudio);
    }
    let (secured, browser) = protection(session, media, &local.security)?;
    let maps = Maps::of(media);
    let (payload_type, codec) = maps
        .codecs()
        .find(|(_, codec)| local.codecs.contains(codec))
        .ok_or(SdpError::NoCodec)?;
    let events = maps
        .telephone_event(codec.clock_rate())
        .filter(|_| local.telephone_event);
    let remote = remote(session, media)?;
    let theirs = direction_of(session, media);
    // A browser tells no address that counts: ICE finds it.
    let reachable = browser.is_some() || !remote.ip().is_unspecified();
    Ok(Negotiated {
        remote,
        rtcp: rtcp(media, remote),
        codec,
        payload_type,
        send_ptime: send_ptime(media, local.ptime),
        telephone_event: events.map(|(number, _)| number),
        event_rate: events.map_or(codec.clock_rate(), |(_, rate)| rate),
        opus_fec: codec == Codec::Opus && maps.has_parameter(payload_type, "useinbandfec=1"),
        opus_dtx: codec == Codec::Opus && maps.has_parameter(payload_type, "usedtx=1"),
        direction: Direction::of(
            local.direction.sends() && theirs.receives() && reachable,
            local.direction.receives() && theirs.sends(),
        ),
        secured,
        browser,
    })
}

/// How a line would be encrypted.
fn protection(
    session: &Session,
    media: &Media,
    security: &Security<'_>,
) -> Result<(Option<Agreed>, Option<Browser>), SdpError> {
    if is_browsers(media) {
        let may = security.srtp != Srtp::Off && security.door.is_some();
        let browser = webrtc::agree(session, media).filter(|_| may);
        return Ok((None, Some(browser.ok_or(SdpError::Security)?)));
    }
    let secured = sdes::agree(media, security);
    let must_be = sdes::is_secured(media) || security.srtp == Srtp::Required;
    match must_be && secured.is_none() {
        true => Err(SdpError::Security),
        false => Ok((secured, None)),
    }
}

/// Where we receive: browsers share a port.
fn port(local: &Local<'_>, media: &Media) -> u16 {
    let door = local.security.door.filter(|_| is_browsers(media));
    door.map_or(local.port, |door| door.port)
}

fn is_audio(media: &Media) -> bool {
    let clear = ["RTP/AVP", "RTP/AVPF"]
        .iter()
        .any(|proto| media.proto.eq_ignore_ascii_case(proto));
    (clear || sdes::is_secured(media) || is_browsers(media))
        && media.media.eq_ignore_ascii_case("audio")
}

/// Payload types of a media line, in its order, with what they mean.
struct Maps<'a> {
    formats: &'a str,
    maps: Vec<RtpMap>,
    media: &'a Media,
}

impl<'a> Maps<'a> {
    fn of(media: &'a Media) -> Self {
        Maps {
            formats: &media.fmt,
            maps: media
                .attributes_typed::<RtpMap>()
                .filter_map(Result::ok)
                .collect(),
            media,
        }
    }

    fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats
            .split_ascii_whitespace()
            .filter_map(|text| text.parse().ok())
            .filter(|number| *number < 128)
    }

    fn map(&self, payload_type: u8) -> Option<&RtpMap> {
        self.maps
            .iter()
            .find(|map| map.payload_type == payload_type)
    }

    fn codecs(&self) -> impl Iterator<Item = (u8, Codec)> {
        self.payload_types().filter_map(|number| {
            let codec = match self.map(number) {
                Some(map) => Codec::of_map(map),
                None => Codec::of_static(number),
            };
            Some((number, codec?))
        })
    }

    /// Events should have the clock of the codec (RFC 4733 section 2.1): browsers offer several. Some phones have those at 8000 Hz with Opus all the same.
    fn telephone_event(&self, clock_rate: u32) -> Option<(u8, u32)> {
        let at = |rate: u32| {
            let number = self.payload_types().find(|number| {
                self.map(*number).is_some_and(|map| {
                    map.encoding_name.eq_ignore_ascii_case("telephone-event")
                        && map.clock_rate == rate
                })
            });
            number.map(|number| (number, rate))
        };
        at(clock_rate).or_else(|| at(8000))
    }

    /// Whether `a=fmtp` of a payload type has this among its parameters.
    fn has_parameter(&self, payload_type: u8, parameter: &str) -> bool {
        self.media
            .get_attribute_values("fmtp")
            .flatten()
            .filter_map(|value| value.trim().split_once(' '))
            .filter(|(number, _)| number.parse() == Ok(payload_type))
            .flat_map(|(_, parameters)| parameters.split(';'))
            .any(|one| one.trim().eq_ignore_ascii_case(parameter))
    }
}

/// Where the far end receives.
fn remote(session: &Session, media: &Media) -> Result<SocketAddr, SdpError> {
    let connection: &Connection = media
        .connections
        .first()
        .or(session.connection.as_ref())
        .ok_or(SdpError::Address)?;
    let ip = connection.try_address().map_err(|_| SdpError::Address)?.ip;
    if ip.is_multicast() {
        return Err(SdpError::Address);
    }
    Ok(SocketAddr::new(ip, media.port))
}

/// Where the far end wants RTCP, if not on the port of RTP. We always can do that, and so it is the far end that decides.
fn rtcp(media: &Media, rtp: SocketAddr) -> Option<SocketAddr> {
    if media.has_attribute("rtcp-mux") {
        return None;
    }
    let beside = SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1));
    // a=rtcp:53020, or a=rtcp:53020 IN IP4 126.16.64.4
    let mut words = media
        .get_first_attribute_value("rtcp")
        .flatten()
        .unwrap_or_default()
        .split_ascii_whitespace();
    let Some(port) = words.next().and_then(|port| port.parse().ok()) else {
        return Some(beside);
    };
    let ip = words.nth(2).and_then(|ip| ip.parse().ok());
    Some(SocketAddr::new(ip.unwrap_or(rtp.ip()), port))
}

/// The far end's direction, seen from it; the media line's attribute comes before the session's.
fn direction_of(session: &Session, media: &Media) -> Direction {
    let lists = [&media.attributes, &session.attributes];
    let mut directions = lists
        .into_iter()
        .flatten()
        .filter_map(|attribute| Direction::parse(&attribute.attribute));
    directions.next().unwrap_or_default()
}

/// The packet time that the far end asks for, as far as we can send it.
fn send_ptime(media: &Media, ours: Duration) -> Duration {
    let value = |name: &str| -> Option<u64> {
        let text = media.get_first_attribute_value(name).flatten()?.trim();
        // Some write 20.0.
        text.split('.').next()?.parse().ok()
    };
    let ours = u64::try_from(ours.as_millis()).unwrap_or(PTIME_MAX);
    let wanted = value("ptime").filter(|ptime| *ptime > 0).unwrap_or(ours);
    let bounded = wanted.min(
        value("maxptime")
            .filter(|ptime| *ptime > 0)
            .unwrap_or(PTIME_MAX),
    );
    Duration::from_millis((bounded / 10 * 10).clamp(PTIME_MIN, PTIME_MAX))
}

/// The lines above the first media line.
fn session(local: &Local<'_>) -> String {
    let Local {
        address,
        session_id,
        version,
        ..
    } = local;
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let mut text = String::with_capacity(320);
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "v=0\r\no=- {session_id} {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n"
    );
    text
}

/// Our media line in an offer; `known` are events that have their number already, `secured` the keys that stay.
fn audio_offer(
    text: &mut String,
    local: &Local<'_>,
    proto: &str,
    known: Option<(u8, u32)>,
    secured: Option<&Agreed>,
    described: Option<&Media>,
) {
    let Local { codecs, .. } = local;
    let door = local.security.door.filter(|_| proto.starts_with("UDP/TLS"));
    let port = door.map_or(local.port, |door| door.port);
    let events: Vec<(u8, u32)> = [(TELEPHONE_EVENT, 8000), (TELEPHONE_EVENT_WIDE, 48_000)]
        .into_iter()
        .filter(|(_, rate)| {
            local.telephone_event && codecs.iter().any(|codec| codec.clock_rate() == *rate)
        })
        .map(|event| known.filter(|known| known.1 == event.1).unwrap_or(event))
        .collect();
    let _ = write!(text, "m=audio {port} {proto}");
    for codec in *codecs {
        let _ = write!(text, " {}", codec.payload_type());
    }
    for (number, _) in &events {
        let _ = write!(text, " {number}");
    }
    text.push_str("\r\n");
    for codec in *codecs {
        rtpmap(text, *codec, codec.payload_type());
    }
    attributes(text, local, &events, true, local.direction);
    match door {
        Some(door) => webrtc::media_lines(text, &door, local.address, described),
        None => text.extend(local.security.offered(secured).map(sdes::offer)),
    }
}

/// A media line that we do not take, in its place.
fn refused(text: &mut String, media: &Media) {
    let _ = write!(
        text,
        "m={} 0 {} {}\r\n",
        media.media, media.proto, media.fmt
    );
}

fn rtpmap(text: &mut String, codec: Codec, payload_type: u8) {
    let _ = write!(
        text,
        "a=rtpmap:{payload_type} {}/{}",
        codec.name(),
        codec.clock_rate()
    );
    if codec == Codec::Opus {
        let _ = write!(text, "/2\r\na=fmtp:{payload_type} useinbandfec=1");
    }
    text.push_str("\r\n");
}

/// The lines behind the codecs of our media line.
fn attributes(
    text: &mut String,
    local: &Local<'_>,
    events: &[(u8, u32)],
    rtcp_mux: bool,
    direction: Direction,
) {
    for (number, rate) in events {
        // 0-15: the digits of RFC 4733 section 3.2, without flash.
        let _ = write!(
            text,
            "a=rtpmap:{number} telephone-event/{rate}\r\na=fmtp:{number} 0-15\r\n"
        );
    }
    if rtcp_mux {
        text.push_str("a=rtcp-mux\r\n");
    }
    let _ = write!(
        text,
        "a=ptime:{}\r\na={}\r\n",
        local.ptime.as_millis(),
        direction.as_str()
    );
}

/// Whether a description wants its media at an IPv6 address, by its first connection line; `None` when it has none, or one that
/// names no address: `0.0.0.0` is a hold of either family.
pub fn is_ipv6(sdp: &[u8]) -> Option<bool> {
    let at = memchr::memmem::find(sdp, b"c=IN IP")? + b"c=IN IP".len();
    let line = sdp[at..].split(|byte| b"\r\n/".contains(byte)).next()?;
    let (version, address) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let held = address
        .trim()
        .parse()
        .is_ok_and(|ip: IpAddr| ip.is_unspecified());
    (!held).then_some(version == "6")
}
