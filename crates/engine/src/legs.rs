//! Legs: their streams, their SDP, and the small steps that every part of a call takes with them.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;
use sip::LegId;
use sip::sdes::{Security, Srtp};
use sip::sdp;

use crate::Engine;
use crate::api::{Count, Output};
use crate::contact::{Leg, LegState, Stage};
use crate::secrecy;

impl Leg {
    pub(crate) fn new(port: Option<media::Port>, state: LegState, offer: Option<Bytes>) -> Self {
        Leg {
            contact: None,
            party: None,
            port,
            state,
            sdp_version: 1,
            offer,
            awaits_answer: false,
            hears_early: false,
            signalling: None,
            wants: sdp::Direction::SendRecv,
            local: None,
            negotiated: None,
            srtp: Srtp::Off,
            keys: Box::default(),
            ice: None,
        }
    }
}

/// A leg's media stream bears the leg's number.
pub(crate) fn stream(leg: LegId) -> media::StreamId {
    media::StreamId(leg.0)
}

fn codec_in_sdp(codec: media::Codec) -> sdp::Codec {
    match codec {
        media::Codec::Pcmu => sdp::Codec::Pcmu,
        media::Codec::Pcma => sdp::Codec::Pcma,
        media::Codec::G722 => sdp::Codec::G722,
        media::Codec::Opus => sdp::Codec::Opus,
    }
}

fn codec_in_media(codec: sdp::Codec) -> media::Codec {
    match codec {
        sdp::Codec::Pcmu => media::Codec::Pcmu,
        sdp::Codec::Pcma => media::Codec::Pcma,
        sdp::Codec::G722 => media::Codec::G722,
        sdp::Codec::Opus => media::Codec::Opus,
    }
}

impl Engine {
    pub(crate) fn media(&mut self, leg: LegId, command: media::Command) {
        if let Some(port) = self.legs.get(&leg).and_then(|leg| leg.port) {
            self.journal.put(Output::Media {
                plane: port.plane,
                command,
            });
        }
    }

    /// Begins a leg's stream on its port. Nothing is sent or accepted before SDP has said where to.
    pub(crate) fn open_stream(&mut self, leg: LegId, port: media::Port) {
        // Any number that differs from the far end's serves (RFC 3550 section 8.1); a multiplicative hash keeps ours apart from each other.
        let ssrc = self.ssrc_seed ^ (leg.0 as u32).wrapping_mul(0x9E37_79B9);
        self.media(
            leg,
            media::Command::Open {
                stream: stream(leg),
                port,
                ssrc,
            },
        );
        self.journal
            .put(Output::Count(Count::RtpStreams { active: 1 }));
    }

    pub(crate) fn set_source(&mut self, leg: LegId, source: media::Source) {
        self.media(
            leg,
            media::Command::Source {
                stream: stream(leg),
                source,
            },
        );
    }

    pub(crate) fn play(
        &mut self,
        leg: LegId,
        items: Vec<media::Item>,
        barge_in: bool,
    ) -> media::PlayId {
        let play = self.new_play();
        self.play_as(leg, play, items, barge_in);
        play
    }

    pub(crate) fn new_play(&mut self) -> media::PlayId {
        let play = media::PlayId(self.next_play);
        self.next_play += 1;
        play
    }

    pub(crate) fn play_as(
        &mut self,
        leg: LegId,
        play: media::PlayId,
        items: Vec<media::Item>,
        barge_in: bool,
    ) {
        self.media(
            leg,
            media::Command::Play {
                stream: stream(leg),
                play,
                items: items.into(),
                barge_in,
            },
        );
    }

    /// Forgets a leg and ends its stream; the port comes back with the stream's end.
    pub(crate) fn drop_leg(&mut self, leg: LegId) {
        self.close_stream(leg);
        self.legs.remove(&leg);
    }

    /// Our side of a leg's SDP. Codecs in our order, `first` before the others.
    fn local(
        &self,
        leg: LegId,
        first: Option<sdp::Codec>,
        direction: sdp::Direction,
    ) -> Option<(u64, Vec<sdp::Codec>, sdp::Direction, u16)> {
        let port = self.legs.get(&leg)?.port?;
        let mut codecs: Vec<sdp::Codec> = self
            .config
            .codecs
            .iter()
            .copied()
            .map(codec_in_sdp)
            .collect();
        if let Some(first) = first {
            codecs.sort_by_key(|&codec| codec != first);
        }
        Some((
            self.legs.get(&leg)?.sdp_version,
            codecs,
            direction,
            port.number,
        ))
    }

    /// Our address in this leg's SDP: of the family that its far end speaks, as far as that is known.
    fn media_address(&self, leg: LegId) -> Option<IpAddr> {
        let ours = &self.config.media_addresses;
        let leg = self.legs.get(&leg)?;
        let offered = leg.offer.as_deref().and_then(sdp::is_ipv6);
        let agreed = leg
            .negotiated
            .as_ref()
            .filter(|agreed| !agreed.remote.ip().is_unspecified())
            .map(|agreed| agreed.remote.is_ipv6());
        let signalled = leg.signalling.map(|ip| ip.to_canonical().is_ipv6());
        let ipv6 = offered.or(agreed).or(signalled);
        let fits = |ip: &&IpAddr| ipv6.is_none_or(|ipv6| ip.is_ipv6() == ipv6);
        ours.iter().find(fits).or(ours.first()).copied()
    }

    /// Where a call of ours will go, for the family of its SDP and for its encryption.
    pub(crate) fn heads_for(&mut self, now: Time, leg: LegId, target: &sip::Target) {
        self.secure_outgoing(leg, target);
        let off = self.legs.get(&leg).is_none_or(|leg| leg.srtp == Srtp::Off);
        if !off && self.door.is_some() && self.sip.is_browser(target) {
            self.admit_browser(leg);
        }
        let heading = self.sip.heading(now, target);
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.signalling = heading;
        }
    }

    fn describe<R>(
        &self,
        leg: LegId,
        first: Option<sdp::Codec>,
        direction: sdp::Direction,
        with: impl FnOnce(&sdp::Local<'_>) -> R,
    ) -> Option<R> {
        let (version, codecs, direction, port) = self.local(leg, first, direction)?;
        let record = self.legs.get(&leg)?;
        Some(with(&sdp::Local {
            address: self.media_address(leg)?,
            port,
            session_id: leg.0,
            version,
            codecs: &codecs,
            telephone_event: true,
            ptime: self.config.ptime,
            direction,
            security: Security {
                srtp: record.srtp,
                keys: &record.keys,
                door: self.door_of(record),
            },
        }))
    }

    fn wanted(&self, leg: LegId) -> sdp::Direction {
        self.legs
            .get(&leg)
            .map_or_else(Default::default, |leg| leg.wants)
    }

    /// Our next description of a leg, made by `with`, which gives its text and whatever else comes of it. What differs from the last one
    /// bears the next version in `o=`, what says the same bears the same (RFC 3264 section 8).
    pub(crate) fn describe_anew<T>(
        &mut self,
        leg: LegId,
        first: Option<sdp::Codec>,
        with: impl Fn(&sdp::Local<'_>) -> Result<(Bytes, T), u16>,
    ) -> Result<(Bytes, T), u16> {
        let direction = self.wanted(leg);
        let described = self.describe(leg, first, direction, &with).ok_or(500u16)?;
        let (mut sdp, mut agreed) = described?;
        let last = self.legs.get(&leg).and_then(|leg| leg.local.clone());
        if last.is_some_and(|last| last != sdp) {
            if let Some(leg) = self.legs.get_mut(&leg) {
                leg.sdp_version += 1;
            }
            let described = self.describe(leg, first, direction, &with).ok_or(500u16)?;
            (sdp, agreed) = described?;
        }
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.local = Some(sdp.clone());
        }
        Ok((sdp, agreed))
    }

    /// Computes the answer to the leg's offer (or, without one, our own offer for the 200) and starts the stream on it.
    ///
    /// # Errors
    /// The status that refuses the offer: 488. Then the leg is as it was.
    pub(crate) fn prepare_answer(&mut self, leg: LegId) -> Result<(), u16> {
        let known = self.legs.get(&leg).ok_or(500u16)?;
        let (offer, last, before) = (known.offer.clone(), known.local.clone(), known.negotiated);
        let Some(offer) = offer else {
            let offer = |local: &sdp::Local<'_>| match &last {
                Some(last) => sdp::offer_again(last, before.as_ref(), local),
                None => sdp::offer(local),
            };
            self.describe_anew(leg, None, |local| Ok((offer(local), ())))?;
            return Ok(());
        };
        let has_credentials = self.legs.get(&leg).is_some_and(|leg| leg.ice.is_some());
        if !has_credentials && sip::webrtc::is_offer(&offer) {
            self.admit_browser(leg);
        }
        let answer = |local: &sdp::Local<'_>| {
            let answered = match &before {
                Some(before) => sdp::answer_again(&offer, before, local),
                None => sdp::answer(&offer, local),
            };
            answered.map_err(|_| 488)
        };
        if let Some(secured) = before.and_then(|before| before.secured) {
            let direction = sdp::Direction::SendRecv;
            let agreed = self.describe(leg, None, direction, answer);
            let agreed = agreed.and_then(|answered| answered.ok()?.1.secured);
            if agreed.is_some_and(|agreed| agreed.theirs != secured.theirs) {
                self.renew_keys(leg);
            }
        }
        if let Some(browser) = before.and_then(|before| before.browser) {
            let direction = sdp::Direction::SendRecv;
            let agreed = self.describe(leg, None, direction, answer);
            let agreed = agreed.and_then(|answered| answered.ok()?.1.browser);
            if agreed.is_some_and(|agreed| agreed.credentials != browser.credentials) {
                self.admit_browser(leg); // ICE begins anew
            }
        }
        let (_, negotiated) = self.describe_anew(leg, None, answer)?;
        self.negotiated(leg, negotiated);
        Ok(())
    }

    /// Our offer to an agent's phone: the caller's codec first, so that nothing needs transcoding. `None`, too, where it must be encrypted and its keys
    /// may not go.
    pub(crate) fn prepare_offer(&mut self, leg: LegId, like: LegId) -> Option<Bytes> {
        let record = self.legs.get(&leg)?;
        if record.srtp == Srtp::Required && record.keys.is_empty() && record.ice.is_none() {
            self.journal.put(Output::Count(Count::SipRefused {
                what: "srtp_in_clear",
            }));
            return None;
        }
        let first = self
            .legs
            .get(&like)
            .and_then(|leg| leg.negotiated.as_ref())
            .map(|negotiated| negotiated.codec);
        let offered = self.describe_anew(leg, first, |local| Ok((sdp::offer(local), ())));
        offered.ok().map(|(sdp, ())| sdp)
    }

    /// Reads the far end's answer to our offer. False: it fits not, or there is none.
    pub(crate) fn take_answer(&mut self, leg: LegId, answer: Option<&Bytes>) -> bool {
        let Some(answer) = answer else { return false };
        let before = self.legs.get(&leg).and_then(|leg| leg.negotiated);
        let accept = |local: &sdp::Local<'_>| match &before {
            Some(before) => sdp::accept_again(answer, before, local),
            None => sdp::accept(answer, local),
        };
        match self.describe(leg, None, self.wanted(leg), accept) {
            Some(Ok(negotiated)) => {
                self.negotiated(leg, negotiated);
                true
            }
            Some(Err(_)) | None => false,
        }
    }

    /// Tells the leg's stream what was agreed.
    pub(crate) fn negotiated(&mut self, leg: LegId, mut negotiated: sdp::Negotiated) {
        // A hold by `c=0.0.0.0` says nothing of where the far end is: what it sends meanwhile still comes from there.
        let before = self.legs.get(&leg).and_then(|leg| leg.negotiated);
        if let Some(before) = before.filter(|_| negotiated.remote.ip().is_unspecified()) {
            (negotiated.remote, negotiated.rtcp) = (before.remote, before.rtcp);
        }
        if negotiated.browser.is_some() {
            self.tell_of_browser(leg, before.as_ref(), &negotiated);
        }
        let secured = negotiated.secured.as_ref();
        if secured.is_some() || before.is_some_and(|before| before.secured.is_some()) {
            let keys = secured.map(|agreed| Box::new(secrecy::in_media(agreed)));
            let stream = stream(leg);
            self.media(leg, media::Command::Secure { stream, keys });
        }
        let command = media::Command::Update {
            stream: stream(leg),
            remote: negotiated.remote,
            rtcp: match negotiated.rtcp {
                Some(beside) => media::Rtcp::Beside(beside),
                None => media::Rtcp::Muxed,
            },
            behind: self.legs.get(&leg).and_then(|leg| leg.signalling),
            format: media::Format {
                codec: codec_in_media(negotiated.codec),
                payload_type: negotiated.payload_type,
                ptime: if negotiated.send_ptime.is_zero() {
                    Duration::from_millis(20)
                } else {
                    negotiated.send_ptime
                },
                telephone_event: negotiated.telephone_event,
                event_rate: u16::try_from(negotiated.event_rate).unwrap_or(8000),
                wishes: media::Wishes {
                    fec: negotiated.opus_fec,
                    dtx: negotiated.opus_dtx,
                },
            },
            direction: match negotiated.direction {
                sdp::Direction::SendRecv => media::Direction::SendReceive,
                sdp::Direction::SendOnly => media::Direction::SendOnly,
                sdp::Direction::RecvOnly => media::Direction::ReceiveOnly,
                sdp::Direction::Inactive => media::Direction::Inactive,
            },
        };
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.negotiated = Some(negotiated);
        }
        self.media(leg, command);
    }

    /// Tells the edge whom to expect at the shared port, at first and when that has changed.
    fn tell_of_browser(
        &mut self,
        leg: LegId,
        before: Option<&sdp::Negotiated>,
        agreed: &sdp::Negotiated,
    ) {
        let known = before.and_then(|before| before.browser) == agreed.browser;
        let record = self.legs.get(&leg);
        let ice = record.and_then(|leg| Some((leg.port?, leg.ice.clone()?)));
        let (Some(browser), Some((port, ice))) = (agreed.browser.filter(|_| !known), ice) else {
            return;
        };
        let ice = Box::new(media::Ice {
            ufrag: ice.ufrag,
            password: ice.password,
            fingerprint: browser.fingerprint,
        });
        let stream = stream(leg);
        self.media(leg, media::Command::Admit { stream, port, ice });
    }

    /// 180 to the caller. One without an offer is owed ours in the first provisional that is sent reliably (RFC 3262 section 5);
    /// unreliably it does not go.
    pub(crate) fn ring_caller(&mut self, now: Time, number: acd::ContactId) {
        let Some(caller) = self.contacts.get(&number).map(|contact| contact.caller) else {
            return;
        };
        if let Some(leg) = self.legs.get_mut(&caller)
            && leg.state == LegState::Inviting
        {
            leg.state = LegState::Ringing;
            let sdp = leg.local.clone().filter(|_| leg.offer.is_none());
            self.tell_sip(
                now,
                sip::Command::Ring {
                    leg: caller,
                    status: 180,
                    sdp,
                    headers: vec![],
                },
            );
        }
    }

    /// 200 to the caller, unless that is done already.
    pub(crate) fn answer_caller(&mut self, now: Time, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let (caller, arrived, id) = (contact.caller, contact.arrived, contact.id.clone());
        let Some(leg) = self.legs.get_mut(&caller) else {
            return;
        };
        if !matches!(leg.state, LegState::Inviting | LegState::Ringing) {
            return;
        }
        leg.state = LegState::Answering;
        let Some(sdp) = leg.local.clone() else { return };
        let headers = vec![("X-Cordboard-Contact".to_owned(), id.to_string())];
        self.tell_sip(
            now,
            sip::Command::Answer {
                leg: caller,
                sdp,
                headers,
            },
        );
        self.journal.put(Output::Count(Count::CallSetup {
            seconds: (now - arrived).as_secs_f64(),
        }));
    }

    /// The caller's ACK: the flow begins to speak. An answer in it completes a delayed offer.
    pub(crate) fn confirmed(&mut self, now: Time, leg: LegId, sdp: Option<Bytes>) {
        let Some(known) = self.legs.get_mut(&leg) else {
            return;
        };
        if known.state == LegState::Answering {
            known.state = LegState::Up;
        }
        let delayed = known.negotiated.is_none();
        let renewed = std::mem::take(&mut known.awaits_answer) && !delayed;
        let Some(number) = known.contact else { return };
        if renewed {
            // An answer that does not fit, or none at all, leaves the media as they were: as if there had been no re-INVITE (RFC 3261 section 14.1).
            // Ending the call would punish two people for one telephone's slip.
            if self.take_answer(leg, sdp.as_ref()) {
                let held = self.legs.get(&leg).is_some_and(crate::talk::is_held);
                self.hold_changed(now, number, leg, held);
            }
            return;
        }
        if delayed && !self.take_answer(leg, sdp.as_ref()) {
            return self.close(now, number, "no_common_codec");
        }
        if let Some(contact) = self.contacts.get(&number)
            && contact.caller == leg
            && matches!(contact.stage, Stage::Greeting)
        {
            self.begin_flow(now, number);
        }
    }
}
