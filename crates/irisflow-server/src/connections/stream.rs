//! A TCP stream that ends when its connection is to end, or when its peer takes nothing for too long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::StreamLimits;
use super::connection::Connection;
use super::table::ConnectionPermit;

#[derive(Debug)]
pub(crate) struct GuardedStream {
    stream: TcpStream,
    connection: Connection,
    limits: StreamLimits,
    /// When the limits are looked at next.
    look: Pin<Box<Sleep>>,
    /// Since when the peer has taken nothing of what is to be written.
    blocked_since: Option<Instant>,
    _place: ConnectionPermit,
}

impl GuardedStream {
    pub(super) fn new(
        stream: TcpStream,
        connection: Connection,
        place: ConnectionPermit,
        limits: StreamLimits,
    ) -> Self {
        Self {
            stream,
            connection,
            limits,
            look: Box::pin(tokio::time::sleep(limits.interval())),
            blocked_since: None,
            _place: place,
        }
    }

    /// An error once the connection has to end. Wakes the caller when it is time to look again.
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.connection.wake_on_close(context);
        if self.connection.is_closed() {
            return Poll::Ready(overdue());
        }
        loop {
            ready!(self.look.as_mut().poll(context));
            let now = Instant::now();
            let is_blocked = self
                .blocked_since
                .is_some_and(|since| now >= since + self.limits.pause);
            if is_blocked || self.connection.is_overdue(&self.limits, now) {
                return Poll::Ready(overdue());
            }
            self.look.as_mut().reset(now + self.limits.interval());
        }
    }

    fn after_write<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.blocked_since = None;
            return written;
        }
        self.blocked_since.get_or_insert_with(Instant::now);
        self.poll_overdue(context).map(Err)
    }
}

fn overdue() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the connection was hung up on")
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            return read;
        }
        self.poll_overdue(context).map(Err)
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.after_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
