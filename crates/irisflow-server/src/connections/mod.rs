//! Admission control for TCP connections, with eviction of idle ones, and timeouts of connections.
//!
//! A TCP connection costs a file descriptor before its client has authenticated, and the database and the photos
//! need descriptors too. So connections are limited in total and per address. A connection above a limit evicts
//! the one that has been idle longest, or else the one that has waited for its peer longest; it is rejected when
//! all are active. A connection whose peer reads nothing, or an HTTP/2 connection that stays idle, is closed.

mod accept;
mod connection;
mod stream;
mod table;

pub(crate) use accept::GuardedAcceptor;
pub(crate) use connection::track;

use std::time::Duration;

/// Transfers get one in this many descriptors. As many stay in reserve for the database, the workers and
/// everything else.
const TRANSFER_DIVISOR: u64 = 4;
/// Upper limit of connections, which bounds their memory.
const MAX_CONNECTIONS: u64 = 4096;
/// Lower limit of connections, so that browsers, which open several, work.
const MIN_CONNECTIONS: u64 = 16;

/// Maximum numbers of concurrent connections, WebSockets and transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    pub connections: usize,
    /// Per IPv4 address or IPv6 /64 prefix. Not applied behind a trusted proxy, where all connections come from
    /// the address of the proxy.
    pub connections_of_address: usize,
    /// WebSockets in total, per address and per account. Fewer than connections, so that sockets never take
    /// all connections from other requests.
    pub sockets: usize,
    pub sockets_of_address: usize,
    pub sockets_of_user: usize,
    /// Uploads and downloads, each with an open file: in total, per address and per account.
    pub transfers: usize,
    pub transfers_of_address: usize,
    pub transfers_of_user: usize,
}

impl ConnectionLimits {
    /// Limits for a process that may have this many file descriptors: half of them are for connections, a quarter
    /// for the files of transfers, and a quarter stays in reserve.
    pub fn for_descriptors(descriptors: u64) -> Self {
        let connections = (descriptors / 2).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS);
        let transfers =
            (descriptors / TRANSFER_DIVISOR).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS / 4);
        Self::of(
            usize::try_from(connections).unwrap_or(usize::MAX),
            usize::try_from(transfers).unwrap_or(usize::MAX),
        )
    }

    /// Replaces the number of connections, and the limits that are derived from it.
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

/// Timeouts after which a connection is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamLimits {
    /// For an HTTP/2 connection without a request; hyper has its own timeout for HTTP/1.
    pub(crate) idle: Duration,
    /// For a peer that reads nothing although there is data for it.
    pub(crate) pause: Duration,
    /// For sending a whole response, when the peer reads it too slowly.
    pub(crate) answer: Duration,
}

impl StreamLimits {
    /// How often the timeouts are checked: a quarter of the shortest, so that it is exceeded by a quarter at most.
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
