//! Attacks on headers and hosts: CORS preflights, foreign access to `/metrics`, `Host` in links, security
//! headers.

use std::net::SocketAddr;

use reqwest::{Client, Method, StatusCode};
use serde_json::json;

use super::measurement::Measurement;
use super::target_server::TargetServer;
use super::test_account::Account;
use super::{AttackContext, raw_connection};

const PAGE: &str = "https://page.example";

/// CORS preflights of an allowed and of a foreign origin.
pub(super) async fn preflights(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--allowed-origins", PAGE]).await?;
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
                .request(Method::OPTIONS, format!("{}{path}", server.url))
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
        .get(format!("{}/api/v1/photos", server.url))
        .header("Origin", PAGE);
    let asked = asked.send().await?;
    let named = asked
        .headers()
        .get("access-control-allow-origin")
        .is_some_and(|value| value == PAGE);
    Ok(vec![
        Measurement::zero(
            format!(
                "of {} preflights of an allowed origin, rejected",
                calls.len()
            ),
            refused,
        ),
        Measurement::zero("granted to a foreign origin", open_to_all),
        Measurement::is_true("errors can be read by the page, too", named),
    ])
}

/// `/metrics` must be refused to foreign hosts and origins, also behind a proxy.
pub(super) async fn foreign_metrics(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &[]).await?;
    let to = server.address()?;
    let ask = async |host: &str, more: &str| {
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        let answer = raw_connection::exchange(to, &request).await?;
        anyhow::Ok(status_in(&answer))
    };
    let local = to.to_string();
    let mut measurements = Vec::new();
    for (what, host, more) in [
        ("a foreign Host", "evil.example", ""),
        ("a proxy that sends its own Host", local.as_str(), ""),
        (
            "a proxy with X-Forwarded-For",
            "iris.example.com",
            "X-Forwarded-For: 203.0.113.9\r\n",
        ),
        ("a DNS rebinding name", "localhost.evil.example", ""),
        (
            "a page of another site",
            local.as_str(),
            "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
        ),
    ] {
        let status = ask(host, more).await?;
        measurements.push(Measurement::is_true(
            format!("refused: {what} ({status})"),
            status != 200,
        ));
    }
    let guarded =
        TargetServer::start(context, &["--metrics-token", "a-long-token-for-tests"]).await?;
    let client = Client::new();
    let url = format!("{}/metrics", guarded.url);
    let known = client
        .get(&url)
        .bearer_auth("a-long-token-for-tests")
        .send()
        .await?;
    let unknown = client.get(&url).bearer_auth("another").send().await?;
    measurements.push(Measurement::equals(
        "with the token",
        known.status().as_u16(),
        200,
    ));
    measurements.push(Measurement::is_true(
        "refused: another token",
        unknown.status() != StatusCode::OK,
    ));
    Ok(measurements)
}

fn status_in(answer: &str) -> u16 {
    let word = answer.split(' ').nth(1);
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// URLs in responses use the `Host` of the request only for addresses of emulators and private networks.
pub(super) async fn hosts_in_links(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &[]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let to = server.address()?;
    let port = to.port();
    let mut measurements = Vec::new();
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
        let link = upload_url_for_host(&account, to, &host).await?;
        let follows = link.starts_with(&format!("http://{host}/"));
        let verb = if honoured { "honoured" } else { "not honoured" };
        measurements.push(Measurement::is_true(
            format!("Host {host} {verb}"),
            follows == honoured,
        ));
    }
    Ok(measurements)
}

async fn upload_url_for_host(
    account: &Account,
    to: SocketAddr,
    host: &str,
) -> anyhow::Result<String> {
    let body = json!({ "content_type": "image/jpeg" }).to_string();
    let request = format!(
        "POST /api/v1/photos/upload HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        account.token,
        body.len()
    );
    let answer = raw_connection::exchange(to, &request).await?;
    let link = answer.split("\"upload_url\":\"").nth(1);
    Ok(link
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
        .to_owned())
}

/// Security and caching headers of responses.
pub(super) async fn safe_headers(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
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
        .get(format!("{}/docs/", server.url))
        .send()
        .await?;
    Ok(vec![
        Measurement::is_true(
            "no-store on tokens",
            header(&login, "cache-control").contains("no-store"),
        ),
        Measurement::is_true(
            "no-store on an account",
            header(&me, "cache-control").contains("no-store"),
        ),
        Measurement::is_true(
            "a content security policy on /docs",
            header(&docs, "content-security-policy") != "-",
        ),
    ])
}
