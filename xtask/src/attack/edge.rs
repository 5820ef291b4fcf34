//! Connections, headers and hosts: what reaches the server before any handler.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use reqwest::{Client, Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Scene;
use super::account::{Account, expect, text};
use super::finding::Finding;
use super::photos::noisy_png;
use super::victim::{Recipe, Victim};
use super::{http2, process, wire};

const PAGE: &str = "https://page.example";

/// What a browser asks before a page of an allowed origin may call.
pub(super) async fn preflights(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--allowed-origins", PAGE]).await?;
    let client = Client::new();
    let calls = [
        ("POST", "/api/v1/auth/login/json", "content-type"),
        ("GET", "/api/v1/photos", "authorization"),
        (
            "POST",
            "/api/v1/photos/upload",
            "authorization,content-type",
        ),
        (
            "POST",
            "/api/v1/processing/submit",
            "authorization,content-type,idempotency-key",
        ),
        ("DELETE", "/api/v1/users/me", "authorization,content-type"),
        (
            "PUT",
            "/api/v1/users/me/password",
            "authorization,content-type",
        ),
        ("PUT", "/api/v1/files/incoming/a/b", "content-type"),
        (
            "POST",
            "/api/v1/processing/jobs/0191/cancel",
            "authorization",
        ),
    ];
    let (mut refused, mut open_to_all) = (0, 0);
    for (method, path, headers) in calls {
        for (origin, allowed) in [(PAGE, true), ("https://evil.example", false)] {
            let answer = client
                .request(Method::OPTIONS, format!("{}{path}", victim.url))
                .header("Origin", origin)
                .header("Access-Control-Request-Method", method)
                .header("Access-Control-Request-Headers", headers)
                .send()
                .await?;
            let granted = answer.status().is_success()
                && answer
                    .headers()
                    .get("access-control-allow-origin")
                    .is_some_and(|value| value == origin);
            refused += usize::from(allowed && !granted);
            open_to_all += usize::from(!allowed && granted);
        }
    }
    let asked = client
        .get(format!("{}/api/v1/photos", victim.url))
        .header("Origin", PAGE);
    let asked = asked.send().await?;
    let named = asked
        .headers()
        .get("access-control-allow-origin")
        .is_some_and(|value| value == PAGE);
    Ok(vec![
        Finding::none(
            format!(
                "of {} preflights of an allowed origin, refused",
                calls.len()
            ),
            refused,
        ),
        Finding::none("granted to a foreign origin", open_to_all),
        Finding::that("errors can be read by the page, too", named),
    ])
}

const PATIENCE: Duration = Duration::from_secs(15);
/// Short ones, so that the attack is.
const SHORT_LIMITS: [&str; 6] = [
    "--header-limit-ms",
    "2000",
    "--body-pause-ms",
    "2000",
    "--request-limit-ms",
    "4000",
];

/// Connections that never end by themselves, under limits of 2 and 4 s.
pub(super) async fn endless_connections(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &SHORT_LIMITS).await?;
    let to = victim.address()?;
    let seconds = |time: Option<Duration>| time.map_or(f64::INFINITY, |time| time.as_secs_f64());

    let silent = async {
        let mut stream = TcpStream::connect(to).await?;
        anyhow::Ok(wire::until_closed(&mut stream, PATIENCE).await)
    };
    let kept_alive = async {
        let mut stream = TcpStream::connect(to).await?;
        stream
            .write_all(format!("GET /health HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes())
            .await?;
        anyhow::Ok(wire::until_closed(&mut stream, PATIENCE).await)
    };
    let half_a_body = async {
        let mut stream = TcpStream::connect(to).await?;
        let head = format!(
            "POST /api/v1/auth/login/json HTTP/1.1\r\nHost: {to}\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await?;
        anyhow::Ok(wire::until_closed(&mut stream, PATIENCE).await)
    };
    let idle2 = async {
        let mut stream = TcpStream::connect(to).await?;
        http2::greet(&mut stream).await?;
        anyhow::Ok(http2::watch(&mut stream, PATIENCE).await)
    };
    let half2 = async {
        let mut stream = TcpStream::connect(to).await?;
        http2::greet(&mut stream).await?;
        http2::half_a_post(&mut stream, "/api/v1/auth/login/json", &to.to_string()).await?;
        anyhow::Ok(http2::watch(&mut stream, PATIENCE).await)
    };
    let kept_alive2 = async {
        let mut stream = TcpStream::connect(to).await?;
        http2::greet(&mut stream).await?;
        http2::get(&mut stream, "/health", &to.to_string()).await?;
        anyhow::Ok(http2::watch(&mut stream, PATIENCE).await)
    };
    let (silent, kept_alive, half_a_body, idle2, kept_alive2, half2) =
        tokio::try_join!(silent, kept_alive, half_a_body, idle2, kept_alive2, half2)?;
    Ok(vec![
        Finding::at_most("s until silence is cut, HTTP/1", seconds(silent), 8.0),
        Finding::at_most(
            "s until an idle kept connection is cut, HTTP/1",
            seconds(kept_alive),
            8.0,
        ),
        Finding::at_most(
            "s until half a POST is cut, HTTP/1",
            seconds(half_a_body),
            10.0,
        ),
        Finding::at_most(
            "s until silence is cut, HTTP/2",
            seconds(idle2.closed_after),
            10.0,
        ),
        Finding::at_most(
            "s until an idle kept connection is cut, HTTP/2",
            seconds(kept_alive2.closed_after),
            10.0,
        ),
        Finding::at_most(
            "s until half a POST is answered, HTTP/2",
            seconds(half2.answered_after.or(half2.closed_after)),
            8.0,
        ),
        Finding::at_most(
            "s until its connection is cut, HTTP/2",
            seconds(half2.closed_after),
            14.0,
        ),
    ])
}

/// Downloads that nobody reads.
pub(super) async fn unread_downloads(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const DOWNLOADS: usize = 50;
    let victim = Victim::start(scene, &SHORT_LIMITS).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let announced = account.announce("image/png").await?;
    account
        .put(&announced, "image/png", noisy_png(3000)?)
        .await?;
    let photo = expect(account.confirm(&announced.photo_id).await?, StatusCode::OK).await?;
    let link = text(&photo["original_url"])?;
    let path = link.strip_prefix(&victim.url).context("a link of ours")?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = process::open_descriptors(victim.process_id())?;
    let to = victim.address()?;
    let mut streams = Vec::new();
    for _ in 0..DOWNLOADS {
        let mut stream = wire::connect_deaf(to).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes())
            .await?;
        streams.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let during = process::open_descriptors(victim.process_id())?;
    let begun = Instant::now();
    let held =
        || process::open_descriptors(victim.process_id()).map(|now| now.saturating_sub(before));
    while held()? > 5 && begun.elapsed() < Duration::from_secs(25) {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let left = held()?;
    drop(streams);
    Ok(vec![
        Finding::note(
            "descriptors that 50 unread downloads took",
            during.saturating_sub(before),
        ),
        Finding::at_most("still taken after 25 s, limits of 2 s", left as f64, 5.0),
        Finding::note(
            "seconds until they were cut",
            format!("{:.1}", begun.elapsed().as_secs_f64()),
        ),
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
    ])
}

/// Headers that grow and never end, on very many connections.
pub(super) async fn large_headers(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const CONNECTIONS: u16 = 2000;
    let mut victim = Victim::start(scene, &["--workers", "1"]).await?;
    let to = victim.address()?;
    let mut head = format!("GET /health HTTP/1.1\r\nHost: {to}\r\n");
    for number in 0..90 {
        head.push_str(&format!("X-Header-{number}: {}\r\n", "x".repeat(4000)));
    }
    let sending = (0..CONNECTIONS).map(async |number| {
        let mut stream = wire::connect_from(wire::stranger(number % 40), to)
            .await
            .ok()?;
        let sent = stream.write_all(head.as_bytes());
        // Whether it was taken is seen in the memory.
        let _ = tokio::time::timeout(Duration::from_secs(5), sent).await;
        Some(stream)
    });
    let streams: Vec<_> = stream::iter(sending).buffer_unordered(200).collect().await;
    let health = Client::new().get(format!("{}/health", victim.url)).send();
    let health = health.await.map_or(0, |answer| answer.status().as_u16());
    drop(streams);
    let alive = victim.is_alive();
    Ok(vec![
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
        Finding::that("the server lives", alive),
        Finding::is("a health check meanwhile", health, 200),
    ])
}

/// Uploads of one account that come byte by byte, from many addresses; somebody else has a photo.
pub(super) async fn slow_uploads(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const UPLOADS: u16 = 400;
    const ADDRESSES: u16 = 20;
    let recipe = Recipe::new(scene, &["--workers", "1"])?.with_descriptors(1024);
    let victim = recipe.start().await?;
    let flooder = Account::register(&victim.url, "flooder").await?;
    let other = Account::register(&victim.url, "other").await?;
    let to = victim.address()?;
    let announced = flooder.announce("image/jpeg").await?;
    let path = announced.upload_url.strip_prefix(&victim.url);
    let path = path.context("a link of ours")?;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n"
    );
    let mut streams = Vec::new();
    for number in 0..UPLOADS {
        let mut stream = wire::connect_from(wire::stranger(number % ADDRESSES), to).await?;
        // One that is refused may be closed already.
        if stream.write_all(head.as_bytes()).await.is_ok() {
            streams.push(stream);
        }
    }
    let dripping = async {
        loop {
            for stream in &mut streams {
                let _ = stream.write_all(&[0xFF]).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let life = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let begun = Instant::now();
        let mut statuses = Vec::new();
        for _ in 0..5 {
            let photo = other.post_photo(scene.good_eye()?).await;
            statuses.push(photo.map_or(0, |answer| answer.status().as_u16()));
        }
        anyhow::Ok((statuses, begun.elapsed()))
    };
    let (statuses, took) = tokio::select! {
        lived = life => lived?,
        () = dripping => return Ok(Vec::new()),
    };
    let refused = statuses.iter().filter(|status| **status != 201).count();
    Ok(vec![
        Finding::none(
            format!("of another account's 5 uploads, refused {statuses:?}"),
            refused,
        ),
        Finding::at_most("seconds that they took", took.as_secs_f64(), 5.0),
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
    ])
}

/// The figures of a service are nobody's business, behind whatever proxy.
pub(super) async fn foreign_metrics(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &[]).await?;
    let to = victim.address()?;
    let ask = async |host: &str, more: &str| {
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        let answer = wire::exchange(to, &request).await?;
        anyhow::Ok(status_in(&answer))
    };
    let local = to.to_string();
    let mut findings = Vec::new();
    for (what, host, more) in [
        ("a foreign Host", "evil.example", ""),
        (
            "a plain proxy, which passes its own Host",
            local.as_str(),
            "",
        ),
        (
            "a proxy that says for whom",
            "iris.example.com",
            "X-Forwarded-For: 203.0.113.9\r\n",
        ),
        (
            "a rebound name of this machine",
            "localhost.evil.example",
            "",
        ),
        (
            "a page of another site",
            local.as_str(),
            "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
        ),
    ] {
        let status = ask(host, more).await?;
        findings.push(Finding::that(
            format!("refused: {what} ({status})"),
            status != 200,
        ));
    }
    let guarded = Victim::start(scene, &["--metrics-token", "a-long-token-for-tests"]).await?;
    let client = Client::new();
    let url = format!("{}/metrics", guarded.url);
    let known = client
        .get(&url)
        .bearer_auth("a-long-token-for-tests")
        .send()
        .await?;
    let unknown = client.get(&url).bearer_auth("another").send().await?;
    findings.push(Finding::is("with the token", known.status().as_u16(), 200));
    findings.push(Finding::that(
        "refused: another token",
        unknown.status() != StatusCode::OK,
    ));
    Ok(findings)
}

fn status_in(answer: &str) -> u16 {
    let word = answer.split(' ').nth(1);
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Links follow the Host of an emulator or a home network, and nobody else's.
pub(super) async fn hosts_in_links(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &[]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let to = victim.address()?;
    let port = to.port();
    let mut findings = Vec::new();
    for (host, honoured) in [
        (format!("10.0.2.2:{port}"), true),
        (format!("192.168.178.20:{port}"), true),
        (format!("172.16.3.4:{port}"), true),
        (format!("localhost:{port}"), true),
        (format!("[fd00::7]:{port}"), true),
        ("evil.example".to_owned(), false),
        (format!("203.0.113.9:{port}"), false),
        (format!("10.0.2.2.evil.example:{port}"), false),
        (format!("10.0.2.2:{port}@evil.example"), false),
    ] {
        let link = link_told_to(&account, to, &host).await?;
        let follows = link.starts_with(&format!("http://{host}/"));
        let verb = if honoured { "honoured" } else { "not honoured" };
        findings.push(Finding::that(
            format!("Host {host} {verb}"),
            follows == honoured,
        ));
    }
    Ok(findings)
}

async fn link_told_to(account: &Account, to: SocketAddr, host: &str) -> anyhow::Result<String> {
    let body = json!({ "content_type": "image/jpeg" }).to_string();
    let request = format!(
        "POST /api/v1/photos/upload HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        account.token,
        body.len()
    );
    let answer = wire::exchange(to, &request).await?;
    let link = answer.split("\"upload_url\":\"").nth(1);
    Ok(link
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
        .to_owned())
}

/// What browsers and caches are told.
pub(super) async fn safe_headers(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let login = account
        .call(Method::POST, "/auth/login/json")
        .json(&account.credentials());
    let login = login.send().await?;
    let header = |answer: &reqwest::Response, name: &str| {
        let value = answer.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    let me = account.request(Method::GET, "/users/me").send().await?;
    let docs = account
        .client
        .get(format!("{}/docs/", victim.url))
        .send()
        .await?;
    Ok(vec![
        Finding::that(
            "no-store on tokens",
            header(&login, "cache-control").contains("no-store"),
        ),
        Finding::that(
            "no-store on an account",
            header(&me, "cache-control").contains("no-store"),
        ),
        Finding::that(
            "a content security policy on /docs",
            header(&docs, "content-security-policy") != "-",
        ),
    ])
}
