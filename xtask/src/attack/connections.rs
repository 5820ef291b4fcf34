//! Attacks on the connection layer: idle and half-open requests, unread downloads, endless headers, slow
//! uploads.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use reqwest::{Client, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::AttackContext;
use super::measurement::Measurement;
use super::target_server::{ServerConfig, TargetServer};
use super::test_account::{Account, expect, text};
use super::test_photos::noisy_png;
use super::{http2, proc_fs, raw_connection};

const WAIT_LIMIT: Duration = Duration::from_secs(15);
/// Short timeouts of the server, to shorten the attack.
const SHORT_LIMITS: [&str; 6] = [
    "--header-limit-ms",
    "2000",
    "--body-pause-ms",
    "2000",
    "--request-limit-ms",
    "4000",
];

/// Idle and half-open HTTP/1 and HTTP/2 connections, under timeouts of 2 and 4 s.
pub(super) async fn endless_connections(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &SHORT_LIMITS).await?;
    let to = server.address()?;
    let seconds = |time: Option<Duration>| time.map_or(f64::INFINITY, |time| time.as_secs_f64());

    let silent = async {
        let mut stream = TcpStream::connect(to).await?;
        anyhow::Ok(raw_connection::time_until_closed(&mut stream, WAIT_LIMIT).await)
    };
    let kept_alive = async {
        let mut stream = TcpStream::connect(to).await?;
        stream
            .write_all(format!("GET /health HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes())
            .await?;
        anyhow::Ok(raw_connection::time_until_closed(&mut stream, WAIT_LIMIT).await)
    };
    let half_a_body = async {
        let mut stream = TcpStream::connect(to).await?;
        let head = format!(
            "POST /api/v1/auth/login/json HTTP/1.1\r\nHost: {to}\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await?;
        anyhow::Ok(raw_connection::time_until_closed(&mut stream, WAIT_LIMIT).await)
    };
    let idle2 = async {
        let mut stream = TcpStream::connect(to).await?;
        http2::send_preface(&mut stream).await?;
        anyhow::Ok(http2::watch(&mut stream, WAIT_LIMIT).await)
    };
    let half2 = async {
        let mut stream = TcpStream::connect(to).await?;
        http2::send_preface(&mut stream).await?;
        http2::half_a_post(&mut stream, "/api/v1/auth/login/json", &to.to_string()).await?;
        anyhow::Ok(http2::watch(&mut stream, WAIT_LIMIT).await)
    };
    let kept_alive2 = async {
        let mut stream = TcpStream::connect(to).await?;
        http2::send_preface(&mut stream).await?;
        http2::get(&mut stream, "/health", &to.to_string()).await?;
        anyhow::Ok(http2::watch(&mut stream, WAIT_LIMIT).await)
    };
    let (silent, kept_alive, half_a_body, idle2, kept_alive2, half2) =
        tokio::try_join!(silent, kept_alive, half_a_body, idle2, kept_alive2, half2)?;
    Ok(vec![
        Measurement::at_most(
            "s until a silent connection is closed, HTTP/1",
            seconds(silent),
            8.0,
        ),
        Measurement::at_most(
            "s until an idle keep-alive connection is closed, HTTP/1",
            seconds(kept_alive),
            8.0,
        ),
        Measurement::at_most(
            "s until half a POST is closed, HTTP/1",
            seconds(half_a_body),
            10.0,
        ),
        Measurement::at_most(
            "s until a silent connection is closed, HTTP/2",
            seconds(idle2.closed_after),
            10.0,
        ),
        Measurement::at_most(
            "s until an idle keep-alive connection is closed, HTTP/2",
            seconds(kept_alive2.closed_after),
            10.0,
        ),
        Measurement::at_most(
            "s until half a POST is answered, HTTP/2",
            seconds(half2.answered_after.or(half2.closed_after)),
            8.0,
        ),
        Measurement::at_most(
            "s until its connection is closed, HTTP/2",
            seconds(half2.closed_after),
            14.0,
        ),
    ])
}

/// Downloads whose client stops reading.
pub(super) async fn unread_downloads(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    const DOWNLOADS: usize = 50;
    let server = TargetServer::start(context, &SHORT_LIMITS).await?;
    let account = Account::register(&server.url, "owner").await?;
    let upload = account.create_upload("image/png").await?;
    account.put(&upload, "image/png", noisy_png(3000)?).await?;
    let photo = expect(account.confirm(&upload.photo_id).await?, StatusCode::OK).await?;
    let link = text(&photo["original_url"])?;
    let path = link
        .strip_prefix(&server.url)
        .context("a URL of the server")?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = proc_fs::open_descriptors(server.process_id())?;
    let to = server.address()?;
    let mut streams = Vec::new();
    for _ in 0..DOWNLOADS {
        let mut stream = raw_connection::connect_with_small_buffer(to).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes())
            .await?;
        streams.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let during = proc_fs::open_descriptors(server.process_id())?;
    let begun = Instant::now();
    let held =
        || proc_fs::open_descriptors(server.process_id()).map(|now| now.saturating_sub(before));
    while held()? > 5 && begun.elapsed() < Duration::from_secs(25) {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let left = held()?;
    drop(streams);
    Ok(vec![
        Measurement::info(
            "file descriptors of 50 unread downloads",
            during.saturating_sub(before),
        ),
        Measurement::at_most("still open after 25 s, timeouts of 2 s", left as f64, 5.0),
        Measurement::info(
            "seconds until they were closed",
            format!("{:.1}", begun.elapsed().as_secs_f64()),
        ),
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
    ])
}

/// Endless headers on thousands of connections.
pub(super) async fn large_headers(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    const CONNECTIONS: u16 = 2000;
    let mut server = TargetServer::start(context, &["--workers", "1"]).await?;
    let to = server.address()?;
    let mut head = format!("GET /health HTTP/1.1\r\nHost: {to}\r\n");
    for number in 0..90 {
        head.push_str(&format!("X-Header-{number}: {}\r\n", "x".repeat(4000)));
    }
    let sending = (0..CONNECTIONS).map(async |number| {
        let mut stream =
            raw_connection::connect_from(raw_connection::client_address(number % 40), to)
                .await
                .ok()?;
        let sent = stream.write_all(head.as_bytes());
        // The result does not matter: accepted bytes show in the peak memory.
        let _ = tokio::time::timeout(Duration::from_secs(5), sent).await;
        Some(stream)
    });
    let streams: Vec<_> = stream::iter(sending).buffer_unordered(200).collect().await;
    let health = Client::new().get(format!("{}/health", server.url)).send();
    let health = health.await.map_or(0, |answer| answer.status().as_u16());
    drop(streams);
    let alive = server.is_alive();
    Ok(vec![
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
        Measurement::is_true("the server still runs", alive),
        Measurement::equals("a health check meanwhile", health, 200),
    ])
}

/// Slow uploads (byte by byte) of one account from many addresses, while another account uploads a photo.
pub(super) async fn slow_uploads(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    const UPLOADS: u16 = 400;
    const ADDRESSES: u16 = 20;
    let config = ServerConfig::new(context, &["--workers", "1"])?.with_descriptors(1024);
    let server = config.start().await?;
    let flooder = Account::register(&server.url, "flooder").await?;
    let other = Account::register(&server.url, "other").await?;
    let to = server.address()?;
    let upload = flooder.create_upload("image/jpeg").await?;
    let path = upload.upload_url.strip_prefix(&server.url);
    let path = path.context("a URL of the server")?;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n"
    );
    let mut streams = Vec::new();
    for number in 0..UPLOADS {
        let mut stream =
            raw_connection::connect_from(raw_connection::client_address(number % ADDRESSES), to)
                .await?;
        // A rejected connection may be closed already.
        if stream.write_all(head.as_bytes()).await.is_ok() {
            streams.push(stream);
        }
    }
    let slow_sending = async {
        loop {
            for stream in &mut streams {
                let _ = stream.write_all(&[0xFF]).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let other_uploads = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let begun = Instant::now();
        let mut statuses = Vec::new();
        for _ in 0..5 {
            let photo = other.post_photo(context.good_eye()?).await;
            statuses.push(photo.map_or(0, |answer| answer.status().as_u16()));
        }
        anyhow::Ok((statuses, begun.elapsed()))
    };
    let (statuses, took) = tokio::select! {
        uploaded = other_uploads => uploaded?,
        () = slow_sending => return Ok(Vec::new()),
    };
    let refused = statuses.iter().filter(|status| **status != 201).count();
    Ok(vec![
        Measurement::zero(
            format!("of another account's 5 uploads, rejected {statuses:?}"),
            refused,
        ),
        Measurement::at_most("their total seconds", took.as_secs_f64(), 5.0),
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
    ])
}
