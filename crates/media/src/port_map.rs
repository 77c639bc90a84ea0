//! Something for each UDP port, found by its number without hashing.

/// Ports are looked up for every packet, so they index pages of a two-level table; a page is made when its first port is.
#[derive(Debug)]
pub struct PortMap<T> {
    pages: Vec<Option<Box<Page<T>>>>,
}

const PAGE: usize = 256;
type Page<T> = [Option<T>; PAGE];

impl<T> Default for PortMap<T> {
    fn default() -> Self {
        PortMap {
            pages: (0..PAGE).map(|_| None).collect(),
        }
    }
}

impl<T> PortMap<T> {
    pub fn get(&self, port: u16) -> Option<&T> {
        self.pages[usize::from(port >> 8)].as_ref()?[usize::from(port & 0xff)].as_ref()
    }

    pub fn get_mut(&mut self, port: u16) -> Option<&mut T> {
        self.pages[usize::from(port >> 8)].as_mut()?[usize::from(port & 0xff)].as_mut()
    }

    /// What is there, or the default put there.
    pub fn entry(&mut self, port: u16) -> &mut T
    where
        T: Default,
    {
        self.page(port)[usize::from(port & 0xff)].get_or_insert_default()
    }

    pub fn insert(&mut self, port: u16, value: T) {
        self.page(port)[usize::from(port & 0xff)] = Some(value);
    }

    fn page(&mut self, port: u16) -> &mut Page<T> {
        self.pages[usize::from(port >> 8)].get_or_insert_with(|| Box::new([const { None }; PAGE]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_own_place() {
        let mut map = PortMap::default();
        for port in [0, 255, 256, 65_535] {
            map.insert(port, port);
        }
        assert_eq!(
            [0, 255, 256, 65_535].map(|port| map.get(port).copied()),
            [Some(0), Some(255), Some(256), Some(65_535)]
        );
        assert_eq!(map.get(1), None);
        *map.get_mut(256).unwrap() = 7;
        assert_eq!(map.get(256), Some(&7));
    }
}
