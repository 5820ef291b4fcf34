//! Connections: how many there may be, and when one has to end.
//!
//! A TCP connection costs a file descriptor before anything is known of it, and descriptors are what the
//! database and the photos need, too. So connections are capped in total and per address; one that is
//! too many takes the place of the connection that has been idle longest, or else of the one whose peer has
//! let us wait longest, and is refused when all are at work. A peer that takes no bytes, or leaves an HTTP/2 connection idle, is hung up on.

mod accept;
mod connection;
mod stream;
mod table;

pub(crate) use accept::GuardedAcceptor;
pub(crate) use connection::track;

use std::time::Duration;

/// Descriptors that are kept for the database, the workers and everything that is not a connection.
const RESERVED_SHARE: u64 = 4;
/// More connections than this cost memory that nobody gains from.
const MOST_CONNECTIONS: u64 = 4096;
/// The least that a browser can work with.
const FEWEST_CONNECTIONS: u64 = 16;

/// How many connections, sockets and transfers there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    pub connections: usize,
    /// Of one IPv4 address or IPv6 /64. It does not hold behind a trusted proxy, which brings them all.
    pub connections_of_address: usize,
    /// WebSockets, of all, of one address, of one account. Fewer than connections, so that watching
    /// never keeps others from asking.
    pub sockets: usize,
    pub sockets_of_address: usize,
    pub sockets_of_user: usize,
    /// Uploads and downloads, each of which has a file open; of all, of one address, of one account.
    pub transfers: usize,
    pub transfers_of_address: usize,
    pub transfers_of_user: usize,
}

impl ConnectionLimits {
    /// Half of the descriptors are for connections, a quarter for files that are sent and received, and
    /// a quarter stays in reserve.
    pub fn for_descriptors(descriptors: u64) -> Self {
        let connections = (descriptors / 2).clamp(FEWEST_CONNECTIONS, MOST_CONNECTIONS);
        let transfers =
            (descriptors / RESERVED_SHARE).clamp(FEWEST_CONNECTIONS, MOST_CONNECTIONS / 4);
        Self::of(
            usize::try_from(connections).unwrap_or(usize::MAX),
            usize::try_from(transfers).unwrap_or(usize::MAX),
        )
    }

    /// The same with so many connections.
    #[must_use]
    pub fn with_connections(self, connections: usize) -> Self {
        Self::of(connections.max(1), self.transfers)
    }

    fn of(connections: usize, transfers: usize) -> Self {
        let sockets = (connections / 4 * 3).max(1);
        Self {
            connections,
            connections_of_address: (connections / 2).max(1),
            sockets,
            sockets_of_address: (sockets / 2).max(1),
            sockets_of_user: (sockets / 3).max(1),
            transfers,
            transfers_of_address: (transfers / 2).max(1),
            transfers_of_user: (transfers / 4).max(1),
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self::for_descriptors(1024)
    }
}

/// When a connection is hung up on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamLimits {
    /// An HTTP/2 connection without a request; HTTP/1 has hyper's own limit.
    pub(crate) idle: Duration,
    /// A peer that takes nothing of what there is for it.
    pub(crate) pause: Duration,
    /// A peer that takes it, but too slowly.
    pub(crate) answer: Duration,
}

impl StreamLimits {
    /// How often they are looked at: late by a quarter at most.
    fn interval(&self) -> Duration {
        let shortest = self.idle.min(self.pause).min(self.answer);
        (shortest / 4).max(Duration::from_millis(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_descriptors_stays_in_reserve() {
        for descriptors in [256, 1024, 4096, 1_048_576] {
            let limits = ConnectionLimits::for_descriptors(descriptors);
            let taken = limits.connections + limits.transfers;
            assert!(taken as u64 <= descriptors / 4 * 3, "{limits:?}");
            assert!(limits.sockets < limits.connections, "{limits:?}");
        }
    }
}
