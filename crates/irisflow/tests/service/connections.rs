//! Limits and timeouts of connections and sockets.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Client, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{App, OPEN_FILES, User, good_eye, text};

/// A job that runs longer than any of these tests.
const BUSY: (&str, &str) = ("IRISFLOW_FAULTS", "loading:hang60000:9");

const METRICS_TOKEN: &str = "a-token-for-the-metrics-of-this-test";

async fn connect(app: &App) -> TcpStream {
    let address = app.url.strip_prefix("http://").expect("an address");
    TcpStream::connect(address).await.expect("connected")
}

async fn open(app: &App, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(connect(app).await);
    }
    streams
}

/// Everything received until the server closes the connection; `None` when it is still open after 20 s.
async fn read_until_closed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut received = Vec::new();
    let reading = async {
        let mut part = [0; 4096];
        while let Ok(1..) = stream.read(&mut part).await.inspect(|read| {
            received.extend_from_slice(&part[..*read]);
        }) {}
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), reading).await;
    ended.ok().map(|()| received)
}

/// Requests `/health` over a new connection.
async fn health(app: &App) -> StatusCode {
    let client = Client::new().get(format!("{}/health", app.url));
    client.send().await.expect("an answer").status()
}

#[tokio::test]
async fn idle_connections_are_evicted_for_new_ones() {
    let app = App::start_with(&[
        ("IRISFLOW_MAX_ADDRESS_CONNECTIONS", "8"),
        // No time limit closes a connection here.
        ("IRISFLOW_HEADER_LIMIT_MS", "600000"),
    ])
    .await;
    let mut idle = open(&app, 40).await;
    // New connections may evict each other until all have been accepted.
    app.until("all have come in", async || {
        let answer = Client::new().get(format!("{}/health", app.url)).send();
        answer.await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    for _ in 0..3 {
        assert_eq!(health(&app).await, StatusCode::OK);
    }
    assert!(read_until_closed(&mut idle[0]).await.is_some());
}

/// Its body is asked for, and then comes in part.
const HEAD_OF_A_SIGN_IN: &str = "POST /api/v1/auth/login/json HTTP/1.1\r\nHost: localhost\r\n\
    Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test]
async fn when_all_connections_are_active_a_new_one_is_rejected_with_a_reason() {
    let app = App::start_with(&[("IRISFLOW_MAX_ADDRESS_CONNECTIONS", "4")]).await;
    let mut busy = open(&app, 4).await;
    for stream in &mut busy {
        stream
            .write_all(HEAD_OF_A_SIGN_IN.as_bytes())
            .await
            .expect("sent");
        let mut asked = [0; 12];
        stream.read_exact(&mut asked).await.expect("read");
        assert_eq!(&asked, b"HTTP/1.1 100");
        stream.write_all(b"{").await.expect("sent");
    }
    let refused = read_until_closed(&mut connect(&app).await).await;
    let refused = String::from_utf8(refused.expect("it hangs up")).expect("a text");
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\"too_many_connections\""), "{refused}");
    assert!(
        refused.contains("4 connections at once for one address"),
        "{refused}"
    );
    // Connections that have waited some seconds for their peer are evicted.
    app.until("there is room again", async || {
        let answer = Client::new().get(format!("{}/health", app.url)).send();
        answer.await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    drop(busy);
}

#[tokio::test]
async fn behind_a_trusted_proxy_one_address_may_open_many() {
    let app = App::start_with(&[
        ("IRISFLOW_MAX_ADDRESS_CONNECTIONS", "2"),
        ("IRISFLOW_TRUSTED_PROXIES", "1"),
    ])
    .await;
    let mut streams = open(&app, 20).await;
    for stream in &mut streams {
        let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("read");
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
}

/// Raises the limit of file descriptors of the test itself, which opens as many connections.
#[cfg(unix)]
fn raise_own_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("raised");
}

#[cfg(unix)]
#[tokio::test]
async fn a_thousand_idle_connections_stop_neither_answers_nor_jobs() {
    raise_own_limit();
    let app = App::start_with(&[(OPEN_FILES, "1024"), ("IRISFLOW_WORKERS", "1")]).await;
    let user = app.user("you").await;
    let _idle = open(&app, 1_000).await;
    for _ in 0..5 {
        assert_eq!(health(&app).await, StatusCode::OK);
        let job_id = user.upload_and_submit(good_eye()).await;
        let job = user.until_ended(&job_id).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["attempt_count"], 0, "no attempt failed: {job}");
    }
    assert!(!app.log().contains("Too many open files"), "{}", app.log());
}

#[tokio::test]
async fn sockets_are_limited_per_account() {
    let app = App::start_with(&[("IRISFLOW_MAX_USER_SOCKETS", "2"), BUSY]).await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = user.watch(&job_id).await;
        socket.frame().await;
        open.push(socket);
    }
    let refused = user.frames_of(&job_id).await;
    assert_eq!(refused.last()["code"], "too_many_sockets");
    assert!(text(&refused.last()["detail"]).contains("limit is 2 open sockets for one account"));
    assert_eq!(refused.close_code, 1008);

    let others = other.upload_and_submit(good_eye()).await;
    other.watch(&others).await.frame().await;
    open.pop().expect("one").close().await;
    app.until("there is room again", async || {
        let mut socket = user.watch(&job_id).await;
        socket.frame().await["code"] != "too_many_sockets"
    })
    .await;
}

#[tokio::test]
async fn sockets_are_limited_per_address() {
    let app = App::start_with(&[("IRISFLOW_MAX_ADDRESS_SOCKETS", "2"), BUSY]).await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let mut open = Vec::new();
    for user in [&user, &other] {
        let job_id = user.upload_and_submit(good_eye()).await;
        let mut socket = user.watch(&job_id).await;
        socket.frame().await;
        open.push(socket);
    }
    let job_id = user.upload_and_submit(good_eye()).await;
    let refused = user.frames_of(&job_id).await;
    assert!(text(&refused.last()["detail"]).contains("for one address"));
}

#[tokio::test]
async fn opening_sockets_counts_against_the_users_rate() {
    let app = App::start_with(&[
        ("IRISFLOW_USER_BURST", "10"),
        ("IRISFLOW_USER_RATE", "1"),
        BUSY,
    ])
    .await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut codes = Vec::new();
    for _ in 0..12 {
        let mut socket = user.watch(&job_id).await;
        codes.push(socket.frame().await["code"].clone());
        socket.close().await;
    }
    assert_eq!(codes.last().expect("a frame"), "rate_limited");
}

/// Upgrades to a WebSocket, then sends and reads nothing.
async fn silent_socket(app: &App, user: &User<'_>, job_id: &str) -> TcpStream {
    let mut stream = connect(app).await;
    let request = format!(
        "GET /ws/jobs/{job_id}?token={} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        user.token
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn a_socket_whose_peer_answers_no_ping_is_closed() {
    let app = App::start_with(&[("IRISFLOW_SOCKET_PING_MS", "300"), BUSY]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut silent = silent_socket(&app, &user, &job_id).await;
    let url = format!("{}/ws/jobs/{job_id}?token={}", app.url, user.token);
    let answering = tokio_tungstenite::connect_async(url.replace("http://", "ws://")).await;
    let (mut answering, _) = answering.expect("upgraded");
    let answering = tokio::spawn(async move {
        let until_closed = async { while let Some(Ok(_)) = answering.next().await {} };
        tokio::time::timeout(Duration::from_secs(3), until_closed).await
    });
    assert!(read_until_closed(&mut silent).await.is_some());
    let closed = answering.await.expect("it ran");
    assert!(
        closed.is_err(),
        "the client that answers pings stays connected"
    );
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_its_socket_at_its_header() {
    let app = App::start_with(&[BUSY]).await;
    let user = app.user("ana").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut stream = silent_socket(&app, &user, &job_id).await;
    // The header of a binary frame of 16 MiB, without its payload.
    let mut frame = vec![0x82, 0xFF];
    frame.extend((16_u64 << 20).to_be_bytes());
    frame.extend([0; 4]);
    stream.write_all(&frame).await.expect("sent");
    assert!(read_until_closed(&mut stream).await.is_some());
}

#[tokio::test]
async fn a_download_that_is_not_read_is_ended() {
    let app = App::start_with(&[
        ("IRISFLOW_BODY_PAUSE_MS", "500"),
        // Idle connections are closed too, by then.
        ("IRISFLOW_HEADER_LIMIT_MS", "2000"),
        ("IRISFLOW_METRICS_TOKEN", METRICS_TOKEN),
    ])
    .await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let job = user.until_ended(&job_id).await;
    let link = text(&job["result_url"]);
    let path = link.strip_prefix(&app.url).expect("a path");
    // Ten times the picture is more than all buffers on the way hold.
    let mut stream = connect(&app).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(10);
    stream.write_all(request.as_bytes()).await.expect("sent");
    let whole = app.get(&link).await.bytes().await.expect("the picture");
    app.until("only the connection of this request is open", async || {
        let metrics = Client::new().get(format!("{}/metrics", app.url));
        let metrics = metrics.bearer_auth(METRICS_TOKEN).send().await;
        let metrics = metrics.expect("an answer").text().await.expect("a text");
        metrics.contains("\nirisflow_connections_open 1\n")
    })
    .await;
    let received = read_until_closed(&mut stream).await.expect("it hangs up");
    assert!(
        received.len() < 10 * whole.len(),
        "{} of {}",
        received.len(),
        10 * whole.len()
    );
}

/// HTTP/2 frames as bytes (RFC 9113).
mod http2 {
    pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const HEADERS: u8 = 1;
    const DATA: u8 = 0;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    /// A complete `GET /` over http.
    pub(super) fn get() -> Vec<u8> {
        frame(HEADERS, END_STREAM | END_HEADERS, &[0x82, 0x86, 0x84])
    }

    /// A sign-in request with half of its body.
    pub(super) fn half_a_post() -> Vec<u8> {
        let literal = |name: &[u8], value: &str| {
            let mut field = name.to_vec();
            field.push(u8::try_from(value.len()).expect("short"));
            field.extend_from_slice(value.as_bytes());
            field
        };
        let headers = [
            vec![0x83, 0x86],
            literal(&[0x04], "/api/v1/auth/login/json"),
            literal(&[0x0f, 0x10], "application/json"),
        ];
        let mut sent = frame(HEADERS, END_HEADERS, &headers.concat());
        sent.extend(frame(DATA, 0, b"{\"email\":"));
        sent
    }

    /// A request whose header block is never complete.
    pub(super) fn half_the_headers() -> Vec<u8> {
        frame(HEADERS, END_STREAM, &[0x82, 0x86])
    }
}

#[tokio::test]
async fn an_http2_connection_that_is_idle_or_stops_half_way_is_ended() {
    let app = App::start_with(&[
        ("IRISFLOW_HEADER_LIMIT_MS", "600"),
        ("IRISFLOW_BODY_PAUSE_MS", "600"),
    ])
    .await;
    for (name, frames) in [
        ("nothing", Vec::new()),
        ("a request and no more", http2::get()),
        ("half a POST", http2::half_a_post()),
        ("half the headers", http2::half_the_headers()),
    ] {
        let mut stream = connect(&app).await;
        let sent = [http2::PREFACE, &frames].concat();
        stream.write_all(&sent).await.expect("sent");
        // Within 20 s, where the usual limit of headers is 30 s.
        assert!(read_until_closed(&mut stream).await.is_some(), "{name}");
    }
}
