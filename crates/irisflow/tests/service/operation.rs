//! Operation of the service: request ids, log lines, size limits, timeouts, metrics, response headers.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{App, good_eye, json_of, text};

async fn health_with_id(app: &App, id: &str) -> Response {
    let request = app.client().get(format!("{}/health", app.url));
    let request = request.header("x-request-id", id);
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_well_formed_request_id_is_returned_and_another_is_replaced() {
    let app = App::start().await;
    let answer = health_with_id(&app, "my-request.1").await;
    assert_eq!(answer.headers()["x-request-id"], "my-request.1");
    let answer = health_with_id(&app, "two words").await;
    let ours = answer.headers()["x-request-id"].to_str().expect("a text");
    assert_eq!(ours.len(), 36, "{ours}");
}

#[tokio::test]
async fn errors_carry_the_request_id_too() {
    let app = App::start().await;
    for path in ["/users/me", "/no/such/route"] {
        let request = app.request(Method::GET, path);
        let request = request.header("x-request-id", "find-me");
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_client_error());
        assert_eq!(answer.headers()["x-request-id"], "find-me");
    }
}

#[tokio::test]
async fn json_log_lines_have_the_request_id() {
    let settings = [
        ("IRISFLOW_LOG", "irisflow_server=debug"),
        ("IRISFLOW_LOG_FORMAT", "json"),
    ];
    let app = App::start_with(&settings).await;
    health_with_id(&app, "log-me").await;
    app.until("the line is written", async || app.log().contains("log-me"))
        .await;
    let lines: Vec<Value> = app
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    let answered = lines
        .iter()
        .find(|line| line["message"] == "answered")
        .expect("a line");
    assert_eq!(answered["span"]["request_id"], "log-me");
    assert_eq!(answered["span"]["route"], "/health");
    assert_eq!(answered["level"], "DEBUG");
}

#[tokio::test]
async fn text_log_lines_of_any_level_have_the_request_id() {
    let app = App::start_with(&[
        ("IRISFLOW_LOG", "error"),
        ("IRISFLOW_REQUEST_LIMIT_MS", "1"),
    ])
    .await;
    let body = json!({ "email": "you@example.com", "password": "Clear-Iris-7" });
    let request = app.request(Method::POST, "/auth/login/json").json(&body);
    let request = request.header("x-request-id", "slow-one");
    json_of(
        request.send().await.expect("an answer"),
        StatusCode::GATEWAY_TIMEOUT,
    )
    .await;
    app.until("the line is written", async || {
        app.log()
            .lines()
            .any(|line| line.contains("slow-one") && line.contains("a request timed out"))
    })
    .await;
}

#[tokio::test]
async fn a_request_that_exceeds_its_timeout_ends_with_504() {
    let app = App::start_with(&[("IRISFLOW_REQUEST_LIMIT_MS", "1")]).await;
    let body = json!({ "email": "you@example.com", "password": "Clear-Iris-7" });
    let request = app.request(Method::POST, "/auth/login/json").json(&body);
    let answer = json_of(
        request.send().await.expect("an answer"),
        StatusCode::GATEWAY_TIMEOUT,
    )
    .await;
    assert_eq!(answer["code"], "timed_out");
}

#[tokio::test]
async fn a_json_body_beyond_the_limit_is_413() {
    let app = App::start().await;
    let body = json!({ "email": "you@example.com", "password": "A1a".repeat(40_000) });
    let request = app.request(Method::POST, "/auth/register").json(&body);
    let answer = request.send().await.expect("an answer");
    let answer = json_of(answer, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(answer["code"], "body_too_large");
}

/// Sends the beginning of a request, and reads until the server closes the connection.
async fn answer_to_incomplete_request(app: &App, beginning: &str) -> String {
    let address = app.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(beginning.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
        .await
        .expect("the server closes the connection")
        .expect("read");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_stalled_request_body_ends_with_408() {
    let app = App::start_with(&[("IRISFLOW_BODY_PAUSE_MS", "200")]).await;
    let answer = answer_to_incomplete_request(
        &app,
        "POST /api/v1/auth/login/json HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"email\":",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"request_timeout\""), "{answer}");
}

#[tokio::test]
async fn a_connection_that_never_finishes_its_headers_is_closed() {
    let app = App::start_with(&[("IRISFLOW_HEADER_LIMIT_MS", "200")]).await;
    let answer = answer_to_incomplete_request(&app, "GET /health HTTP/1.1\r\nHost: loc").await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

const METRICS_TOKEN: &str = "let-me-read";
const WITH_METRICS: (&str, &str) = ("IRISFLOW_METRICS_TOKEN", METRICS_TOKEN);

async fn metrics_of(app: &App) -> String {
    let request = app.client().get(format!("{}/metrics", app.url));
    let answer = request.bearer_auth(METRICS_TOKEN).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.expect("a text")
}

/// The value of the metric with this name and labels; `None` when it is missing.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[tokio::test]
async fn metrics_cover_queue_steps_and_responses() {
    let app = App::start_with(&[WITH_METRICS]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let socket = user.watch(&job_id).await;
    let while_open = metrics_of(&app).await;
    socket.until_the_end().await;
    user.until_ended(&job_id).await;

    let metrics = metrics_of(&app).await;

    assert_eq!(
        value(&while_open, "irisflow_sockets_open"),
        Some(1.0),
        "{while_open}"
    );
    assert_eq!(
        value(&metrics, "irisflow_claims_total"),
        Some(1.0),
        "{metrics}"
    );
    assert_eq!(
        value(&metrics, "irisflow_queue_jobs{state=\"waiting\"}"),
        Some(0.0)
    );
    assert_eq!(value(&metrics, "irisflow_queue_oldest_seconds"), Some(0.0));
    for step in [
        "loading",
        "segmenting",
        "removing_reflections",
        "enhancing",
        "saving",
    ] {
        let count = format!("irisflow_step_seconds_count{{step=\"{step}\"}}");
        assert_eq!(value(&metrics, &count), Some(1.0), "{step}: {metrics}");
    }
    let submits = "irisflow_http_answers_total{method=\"POST\",route=\"/api/v1/processing/submit\",class=\"2xx\"}";
    assert_eq!(value(&metrics, submits), Some(1.0), "{metrics}");
    let received = value(&metrics, "irisflow_http_received_bytes_total").expect("a line");
    assert!(received >= f64::from(u32::try_from(good_eye().len()).expect("small")));
}

#[tokio::test]
async fn failures_are_counted_by_their_code() {
    let app = App::start_with(&[
        ("IRISFLOW_FAULTS", "segmenting:transient:1"),
        ("IRISFLOW_BACKOFF_MS", "50"),
        WITH_METRICS,
    ])
    .await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    user.until_ended(&job_id).await;
    let failures =
        "irisflow_attempt_failures_total{type=\"transient_error\",code=\"storage_unavailable\"}";
    assert_eq!(value(&metrics_of(&app).await, failures), Some(1.0));
}

#[tokio::test]
async fn metrics_are_off_until_there_is_a_token_or_a_listener() {
    let app = App::start().await;
    let answer = app.get(&format!("{}/metrics", app.url)).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn metrics_need_the_token() {
    let app = App::start_with(&[WITH_METRICS]).await;
    let url = format!("{}/metrics", app.url);
    let refused = json_of(app.get(&url).await, StatusCode::FORBIDDEN).await;
    assert_eq!(text(&refused["code"]), "metrics_forbidden");
    let wrong = app.client().get(&url).bearer_auth("let-me-rea").send();
    assert_eq!(
        wrong.await.expect("an answer").status(),
        StatusCode::FORBIDDEN
    );
    metrics_of(&app).await;
}

#[tokio::test]
async fn private_responses_are_not_cached() {
    let app = App::start().await;
    let user = app.user("you").await;
    let account = json!({ "email": user.email, "password": crate::app::PASSWORD });
    let answers = [
        app.request(Method::POST, "/auth/login/json").json(&account),
        app.request(Method::GET, "/users/me")
            .bearer_auth(&user.token),
        app.request(Method::GET, "/photos").bearer_auth(&user.token),
        app.request(Method::GET, "/users/me"),
    ];
    for request in answers {
        let answer = request.send().await.expect("an answer");
        let url = answer.url().path().to_owned();
        assert_eq!(answer.headers()["cache-control"], "no-store", "{url}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn pages_load_nothing_from_other_hosts() {
    let app = App::start().await;
    for path in ["/", "/docs/"] {
        let answer = app.get(&format!("{}{path}", app.url)).await;
        let policy = answer.headers()["content-security-policy"].to_str();
        let policy = policy.expect("a text").to_owned();
        let scripts = policy
            .split(';')
            .find(|part| part.trim().starts_with("script-src"));
        assert!(!scripts.unwrap_or_default().contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    }
}
