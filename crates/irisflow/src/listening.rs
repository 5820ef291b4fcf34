//! Listening sockets.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};

/// Listen backlog. When it is full, the kernel drops the SYN of a new connection, and the client retries after 1,
/// 3 and 7 s: with a small backlog a flood of connections would delay all clients.
const BACKLOG: u32 = 4096;

/// `setting` is named in the error.
pub(crate) fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    listen(address)
        .with_context(|| format!("listening on {address}; choose another address with {setting}"))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not fail because of connections of the previous process in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
