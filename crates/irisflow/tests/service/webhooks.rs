//! Webhooks: a real receiver, the real service, and everything that goes wrong between them.

pub(crate) mod receiver;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::app::{App, User, good_eye, json_of, no_eye, text};
use receiver::{Answer, Received, Receiver, read_request};

const ALLOW_PRIVATE: (&str, &str) = ("IRISFLOW_WEBHOOK_ALLOW_PRIVATE", "true");
/// Short enough for retries within a test.
const FAST: [(&str, &str); 3] = [
    ALLOW_PRIVATE,
    ("IRISFLOW_WEBHOOK_TIMEOUT_MS", "1000"),
    ("IRISFLOW_WEBHOOK_BACKOFF_MS", "50"),
];

/// A registered webhook.
struct Webhook {
    id: String,
    secret: String,
}

async fn register(user: &User<'_>, url: &str, events: Option<&[&str]>) -> Webhook {
    let body = match events {
        Some(events) => json!({ "url": url, "events": events }),
        None => json!({ "url": url }),
    };
    let made = json_of(user.post("/webhooks", &body).await, StatusCode::CREATED).await;
    Webhook {
        id: text(&made["id"]),
        secret: text(&made["secret"]),
    }
}

impl Webhook {
    fn path(&self, rest: &str) -> String {
        format!("/webhooks/{}{rest}", self.id)
    }

    async fn read(&self, user: &User<'_>) -> Value {
        json_of(user.get(&self.path("")).await, StatusCode::OK).await
    }

    async fn change(&self, user: &User<'_>, change: &Value) -> Value {
        let answer = user.send(Method::PATCH, &self.path(""), Some(change)).await;
        json_of(answer, StatusCode::OK).await
    }

    async fn send_test(&self, user: &User<'_>) -> String {
        let queued = user.send(Method::POST, &self.path("/test"), None).await;
        text(&json_of(queued, StatusCode::ACCEPTED).await["id"])
    }

    async fn deliveries(&self, user: &User<'_>) -> Vec<Value> {
        let page = json_of(user.get(&self.path("/deliveries")).await, StatusCode::OK).await;
        page["items"].as_array().expect("items").clone()
    }

    /// Its only delivery, once that has this status.
    async fn until_status(&self, app: &App, user: &User<'_>, status: &str) -> Value {
        app.until(&format!("a delivery is {status}"), async || {
            let deliveries = self.deliveries(user).await;
            deliveries
                .first()
                .is_some_and(|one| one["status"] == status)
        })
        .await;
        self.deliveries(user).await.swap_remove(0)
    }

    /// Its only delivery, once an attempt has failed.
    async fn until_failed_once(&self, app: &App, user: &User<'_>) -> Value {
        let first = async || {
            let mut deliveries = self.deliveries(user).await;
            let attempts = deliveries.pop()?["attempts"].clone();
            attempts.get(0).cloned()
        };
        app.until("an attempt is logged", async || first().await.is_some())
            .await;
        first().await.expect("an attempt")
    }
}

#[tokio::test]
async fn a_receiver_that_fails_in_ten_ways_gets_every_event_once_it_works() {
    let app = App::start_with(&FAST).await;
    let user = app.user("ten").await;
    let free = Receiver::start(&[Answer::Status(200)]).await.port;
    let elsewhere = Receiver::start(&[Answer::Status(200)]).await;
    let location = format!("location: {}", elsewhere.url());
    let then_ok = async |first| Receiver::start(&[first, Answer::Status(200)]).await;
    let hanging = then_ok(Answer::Hang).await;
    let trickling = then_ok(Answer::Trickle).await;
    let failing = then_ok(Answer::Status(500)).await;
    let moved = then_ok(Answer::WithHeader(301, location)).await;
    let closing = then_ok(Answer::CloseHalfway).await;
    let gone = then_ok(Answer::Status(410)).await;
    let endless = Receiver::start(&[Answer::Endless]).await;
    let garbage = Receiver::start(&[Answer::Garbage]).await;
    let hook = async |url: String| register(&user, &url, None).await;
    let refused = hook(format!("http://127.0.0.1:{free}/hook")).await;
    let no_tls = hook(format!("https://127.0.0.1:{}/hook", garbage.port)).await;
    let (gone_hook, endless_hook) = (hook(gone.url()).await, hook(endless.url()).await);
    let repaired = [
        (&hanging, "timeout"),
        (&trickling, "timeout"),
        (&failing, "status"),
        (&moved, "redirect"),
        (&closing, "invalid_response"),
    ];
    let mut hooks = Vec::new();
    for (receiver, error) in repaired {
        hooks.push((hook(receiver.url()).await, receiver, error));
    }

    let job_id = user.upload_and_submit(no_eye()).await;
    user.until_ended(&job_id).await;

    for (hook, receiver, error) in hooks {
        let delivery = hook.until_status(&app, &user, "delivered").await;
        assert_eq!(delivery["attempts"][0]["error"], error, "{delivery}");
        let received = receiver.received();
        assert_eq!(received.len(), 2, "{error}");
        for request in &received {
            assert_eq!(request.id(), text(&delivery["id"]), "{error}");
            assert!(request.is_signed_with(&hook.secret), "{error}");
            assert_eq!(request.json()["type"], "job.failed");
            assert_eq!(request.json()["data"]["job_id"], job_id);
        }
        if error == "redirect" {
            assert_eq!(delivery["attempts"][0]["redirect_host"], "127.0.0.1");
            assert_eq!(elsewhere.connections(), 0, "it is not followed");
        }
    }
    let delivery = endless_hook.until_status(&app, &user, "delivered").await;
    assert_eq!(delivery["attempt_count"], 1, "its status counts");
    assert!(endless.sent_bytes() < 16 << 20, "{}", endless.sent_bytes());
    let delivery = gone_hook.until_status(&app, &user, "dead").await;
    assert_eq!(delivery["dead_reason"], "endpoint_gone");
    assert_eq!(
        gone_hook.read(&user).await["disabled_reason"],
        "endpoint_gone"
    );
    for hook in [&refused, &no_tls] {
        let attempt = hook.until_failed_once(&app, &user).await;
        assert_eq!(attempt["error"], "connect");
    }
    let repaired = Receiver::start_on(free, &[Answer::Status(204)]).await;
    refused.until_status(&app, &user, "delivered").await;
    assert_eq!(repaired.received()[0].json()["data"]["job_id"], job_id);
}

#[tokio::test]
async fn names_that_resolve_to_internal_addresses_and_plain_http_are_refused() {
    let app = App::start_with(&[("IRISFLOW_WEBHOOK_BACKOFF_MS", "50")]).await;
    let user = app.user("ssrf").await;
    let receiver = Receiver::start(&[Answer::Status(200)]).await;
    for url in [
        receiver.url(),
        format!("https://127.0.0.1:{}/", receiver.port),
        format!("https://[::ffff:127.0.0.1]:{}/", receiver.port),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://name:word@example.com/".to_owned(),
    ] {
        let answer = user.post("/webhooks", &json!({ "url": url })).await;
        let body = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(body["detail"][0]["loc"], json!(["body", "url"]), "{body}");
    }

    let url = format!("https://localhost:{}/hook", receiver.port);
    let hook = register(&user, &url, None).await;
    hook.send_test(&user).await;

    let attempt = hook.until_failed_once(&app, &user).await;
    assert_eq!(attempt["error"], "address_not_allowed");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn events_are_posted_with_signed_links_and_the_log_shows_no_secret() {
    // The last sweep of a deleted job comes two leases later.
    let app = App::start_with(&[FAST[0], ("IRISFLOW_LEASE_MS", "1000")]).await;
    let user = app.user("events").await;
    let receiver = Receiver::start(&[Answer::Echo]).await;
    let all = ["job.queued", "job.progress", "job.completed", "job.deleted"];
    let hook = register(&user, &receiver.url(), Some(&all)).await;

    let job_id = user.upload_and_submit(good_eye()).await;
    user.until_ended(&job_id).await;
    app.until("the end is posted", async || {
        let received = receiver.received();
        received
            .iter()
            .any(|one| one.json()["type"] == "job.completed")
    })
    .await;

    let mut received = receiver.received();
    received.sort_by_key(|one| one.json()["data"]["seq"].as_i64());
    let kinds: Vec<String> = received
        .iter()
        .map(|one| text(&one.json()["type"]))
        .collect();
    assert_eq!(kinds.first().map(String::as_str), Some("job.queued"));
    assert!(kinds.iter().filter(|kind| *kind == "job.progress").count() > 5);
    let end = received.last().expect("an event").json();
    let job = user.job(&job_id).await;
    for field in ["photo_id", "batch_id", "status", "progress", "result_width"] {
        assert_eq!(end["data"][field], job[field], "{field}");
    }
    let result = app
        .get(end["data"]["result_url"].as_str().expect("a URL"))
        .await;
    assert_eq!(result.status(), StatusCode::OK);
    app.until("all are recorded", async || {
        hook.read(&user).await["pending_deliveries"] == 0
    })
    .await;
    let log = json!(hook.deliveries(&user).await).to_string();
    assert!(log.contains("excerpt") && !log.contains("sig="), "{log}");
    assert_eq!(
        user.delete(&format!("/processing/jobs/{job_id}")).await,
        StatusCode::NO_CONTENT
    );
    receiver.until_received(received.len() + 1).await;
    app.until_id_is_gone(&job_id).await;
}

#[tokio::test]
async fn a_secret_is_shown_once_and_found_in_no_log_and_no_file() {
    let app = App::start_with(&[FAST[0], ("IRISFLOW_LOG", "debug")]).await;
    let user = app.user("secret").await;
    let receiver = Receiver::start(&[Answer::Status(200)]).await;
    let hook = register(&user, &receiver.url(), None).await;
    hook.send_test(&user).await;
    hook.until_status(&app, &user, "delivered").await;

    let shown = hook.read(&user).await;
    let encoded = hook.secret.strip_prefix("whsec_").expect("whsec_");
    let bytes = STANDARD.decode(encoded).expect("Base64");
    let stored = app.stored_bytes();

    assert!(shown.get("secret").is_none());
    assert!(receiver.received()[0].is_signed_with(&hook.secret));
    let contains = |all: &[u8], part: &[u8]| all.windows(part.len()).any(|some| some == part);
    assert!(!contains(&stored, encoded.as_bytes()) && !contains(&stored, &bytes));
    let log = app.log();
    assert!(log.contains("webhook attempted"), "deliveries are logged");
    assert!(!log.contains(encoded) && !log.contains("/hook"), "{log}");
}

#[tokio::test]
async fn a_rotated_secret_overlaps_with_the_one_before() {
    let app = App::start_with(&FAST).await;
    let user = app.user("rotation").await;
    let receiver = Receiver::start(&[Answer::Status(200)]).await;
    let hook = register(&user, &receiver.url(), None).await;
    let rotate = async |body: Option<Value>| {
        let path = hook.path("/rotate-secret");
        let rotated = user.send(Method::POST, &path, body.as_ref()).await;
        text(&json_of(rotated, StatusCode::OK).await["secret"])
    };

    let second = rotate(None).await;
    hook.send_test(&user).await;
    let during = receiver.until_received(1).await.swap_remove(0);
    let third = rotate(Some(json!({ "overlap_ms": 0 }))).await;
    hook.send_test(&user).await;
    let after = receiver.until_received(2).await.swap_remove(1);

    assert!(during.is_signed_with(&second) && during.is_signed_with(&hook.secret));
    assert!(after.is_signed_with(&third));
    assert!(!after.is_signed_with(&second) && !after.is_signed_with(&hook.secret));
}

#[tokio::test]
async fn a_killed_service_delivers_what_it_had_not_recorded() {
    // One attempt at once: the first webhook's hangs, and the second webhook's event waits behind it.
    let settings = [
        ALLOW_PRIVATE,
        ("IRISFLOW_WEBHOOK_CONCURRENCY", "1"),
        ("IRISFLOW_WEBHOOK_TIMEOUT_MS", "600000"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("killed").await;
    let hanging = Receiver::start(&[Answer::Hang, Answer::Status(200)]).await;
    let waiting = Receiver::start(&[Answer::Status(200)]).await;
    let first = register(&user, &hanging.url(), Some(&["job.cancelled"])).await;
    first.send_test(&user).await;
    hanging.until_received(1).await;
    let second = register(&user, &waiting.url(), Some(&["job.queued"])).await;
    let job_id = user.upload_and_submit(no_eye()).await;
    let before = second.deliveries(&user).await;
    let (token, email) = (user.token.clone(), user.email.clone());

    let app = app.kill_and_restart().await;
    let user = app.sign_in(&email).await;
    assert_ne!(user.token, token);

    let attempted = hanging.until_received(2).await;
    assert_eq!(attempted[0].id(), attempted[1].id(), "at least once");
    let delivered = waiting.until_received(1).await.swap_remove(0);
    assert_eq!(delivered.id(), text(&before[0]["id"]));
    assert_eq!(delivered.json()["data"]["job_id"], job_id);
    second.until_status(&app, &user, "delivered").await;
    assert_eq!(waiting.received().len(), 1);
}

#[tokio::test]
async fn a_dead_letter_is_listed_and_redelivered_with_its_id() {
    let mut settings = FAST.to_vec();
    settings.push(("IRISFLOW_WEBHOOK_RETRY_MS", "300"));
    let app = App::start_with(&settings).await;
    let user = app.user("dead").await;
    let receiver = Receiver::start(&[Answer::Status(500)]).await;
    let port = receiver.port;
    let hook = register(&user, &receiver.url(), None).await;
    let id = hook.send_test(&user).await;
    let dead = hook.until_status(&app, &user, "dead").await;
    let attempts = receiver.received().len();
    drop(receiver);

    let path = hook.path("/deliveries?status=dead");
    let listed = json_of(user.get(&path).await, StatusCode::OK).await;
    let receiver = restart(port).await;
    let path = hook.path(&format!("/deliveries/{id}/redeliver"));
    let again = user.send(Method::POST, &path, None).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    hook.until_status(&app, &user, "delivered").await;

    assert_eq!(dead["dead_reason"], "retries_exhausted");
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["items"][0]["attempts"][0]["status"], 500);
    let excerpt = &listed["items"][0]["attempts"][0]["response_excerpt"];
    assert_eq!(excerpt, "answer of the receiver");
    assert!(attempts > 1, "it was repeated");
    assert_eq!(receiver.received()[0].id(), id);
}

/// The port of an aborted receiver is free a moment later.
async fn restart(port: u16) -> Receiver {
    tokio::time::sleep(Duration::from_millis(100)).await;
    Receiver::start_on(port, &[Answer::Status(200)]).await
}

#[tokio::test]
async fn webhooks_belong_to_their_account_and_are_limited() {
    let app = App::start_with(&[ALLOW_PRIVATE, ("IRISFLOW_WEBHOOKS_PER_USER", "2")]).await;
    let (user, stranger) = (app.user("owner").await, app.user("stranger").await);
    let url = "http://127.0.0.1:1/hook";
    let hook = register(&user, url, Some(&["job.queued"])).await;
    register(&user, url, None).await;

    let third = user.post("/webhooks", &json!({ "url": url })).await;
    let third = json_of(third, StatusCode::CONFLICT).await;
    let unknown = json!({ "url": url, "events": ["job.exploded"] });
    let unknown = user.post("/webhooks", &unknown).await.status();
    let delivery = format!("/deliveries/{}/redeliver", hook.id);
    for (method, rest) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::DELETE, ""),
        (Method::POST, "/rotate-secret"),
        (Method::POST, "/test"),
        (Method::GET, "/deliveries"),
        (Method::POST, &delivery),
    ] {
        let body = (method == Method::PATCH).then(|| json!({ "enabled": false }));
        let path = hook.path(rest);
        let answer = stranger.send(method, &path, body.as_ref()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }

    assert_eq!(third["code"], "too_many_webhooks");
    assert_eq!(unknown, StatusCode::UNPROCESSABLE_ENTITY);
    let listed = json_of(stranger.get("/webhooks").await, StatusCode::OK).await;
    assert_eq!(listed, json!({ "webhooks": [], "limit": 2 }));
    assert_eq!(user.delete(&hook.path("")).await, StatusCode::NO_CONTENT);
    assert_eq!(
        user.get(&hook.path("")).await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_disabled_webhook_gets_nothing_until_it_is_enabled() {
    let app = App::start_with(&FAST).await;
    let user = app.user("disabled").await;
    let receiver = Receiver::start(&[Answer::Status(200)]).await;
    let hook = register(&user, &receiver.url(), Some(&["job.queued"])).await;

    let disabled = hook.change(&user, &json!({ "enabled": false })).await;
    user.upload_and_submit(no_eye()).await;
    let enabled = hook
        .change(&user, &json!({ "enabled": true, "description": "again" }))
        .await;
    let job_id = user.upload_and_submit(no_eye()).await;

    assert_eq!(disabled["disabled_reason"], "owner");
    assert_eq!(
        (&enabled["enabled"], &enabled["description"]),
        (&json!(true), &json!("again"))
    );
    let received = receiver.until_received(1).await;
    assert_eq!(received[0].json()["data"]["job_id"], job_id);
}

#[tokio::test]
async fn a_deleted_account_takes_its_webhooks_along() {
    let app = App::start_with(&FAST).await;
    let user = app.user("leaving").await;
    let receiver = Receiver::start(&[Answer::Status(500)]).await;
    let hook = register(&user, &receiver.url(), None).await;
    let delivery = hook.send_test(&user).await;
    receiver.until_received(1).await;

    let gone = user
        .send(
            Method::DELETE,
            "/users/me",
            Some(&json!({ "confirm": true })),
        )
        .await;

    assert_eq!(gone.status(), StatusCode::OK);
    app.until_id_is_gone(&hook.id).await;
    app.until_id_is_gone(&delivery).await;
}

#[tokio::test]
async fn an_https_receiver_is_verified_by_its_certificate() {
    let names = ["localhost".to_owned()];
    let certificate = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let folder = tempfile::tempdir().expect("a temp folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, certificate.cert.pem()).expect("written");
    let (port, received) = serve_tls(&certificate).await;
    let roots = roots.to_string_lossy().into_owned();
    let trusting = App::start_with(&[ALLOW_PRIVATE, ("SSL_CERT_FILE", &roots)]).await;
    let strange = App::start_with(&FAST).await;

    let user = trusting.user("https").await;
    let url = format!("https://localhost:{port}/hook");
    let hook = register(&user, &url, None).await;
    hook.send_test(&user).await;
    hook.until_status(&trusting, &user, "delivered").await;
    let user = strange.user("https").await;
    let other = register(&user, &url, None).await;
    other.send_test(&user).await;
    let attempt = other.until_failed_once(&strange, &user).await;

    assert_eq!(attempt["error"], "connect", "an unknown certificate");
    let received = received.lock().expect("no panic").clone();
    assert_eq!(received.len(), 1);
    assert!(received[0].is_signed_with(&hook.secret));
}

type Requests = std::sync::Arc<std::sync::Mutex<Vec<Received>>>;

/// A receiver with TLS that accepts every message.
async fn serve_tls(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> (u16, Requests) {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
    let key = PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key.into());
    let config = std::sync::Arc::new(config.expect("a configuration"));
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let received = Requests::default();
    let recorded = received.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let Ok(request) = read_request(&mut stream).await else {
                continue;
            };
            recorded.lock().expect("no panic").push(request);
            let answer = b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, received)
}
