//! Admission control for TCP connections with eviction of idle ones: a table of the open connections by address.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::gauge;
use tokio::time::Instant;

use super::connection::{Activity, Connection};
use crate::concurrency_limits::LimitReached;

/// An evicted connection keeps its descriptor until its task has ended. This many may be open beyond the limit.
const MAX_CLOSING: usize = 32;

#[derive(Debug)]
pub(crate) struct Connections {
    total: usize,
    of_address: Option<usize>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Connections with a descriptor, evicted ones included.
    open: usize,
    /// Connections that were not evicted.
    admitted: usize,
    next_id: u64,
    /// The admitted connections by address and id.
    by_address: HashMap<IpAddr, BTreeMap<u64, Connection>>,
}

/// Permit of one connection; dropped together with its stream.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    connections: Arc<Connections>,
    address: IpAddr,
    id: u64,
}

impl Connections {
    pub(crate) fn new(total: usize, of_address: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            total,
            of_address,
            table: Mutex::default(),
        })
    }

    pub(crate) fn limit(&self, limit_reached: LimitReached) -> usize {
        match limit_reached {
            LimitReached::Total => self.total,
            LimitReached::Key => self.of_address.unwrap_or(self.total),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection from this address. When a limit is reached, an idle or stalled connection is evicted
    /// first.
    ///
    /// # Errors
    /// When a limit is reached and all connections are active, or too many evicted ones are still closing.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
    ) -> Result<(Connection, ConnectionPermit), LimitReached> {
        let mut table = self.lock();
        let of_address = table.by_address.get(&address).map_or(0, BTreeMap::len);
        if self.of_address.is_some_and(|limit| of_address >= limit) && !table.evict_from(address) {
            return Err(LimitReached::Key);
        }
        if table.admitted >= self.total && !table.evict() {
            return Err(LimitReached::Total);
        }
        if table.open >= self.total + MAX_CLOSING {
            return Err(LimitReached::Total);
        }
        let connection = Connection::accepted();
        let id = table.next_id;
        table.next_id += 1;
        table.open += 1;
        table.admitted += 1;
        table
            .by_address
            .entry(address)
            .or_default()
            .insert(id, connection.clone());
        drop(table);
        gauge!("irisflow_connections_open").increment(1.0);
        let permit = ConnectionPermit {
            connections: Arc::clone(self),
            address,
            id,
        };
        Ok((connection, permit))
    }
}

impl Table {
    /// Closes the connection of this address that has been idle longest, or else the one that has waited
    /// for its peer longest. `false` when all are active.
    fn evict_from(&mut self, address: IpAddr) -> bool {
        let Some(of_address) = self.by_address.get(&address) else {
            return false;
        };
        let now = Instant::now();
        let activities = of_address
            .iter()
            .map(|(id, connection)| (connection.activity(now), *id));
        let Some((activity, id)) = activities.min() else {
            return false;
        };
        if activity == Activity::Active {
            return false;
        }
        if let Some(connection) = self.remove(address, id) {
            connection.close();
        }
        true
    }

    /// Evicts a connection of the address with the most connections, or of the next one in that order that has a
    /// connection to evict. `false` when all connections are active.
    fn evict(&mut self) -> bool {
        let mut addresses: Vec<(usize, IpAddr)> = self
            .by_address
            .iter()
            .map(|(address, connections)| (connections.len(), *address))
            .collect();
        addresses.sort_unstable();
        addresses
            .into_iter()
            .rev()
            .any(|(_, address)| self.evict_from(address))
    }

    /// Removes an admitted connection; `None` when it was removed before.
    fn remove(&mut self, address: IpAddr, id: u64) -> Option<Connection> {
        let of_address = self.by_address.get_mut(&address)?;
        let removed = of_address.remove(&id)?;
        if of_address.is_empty() {
            self.by_address.remove(&address);
        }
        self.admitted -= 1;
        Some(removed)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        table.open = table.open.saturating_sub(1);
        table.remove(self.address, self.id);
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
        let admitted: Vec<_> = (0..1 + MAX_CLOSING)
            .map(|_| connections.admit(ONE))
            .collect();
        assert!(admitted.iter().all(Result::is_ok));
        assert_eq!(connections.admit(ONE).err(), Some(LimitReached::Total));
        drop(admitted);
        assert!(connections.lock().by_address.is_empty());
        assert!(connections.admit(ONE).is_ok());
    }
}
