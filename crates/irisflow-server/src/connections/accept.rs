//! Acceptor of TCP connections: applies admission control, sets socket options, and wraps admitted streams with
//! timeouts.

use std::future::{Ready, ready};
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use irisflow_messages::{Language, text};
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
use crate::error::LimitOf;

/// `SO_SNDBUF` in bytes (Linux doubles the value). It bounds the kernel memory of a connection whose client
/// reads slowly. With a much larger buffer a slow client could not be told from a stalled one: the kernel
/// reports a socket as writable only when a third of the buffer is free.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Admits or rejects connections, and puts timeouts on those admitted.
#[derive(Debug, Clone)]
pub(crate) struct GuardedAcceptor {
    connections: Arc<Connections>,
    limits: StreamLimits,
    /// The listener does not use TLS, so that a rejected client can be sent a plain HTTP response.
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
            Ok((connection, permit)) => {
                // Best effort: a failure costs memory only.
                let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
                stream.set_nodelay(true)?;
                let guarded = GuardedStream::new(stream, connection.clone(), permit, self.limits);
                Ok((guarded, connection))
            }
            Err(limit_reached) => {
                counter!("irisflow_connections_refused_total").increment(1);
                if self.is_plain {
                    send_rejection(
                        &stream,
                        limit_reached,
                        self.connections.limit(limit_reached),
                    );
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

/// Sends a 503 response with the reason, without blocking: it is lost when the socket is not ready.
fn send_rejection(stream: &TcpStream, limit_reached: LimitReached, limit: usize) {
    const RETRY_AFTER_S: u32 = 5;
    let of = match limit_reached {
        LimitReached::Total => LimitOf::Server,
        LimitReached::Key => LimitOf::Address,
    };
    let detail = text!(
        "error-too-many-connections",
        whose = of.text(),
        limit = limit,
        retry_after = RETRY_AFTER_S,
    );
    let detail = serde_json::Value::String(detail.in_language(Language::PROGRAM));
    let body = format!("{{\"detail\":{detail},\"code\":\"too_many_connections\"}}");
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         retry-after: {RETRY_AFTER_S}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let socket = SockRef::from(stream);
    // Closing a socket with unread data resets the connection, which would discard the response.
    let mut request = [MaybeUninit::uninit(); 4096];
    let _ = socket.recv(&mut request);
    let _ = socket.send(response.as_bytes());
}
