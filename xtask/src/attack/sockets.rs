//! Watchers: half-open, deaf, silent, and very many of them.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;

use super::Scene;
use super::account::{Account, Socket, next_frame, text};
use super::finding::Finding;
use super::victim::Victim;
use super::{process, wire};

/// Reconnects while the old socket is still open, as a phone does that changes its network.
pub(super) async fn half_open_reconnect(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const TRIES: usize = 12;
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo_id = account.upload(scene.phone_photo()?).await?;
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
        account.until_idle(Duration::from_secs(10)).await?;
    }
    Ok(vec![
        Finding::none(
            format!("of {tried} reconnects, progress went back"),
            went_back,
        ),
        Finding::at_least("reconnects that were answered", tried as f64, TRIES as f64),
    ])
}

/// Hangs up right after the request is on the wire: the worker must hear of the job all the same.
pub(super) async fn hang_up_after_submit(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const TRIES: u64 = 24;
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo_id = account.upload(scene.good_eye()?).await?;
    let to = victim.address()?;
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
        let mut stream = wire::connect_from(account.from, to).await?;
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes()).await?;
        // From before the handler to after the commit.
        tokio::time::sleep(Duration::from_micros(number * 350)).await;
        wire::hang_up(stream);
        let begun = Instant::now();
        // A job that was never made is fine; one that waits is not.
        while begun.elapsed() < Duration::from_secs(5) {
            let known = account.jobs_so_far().await? > before;
            if known && account.count("pending").await? == 0 {
                taken += 1;
                longest = longest.max(begun.elapsed());
                break;
            }
            if !known && begun.elapsed() > Duration::from_millis(300) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        account.until_idle(Duration::from_secs(10)).await?;
    }
    Ok(vec![
        Finding::note(format!("of {TRIES} submits, taken"), taken),
        Finding::at_most(
            "longest time until the worker began, s",
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

/// Watchers of jobs that wait: what they cost the server.
pub(super) async fn watchers_of_waiting_jobs(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const ACCOUNTS: usize = 50;
    const EACH: usize = 20;
    /// Of one account; the last of them are watched.
    const QUEUED: usize = 100;
    const TIME: Duration = Duration::from_secs(10);
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let eye = scene.good_eye()?;
    let busy = Account::register(&victim.url, "busy").await?;
    let mut sockets: Vec<Socket> = Vec::new();
    let mut refused = 0;
    for number in 0..ACCOUNTS {
        let account = Account::register(&victim.url, &format!("watcher{number}")).await?;
        let jobs = account.submit_many(&eye, QUEUED).await?;
        for job_id in jobs.iter().skip(QUEUED - EACH) {
            match account.watch(job_id).await {
                Ok(socket) => sockets.push(socket),
                Err(_) => refused += 1,
            }
        }
    }
    let open = sockets.len();
    // Somebody reads them all, or the server would wait for us.
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
    let before = process::serving_seconds(victim.process_id())?;
    let begun = Instant::now();
    tokio::time::sleep(TIME).await;
    let cores =
        (process::serving_seconds(victim.process_id())? - before) / begun.elapsed().as_secs_f64();
    reading.abort();
    let answered = Instant::now();
    busy.get("/users/me").await?;
    Ok(vec![
        Finding::note("sockets refused", refused),
        Finding::at_least("sockets open", open as f64, 900.0),
        Finding::at_most("cores spent on serving them", cores, 0.25),
        Finding::at_most(
            "another account's request, ms",
            answered.elapsed().as_secs_f64() * 1000.0,
            500.0,
        ),
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
    ])
}

/// A peer whose machine went away: it reads nothing and answers no ping. The connection must end.
pub(super) async fn silent_peer(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const PATIENCE: Duration = Duration::from_secs(75);
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    // The last of them waits for the whole time.
    let jobs = account.submit_many(&scene.good_eye()?, 500).await?;
    let last = jobs.last().map(String::as_str).unwrap_or_default();
    let to = victim.address()?;
    let mut stream = wire::connect_from(account.from, to).await?;
    let request = upgrade(last, &account.token, to);
    stream.write_all(request.as_bytes()).await?;
    // It reads, so that it sees the end, but never answers.
    let closed = wire::until_closed(&mut stream, PATIENCE).await;
    Ok(vec![Finding::at_most(
        "seconds until it is cut",
        closed.map_or(f64::INFINITY, |time| time.as_secs_f64()),
        60.0,
    )])
}

/// Sockets on which large frames come that never end.
pub(super) async fn large_frames(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const ACCOUNTS: usize = 4;
    const EACH: usize = 25;
    const FRAME: u64 = 16 << 20;
    let mut victim = Victim::start(scene, &["--workers", "1"]).await?;
    let to = victim.address()?;
    let mut streams = Vec::new();
    for number in 0..ACCOUNTS {
        let account = Account::register(&victim.url, &format!("owner{number}")).await?;
        let jobs = account.submit_many(&scene.good_eye()?, 100).await?;
        let last = jobs.last().map(String::as_str).unwrap_or_default();
        for _ in 0..EACH {
            let mut stream = wire::connect_from(account.from, to).await?;
            stream
                .write_all(upgrade(last, &account.token, to).as_bytes())
                .await?;
            streams.push(stream);
        }
    }
    // A binary frame with a mask of zeros, of which the last byte never comes.
    let mut frame = vec![0x82, 0xFF];
    frame.extend(FRAME.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(vec![0x55; FRAME as usize - 1]);
    let sending = streams.iter_mut().map(async |stream| {
        // The server may close, which is right.
        let sent = stream.write_all(&frame);
        let _ = tokio::time::timeout(Duration::from_secs(15), sent).await;
    });
    futures_util::future::join_all(sending).await;
    let alive = victim.is_alive();
    Ok(vec![
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
        Finding::that("the server lives", alive),
    ])
}

fn upgrade(job_id: &str, token: &str, to: std::net::SocketAddr) -> String {
    format!(
        "GET /ws/jobs/{job_id}?token={token} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// One account opens sockets without end.
pub(super) async fn sockets_without_end(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const TRIES: usize = 2000;
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let other = Account::register(&victim.url, "other").await?;
    let jobs = account.submit_many(&scene.good_eye()?, 200).await?;
    let last = jobs.last().map(String::as_str).unwrap_or_default();
    let mut open = Vec::new();
    for _ in 0..TRIES {
        let Ok(mut socket) = account.watch(last).await else {
            continue;
        };
        // A refusal is a frame and a close.
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
        Finding::at_most(
            format!("of {TRIES} sockets of one account, open"),
            open.len() as f64,
            1024.0,
        ),
        Finding::at_most(
            "another account's request, ms",
            begun.elapsed().as_secs_f64() * 1000.0,
            500.0,
        ),
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
    ])
}
