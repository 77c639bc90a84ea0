//! Local RTP ports: bound by the edge, granted to the engine, given to streams and taken back when they close.
//!
//! Callers may not take them all: as long as agents are without a call, up to half of a plane's ports are kept for their legs, or a centre full of
//! waiting callers could serve none of them. And some are kept for calls for help alone.

use std::collections::{HashSet, VecDeque};

use media::Port;

/// Below this many free ports beyond the reserve the edge is asked for more.
const LOW_WATER: usize = 96;

/// Ports of each plane that calls for help alone may have: two such calls, with both their legs. A small range keeps fewer.
const HELP: usize = 4;
const HELP_SHARE: usize = 16;

#[derive(Debug, Default)]
struct Plane {
    free: VecDeque<Port>,
    granted: usize,
    /// Ports that agents' legs have.
    of_agents: HashSet<u16>,
    /// Asked for more and not yet answered.
    asked: bool,
}

impl Plane {
    /// Ports to be kept for the legs of so many agents.
    fn reserve(&self, agents: usize) -> usize {
        agents
            .min(self.granted / 2)
            .saturating_sub(self.of_agents.len())
    }

    /// Ports that callers may have.
    fn spare(&self, agents: usize) -> usize {
        let kept = self.reserve(agents) + self.kept_for_help();
        self.free.len().saturating_sub(kept)
    }

    fn kept_for_help(&self) -> usize {
        HELP.min(self.granted / HELP_SHARE)
    }
}

/// The free ports of each plane.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    planes: Vec<Plane>,
}

impl Ports {
    /// A stream has given its port back.
    pub(crate) fn put(&mut self, port: Port) {
        let plane = self.plane(port.plane);
        plane.of_agents.remove(&port.number);
        plane.free.push_back(port);
    }

    fn plane(&mut self, plane: u16) -> &mut Plane {
        let plane = usize::from(plane);
        if plane >= self.planes.len() {
            self.planes.resize_with(plane + 1, Plane::default);
        }
        &mut self.planes[plane]
    }

    /// The edge has bound more.
    pub(crate) fn granted(&mut self, ports: Vec<Port>) {
        for port in ports {
            let plane = self.plane(port.plane);
            plane.free.push_back(port);
            plane.granted += 1;
            plane.asked = false;
        }
    }

    /// A port for a caller, on the plane that has most to spare beside what `agents` may need; the port longest unused, so that late packets of its last
    /// stream have died down.
    pub(crate) fn take_any(&mut self, agents: usize) -> Option<Port> {
        let plane = self
            .planes
            .iter_mut()
            .max_by_key(|plane| plane.spare(agents))?;
        if plane.spare(agents) == 0 {
            return None;
        }
        plane.free.pop_front()
    }

    /// A port on this plane, for an agent's leg.
    pub(crate) fn take_on(&mut self, plane: u16) -> Option<Port> {
        let plane = self.planes.get_mut(usize::from(plane))?;
        if plane.free.len() <= plane.kept_for_help() {
            return None;
        }
        let port = plane.free.pop_front()?;
        plane.of_agents.insert(port.number);
        Some(port)
    }

    /// A port for a leg of a call for help, whatever is kept for others: on this plane, or on the one that has most.
    pub(crate) fn take_for_help(&mut self, plane: Option<u16>) -> Option<Port> {
        let plane = match plane {
            Some(plane) => self.planes.get_mut(usize::from(plane)),
            None => self.planes.iter_mut().max_by_key(|plane| plane.free.len()),
        };
        plane?.free.pop_front()
    }

    /// The next plane that runs low and has not been asked for yet.
    pub(crate) fn low(&mut self, agents: usize) -> Option<u16> {
        let (index, plane) = self
            .planes
            .iter_mut()
            .enumerate()
            .find(|(_, plane)| !plane.asked && plane.spare(agents) < LOW_WATER)?;
        plane.asked = true;
        u16::try_from(index).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ports_are_for_calls_for_help() {
        let mut ports = Ports::default();
        let port = |index: u16| Port {
            plane: 0,
            number: 2 * index,
        };
        ports.granted((0..40).map(port).collect());
        let callers = std::iter::from_fn(|| ports.take_any(1)).count();
        let agents = std::iter::from_fn(|| ports.take_on(0)).count();
        assert_eq!((callers, agents), (37, 1));
        let help = [None, Some(0), None].map(|plane| ports.take_for_help(plane).is_some());
        assert_eq!(help, [true, true, false]);
    }

    #[test]
    fn callers_leave_ports_for_the_agents_who_shall_serve_them() {
        let mut ports = Ports::default();
        ports.granted(
            (0..10)
                .map(|index| Port {
                    plane: 0,
                    number: 2 * index,
                })
                .collect(),
        );
        let agents = 3;
        let callers: Vec<Port> = std::iter::from_fn(|| ports.take_any(agents)).collect();
        assert_eq!(callers.len(), 7);
        let agent_legs: Vec<Port> = (0..3).filter_map(|_| ports.take_on(0)).collect();
        assert_eq!(agent_legs.len(), 3);
        assert_eq!(ports.take_any(agents), None);
        ports.put(callers[0]);
        assert_eq!(
            ports.take_any(agents),
            Some(callers[0]),
            "all agents talk: nothing is kept back"
        );
        ports.put(agent_legs[0]);
        assert_eq!(ports.take_any(agents), None, "an agent is free again");
        assert_eq!(ports.take_on(0), Some(agent_legs[0]));
    }
}
