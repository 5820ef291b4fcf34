//! Compatibility with the released phone app: the requests it sends and the responses it expects.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::AttackContext;
use super::measurement::Measurement;
use super::target_server::TargetServer;
use super::test_account::{Account, SocketTranscript, collect_frames, expect, text};

const WAIT_LIMIT: Duration = Duration::from_secs(8);

/// The consent flow of the app.
pub(super) async fn consent_gate(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--consent-required"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let asked = account
        .call(Method::GET, "/privacy/jurisdiction")
        .send()
        .await?;
    let status = asked.status().as_u16();
    let requirements: Value = asked.json().await.unwrap_or_default();
    let mut measurements = vec![Measurement::equals(
        "GET /privacy/jurisdiction, not signed in",
        status,
        200,
    )];
    let inner = &requirements["consent_requirements"];
    for field in ["jurisdiction", "consent_text", "requires_explicit_consent"] {
        let there = !requirements[field].is_null() && requirements[field] == inner[field];
        measurements.push(Measurement::is_true(
            format!("{field} at both levels"),
            there,
        ));
    }
    let version = inner["consent_text_version"]
        .as_str()
        .unwrap_or("1")
        .to_owned();
    measurements.push(Measurement::is_true(
        "its consent_text_version",
        inner["consent_text_version"].is_string(),
    ));
    let status_of_consent = async || account.get("/privacy/consent/biometric-status").await;
    let before = status_of_consent().await.unwrap_or_default();
    measurements.push(Measurement::equals(
        "has_consent before",
        &before["has_consent"],
        false,
    ));
    let refused = account
        .post_photo(context.good_eye()?)
        .await?
        .status()
        .as_u16();
    measurements.push(Measurement::equals("an upload before", refused, 403));
    let body = json!({
        "consent_type": "biometric_capture",
        "jurisdiction": requirements["jurisdiction"].as_str().unwrap_or("gdpr"),
        "consent_text_version": version,
        "text_version": version,
    });
    let given = account.post("/privacy/consent", &body).await?;
    let status = given.status().as_u16();
    let given: Value = given.json().await.unwrap_or_default();
    measurements.push(Measurement::equals(
        "consent with both version fields",
        status,
        201,
    ));
    measurements.push(Measurement::is_true(
        "its jurisdiction is stored",
        given["jurisdiction"] == body["jurisdiction"],
    ));
    let after = status_of_consent().await.unwrap_or_default();
    measurements.push(Measurement::equals(
        "has_consent afterwards",
        &after["has_consent"],
        true,
    ));
    let taken = account
        .post_photo(context.good_eye()?)
        .await?
        .status()
        .as_u16();
    measurements.push(Measurement::equals("an upload afterwards", taken, 201));
    let id = given["id"].as_str().unwrap_or("none");
    let withdrawn = account
        .post(&format!("/privacy/consent/{id}/withdraw"), &json!({}))
        .await?;
    measurements.push(Measurement::equals(
        "withdrawal",
        withdrawn.status().as_u16(),
        200,
    ));
    let after = status_of_consent().await.unwrap_or_default();
    measurements.push(Measurement::equals(
        "has_consent after the withdrawal",
        &after["has_consent"],
        false,
    ));
    Ok(measurements)
}

/// Every final frame of a job's WebSocket is one that the app can parse.
pub(super) async fn final_frames(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let jobs = account.submit_many(&context.good_eye()?, 60).await?;
    let [.., cancelled, deleted] = jobs.as_slice() else {
        anyhow::bail!("no jobs");
    };
    let mut measurements = Vec::new();
    let socket = account.watch(cancelled).await?;
    account
        .post(&format!("/processing/jobs/{cancelled}/cancel"), &json!({}))
        .await?;
    check_final_frame(
        "cancelled",
        &collect_frames(socket, WAIT_LIMIT).await,
        &mut measurements,
    );
    let socket = account.watch(deleted).await?;
    account
        .request(Method::DELETE, &format!("/processing/jobs/{deleted}"))
        .send()
        .await?;
    check_final_frame(
        "deleted",
        &collect_frames(socket, WAIT_LIMIT).await,
        &mut measurements,
    );
    let job = account.job(cancelled).await?;
    measurements.push(Measurement::equals(
        "REST keeps the true state",
        &job["status"],
        "\"cancelled\"",
    ));
    measurements.push(Measurement::is_true(
        "with a message and a suggestion",
        job["error_message"].is_string() && job["suggestion"].is_string(),
    ));
    let unknown = account
        .watch("01919191-0000-7000-8000-000000000000")
        .await?;
    check_final_frame(
        "unknown",
        &collect_frames(unknown, WAIT_LIMIT).await,
        &mut measurements,
    );
    let again = account.watch(deleted).await?;
    check_final_frame(
        "deleted long ago",
        &collect_frames(again, WAIT_LIMIT).await,
        &mut measurements,
    );
    Ok(measurements)
}

fn check_final_frame(
    what: &str,
    transcript: &SocketTranscript,
    measurements: &mut Vec<Measurement>,
) {
    let last = transcript.frames.last().cloned().unwrap_or_default();
    measurements.push(Measurement::equals(
        format!("{what}: status"),
        &last["status"],
        "\"failed\"",
    ));
    let whole = ["progress", "step", "message", "suggestion", "code"]
        .iter()
        .all(|field| !last[*field].is_null());
    measurements.push(Measurement::is_true(
        format!("{what}: progress, step, message, suggestion, code"),
        whole,
    ));
    measurements.push(Measurement::is_true(
        format!("{what}: the socket closes"),
        transcript.close_code.is_some(),
    ));
}

/// The access token expires while the WebSocket is open.
pub(super) async fn token_expires(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server =
        TargetServer::start(context, &["--workers", "1", "--access-token-ms", "4000"]).await?;
    let mut account = Account::register(&server.url, "owner").await?;
    let photo_id = account.upload(context.phone_photo()?).await?;
    let mut jobs = Vec::new();
    for _ in 0..40 {
        match account.submit(&photo_id).await {
            Ok(job) => jobs.push(text(&job["job_id"])?),
            Err(_) => break,
        }
    }
    let last = jobs.last().context("a job")?;
    // On a busy machine the first token may have expired by now.
    account.sign_in().await?;
    let socket = account.watch(last).await?;
    let transcript = collect_frames(socket, WAIT_LIMIT).await;
    let cut = transcript
        .frames
        .iter()
        .any(|frame| frame["code"] == "token_expired");
    let late = account.watch(last).await?;
    let refused = collect_frames(late, WAIT_LIMIT).await;
    let frame = refused.frames.first().cloned().unwrap_or_default();
    Ok(vec![
        Measurement::is_true(
            "an open WebSocket stays open",
            !cut && transcript.close_code.is_none(),
        ),
        Measurement::equals("a new one is rejected", &frame["code"], "\"token_expired\""),
        Measurement::is_true(
            "with a frame that has a status",
            frame["status"].is_string(),
        ),
    ])
}

/// The app's photo grid: thumbnails, and URLs that stay the same (cacheable).
pub(super) async fn thumbnails(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    for _ in 0..5 {
        account.upload(context.phone_photo()?).await?;
    }
    account.create_upload("image/jpeg").await?;
    let listed = account.get("/photos").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let again = account.get("/photos").await?;
    let items = listed["items"].as_array().context("photos")?;
    let pending = items
        .iter()
        .filter(|photo| photo["upload_status"] == "pending")
        .count();
    let links: Vec<&str> = items
        .iter()
        .filter_map(|photo| photo["thumbnail_url"].as_str())
        .collect();
    let mut bytes = 0;
    let (mut cached, mut known_again) = (0, 0);
    for link in &links {
        let answer = account.client.get(*link).send().await?;
        let etag = answer.headers().get("etag").cloned();
        cached += usize::from(etag.is_some() && answer.headers().contains_key("cache-control"));
        bytes += answer.bytes().await?.len();
        if let Some(etag) = etag {
            let again = account
                .client
                .get(*link)
                .header("If-None-Match", etag)
                .send()
                .await?;
            known_again += usize::from(again.status() == StatusCode::NOT_MODIFIED);
        }
    }
    let same = |field: &str| {
        let pick = |list: &Value| -> Vec<Value> {
            let items = list["items"].as_array().cloned().unwrap_or_default();
            items.iter().map(|photo| photo[field].clone()).collect()
        };
        pick(&listed) == pick(&again)
    };
    let first = items.first().cloned().unwrap_or_default();
    Ok(vec![
        Measurement::equals("of 5 photos, with a thumbnail", links.len(), 5),
        Measurement::at_most("bytes of the whole grid", bytes as f64, 400_000.0),
        Measurement::is_true(
            "URLs of thumbnails stay the same",
            same("thumbnail_url") && !links.is_empty(),
        ),
        Measurement::is_true("URLs of originals stay the same", same("original_url")),
        Measurement::equals("with ETag and Cache-Control", cached, 5),
        Measurement::equals("answered 304 to If-None-Match", known_again, 5),
        Measurement::zero("unconfirmed photos in the list", pending),
        Measurement::is_true("updated_at", first["updated_at"].is_string()),
    ])
}

/// Logout without a body, and login with a form.
pub(super) async fn form_login(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &[]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let out = account.request(Method::POST, "/auth/logout").send().await?;
    let status = out.status().as_u16();
    let form = account
        .call(Method::POST, "/auth/login")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("username=owner%40example.com&password=Clear-Iris-7");
    let tokens = expect(form.send().await?, StatusCode::OK).await?;
    Ok(vec![
        Measurement::equals("logout without a body", status, 200),
        Measurement::is_true(
            "both tokens from the form login",
            tokens["refresh_token"].is_string(),
        ),
    ])
}
