//! What the phone app that exists asks for and understands.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Scene;
use super::account::{Account, Said, expect, hear_out, text};
use super::finding::Finding;
use super::victim::Victim;

const PATIENCE: Duration = Duration::from_secs(8);

/// The consent gate, as the app walks through it.
pub(super) async fn consent_gate(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--consent-required"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let asked = account
        .call(Method::GET, "/privacy/jurisdiction")
        .send()
        .await?;
    let status = asked.status().as_u16();
    let told: Value = asked.json().await.unwrap_or_default();
    let mut findings = vec![Finding::is(
        "GET /privacy/jurisdiction, not signed in",
        status,
        200,
    )];
    let inner = &told["consent_requirements"];
    for field in ["jurisdiction", "consent_text", "requires_explicit_consent"] {
        let there = !told[field].is_null() && told[field] == inner[field];
        findings.push(Finding::that(
            format!("{field} at the top and inside"),
            there,
        ));
    }
    let version = inner["consent_text_version"]
        .as_str()
        .unwrap_or("1")
        .to_owned();
    findings.push(Finding::that(
        "its consent_text_version",
        inner["consent_text_version"].is_string(),
    ));
    let status_of_consent = async || account.get("/privacy/consent/biometric-status").await;
    let before = status_of_consent().await.unwrap_or_default();
    findings.push(Finding::is(
        "has_consent before",
        &before["has_consent"],
        false,
    ));
    let refused = account
        .post_photo(scene.good_eye()?)
        .await?
        .status()
        .as_u16();
    findings.push(Finding::is("an upload before", refused, 403));
    let body = json!({
        "consent_type": "biometric_capture",
        "jurisdiction": told["jurisdiction"].as_str().unwrap_or("gdpr"),
        "consent_text_version": version,
        "text_version": version,
    });
    let given = account.post("/privacy/consent", &body).await?;
    let status = given.status().as_u16();
    let given: Value = given.json().await.unwrap_or_default();
    findings.push(Finding::is(
        "consent with both names of its version",
        status,
        201,
    ));
    findings.push(Finding::that(
        "its jurisdiction is kept",
        given["jurisdiction"] == body["jurisdiction"],
    ));
    let after = status_of_consent().await.unwrap_or_default();
    findings.push(Finding::is(
        "has_consent afterwards",
        &after["has_consent"],
        true,
    ));
    let taken = account
        .post_photo(scene.good_eye()?)
        .await?
        .status()
        .as_u16();
    findings.push(Finding::is("an upload afterwards", taken, 201));
    let id = given["id"].as_str().unwrap_or("none");
    let withdrawn = account
        .post(&format!("/privacy/consent/{id}/withdraw"), &json!({}))
        .await?;
    findings.push(Finding::is("withdrawal", withdrawn.status().as_u16(), 200));
    let after = status_of_consent().await.unwrap_or_default();
    findings.push(Finding::is(
        "has_consent after the withdrawal",
        &after["has_consent"],
        false,
    ));
    Ok(findings)
}

/// Every end of a job's socket is one that the app knows.
pub(super) async fn ends_it_understands(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let jobs = account.submit_many(&scene.good_eye()?, 60).await?;
    let [.., cancelled, deleted] = jobs.as_slice() else {
        anyhow::bail!("no jobs");
    };
    let mut findings = Vec::new();
    let socket = account.watch(cancelled).await?;
    account
        .post(&format!("/processing/jobs/{cancelled}/cancel"), &json!({}))
        .await?;
    judge_end(
        "cancelled",
        &hear_out(socket, PATIENCE).await,
        &mut findings,
    );
    let socket = account.watch(deleted).await?;
    account
        .request(Method::DELETE, &format!("/processing/jobs/{deleted}"))
        .send()
        .await?;
    judge_end("deleted", &hear_out(socket, PATIENCE).await, &mut findings);
    let job = account.job(cancelled).await?;
    findings.push(Finding::is(
        "REST keeps the true state",
        &job["status"],
        "\"cancelled\"",
    ));
    findings.push(Finding::that(
        "with a message and a suggestion",
        job["error_message"].is_string() && job["suggestion"].is_string(),
    ));
    let unknown = account
        .watch("01919191-0000-7000-8000-000000000000")
        .await?;
    judge_end("unknown", &hear_out(unknown, PATIENCE).await, &mut findings);
    let again = account.watch(deleted).await?;
    judge_end(
        "deleted long ago",
        &hear_out(again, PATIENCE).await,
        &mut findings,
    );
    Ok(findings)
}

fn judge_end(what: &str, said: &Said, findings: &mut Vec<Finding>) {
    let last = said.frames.last().cloned().unwrap_or_default();
    findings.push(Finding::is(
        format!("{what}: status"),
        &last["status"],
        "\"failed\"",
    ));
    let whole = ["progress", "step", "message", "suggestion", "code"]
        .iter()
        .all(|field| !last[*field].is_null());
    findings.push(Finding::that(
        format!("{what}: progress, step, message, suggestion, code"),
        whole,
    ));
    findings.push(Finding::that(
        format!("{what}: the socket closes"),
        said.close_code.is_some(),
    ));
}

/// Its token runs out while it watches.
pub(super) async fn token_runs_out(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1", "--access-token-ms", "4000"]).await?;
    let mut account = Account::register(&victim.url, "owner").await?;
    let photo_id = account.upload(scene.phone_photo()?).await?;
    let mut jobs = Vec::new();
    for _ in 0..40 {
        match account.submit(&photo_id).await {
            Ok(job) => jobs.push(text(&job["job_id"])?),
            Err(_) => break,
        }
    }
    let last = jobs.last().context("a job")?;
    // A machine that is busy may have spent the first token by now.
    account.sign_in().await?;
    let socket = account.watch(last).await?;
    let said = hear_out(socket, PATIENCE).await;
    let cut = said
        .frames
        .iter()
        .any(|frame| frame["code"] == "token_expired");
    let late = account.watch(last).await?;
    let refused = hear_out(late, PATIENCE).await;
    let frame = refused.frames.first().cloned().unwrap_or_default();
    Ok(vec![
        Finding::that("an open socket goes on", !cut && said.close_code.is_none()),
        Finding::is("a new one is refused", &frame["code"], "\"token_expired\""),
        Finding::that("in a frame with a status", frame["status"].is_string()),
    ])
}

/// Its grid of pictures: small ones, and links that stay.
pub(super) async fn thumbnails(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    for _ in 0..5 {
        account.upload(scene.phone_photo()?).await?;
    }
    account.announce("image/jpeg").await?;
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
        Finding::is("of 5 photos, with a thumbnail", links.len(), 5),
        Finding::at_most("bytes of the whole grid", bytes as f64, 400_000.0),
        Finding::that(
            "links to thumbnails stay the same",
            same("thumbnail_url") && !links.is_empty(),
        ),
        Finding::that("links to originals stay the same", same("original_url")),
        Finding::is("with ETag and Cache-Control", cached, 5),
        Finding::is("not sent again to who has them", known_again, 5),
        Finding::none("photos never uploaded in the list", pending),
        Finding::that("updated_at", first["updated_at"].is_string()),
    ])
}

/// Refresh after refresh, as the app's queue does.
pub(super) async fn old_app_login(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &[]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let out = account.request(Method::POST, "/auth/logout").send().await?;
    let status = out.status().as_u16();
    let form = account
        .call(Method::POST, "/auth/login")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("username=owner%40example.com&password=Clear-Iris-7");
    let tokens = expect(form.send().await?, StatusCode::OK).await?;
    Ok(vec![
        Finding::is("logout without a body", status, 200),
        Finding::that(
            "both tokens from the form",
            tokens["refresh_token"].is_string(),
        ),
    ])
}
