//! WebSocket watchers: reconnects, silent peers, large frames, and very many connections.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;

use super::AttackContext;
use super::measurement::Measurement;
use super::target_server::TargetServer;
use super::test_account::{Account, Socket, next_frame, text};
use super::{proc_fs, raw_connection};

/// Reconnects while the old connection is half-open, like a phone that changes its network.
pub(super) async fn half_open_reconnect(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    const TRIES: usize = 12;
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo_id = account.upload(context.phone_photo()?).await?;
    let (mut went_back, mut tried) = (0, 0);
    for _ in 0..TRIES {
        let job_id = text(&account.submit(&photo_id).await?["job_id"])?;
        let mut old = account.watch(&job_id).await?;
        let mut seen = 0;
        while seen < 40 {
            match next_frame(&mut old).await? {
                Some(frame) => seen = frame["progress"].as_u64().unwrap_or(0).max(seen),
                None => break,
            }
        }
        let mut new = account.watch(&job_id).await?;
        let first = tokio::time::timeout(Duration::from_secs(5), next_frame(&mut new)).await??;
        if let Some(first) = first {
            tried += 1;
            let progress = first["progress"].as_u64().unwrap_or(0);
            went_back += usize::from(progress < seen);
        }
        account.wait_until_idle(Duration::from_secs(10)).await?;
    }
    Ok(vec![
        Measurement::zero(
            format!("of {tried} reconnects, progress decreased"),
            went_back,
        ),
        Measurement::at_least("reconnects that were answered", tried as f64, TRIES as f64),
    ])
}

/// Disconnects right after sending a submit: a created job must wake a worker nevertheless.
pub(super) async fn hang_up_after_submit(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    const TRIES: u64 = 24;
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo_id = account.upload(context.good_eye()?).await?;
    let to = server.address()?;
    let (mut taken, mut longest) = (0_usize, Duration::ZERO);
    for number in 0..TRIES {
        let before = account.jobs_so_far().await?;
        let body = format!("{{\"photo_id\":\"{photo_id}\"}}");
        let request = format!(
            "POST /api/v1/processing/submit HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            account.token,
            body.len()
        );
        let mut stream = raw_connection::connect_from(account.from, to).await?;
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes()).await?;
        // From before the handler to after the commit.
        tokio::time::sleep(Duration::from_micros(number * 350)).await;
        raw_connection::reset(stream);
        let begun = Instant::now();
        // No job is fine; a job that waits is not.
        while begun.elapsed() < Duration::from_secs(5) {
            let created = account.jobs_so_far().await? > before;
            if created && account.count("pending").await? == 0 {
                taken += 1;
                longest = longest.max(begun.elapsed());
                break;
            }
            if !created && begun.elapsed() > Duration::from_millis(300) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        account.wait_until_idle(Duration::from_secs(10)).await?;
    }
    Ok(vec![
        Measurement::info(format!("of {TRIES} submits, accepted"), taken),
        Measurement::at_most(
            "longest time until the worker started, s",
            longest.as_secs_f64(),
            0.5,
        ),
    ])
}

impl Account {
    async fn jobs_so_far(&self) -> anyhow::Result<u64> {
        let page = self.get("/processing/jobs?page_size=1").await?;
        Ok(page["total"].as_u64().unwrap_or(0))
    }
}

/// CPU and memory that watchers of waiting jobs cost the server.
pub(super) async fn watchers_of_waiting_jobs(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    const ACCOUNTS: usize = 50;
    const EACH: usize = 20;
    /// Jobs per account; the last of them are watched.
    const QUEUED: usize = 100;
    const TIME: Duration = Duration::from_secs(10);
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let eye = context.good_eye()?;
    let busy = Account::register(&server.url, "busy").await?;
    let mut sockets: Vec<Socket> = Vec::new();
    let mut refused = 0;
    for number in 0..ACCOUNTS {
        let account = Account::register(&server.url, &format!("watcher{number}")).await?;
        let jobs = account.submit_many(&eye, QUEUED).await?;
        for job_id in jobs.iter().skip(QUEUED - EACH) {
            match account.watch(job_id).await {
                Ok(socket) => sockets.push(socket),
                Err(_) => refused += 1,
            }
        }
    }
    let open = sockets.len();
    // Read all sockets, or the server would block on their send buffers.
    let reading = tokio::spawn(async move {
        let readers = sockets
            .into_iter()
            .map(async |mut socket| while let Some(Ok(_)) = socket.next().await {});
        stream::iter(readers)
            .buffer_unordered(ACCOUNTS * EACH)
            .collect::<()>()
            .await;
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = proc_fs::serving_seconds(server.process_id())?;
    let begun = Instant::now();
    tokio::time::sleep(TIME).await;
    let cores =
        (proc_fs::serving_seconds(server.process_id())? - before) / begun.elapsed().as_secs_f64();
    reading.abort();
    let answered = Instant::now();
    busy.get("/users/me").await?;
    Ok(vec![
        Measurement::info("WebSockets rejected", refused),
        Measurement::at_least("WebSockets open", open as f64, 900.0),
        Measurement::at_most("CPU cores used for them", cores, 0.25),
        Measurement::at_most(
            "another account's request, ms",
            answered.elapsed().as_secs_f64() * 1000.0,
            500.0,
        ),
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
    ])
}

/// A peer that answers no ping: the server must close the connection.
pub(super) async fn silent_peer(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    const WAIT_LIMIT: Duration = Duration::from_secs(75);
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    // The last job waits for the whole time.
    let jobs = account.submit_many(&context.good_eye()?, 500).await?;
    let last = jobs.last().map(String::as_str).unwrap_or_default();
    let to = server.address()?;
    let mut stream = raw_connection::connect_from(account.from, to).await?;
    let request = upgrade(last, &account.token, to);
    stream.write_all(request.as_bytes()).await?;
    // Reads, to notice the close, but never sends a pong.
    let closed = raw_connection::time_until_closed(&mut stream, WAIT_LIMIT).await;
    Ok(vec![Measurement::at_most(
        "seconds until it is closed",
        closed.map_or(f64::INFINITY, |time| time.as_secs_f64()),
        60.0,
    )])
}

/// WebSockets with large frames whose last byte never arrives.
pub(super) async fn large_frames(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    const ACCOUNTS: usize = 4;
    const EACH: usize = 25;
    const FRAME: u64 = 16 << 20;
    let mut server = TargetServer::start(context, &["--workers", "1"]).await?;
    let to = server.address()?;
    let mut streams = Vec::new();
    for number in 0..ACCOUNTS {
        let account = Account::register(&server.url, &format!("owner{number}")).await?;
        let jobs = account.submit_many(&context.good_eye()?, 100).await?;
        let last = jobs.last().map(String::as_str).unwrap_or_default();
        for _ in 0..EACH {
            let mut stream = raw_connection::connect_from(account.from, to).await?;
            stream
                .write_all(upgrade(last, &account.token, to).as_bytes())
                .await?;
            streams.push(stream);
        }
    }
    // A binary frame with a mask of zeros and without its last byte.
    let mut frame = vec![0x82, 0xFF];
    frame.extend(FRAME.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(vec![0x55; FRAME as usize - 1]);
    let sending = streams.iter_mut().map(async |stream| {
        // The server may close the connection, which is fine.
        let sent = stream.write_all(&frame);
        let _ = tokio::time::timeout(Duration::from_secs(15), sent).await;
    });
    futures_util::future::join_all(sending).await;
    let alive = server.is_alive();
    Ok(vec![
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
        Measurement::is_true("the server still runs", alive),
    ])
}

fn upgrade(job_id: &str, token: &str, to: std::net::SocketAddr) -> String {
    format!(
        "GET /ws/jobs/{job_id}?token={token} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// One account opens as many WebSockets as it can.
pub(super) async fn sockets_without_end(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    const TRIES: usize = 2000;
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let other = Account::register(&server.url, "other").await?;
    let jobs = account.submit_many(&context.good_eye()?, 200).await?;
    let last = jobs.last().map(String::as_str).unwrap_or_default();
    let mut open = Vec::new();
    for _ in 0..TRIES {
        let Ok(mut socket) = account.watch(last).await else {
            continue;
        };
        // A rejected WebSocket gets an error frame and a close.
        let first = tokio::time::timeout(Duration::from_millis(200), next_frame(&mut socket)).await;
        let refused = matches!(&first, Ok(Ok(Some(frame))) if !frame["error"].is_null());
        if refused || !matches!(first, Ok(Ok(Some(_)))) {
            if open.len() + 50 < TRIES && refused {
                break;
            }
            continue;
        }
        open.push(socket);
    }
    let begun = Instant::now();
    other.get("/users/me").await?;
    Ok(vec![
        Measurement::at_most(
            format!("of {TRIES} sockets of one account, open"),
            open.len() as f64,
            1024.0,
        ),
        Measurement::at_most(
            "another account's request, ms",
            begun.elapsed().as_secs_f64() * 1000.0,
            500.0,
        ),
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
    ])
}
