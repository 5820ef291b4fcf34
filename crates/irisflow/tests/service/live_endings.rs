//! How sockets of all jobs and event streams end: expiry, logout, disabled and deleted accounts, shutdown, limits,
//! silent peers.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, User, json_of, text};

/// The text of an event stream until its end.
async fn stream_until_end(app: &App, user: &User<'_>) -> String {
    let request = app.request(Method::GET, "/events").bearer_auth(&user.token);
    let answer = request.header("Accept", "text/event-stream").send().await;
    answer.expect("an answer").text().await.expect("the stream")
}

#[tokio::test]
async fn a_fresh_token_keeps_a_socket_open_and_without_one_it_ends() {
    let app = App::start_with(&[("IRISFLOW_ACCESS_TOKEN_MS", "4000")]).await;
    let mut user = app.user("you").await;
    let abandoned = user.follow(json!({})).await;
    let begun = Instant::now();
    let stream = stream_until_end(&app, &user).await;
    assert!(
        stream.contains("event: error") && stream.contains("token_expired"),
        "{stream}"
    );
    assert!(
        begun.elapsed() > Duration::from_secs(2),
        "it has lived as long as its token"
    );

    let ended = abandoned.until_the_end().await;
    let types: Vec<String> = ended
        .frames
        .iter()
        .map(|frame| text(&frame["type"]))
        .collect();
    assert_eq!(types, ["snapshot", "token_expiring", "error"]);
    assert_eq!(ended.last()["error"], "Token expired");
    assert_eq!(ended.last()["code"], "token_expired");
    assert_eq!(ended.close_code, 1008);

    user.refresh().await;
    let mut socket = user.follow(json!({})).await;
    let opened = Instant::now();
    while opened.elapsed() < Duration::from_secs(7) {
        while socket.frame().await["type"] != "token_expiring" {}
        tokio::time::sleep(Duration::from_millis(500)).await;
        user.refresh().await;
        let token = json!({ "type": "token", "token": user.token });
        socket.send_text(&token.to_string()).await;
        assert_eq!(socket.frame().await["type"], "token_accepted");
    }
}

#[tokio::test]
async fn a_token_of_another_account_is_no_fresh_token() {
    let app = App::start().await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let mut socket = user.follow(json!({})).await;
    socket.frame().await;
    let token = json!({ "type": "token", "token": other.token });
    socket.send_text(&token.to_string()).await;
    let ended = socket.until_the_end().await;
    assert_eq!(
        (text(&ended.last()["code"]), ended.close_code),
        ("invalid_token".to_owned(), 1008)
    );
}

#[tokio::test]
async fn a_logout_ends_sockets_and_streams_within_a_second() {
    // The check of the session cannot end them.
    let app = App::start_with(&[("IRISFLOW_SESSION_CHECK_MS", "600000")]).await;
    let user = app.user("you").await;
    let mut socket = user.follow(json!({})).await;
    socket.frame().await;
    let logout = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        user.send(Method::POST, "/auth/logout", None).await
    };
    let (stream, answer) = tokio::join!(stream_until_end(&app, &user), logout);
    json_of(answer, StatusCode::OK).await;
    assert!(stream.contains("invalid_token"), "{stream}");
    let ended = tokio::time::timeout(Duration::from_secs(1), socket.until_the_end()).await;
    let ended = ended.expect("within a second");
    assert_eq!(
        (text(&ended.last()["code"]), ended.close_code),
        ("invalid_token".to_owned(), 1008)
    );
}

#[tokio::test]
async fn deleting_the_account_ends_its_sockets() {
    let app = App::start_with(&[("IRISFLOW_SESSION_CHECK_MS", "600000")]).await;
    let user = app.user("you").await;
    let mut socket = user.follow(json!({})).await;
    socket.frame().await;
    let deleted = user
        .send(
            Method::DELETE,
            "/users/me",
            Some(&json!({ "confirm": true })),
        )
        .await;
    assert!(deleted.status().is_success());
    let ended = tokio::time::timeout(Duration::from_secs(5), socket.until_the_end()).await;
    assert_eq!(ended.expect("at once").close_code, 1008);
}

#[tokio::test]
async fn sockets_and_streams_of_an_account_disabled_elsewhere_end_at_the_next_check() {
    let app = App::start_with(&[("IRISFLOW_SESSION_CHECK_MS", "500")]).await;
    let user = app.user("you").await;
    let mut socket = user.follow(json!({})).await;
    socket.frame().await;
    let disable = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let disabled = std::process::Command::new(env!("CARGO_BIN_EXE_irisflow"))
            .args(["user", "disable", &user.email, "--data-dir"])
            .arg(app.data_dir())
            .status();
        assert!(disabled.expect("it runs").success());
    };
    let (stream, ()) = tokio::join!(stream_until_end(&app, &user), disable);
    assert!(stream.contains("invalid_token"), "{stream}");
    let ended = tokio::time::timeout(Duration::from_secs(20), socket.until_the_end()).await;
    assert_eq!(ended.expect("after the check").close_code, 1008);
}

#[tokio::test]
async fn a_shutdown_tells_clients_when_to_come_back() {
    let mut app = App::start().await;
    let url = app.url.clone();
    let user = app.user("you").await;
    let mut socket = user.follow(json!({})).await;
    socket.frame().await;
    let stream = app.request(Method::GET, "/events").bearer_auth(&user.token);
    let stream = stream.header("Accept", "text/event-stream").send().await;
    let stream = tokio::spawn(stream.expect("an answer").text());

    let status = app.terminate().await;

    assert!(status.success(), "{url} stopped by itself");
    let ended = socket.until_the_end().await;
    let closing = ended.last();
    assert_eq!(
        (&closing["type"], &closing["reason"]),
        (&json!("closing"), &json!("shutdown"))
    );
    assert!(
        closing["reconnect_in_ms"].as_u64() <= Some(1_000),
        "{closing}"
    );
    assert_eq!(ended.close_code, 1012);
    let stream = stream.await.expect("no panic").expect("the stream");
    assert!(stream.contains("event: closing"), "{stream}");
}

#[tokio::test]
async fn a_socket_beyond_the_limit_of_its_account_is_rejected_with_a_time() {
    let app = App::start_with(&[("IRISFLOW_MAX_USER_SOCKETS", "2")]).await;
    let user = app.user("you").await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = user.follow(json!({})).await;
        socket.frame().await;
        open.push(socket);
    }
    let rejected = user.follow(json!({})).await.until_the_end().await;
    let frame = rejected.last();
    assert_eq!(frame["code"], "too_many_connections", "{frame}");
    assert!(frame["retry_in_ms"].as_u64() > Some(0), "{frame}");
    assert_eq!(rejected.close_code, 1013);
    let poll = json_of(
        user.get("/events?wait=0").await,
        StatusCode::TOO_MANY_REQUESTS,
    )
    .await;
    assert_eq!(poll["code"], "too_many_sockets");
    open.pop().expect("a socket").close().await;
    app.until("there is room again", async || {
        user.get("/events?wait=0").await.status() == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn an_idle_socket_is_pinged_and_a_silent_peer_is_disconnected() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = App::start_with(&[("IRISFLOW_SOCKET_PING_MS", "300")]).await;
    let user = app.user("you").await;
    let ticket = user.ticket().await;
    let mut answering = user.follow(json!({})).await;
    answering.frame().await;
    // Pings are answered while it reads.
    let answering = tokio::spawn(answering.until_the_end());
    let address = app.url.replace("http://", "");
    let mut silent = tokio::net::TcpStream::connect(&address)
        .await
        .expect("connected");
    let request = format!(
        "GET /ws?ticket={ticket} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    silent.write_all(request.as_bytes()).await.expect("sent");
    // A masked text frame with the hello.
    let hello = br#"{"type":"hello"}"#;
    let mut frame = vec![
        0x81,
        0x80 | u8::try_from(hello.len()).expect("short"),
        0,
        0,
        0,
        0,
    ];
    frame.extend(hello);
    silent.write_all(&frame).await.expect("sent");

    let mut received = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut received));

    ended.await.expect("it is disconnected").expect("read");
    assert!(
        received.windows(2).any(|bytes| bytes == [0x89, 0]),
        "it was pinged"
    );
    user.send(Method::POST, "/auth/logout", None).await;
    let ended = answering.await.expect("no panic");
    assert_eq!(
        ended.close_code, 1008,
        "the one that answered pings was still open"
    );
}

#[tokio::test]
async fn sockets_that_have_not_authenticated_are_few() {
    // Twelve sockets, six of one address, one of them before its first frame.
    let app = App::start_with(&[("IRISFLOW_MAX_CONNECTIONS", "16")]).await;
    let user = app.user("you").await;
    let silent = app.socket_at("/ws", None).await;

    let rejected = app.socket_at("/ws", None).await.until_the_end().await;
    assert_eq!(rejected.last()["code"], "too_many_connections");

    let path = format!("/ws?token={}", user.token);
    let mut authenticated = app.socket_at(&path, None).await;
    authenticated.send_text(r#"{"type":"hello"}"#).await;
    assert_eq!(authenticated.frame().await["type"], "snapshot");
    drop(silent);
}
