//! TCP stream with timeouts: reads and writes fail once its connection was closed to make room, or has timed out.

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
    /// Completes when the timeouts are to be checked next.
    timeout_check: Pin<Box<Sleep>>,
    /// Since when writes have been blocked because the peer does not read.
    write_blocked_since: Option<Instant>,
    _permit: ConnectionPermit,
}

impl GuardedStream {
    pub(super) fn new(
        stream: TcpStream,
        connection: Connection,
        permit: ConnectionPermit,
        limits: StreamLimits,
    ) -> Self {
        Self {
            stream,
            connection,
            limits,
            timeout_check: Box::pin(tokio::time::sleep(limits.interval())),
            write_blocked_since: None,
            _permit: permit,
        }
    }

    /// Ready with an error once the connection was closed or has timed out. While pending, the task is woken for
    /// the next check.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.connection.wake_on_close(context);
        if self.connection.is_closed() {
            return Poll::Ready(closed_error());
        }
        loop {
            ready!(self.timeout_check.as_mut().poll(context));
            let now = Instant::now();
            let write_timed_out = self
                .write_blocked_since
                .is_some_and(|since| now >= since + self.limits.pause);
            if write_timed_out || self.connection.has_timed_out(&self.limits, now) {
                return Poll::Ready(closed_error());
            }
            self.timeout_check
                .as_mut()
                .reset(now + self.limits.interval());
        }
    }

    fn after_write<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_blocked_since = None;
            return written;
        }
        self.write_blocked_since.get_or_insert_with(Instant::now);
        self.poll_timeout(context).map(Err)
    }
}

fn closed_error() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "the server closed the connection: it timed out or made room for another one",
    )
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
        self.poll_timeout(context).map(Err)
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
