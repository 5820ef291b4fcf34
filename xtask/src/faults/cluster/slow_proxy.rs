//! A TCP proxy whose connections can be slowed down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Forwards connections to a server. They end with this value.
#[derive(Debug)]
pub(super) struct SlowProxy {
    pub(super) address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

/// What is read at once: little, so that a delay for each piece limits the throughput, too.
const PIECE: usize = 1024;

impl SlowProxy {
    pub(super) async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let delay_ms = Arc::new(AtomicU64::new(0));
        let mut task = JoinSet::new();
        task.spawn(serve(listener, target, Arc::clone(&delay_ms)));
        Ok(Self {
            address,
            delay_ms,
            _task: task,
        })
    }

    /// Each piece of data waits for so long, in both directions.
    pub(super) fn set_delay(&self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(milliseconds, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, delay_ms: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let delay_ms = Arc::clone(&delay_ms);
        connections.spawn(async move {
            // A server that is away closes the connection of the client.
            if let Ok(server) = TcpStream::connect(target).await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::select! {
                    _ = forward(from_client, to_server, &delay_ms) => {}
                    _ = forward(from_server, to_client, &delay_ms) => {}
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay_ms: &AtomicU64,
) -> io::Result<()> {
    let mut piece = [0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        let delay = delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        to.write_all(&piece[..length]).await?;
    }
}
