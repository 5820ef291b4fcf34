//! Watchers that read nothing: the memory that they take, and that they delay no other.

use futures_util::SinkExt as _;
use irisflow_jobs::Checkpoint;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::site::{Site, Transport, User};

const STALLED: usize = 1_000;
const EVENTS: i64 = 1_000;
/// Far below what the events take that each of them has not read.
const MAX_BYTES_OF_READER: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_stalled_readers_take_bounded_memory_and_delay_no_other() {
    raise_descriptor_limit();
    let site = Site::start_alone().await;
    let user = site.user("you").await;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(stalled_reader(&user).await);
    }
    let mut watcher = user.watch(Transport::WebSocket, None, None).await;
    watcher.frame().await;
    let before = memory_bytes();

    let produce = async {
        for _ in 0..EVENTS / 10 {
            user.submit().await;
            site.claim_and_reach(&Checkpoint::ALL[..9]).await;
        }
    };
    let receive = async { while watcher.event().await["seq"] != EVENTS {} };
    tokio::join!(produce, receive);

    let grown = memory_bytes().saturating_sub(before);
    assert!(
        grown < STALLED as u64 * MAX_BYTES_OF_READER,
        "{grown} bytes"
    );
    drop(stalled);
}

/// A socket with a small receive buffer, from which nothing is read after the handshake.
async fn stalled_reader(user: &User<'_>) -> impl Sized + use<> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let address = user.site.address;
    let stream = socket.connect(address).await.expect("connected");
    let (mut socket, _) = client_async(format!("ws://{address}/ws"), stream)
        .await
        .expect("upgraded");
    let hello = json!({ "type": "hello", "token": user.token });
    let sent = socket.send(Message::text(hello.to_string())).await;
    sent.expect("the hello is sent");
    socket
}

/// Resident memory of this process, which is client and server.
fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("its memory");
    let pages: u64 = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("the resident pages");
    pages * 4096
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("the limit is raised");
}
