//! Raw TCP connections from any loopback address, to act as many clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The loopback address of the client with this number.
pub(super) fn client_address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 9, high, low)
}

pub(super) async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    socket.connect(to).await
}

/// Connects with a small receive buffer, so that unread bytes fill the server's send buffer.
pub(super) async fn connect_with_small_buffer(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(to).await
}

/// Sends an HTTP/1.1 request; returns the whole response, up to the end of the connection.
pub(super) async fn exchange(to: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    let _ = read.await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Closes with a TCP RST, which the server notices at once.
pub(super) fn reset(stream: TcpStream) {
    // If this fails, the connection is closed with a FIN.
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// How long the server keeps the connection open while the client only reads; `None` if longer than
/// `time_limit`.
pub(super) async fn time_until_closed(
    stream: &mut TcpStream,
    time_limit: Duration,
) -> Option<Duration> {
    let begun = Instant::now();
    let mut buffer = [0; 4096];
    let closed = async {
        // A read error counts as closed.
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    let closed = tokio::time::timeout(time_limit, closed).await;
    closed.is_ok().then(|| begun.elapsed())
}
