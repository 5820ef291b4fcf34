//! The deliverer: claims due deliveries, attempts several at once, records the outcomes. Every node runs one.
//!
//! A delivery is attempted at least once: one whose outcome is not recorded, since the process ended or the database
//! was unavailable, is attempted again after its claim, with the same id.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use irisflow_jobs::{
    ClaimedDelivery, DeliveryAttempt, DeliveryMessage, TracedEvent, Transport, WebhookId,
};
use metrics::counter;
use tokio::task::{Id, JoinError, JoinSet};

use super::attempt::SignedMessage;
use crate::app::{App, AppState};

/// How long attempts under way may go on at the shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);
const PRUNED_AT_ONCE: u32 = 100;

/// Attempts under way, each in a task of its own.
#[derive(Debug, Default)]
struct InFlight {
    tasks: JoinSet<()>,
    webhooks: HashMap<Id, WebhookId>,
}

/// Delivers until the server shuts down.
pub(crate) async fn deliver(app: App) {
    let mut in_flight = InFlight::default();
    loop {
        // Before the claim, so that a delivery that is recorded meanwhile wakes.
        let wake_up = app.parts.bus.delivery_wake_up();
        for claimed in claim(&app, &in_flight).await {
            in_flight.start(&app, claimed);
        }
        tokio::select! {
            ended = in_flight.tasks.join_next_with_id(), if !in_flight.tasks.is_empty() => {
                in_flight.remove(ended);
            }
            () = wake_up, if in_flight.has_room(&app) => {}
            () = tokio::time::sleep(app.settings.webhooks.poll_interval) => {}
            () = app.draining.cancelled() => break,
        }
    }
    let ending = async { while in_flight.tasks.join_next().await.is_some() {} };
    // What is not recorded by then is delivered again after the next start.
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, ending).await;
}

async fn claim(app: &App, in_flight: &InFlight) -> Vec<ClaimedDelivery> {
    let settings = &app.settings.webhooks;
    let free = in_flight.free(app);
    if free == 0 || app.parts.bus.has_outage() {
        return Vec::new();
    }
    let (counts, webhooks) = (in_flight.counts(), &app.parts.webhooks);
    let claimed = webhooks.claim_deliveries(free, settings.per_webhook, &counts, settings.lease());
    claimed.await.unwrap_or_else(|error| {
        tracing::error!(%error, "could not claim webhook deliveries");
        Vec::new()
    })
}

impl InFlight {
    fn free(&self, app: &AppState) -> u32 {
        let used = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
        app.settings.webhooks.concurrency.saturating_sub(used)
    }

    fn has_room(&self, app: &AppState) -> bool {
        self.free(app) > 0
    }

    fn counts(&self) -> Vec<(WebhookId, u32)> {
        let mut counts: HashMap<WebhookId, u32> = HashMap::new();
        for webhook_id in self.webhooks.values() {
            *counts.entry(*webhook_id).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    fn start(&mut self, app: &App, claimed: ClaimedDelivery) {
        let (app, webhook_id) = (app.clone(), claimed.webhook.id);
        let task = self.tasks.spawn(async move { app.deliver(claimed).await });
        self.webhooks.insert(task.id(), webhook_id);
    }

    fn remove(&mut self, ended: Option<Result<(Id, ()), JoinError>>) {
        match ended {
            Some(Ok((id, ()))) => self.webhooks.remove(&id),
            Some(Err(error)) => {
                tracing::error!(%error, "an attempt to deliver a webhook failed");
                self.webhooks.remove(&error.id())
            }
            None => None,
        };
    }
}

impl AppState {
    async fn deliver(&self, claimed: ClaimedDelivery) {
        let message = self.signed_message(&claimed);
        let url = &claimed.webhook.url;
        let attempted = self.webhook_client.attempt(url, message, self.now()).await;
        log(&claimed, &attempted.attempt);
        if let (None, DeliveryMessage::Event(event)) =
            (attempted.attempt.error, &claimed.delivery.message)
        {
            self.trace_delivered(TracedEvent::from(&**event), Transport::Webhook);
        }
        let policy = &self.settings.webhooks.policy;
        let outcome = policy.outcome(
            &attempted.attempt,
            claimed.delivery.attempt_count,
            claimed.age,
            attempted.requested_wait,
            rand::random(),
        );
        let recorded = self.parts.webhooks.record_attempt(
            claimed.claim,
            attempted.attempt,
            outcome,
            policy.disable_after,
        );
        match recorded.await {
            Ok(true) => {}
            Ok(false) => tracing::info!(
                delivery_id = %claimed.claim.delivery_id,
                "the attempt of a webhook delivery was not recorded: it was deleted or claimed again"
            ),
            Err(error) => tracing::error!(
                %error,
                delivery_id = %claimed.claim.delivery_id,
                "could not record the attempt of a webhook delivery; it will be repeated"
            ),
        }
    }

    /// Signed with the secret, and during its overlap with the previous one, too. `None` when a secret cannot be
    /// decrypted.
    fn signed_message(&self, claimed: &ClaimedDelivery) -> Option<SignedMessage> {
        let webhook = &claimed.webhook;
        let body = self.delivery_message(claimed)?;
        let id = claimed.claim.delivery_id.to_string();
        let timestamp_s = self.now().as_millis() / 1000;
        let previous = webhook.previous_secret.iter().map(|old| &old.secret);
        let mut signatures = Vec::new();
        for sealed in std::iter::once(&webhook.secret).chain(previous) {
            let secret = self.secret_cipher.open(webhook.id, sealed)?;
            signatures.push(secret.sign(&id, timestamp_s, body.as_bytes())?);
        }
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        for (name, value) in [
            (standardwebhooks::HEADER_WEBHOOK_ID, id),
            (
                standardwebhooks::HEADER_WEBHOOK_TIMESTAMP,
                timestamp_s.to_string(),
            ),
            (
                standardwebhooks::HEADER_WEBHOOK_SIGNATURE,
                signatures.join(" "),
            ),
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(&value).ok()?,
            );
        }
        Some(SignedMessage { headers, body })
    }
}

/// Neither the URL, which may hold a secret of its own, nor the response is logged.
fn log(claimed: &ClaimedDelivery, attempt: &DeliveryAttempt) {
    let outcome = attempt.error.map_or("delivered", |error| error.name());
    counter!("irisflow_webhook_attempts_total", "outcome" => outcome).increment(1);
    tracing::debug!(
        webhook_id = %claimed.webhook.id,
        delivery_id = %claimed.claim.delivery_id,
        outcome,
        status = attempt.status,
        duration_ms = attempt.duration_ms,
        "webhook attempted"
    );
}

/// Deletes old deliveries until the server shuts down.
pub(crate) async fn prune_deliveries(app: App) {
    let kept = app.settings.webhooks.keep_deliveries;
    loop {
        tokio::select! {
            () = tokio::time::sleep(PRUNE_INTERVAL.min(kept)) => {}
            () = app.draining.cancelled() => return,
        }
        loop {
            let before = app.now() - kept;
            let pruned = app.parts.webhooks.prune_deliveries(before, PRUNED_AT_ONCE);
            match pruned.await {
                Ok(PRUNED_AT_ONCE) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "could not prune webhook deliveries; trying again later");
                    break;
                }
            }
        }
    }
}
