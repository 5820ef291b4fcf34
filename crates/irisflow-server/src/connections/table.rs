//! The open connections, by address: who may come in, and who has to make room.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::gauge;
use tokio::time::Instant;

use super::connection::{Activity, Connection};
use crate::concurrency_limits::LimitReached;

/// Connections that were told to make room need a moment to end. So many may be ending at once.
const ENDING: usize = 32;

#[derive(Debug)]
pub(crate) struct Connections {
    total: usize,
    of_address: Option<usize>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Descriptors that are in use, also by connections that are ending.
    open: usize,
    /// Connections that are not ending.
    admitted: usize,
    next_number: u64,
    of: HashMap<IpAddr, BTreeMap<u64, Connection>>,
}

/// The place of one connection, until its stream is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    connections: Arc<Connections>,
    address: IpAddr,
    number: u64,
}

impl Connections {
    pub(crate) fn new(total: usize, of_address: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            total,
            of_address,
            table: Mutex::default(),
        })
    }

    pub(crate) fn limit(&self, full: LimitReached) -> usize {
        match full {
            LimitReached::Total => self.total,
            LimitReached::Key => self.of_address.unwrap_or(self.total),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in one more connection of this address, in place of an idle or stalled one when there are too
    /// many.
    ///
    /// # Errors
    /// When there are too many and all are at work.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
    ) -> Result<(Connection, ConnectionPermit), LimitReached> {
        let mut table = self.lock();
        let of_address = table.of.get(&address).map_or(0, BTreeMap::len);
        if self.of_address.is_some_and(|limit| of_address >= limit) && !table.make_room_of(address)
        {
            return Err(LimitReached::Key);
        }
        if table.admitted >= self.total && !table.make_room() {
            return Err(LimitReached::Total);
        }
        if table.open >= self.total + ENDING {
            return Err(LimitReached::Total);
        }
        let connection = Connection::accepted();
        let number = table.next_number;
        table.next_number += 1;
        table.open += 1;
        table.admitted += 1;
        table
            .of
            .entry(address)
            .or_default()
            .insert(number, connection.clone());
        drop(table);
        gauge!("irisflow_connections_open").increment(1.0);
        let place = ConnectionPermit {
            connections: Arc::clone(self),
            address,
            number,
        };
        Ok((connection, place))
    }
}

impl Table {
    /// Closes the connection of this address that has been idle longest, or else the one that has waited
    /// for its peer longest. `false` when all are at work.
    fn make_room_of(&mut self, address: IpAddr) -> bool {
        let Some(of_address) = self.of.get(&address) else {
            return false;
        };
        let now = Instant::now();
        let standings = of_address
            .iter()
            .map(|(number, connection)| (connection.standing(now), *number));
        let Some((standing, number)) = standings.min() else {
            return false;
        };
        if standing == Activity::AtWork {
            return false;
        }
        if let Some(connection) = self.remove(address, number) {
            connection.close();
        }
        true
    }

    /// The same of the address that has most connections open, or else of any other.
    fn make_room(&mut self) -> bool {
        let mut addresses: Vec<(usize, IpAddr)> = self
            .of
            .iter()
            .map(|(address, connections)| (connections.len(), *address))
            .collect();
        addresses.sort_unstable();
        addresses
            .into_iter()
            .rev()
            .any(|(_, address)| self.make_room_of(address))
    }

    /// Does not count it as admitted any more; `None` when it is not.
    fn remove(&mut self, address: IpAddr, number: u64) -> Option<Connection> {
        let of_address = self.of.get_mut(&address)?;
        let removed = of_address.remove(&number)?;
        if of_address.is_empty() {
            self.of.remove(&address);
        }
        self.admitted -= 1;
        Some(removed)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        table.open = table.open.saturating_sub(1);
        table.remove(self.address, self.number);
        gauge!("irisflow_connections_open").decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Version;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

    #[tokio::test]
    async fn one_too_many_takes_the_place_of_the_one_that_was_idle_longest() {
        let connections = Connections::new(10, Some(2));
        let (oldest, _first) = connections.admit(ONE).expect("there is room");
        let (newer, _second) = connections.admit(ONE).expect("there is room");
        let (newest, _third) = connections.admit(ONE).expect("an idle one makes room");
        let closed = [&oldest, &newer, &newest].map(Connection::is_closed);
        assert_eq!(closed, [true, false, false]);
    }

    #[tokio::test]
    async fn when_all_are_at_work_one_too_many_is_refused() {
        let connections = Connections::new(3, Some(2));
        let (one, _first) = connections.admit(ONE).expect("there is room");
        let (two, _second) = connections.admit(ONE).expect("there is room");
        let _requests = [&one, &two].map(|connection| connection.begin(Version::HTTP_11));
        assert_eq!(connections.admit(ONE).err(), Some(LimitReached::Key));
        let (three, third) = connections.admit(OTHER).expect("others have room");
        let _request = three.begin(Version::HTTP_11);
        assert_eq!(connections.admit(OTHER).err(), Some(LimitReached::Total));
        drop(third);
        assert!(connections.admit(OTHER).is_ok());
    }

    #[tokio::test]
    async fn when_all_is_full_the_address_with_most_connections_makes_room() {
        let connections = Connections::new(3, None);
        let (lone, _lone) = connections.admit(OTHER).expect("there is room");
        let (first, _first) = connections.admit(ONE).expect("there is room");
        let (_, _second) = connections.admit(ONE).expect("there is room");
        let _newcomer = connections.admit(OTHER).expect("an idle one makes room");
        assert_eq!([lone.is_closed(), first.is_closed()], [false, true]);
    }

    #[tokio::test]
    async fn connections_that_are_slow_to_end_are_counted() {
        let connections = Connections::new(1, None);
        let places: Vec<_> = (0..1 + ENDING).map(|_| connections.admit(ONE)).collect();
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(connections.admit(ONE).err(), Some(LimitReached::Total));
        drop(places);
        assert!(connections.lock().of.is_empty());
        assert!(connections.admit(ONE).is_ok());
    }
}
