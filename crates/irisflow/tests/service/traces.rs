//! Traces of jobs, as a collector receives them.

mod collector;

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, Socket, User, good_eye, json_of, text};
use crate::cluster::{WorkerProcess, database, events_of};
use crate::many_machines::{nats, url_with_password};
use collector::{Collector, Seen};

/// Each process reads the time of the database with its own inaccuracy.
const CLOCKS_NS: u64 = 100_000_000;

fn named<'a>(spans: &'a [Seen], name: &str) -> Vec<&'a Seen> {
    spans.iter().filter(|seen| seen.span.name == name).collect()
}

fn one<'a>(spans: &'a [Seen], name: &str) -> &'a Seen {
    let found = named(spans, name);
    assert_eq!(found.len(), 1, "{name}: {found:#?}");
    found[0]
}

fn steps_of<'a>(spans: &'a [Seen], attempt: &Seen) -> Vec<&'a Seen> {
    let is_child = |seen: &&Seen| seen.span.parent_span_id == attempt.span.span_id;
    spans.iter().filter(is_child).collect()
}

fn names(spans: &[&Seen]) -> Vec<String> {
    spans.iter().map(|seen| seen.span.name.clone()).collect()
}

fn has_delivered(spans: &[Seen], kind: &str) -> bool {
    named(spans, "deliver")
        .iter()
        .any(|seen| seen.attribute("irisflow.event.kind") == kind)
}

/// Submits as a caller who is traced itself does. Returns the id of the job.
async fn submit_as_part_of_a_trace(app: &App, user: &User<'_>, traceparent: &str) -> String {
    let photo_id = user.upload(good_eye()).await;
    let request = app
        .request(Method::POST, "/processing/submit")
        .bearer_auth(&user.token)
        .header("traceparent", traceparent)
        .json(&json!({ "photo_id": photo_id }));
    let answer = request.send().await.expect("an answer");
    text(&json_of(answer, StatusCode::CREATED).await["job_id"])
}

async fn follow(user: &User<'_>) -> Socket {
    let mut socket = user.follow(json!({})).await;
    assert_eq!(socket.frame().await["type"], "snapshot");
    socket
}

fn check_is_one_trace(spans: &[Seen], job_id: &str) {
    let id = uuid::Uuid::parse_str(job_id).expect("an id").into_bytes();
    let root = one(spans, "submit");
    assert_eq!(
        root.span.span_id,
        id[8..],
        "the root's id follows from the job"
    );
    assert!(root.span.parent_span_id.is_empty());
    for seen in spans {
        assert_eq!(seen.span.trace_id, id, "{seen:#?}");
        assert!(seen.times().0 <= seen.times().1, "{seen:#?}");
        if ["wait", "attempt", "deliver"].contains(&seen.span.name.as_str()) {
            assert_eq!(seen.span.parent_span_id, root.span.span_id, "{seen:#?}");
        }
    }
}

fn check_is_in_order(spans: &[Seen]) {
    let last = named(spans, "deliver").last().expect("an event").times();
    let [submit, wait, attempt] =
        ["submit", "wait", "attempt"].map(|name| one(spans, name).times());
    for (what, earlier, later) in [
        ("it is queued within the request", submit.0, wait.0),
        ("it is queued before the answer", wait.0, submit.1),
        ("the work begins once it is claimed", wait.1, attempt.0),
        ("the result is sent at the end", attempt.0, last.0),
    ] {
        assert!(earlier <= later + CLOCKS_NS, "{what}: {spans:#?}");
    }
    let mut before = attempt.0;
    for step in steps_of(spans, one(spans, "attempt")) {
        assert!(
            before <= step.times().0,
            "steps follow each other: {spans:#?}"
        );
        before = step.times().1;
    }
    assert!(before <= attempt.1, "steps are within the attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trace_of_a_job_goes_from_its_request_over_its_worker_to_the_socket() {
    follow_a_job(&[], "irisflow").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_postgresql_and_nats_record_one_trace_of_a_job() {
    let (Some(shared), Some(nats)) = (database().await, nats()) else {
        return;
    };
    let bus_url = url_with_password(&nats);
    let mut settings = shared.settings();
    settings.extend([
        ("IRISFLOW_BUS_URL", bus_url.as_str()),
        ("IRISFLOW_NO_WORK", "true"),
    ]);
    follow_a_job(&settings, "irisflow-worker").await;
}

/// Follows a job with these settings, and checks what the collector gets; `worker` is the service that works on it.
async fn follow_a_job(settings: &[(&str, &str)], worker: &str) {
    let collector = Collector::start().await;
    let endpoint = collector.url();
    let traced = [
        ("IRISFLOW_OTLP_ENDPOINT", endpoint.as_str()),
        ("IRISFLOW_OTLP_HEADERS", "authorization=Bearer Swordfish"),
    ];
    let app = App::start_with(&[settings, &traced].concat()).await;
    let _worker = match worker {
        "irisflow-worker" => Some(WorkerProcess::start(&app, "").await),
        _ => None,
    };
    let user = app.user("you").await;
    let mut socket = follow(&user).await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    let job_id = submit_as_part_of_a_trace(&app, &user, traceparent).await;
    let events = events_of(&mut socket, &job_id).await;
    let spans = collector
        .until("end", |spans| {
            has_delivered(spans, "completed") && !named(spans, "saving").is_empty()
        })
        .await;

    check_is_one_trace(&spans, &job_id);
    check_is_in_order(&spans);
    let attempt = one(&spans, "attempt");
    assert_eq!(
        names(&steps_of(&spans, attempt)),
        [
            "loading",
            "segmenting",
            "removing_reflections",
            "enhancing",
            "saving"
        ]
    );
    assert_eq!(attempt.attribute("irisflow.attempt.outcome"), "completed");
    let sent: Vec<String> = named(&spans, "deliver")
        .iter()
        .map(|seen| seen.attribute("irisflow.event.seq"))
        .collect();
    let expected: Vec<String> = events
        .iter()
        .map(|event| event["seq"].to_string())
        .collect();
    assert_eq!(sent, expected, "every event is sent once");
    let link = &one(&spans, "submit").span.links[0];
    assert_eq!(link.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(link.span_id[..2], [0xb7, 0xad]);
    assert_eq!(
        (
            one(&spans, "submit").service.as_str(),
            attempt.service.as_str()
        ),
        ("irisflow", worker)
    );
    for head in collector.heads() {
        assert!(head.starts_with("POST /v1/traces "), "{head}");
        assert!(head.contains("authorization: Bearer Swordfish"), "{head}");
    }
    for private in [&user.email, &user.token, "Swordfish", "example"] {
        assert!(!collector.has_received(private), "{private}");
    }
    assert!(!app.log().contains("Swordfish"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_job_has_two_attempts_of_which_the_first_names_its_failure_and_step() {
    let collector = Collector::start().await;
    let endpoint = collector.url();
    let mut app = App::start_with(&[
        ("IRISFLOW_OTLP_ENDPOINT", endpoint.as_str()),
        ("IRISFLOW_FAULTS", "enhancing:transient:1"),
        ("IRISFLOW_BACKOFF_MS", "50"),
    ])
    .await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    user.frames_of(&job_id).await;

    app.terminate().await;

    // The end of the process has sent the last spans.
    let spans = collector.spans();
    check_is_one_trace(&spans, &job_id);
    let attempts = named(&spans, "attempt");
    let shown: Vec<(String, String)> = attempts
        .iter()
        .map(|seen| {
            let attribute = |name| seen.attribute(name);
            (
                attribute("irisflow.attempt.number"),
                attribute("irisflow.attempt.outcome"),
            )
        })
        .collect();
    let expected = [("1", "retrying"), ("2", "completed")];
    assert_eq!(shown, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(named(&spans, "wait").len(), 2);
    let steps = steps_of(&spans, attempts[0]);
    assert_eq!(
        names(&steps),
        ["loading", "segmenting", "removing_reflections", "enhancing"]
    );
    let code = attempts[0].attribute("error.type");
    assert!(!code.is_empty());
    assert_eq!(steps[3].attribute("error.type"), code);
    assert_eq!(steps[0].attribute("error.type"), "");
    assert!(has_delivered(&spans, "retrying"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_delays_neither_jobs_nor_the_end() {
    let collector = Collector::that_never_answers().await;
    let endpoint = collector.url();
    let settings = [
        ("IRISFLOW_OTLP_ENDPOINT", endpoint.as_str()),
        ("IRISFLOW_METRICS_TOKEN", "Swordfish"),
    ];
    let mut app = App::start_with(&settings).await;
    let user = app.user("you").await;
    for _ in 0..2 {
        let job_id = user.upload_and_submit(good_eye()).await;
        assert_eq!(user.frames_of(&job_id).await.last()["status"], "completed");
    }
    app.until("lost spans are counted", async || {
        let metrics = app.client().get(format!("{}/metrics", app.url));
        let metrics = metrics.bearer_auth("Swordfish").send().await;
        let metrics = metrics.expect("an answer").text().await.expect("text");
        metrics.contains("irisflow_trace_spans_total{outcome=\"failed\"}")
    })
    .await;
    let job_id = user.upload_and_submit(good_eye()).await;
    assert_eq!(user.frames_of(&job_id).await.last()["status"], "completed");

    let begun = Instant::now();
    assert!(app.terminate().await.success());

    // Twice the limit of the last request, for a machine under load.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert!(app.log().contains("traces do not reach the collector"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_or_with_a_share_of_zero_no_job_is_traced() {
    let collector = Collector::start().await;
    let endpoint = collector.url();
    for settings in [
        vec![],
        vec![("IRISFLOW_OTLP_ENDPOINT", "")],
        vec![
            ("IRISFLOW_OTLP_ENDPOINT", endpoint.as_str()),
            ("IRISFLOW_TRACE_SHARE", "0"),
        ],
    ] {
        let mut app = App::start_with(&settings).await;
        let user = app.user("you").await;
        let job_id = user.upload_and_submit(good_eye()).await;
        user.frames_of(&job_id).await;
        app.terminate().await;
        assert_eq!(collector.connections(), 0, "{settings:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_whether_the_collector_answers() {
    let collector = Collector::start().await;
    let (endpoint, folder) = (collector.url(), tempfile::tempdir().expect("a temp folder"));
    for (endpoint, expected) in [
        (endpoint.as_str(), "ok       traces"),
        ("http://127.0.0.1:1", "warning  traces"),
        ("127.0.0.1:1", "FAILURE  traces"),
        ("http://you:Swordfish@127.0.0.1:1", "FAILURE  traces"),
    ] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_irisflow"))
            .args(["doctor", "--data-dir"])
            .arg(folder.path())
            .env("IRISFLOW_OTLP_ENDPOINT", endpoint)
            .output();
        let output = output.await.expect("the program runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("Swordfish"), "{said}");
    }
    assert!(collector.spans().is_empty());
}
