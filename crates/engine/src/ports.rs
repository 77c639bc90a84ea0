//! Local RTP ports: bound by the edge, granted to the engine, given to streams and taken back when they close.

use std::collections::VecDeque;

use media::Port;

/// Below this many free ports of a plane the edge is asked for more.
const LOW_WATER: usize = 64;

#[derive(Debug, Default)]
struct Plane {
    free: VecDeque<Port>,
    /// Asked for more and not yet answered.
    asked: bool,
}

/// The free ports of each plane.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    planes: Vec<Plane>,
}

impl Ports {
    /// Puts ports in: fresh ones, or one that a stream has given back.
    pub(crate) fn put(&mut self, port: Port) {
        let plane = usize::from(port.plane);
        if plane >= self.planes.len() {
            self.planes.resize_with(plane + 1, Plane::default);
        }
        self.planes[plane].free.push_back(port);
    }

    /// The edge has answered a request for more.
    pub(crate) fn granted(&mut self, ports: Vec<Port>) {
        for port in ports {
            self.put(port);
            self.planes[usize::from(port.plane)].asked = false;
        }
    }

    /// A port on the plane that has most of them; the port longest unused, so that late packets of its last stream have died down.
    pub(crate) fn take_any(&mut self) -> Option<Port> {
        let plane = self
            .planes
            .iter_mut()
            .max_by_key(|plane| plane.free.len())?;
        plane.free.pop_front()
    }

    /// A port on this plane, for the other side of a bridge.
    pub(crate) fn take_on(&mut self, plane: u16) -> Option<Port> {
        self.planes.get_mut(usize::from(plane))?.free.pop_front()
    }

    /// The next plane that runs low and has not been asked for yet.
    pub(crate) fn low(&mut self) -> Option<u16> {
        let (index, plane) = self
            .planes
            .iter_mut()
            .enumerate()
            .find(|(_, plane)| !plane.asked && plane.free.len() < LOW_WATER)?;
        plane.asked = true;
        u16::try_from(index).ok()
    }
}
