//! Credentials of the socket of all jobs and of event streams: where they may stand, and that they reach no log.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, Socket, User, json_of, no_eye, text};

async fn first_frame(mut socket: Socket) -> Value {
    socket.frame().await
}

async fn hello(socket: &mut Socket) {
    socket.send_text(r#"{"type":"hello"}"#).await;
}

async fn refusal(socket: Socket) -> (String, u16) {
    let watched = socket.until_the_end().await;
    assert_eq!(watched.frames.len(), 1, "{:?}", watched.frames);
    let frame = watched.last();
    assert_eq!(frame["type"], "error", "{frame}");
    assert!(frame["detail"].is_string(), "{frame}");
    (text(&frame["code"]), watched.close_code)
}

#[tokio::test]
async fn a_socket_takes_its_token_from_the_first_frame_the_sub_protocol_or_the_url() {
    let app = App::start().await;
    let user = app.user("you").await;

    assert_eq!(
        first_frame(user.follow(json!({})).await).await["type"],
        "snapshot"
    );

    let offered = format!("irisflow.v1, bearer.{}", user.token);
    let headers = [("Sec-WebSocket-Protocol", offered.as_str())];
    let (mut socket, selected) = app.socket_with("/ws", &headers).await;
    assert_eq!(
        selected.as_deref(),
        Some("irisflow.v1"),
        "and the token is not sent back"
    );
    hello(&mut socket).await;
    assert_eq!(first_frame(socket).await["type"], "snapshot");

    let mut socket = app
        .socket_at(&format!("/ws?token={}", user.token), None)
        .await;
    hello(&mut socket).await;
    assert_eq!(first_frame(socket).await["type"], "snapshot");
}

#[tokio::test]
async fn a_ticket_opens_one_socket_or_stream_and_no_second() {
    let app = App::start().await;
    let user = app.user("you").await;

    let ticket = user.ticket().await;
    let mut socket = app.socket_at(&format!("/ws?ticket={ticket}"), None).await;
    hello(&mut socket).await;
    assert_eq!(first_frame(socket).await["type"], "snapshot");
    let again = app.socket_at(&format!("/ws?ticket={ticket}"), None).await;
    assert_eq!(refusal(again).await, ("invalid_token".to_owned(), 1008));

    let ticket = user.ticket().await;
    let url = format!("{}/api/v1/events?ticket={ticket}", app.url);
    let answer = json_of(app.get(&url).await, StatusCode::OK).await;
    assert_eq!(answer["frames"][0]["type"], "snapshot");
    assert_eq!(app.get(&url).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn tokens_in_urls_can_be_switched_off() {
    let app = App::start_with(&[("IRISFLOW_TOKENS_IN_URLS", "off")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(no_eye()).await;
    let token = &user.token;

    let rejected = ("token_in_url_disabled".to_owned(), 1008);
    let socket = app.socket_at(&format!("/ws?token={token}"), None).await;
    assert_eq!(refusal(socket).await, rejected);
    let own = app.socket(&job_id, token).await.until_the_end().await;
    assert_eq!((text(&own.last()["code"]), own.close_code), rejected);
    let url = format!("{}/api/v1/events?token={token}", app.url);
    let answer = json_of(app.get(&url).await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(answer["code"], "token_in_url_disabled");

    let path = format!("/ws/jobs/{job_id}?ticket={}", user.ticket().await);
    let watched = app.socket_at(&path, None).await.until_the_end().await;
    assert_eq!(
        watched.close_code, 1000,
        "a ticket opens the socket of a job, too"
    );
}

#[tokio::test]
async fn a_socket_without_valid_credentials_is_rejected_with_a_reason() {
    let app = App::start().await;
    let user = app.user("you").await;
    let path = |token: &str| format!("/ws?token={token}");
    let mut tampered = user.token.clone();
    tampered.replace_range(tampered.len() - 8.., "AAAAAAAA");
    for token in [tampered.as_str(), &user.refresh_token, "x"] {
        let socket = app.socket_at(&path(token), None).await;
        assert_eq!(refusal(socket).await, ("invalid_token".to_owned(), 1008));
    }

    let mut without = app.socket_at("/ws", None).await;
    hello(&mut without).await;
    assert_eq!(
        refusal(without).await,
        ("not_authenticated".to_owned(), 1008)
    );
    for (frame, code) in [
        ("{", "invalid_frame"),
        ("{}", "invalid_frame"),
        (r#"{"type":"pong"}"#, "hello_missing"),
    ] {
        let mut socket = app.socket_at(&path(&user.token), None).await;
        socket.send_text(frame).await;
        assert_eq!(refusal(socket).await, (code.to_owned(), 1008), "{frame}");
    }
    let job_ids = vec!["01890a5d-ac96-774b-bcce-b302099a8057"; 201];
    let socket = user
        .follow(json!({ "filter": { "job_ids": job_ids } }))
        .await;
    assert_eq!(refusal(socket).await, ("invalid_filter".to_owned(), 1008));
}

#[tokio::test]
async fn pages_of_foreign_and_lookalike_origins_may_not_follow() {
    let app = App::start_with(&[("IRISFLOW_ALLOWED_ORIGINS", "https://app.example.com")]).await;
    let user = app.user("you").await;
    let path = format!("/ws?token={}", user.token);
    for origin in [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://notapp.example.com",
        "http://app.example.com",
        "null",
    ] {
        let (code, close_code) = refusal(app.socket_at(&path, Some(origin)).await).await;
        assert_eq!(
            (code.as_str(), close_code),
            ("origin_not_allowed", 1008),
            "{origin}"
        );
    }
    let own = app.url.clone();
    for origin in ["https://app.example.com", &own] {
        let mut socket = app.socket_at(&path, Some(origin)).await;
        hello(&mut socket).await;
        assert_eq!(first_frame(socket).await["type"], "snapshot", "{origin}");
    }
}

/// Uses each credential in each place, and one of each that is rejected.
async fn use_credentials(app: &App, user: &User<'_>, job_id: &str) -> Vec<String> {
    let token = user.token.clone();
    let mut secrets = vec![token.clone(), user.refresh_token.clone()];
    for path in ["/ws", "/api/v1/events"] {
        let ticket = user.ticket().await;
        for query in [
            format!("token={token}"),
            format!("ticket={ticket}"),
            format!("ticket={ticket}"),
        ] {
            if path == "/ws" {
                let mut socket = app.socket_at(&format!("{path}?{query}"), None).await;
                hello(&mut socket).await;
                socket.frame().await;
            } else {
                app.get(&format!("{}{path}?{query}&wait=0", app.url)).await;
            }
        }
        secrets.push(ticket);
    }
    let offered = format!("irisflow.v1, bearer.{token}");
    let (mut socket, _) = app
        .socket_with("/ws", &[("Sec-WebSocket-Protocol", &offered)])
        .await;
    hello(&mut socket).await;
    socket
        .send_text(&json!({ "type": "token", "token": token }).to_string())
        .await;
    socket.frame().await;
    user.follow(json!({})).await.frame().await;
    user.frames_of(job_id).await;
    secrets
}

#[tokio::test]
async fn no_token_and_no_ticket_reaches_the_log() {
    let app = App::start_with(&[("IRISFLOW_LOG", "trace")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(no_eye()).await;

    let secrets = use_credentials(&app, &user, &job_id).await;

    let log = app.log();
    assert!(log.contains("/ws"), "requests are logged by route");
    for secret in secrets {
        // The signature of a token, which is what makes it valid.
        let secret = secret.rsplit('.').next().expect("a part").to_owned();
        assert!(!log.contains(&secret), "a secret is in the log");
    }
}

#[tokio::test]
async fn a_stream_is_sent_unbuffered_and_without_caching() {
    let app = App::start().await;
    let user = app.user("you").await;
    let request = app.request(Method::GET, "/events").bearer_auth(&user.token);
    let mut answer = request
        .header("Accept", "text/event-stream")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let chunk = answer.chunk().await.expect("read").expect("a message");
    let first = String::from_utf8_lossy(&chunk);
    assert!(
        first.contains("event: snapshot") && first.contains("retry: "),
        "{first}"
    );
    let without = app.request(Method::GET, "/events").send().await;
    assert_eq!(
        without.expect("an answer").status(),
        StatusCode::UNAUTHORIZED
    );
}
