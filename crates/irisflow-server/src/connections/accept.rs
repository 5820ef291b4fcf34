//! What is done with a connection when it comes in.

use std::future::{Ready, ready};
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use metrics::counter;
use socket2::SockRef;
use tokio::net::TcpStream;
use tower::Layer as _;

use super::StreamLimits;
use super::connection::Connection;
use super::stream::GuardedStream;
use super::table::Connections;
use crate::client_address::network_of;
use crate::concurrency_limits::LimitReached;

/// What the system may hold of an answer for a peer that does not take it. The system doubles it. Much
/// more, and a slow peer looks like one that has stopped: the system asks for more only when a third of
/// it is free.
const SEND_BUFFER: usize = 256 * 1024;

/// Counts connections, refuses what is too much, and guards the others.
#[derive(Debug, Clone)]
pub(crate) struct GuardedAcceptor {
    connections: Arc<Connections>,
    limits: StreamLimits,
    /// Whether a refusal can be read: not where TLS is spoken.
    is_plain: bool,
}

impl GuardedAcceptor {
    pub(crate) fn new(
        total: usize,
        of_address: Option<usize>,
        limits: StreamLimits,
        is_plain: bool,
    ) -> Self {
        Self {
            connections: Connections::new(total, of_address),
            limits,
            is_plain,
        }
    }

    fn guard(&self, stream: TcpStream) -> io::Result<(GuardedStream, Connection)> {
        let address = network_of(stream.peer_addr()?.ip());
        match self.connections.admit(address) {
            Ok((connection, place)) => {
                // Only a matter of buffers: without it, things work as well.
                let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
                stream.set_nodelay(true)?;
                let guarded = GuardedStream::new(stream, connection.clone(), place, self.limits);
                Ok((guarded, connection))
            }
            Err(full) => {
                counter!("irisflow_connections_refused_total").increment(1);
                if self.is_plain {
                    refuse(&stream, full, self.connections.limit(full));
                }
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        }
    }
}

impl<S> Accept<TcpStream, S> for GuardedAcceptor {
    type Stream = GuardedStream;
    type Service = AddExtension<S, Connection>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let guarded = self.guard(stream);
        ready(guarded.map(|(stream, connection)| (stream, Extension(connection).layer(service))))
    }
}

/// Says why, as far as that can be done without waiting.
fn refuse(stream: &TcpStream, full: LimitReached, limit: usize) {
    let whose = match full {
        LimitReached::Total => "this server",
        LimitReached::Key => "one address",
    };
    let body = format!(
        "{{\"detail\":\"The limit is {limit} connections at once for {whose}. Close some, or try \
         again in 5 s.\",\"code\":\"too_many_connections\"}}"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let socket = SockRef::from(stream);
    // What has come already must be read, or the system hangs up before the answer has arrived.
    let mut request = [MaybeUninit::uninit(); 4096];
    let _ = socket.recv(&mut request);
    let _ = socket.send(answer.as_bytes());
}
