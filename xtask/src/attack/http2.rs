//! A minimal HTTP/2 client (RFC 9113) for misbehaving connections.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header field as a literal without indexing (RFC 7541, 6.2.2), shorter than 127 bytes each.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        let length = u8::try_from(text.len()).unwrap_or(0);
        if length < 127 {
            field.push(length);
        } else {
            field.extend([127, length - 127]);
        }
        field.extend(text.bytes());
    }
    field
}

/// Sends the connection preface and an empty SETTINGS frame, nothing else.
pub(super) async fn send_preface(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(PREFACE).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await
}

/// Sends the headers of a POST without its body.
pub(super) async fn half_a_post(
    stream: &mut TcpStream,
    path: &str,
    authority: &str,
) -> std::io::Result<()> {
    let fields = [
        literal(":method", "POST"),
        literal(":scheme", "http"),
        literal(":path", path),
        literal(":authority", authority),
        literal("content-type", "application/json"),
        literal("content-length", "100"),
    ];
    stream
        .write_all(&frame(HEADERS, END_HEADERS, 1, &fields.concat()))
        .await
}

/// Sends a complete GET request.
pub(super) async fn get(
    stream: &mut TcpStream,
    path: &str,
    authority: &str,
) -> std::io::Result<()> {
    let fields = [
        literal(":method", "GET"),
        literal(":scheme", "http"),
        literal(":path", path),
        literal(":authority", authority),
    ];
    let flags = END_HEADERS | END_STREAM;
    stream
        .write_all(&frame(HEADERS, flags, 1, &fields.concat()))
        .await
}

/// What happened on a connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// When response headers arrived.
    pub(super) answered_after: Option<Duration>,
    /// When it ended, with or without GOAWAY.
    pub(super) closed_after: Option<Duration>,
}

/// Answers SETTINGS and PING as a conforming client does, and records what happens.
pub(super) async fn watch(stream: &mut TcpStream, time_limit: Duration) -> Connection {
    let begun = Instant::now();
    let mut seen = Connection::default();
    let watched = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            if stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            let answer = match (head[3], head[4] & ACK) {
                (SETTINGS, 0) => frame(SETTINGS, ACK, 0, &[]),
                (PING, 0) => frame(PING, ACK, 0, &payload),
                (HEADERS, _) => {
                    seen.answered_after.get_or_insert(begun.elapsed());
                    continue;
                }
                (GOAWAY, _) => return,
                _ => continue,
            };
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    };
    let closed = tokio::time::timeout(time_limit, watched).await.is_ok();
    seen.closed_after = closed.then(|| begun.elapsed());
    seen
}
