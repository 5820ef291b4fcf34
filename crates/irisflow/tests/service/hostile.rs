//! Fuzz tests with mutated input: photos, JSON, tokens, presigned URLs, WebSocket frames. No input may cause a panic, a
//! 5xx response or a hang, and no mutated credential may be accepted. Here each test tries a fixed number of inputs from
//! one seed; `cargo xtask fuzz --seconds N --seed S` runs them for longer.

#![expect(
    clippy::print_stdout,
    reason = "prints seeds and counts, to reproduce a failure"
)]

mod mutator;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use irisflow_image::load::{Limits, load_photo, probe, strip_metadata};
use irisflow_image::pipeline::{self, ProcessOptions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use self::mutator::Mutator;
use crate::app::{App, PASSWORD, User, good_eye, json_of, no_eye, test_photo, text};

/// A fuzz run of one kind of input, with its bound and seed.
struct Run {
    bound: Bound,
    mutator: Mutator,
    tried: u64,
    name: &'static str,
}

enum Bound {
    Inputs(u64),
    Until(Instant),
}

impl Run {
    /// Tries `inputs` inputs, the same in each run, unless a duration is set in the environment.
    #[expect(
        clippy::disallowed_methods,
        reason = "`cargo xtask fuzz` passes duration and seed in the environment"
    )]
    fn begin(name: &'static str, inputs: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let until = |seconds| Instant::now() + Duration::from_secs(seconds);
        let bound = number("IRISFLOW_FUZZ_SECONDS").map_or(Bound::Inputs(inputs), |seconds| {
            Bound::Until(until(seconds))
        });
        let seed = number("IRISFLOW_FUZZ_SEED").unwrap_or(20_261_123);
        println!("{name}: seed {seed}");
        Self {
            bound,
            mutator: Mutator::new(seed),
            tried: 0,
            name,
        }
    }

    /// Counts an input; `false` when the bound is reached.
    fn has_next_input(&mut self) -> bool {
        self.tried += 1;
        match self.bound {
            Bound::Inputs(inputs) => self.tried <= inputs,
            Bound::Until(until) => Instant::now() < until,
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        println!("{}: {} inputs", self.name, self.tried);
    }
}

/// Limit for one input: more than a photo of these sizes takes on a busy machine.
const MAX_DURATION: Duration = Duration::from_secs(20);

/// Passes a mutated photo to every entry point of the decoders.
fn decode(run: &mut Run, bytes: &[u8]) {
    let limits = Limits {
        max_pixels: 4_000_000,
        ..Limits::default()
    };
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // Most inputs are rejected; only panics and hangs are failures.
        let _ = probe(bytes, &limits);
        let _ = strip_metadata(bytes, &limits, &mut |_| {});
        let loaded = load_photo(bytes, &limits).is_ok();
        if loaded && run.tried.is_multiple_of(20) {
            let options = ProcessOptions {
                limits,
                ..ProcessOptions::default()
            };
            let mut observer = |_, _| std::ops::ControlFlow::Continue(());
            let _ = pipeline::process(bytes, &options, &mut observer);
        }
    }));
    let took = begun.elapsed();
    assert!(
        outcome.is_ok(),
        "{} panicked at input {}",
        run.name,
        run.tried
    );
    assert!(
        took < MAX_DURATION,
        "{} took {took:?} at input {}",
        run.name,
        run.tried
    );
}

/// Small photos of each format, so that a run tries many inputs.
fn small_photos() -> Vec<Vec<u8>> {
    let pixels: Vec<u8> = (0..64 * 48 * 3)
        .map(|index| (index * 7 % 251) as u8)
        .collect();
    let mut png_bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut png_bytes, 64, 48);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&pixels).expect("an image");
    drop(writer);
    let mut webp = Vec::new();
    image_webp::WebPEncoder::new(&mut webp)
        .encode(&pixels, 64, 48, image_webp::ColorType::Rgb8)
        .expect("a WebP");
    vec![
        good_eye(),
        png_bytes,
        webp,
        test_photo("pixabay_eye_3221498_gray.jpg"),
    ]
}

#[test]
fn damaged_photos_are_answered_and_never_panic() {
    let mut run = Run::begin("photos", 200);
    let photos = small_photos();
    while run.has_next_input() {
        let photo = run.mutator.pick(&photos).clone();
        let damaged = run.mutator.damage(&photo, 0..photo.len());
        decode(&mut run, &damaged);
    }
}

/// A JPEG with these segments right after its start.
fn with_segments(segments: &[(u8, Vec<u8>)]) -> (Vec<u8>, usize) {
    let photo = good_eye();
    let mut bytes = photo[..2].to_vec();
    for (marker, content) in segments {
        let length = u16::try_from(content.len() + 2).expect("it fits");
        bytes.extend([0xff, *marker]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(content);
    }
    let end = bytes.len();
    bytes.extend(&photo[2..]);
    (bytes, end)
}

#[test]
fn damaged_exif_is_answered_and_never_panics() {
    let mut run = Run::begin("EXIF", 200);
    // Little-endian TIFF: orientation 6, a thumbnail's offset, a GPS directory that points at itself.
    let mut exif = b"Exif\0\0II\x2a\0\x08\0\0\0\x03\0".to_vec();
    exif.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0");
    exif.extend(b"\x01\x02\x04\0\x01\0\0\0\x40\0\0\0");
    exif.extend(b"\x25\x88\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0");
    let (photo, end) = with_segments(&[(0xe1, exif)]);
    while run.has_next_input() {
        let damaged = run.mutator.damage(&photo, 2..end);
        decode(&mut run, &damaged);
    }
}

#[test]
fn damaged_profiles_are_answered_and_never_panic() {
    let mut run = Run::begin("ICC", 150);
    let mut profile = b"ICC_PROFILE\0\x01\x01".to_vec();
    profile.extend(rgb_profile());
    let (photo, end) = with_segments(&[(0xe2, profile)]);
    while run.has_next_input() {
        let damaged = run.mutator.damage(&photo, 2..end);
        decode(&mut run, &damaged);
    }
}

/// A matrix profile: three primaries, a white point, and one curve for all channels.
fn rgb_profile() -> Vec<u8> {
    let xyz = [
        b"XYZ \0\0\0\0".as_slice(),
        &[0, 0, 0x6f, 0xa2, 0, 0, 0x38, 0xf5, 0, 0, 3, 0x90],
    ]
    .concat();
    let curve = b"curv\0\0\0\0\0\0\0\x01\x02\x33\0\0".to_vec();
    let tags = [
        b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"rTRC", b"gTRC", b"bTRC",
    ];
    let data = 128 + 4 + 12 * tags.len();
    let (xyz_length, curve_length) = (xyz.len(), curve.len());
    let mut profile = vec![0; 128];
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"mntrRGB XYZ ");
    profile[36..40].copy_from_slice(b"acsp");
    profile.extend(be(tags.len()));
    for tag in tags {
        let (at, length) = if tag.ends_with(b"TRC") {
            (data + xyz_length, curve_length)
        } else {
            (data, xyz_length)
        };
        profile.extend(tag);
        profile.extend(be(at));
        profile.extend(be(length));
    }
    profile.extend(xyz);
    profile.extend(curve);
    let length = be(profile.len());
    profile[..4].copy_from_slice(&length);
    profile
}

fn be(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("small").to_be_bytes()
}

#[test]
fn the_undamaged_profile_is_valid() {
    let mut segment = b"ICC_PROFILE\0\x01\x01".to_vec();
    segment.extend(rgb_profile());
    let (photo, _) = with_segments(&[(0xe2, segment)]);
    let loaded = load_photo(&photo, &Limits::default()).expect("it loads");
    assert!(loaded.profile().is_some());
}

/// Rate limits that these tests do not reach.
const NO_RATE_LIMITS: [(&str, &str); 4] = [
    ("IRISFLOW_USER_RATE", "1000000"),
    ("IRISFLOW_USER_BURST", "1000000"),
    ("IRISFLOW_ADDRESS_RATE", "1000000"),
    ("IRISFLOW_ADDRESS_BURST", "1000000"),
];

async fn app_without_rate_limits() -> App {
    App::start_with(&NO_RATE_LIMITS).await
}

/// Checks that the server is ready and has not panicked.
async fn assert_healthy(app: &App) {
    let health = app.get(&format!("{}/health/ready", app.url)).await;
    assert_eq!(health.status(), StatusCode::OK);
    assert!(!app.log().contains("panicked"), "{}", app.log());
}

fn assert_no_server_error(answer: &reqwest::Response, what: &str) {
    let status = answer.status();
    assert!(!status.is_server_error(), "{what} was answered {status}");
}

fn bodies(photo_id: &str) -> Vec<(Method, &'static str, Value)> {
    let account = json!({ "email": "fuzz@example.com", "password": "weak" });
    vec![
        (Method::POST, "/auth/register", account.clone()),
        (
            Method::POST,
            "/auth/refresh",
            json!({ "refresh_token": "abc" }),
        ),
        (
            Method::PUT,
            "/users/me/password",
            json!({ "current_password": "a", "new_password": "b" }),
        ),
        (Method::DELETE, "/users/me", json!({ "confirm": false })),
        (
            Method::POST,
            "/privacy/consent",
            json!({ "consent_type": "marketing", "text_version": "1" }),
        ),
        (
            Method::POST,
            "/photos/upload",
            json!({ "content_type": "image/jpeg" }),
        ),
        (
            Method::POST,
            "/processing/submit",
            json!({ "photo_id": photo_id, "options": {} }),
        ),
        (
            Method::POST,
            "/processing/batch",
            json!({ "photo_ids": [photo_id, photo_id] }),
        ),
    ]
}

#[tokio::test]
async fn damaged_json_is_answered_below_500() {
    let mut run = Run::begin("JSON bodies", 3_000);
    let app = app_without_rate_limits().await;
    let user = app.user("you").await;
    let photo_id = user.upload(no_eye()).await;
    let bodies = bodies(&photo_id);
    while run.has_next_input() {
        let (method, path, body) = run.mutator.pick(&bodies).clone();
        let body = body.to_string().into_bytes();
        let damaged = run.mutator.damage(&body, 0..body.len());
        // A valid confirmation would delete the account of the test.
        if path == "/users/me" && String::from_utf8_lossy(&damaged).contains("true") {
            continue;
        }
        let request = app.request(method, path).bearer_auth(&user.token);
        let request = request.header("Content-Type", "application/json");
        let what = format!("{path} with {}", String::from_utf8_lossy(&damaged));
        let answer = request.body(damaged).send().await.expect("an answer");
        assert_no_server_error(&answer, &what);
    }
    assert_healthy(&app).await;
}

#[tokio::test]
async fn damaged_tokens_grant_no_access() {
    let mut run = Run::begin("tokens", 3_000);
    let app = app_without_rate_limits().await;
    let user = app.user("you").await;
    while run.has_next_input() {
        let token = run.mutator.damage_text(&user.token);
        if token == user.token {
            continue;
        }
        let request = app.request(Method::GET, "/users/me").bearer_auth(&token);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{token}");
        let refresh = run.mutator.damage_text(&user.refresh_token);
        if refresh != user.refresh_token {
            let body = json!({ "refresh_token": refresh });
            let request = app.request(Method::POST, "/auth/refresh").json(&body);
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{refresh}");
        }
    }
    json_of(user.get("/users/me").await, StatusCode::OK).await;
    assert_healthy(&app).await;
}

#[tokio::test]
async fn damaged_presigned_urls_grant_no_other_access() {
    let mut run = Run::begin("signed links", 3_000);
    let app = app_without_rate_limits().await;
    let user = app.user("you").await;
    let created = user.post("/photos/upload", &json!({})).await;
    let upload = text(&json_of(created, StatusCode::CREATED).await["upload_url"]);
    let photo_id = user.upload(no_eye()).await;
    let photo = json_of(
        user.get(&format!("/photos/{photo_id}")).await,
        StatusCode::OK,
    )
    .await;
    let links = [
        (Method::GET, text(&photo["original_url"])),
        (Method::PUT, upload),
    ];
    let start = format!("{}/api/v1/files/", app.url);
    while run.has_next_input() {
        let (method, link) = run.mutator.pick(&links).clone();
        let tail = link
            .strip_prefix(&start)
            .expect("a link to a file")
            .to_owned();
        let damaged = run.mutator.damage_text(&tail);
        // The client sends nothing after `#`, and its URL parser may normalize a mutation away.
        let Ok(url) = reqwest::Url::parse(&format!("{start}{damaged}")) else {
            continue;
        };
        let request = app.client().request(method, url).body("x");
        let request = request.header("Content-Type", "image/jpeg");
        let answer = request.send().await.expect("an answer");
        assert_no_server_error(&answer, &damaged);
        if answer.status().is_success() {
            assert_same_link(&tail, answer.url().as_str().strip_prefix(&start));
        }
    }
    assert_healthy(&app).await;
}

/// A mutated URL that is accepted must have the same object key, expiry and signature; other parameters are ignored.
fn assert_same_link(link: &str, damaged: Option<&str>) {
    let parts = |link: &str| -> Option<Vec<String>> {
        let (key, query) = link.split_once('?')?;
        let mut fields: Vec<String> = query
            .split('&')
            .filter(|field| field.starts_with("exp=") || field.starts_with("sig="))
            .map(str::to_owned)
            .collect();
        fields.sort();
        fields.insert(0, key.to_owned());
        Some(fields)
    };
    let sent = damaged.and_then(|damaged| damaged.split('#').next());
    assert_eq!(sent.and_then(parts), parts(link));
}

/// A TCP stream after the upgrade to a WebSocket.
async fn raw_socket(app: &App, user: &User<'_>, job_id: &str) -> TcpStream {
    let address = app.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!(
        "GET /ws/jobs/{job_id}?token={} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        user.token
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("read");
    assert_eq!(&answer, b"HTTP/1.1 101");
    stream
}

#[tokio::test]
async fn damaged_frames_do_not_affect_other_sockets() {
    let mut run = Run::begin("WebSocket frames", 2_000);
    let mut settings = NO_RATE_LIMITS.to_vec();
    settings.push(("IRISFLOW_FAULTS", "loading:hang60000:1"));
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let url = app.url.replace("http://", "ws://");
    let url = format!("{url}/ws/jobs/{job_id}?token={}", user.token);
    let (mut bystander, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("upgraded");
    // Masked with zeros: text, binary, ping, fragmented text, close.
    let frames: Vec<Vec<u8>> = vec![
        b"\x81\x85\0\0\0\0hello".to_vec(),
        b"\x82\xfe\0\x80\0\0\0\0"
            .iter()
            .copied()
            .chain([7; 128])
            .collect(),
        b"\x89\x84\0\0\0\0ping".to_vec(),
        b"\x01\x82\0\0\0\0ab\x80\x82\0\0\0\0cd".to_vec(),
        b"\x88\x82\0\0\0\0\x03\xe8".to_vec(),
    ];
    while run.has_next_input() {
        let mut stream = raw_socket(&app, &user, &job_id).await;
        for _ in 0..4 {
            let frame = run.mutator.pick(&frames).clone();
            let damaged = run.mutator.damage(&frame, 0..frame.len());
            // The server may have closed the connection after an invalid frame.
            if stream.write_all(&damaged).await.is_err() {
                break;
            }
        }
    }
    let ping = Message::Ping("still here".into());
    bystander.send(ping).await.expect("sent");
    let is_answered = async {
        // Skips frames of the job that were queued before.
        while let Some(Ok(message)) = bystander.next().await {
            if message == Message::Pong("still here".into()) {
                return true;
            }
        }
        false
    };
    let is_answered = tokio::time::timeout(MAX_DURATION, is_answered).await;
    assert_eq!(is_answered, Ok(true), "the other socket still works");
    assert_healthy(&app).await;
}

#[tokio::test]
async fn a_password_in_a_damaged_sign_in_is_not_logged() {
    let mut run = Run::begin("sign-ins", 3_000);
    // The most verbose log, without the libraries below HTTP, which log raw bytes.
    let log = "trace,hyper=info,hyper_util=info,h2=info,mio=info,sqlx=info";
    let settings = [NO_RATE_LIMITS.as_slice(), &[("IRISFLOW_LOG", log)]].concat();
    let app = App::start_with(&settings).await;
    app.user("you").await;
    let body = json!({ "email": "you@example.com", "password": PASSWORD }).to_string();
    while run.has_next_input() {
        let damaged = run.mutator.damage(body.as_bytes(), 0..12);
        let request = app.request(Method::POST, "/auth/login/json").body(damaged);
        let request = request.header("Content-Type", "application/json");
        assert_no_server_error(&request.send().await.expect("an answer"), "a sign-in");
    }
    let log = app.log();
    let logged = log.matches("/auth/login/json").count();
    assert!(logged >= 1000, "only {logged} lines are about sign-ins");
    assert!(!log.contains(PASSWORD));
    assert_healthy(&app).await;
}
