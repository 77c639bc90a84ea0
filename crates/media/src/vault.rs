//! Which ports are under which keys. Everything that a plane sends and receives passes here, at its edge, so that nothing inside can forget to.

use crate::api::Port;
use crate::port_map::PortMap;
use crate::rtp;
use crate::srtp::{Fault, Keys, MAX_SEALED, Srtp};

/// The keys of all streams that have some.
#[derive(Debug, Default)]
pub struct Vault {
    /// Made with the first key: where nobody encrypts, nothing is looked up.
    slots: Option<Box<PortMap<Slot>>>,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Clear,
    Here(Box<Srtp>),
    /// Keys are not agreed on yet: nothing goes in or out.
    Locked,
    /// RTCP beside RTP: under the keys of the port before this one.
    Before,
}

/// What a port is under.
enum Held<'a> {
    Clear,
    Locked,
    Keys(&'a mut Srtp),
}

impl Vault {
    /// Keys of a stream, at first or anew.
    pub fn put(&mut self, port: Port, keys: Keys) {
        let slots = self.slots.get_or_insert_default();
        match slots.entry(port.number) {
            Slot::Here(srtp) => srtp.renew(keys),
            slot @ (Slot::Clear | Slot::Locked | Slot::Before) => {
                *slot = Slot::Here(Box::new(Srtp::new(keys)));
                *slots.entry(port.beside().number) = Slot::Before;
            }
        }
    }

    /// The keys of a stream are to come.
    pub fn lock(&mut self, port: Port) {
        let slots = self.slots.get_or_insert_default();
        if !matches!(slots.entry(port.number), Slot::Here(_)) {
            slots.insert(port.number, Slot::Locked);
            slots.insert(port.beside().number, Slot::Before);
        }
    }

    /// The stream is over, or goes on in clear.
    pub fn take(&mut self, port: Port) {
        if let Some(slots) = &mut self.slots
            && slots.get(port.number).is_some()
        {
            slots.insert(port.number, Slot::Clear);
            slots.insert(port.beside().number, Slot::Clear);
        }
    }

    fn of(&mut self, port: u16) -> Held<'_> {
        let Some(slots) = &mut self.slots else {
            return Held::Clear;
        };
        let port = match slots.get(port) {
            Some(Slot::Before) => port.wrapping_sub(1),
            _ => port,
        };
        match slots.get_mut(port) {
            Some(Slot::Here(srtp)) => Held::Keys(srtp),
            Some(Slot::Locked) => Held::Locked,
            Some(Slot::Clear | Slot::Before) | None => Held::Clear,
        }
    }

    /// What came to a port, opened in place; its length. In clear all of it is what came.
    pub fn open(&mut self, port: u16, packet: &mut [u8]) -> Result<usize, Fault> {
        match self.of(port) {
            Held::Clear => Ok(packet.len()),
            Held::Locked => Err(Fault::Forged),
            Held::Keys(srtp) if rtp::is_rtcp(packet) => srtp.open_rtcp(packet),
            Held::Keys(srtp) => srtp.open(packet),
        }
    }

    /// Seals what leaves by a port, if that is under keys, and hands it on.
    pub fn seal(&mut self, port: Port, packet: &[u8], send: impl FnOnce(&[u8])) {
        let srtp = match self.of(port.number) {
            Held::Clear => return send(packet),
            Held::Locked => return,
            Held::Keys(srtp) => srtp,
        };
        let mut buffer = [0; MAX_SEALED];
        let Some(room) = buffer.get_mut(..packet.len()) else {
            return;
        };
        room.copy_from_slice(packet);
        let length = match rtp::is_rtcp(packet) {
            true => srtp.seal_rtcp(&mut buffer, packet.len()),
            false => srtp.seal(&mut buffer, packet.len()),
        };
        if let Some(length) = length {
            send(&buffer[..length]);
        }
    }
}
