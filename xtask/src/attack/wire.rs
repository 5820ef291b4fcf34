//! Raw connections, from any address of this machine's loopback network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The stranger with this number has an address of its own.
pub(super) fn stranger(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 9, high, low)
}

pub(super) async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    socket.connect(to).await
}

/// Connects with a small receive buffer, so that what is not read stays with the server.
pub(super) async fn connect_deaf(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(to).await
}

/// Sends a request of HTTP/1.1; the whole answer until the server closes.
pub(super) async fn exchange(to: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    let _ = read.await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Hangs up with a reset, so that the server learns of it at once.
pub(super) fn hang_up(stream: TcpStream) {
    // Without it, the close is an ordinary one.
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// How long the server keeps the connection open, reading and saying nothing; `None` if longer than
/// `retry_policy`.
pub(super) async fn until_closed(
    stream: &mut TcpStream,
    retry_policy: Duration,
) -> Option<Duration> {
    let begun = Instant::now();
    let mut buffer = [0; 4096];
    let closed = async {
        // An error closes as well.
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    let closed = tokio::time::timeout(retry_policy, closed).await;
    closed.is_ok().then(|| begun.elapsed())
}
