//! JSON bodies of webhooks and deliveries.

use irisflow_jobs::{
    AttemptError, DeliveryAttempt, DeliveryMessage, DeliveryState, Timestamp, Webhook,
    WebhookDelivery, WebhookState,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::event_names::{EventName, TEST, event_name};
use super::secret::Secret;

/// An endpoint of yours, to which events of your jobs are posted.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookBody {
    #[schema(format = Uuid)]
    id: String,
    url: String,
    description: String,
    /// The events that are delivered.
    #[schema(value_type = Vec<EventName>)]
    events: Vec<&'static str>,
    enabled: bool,
    /// `owner`, `endpoint_gone` (it answered 410), `failing` (for days) or `backlog_full`; null while enabled.
    disabled_reason: Option<&'static str>,
    /// Since when every attempt has failed (RFC 3339, UTC, as all times here); null when the last one succeeded.
    failing_since: Option<String>,
    pending_deliveries: u32,
    /// Until when messages are signed with the previous secret, too, after a rotation.
    previous_secret_valid_until: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<Webhook> for WebhookBody {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id.to_string(),
            url: webhook.url,
            description: webhook.description,
            events: webhook.kinds.iter().map(event_name).collect(),
            enabled: webhook.state.is_enabled(),
            disabled_reason: match webhook.state {
                WebhookState::Enabled => None,
                WebhookState::Disabled(reason) => Some(reason.name()),
            },
            failing_since: webhook.first_failure_at.map(Timestamp::to_rfc3339),
            pending_deliveries: webhook.pending,
            previous_secret_valid_until: webhook
                .previous_secret
                .map(|previous| previous.valid_until.to_rfc3339()),
            created_at: webhook.created_at.to_rfc3339(),
            updated_at: webhook.updated_at.to_rfc3339(),
        }
    }
}

/// A webhook with its signing secret, which is shown in this response only.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookWithSecretBody {
    #[serde(flatten)]
    webhook: WebhookBody,
    /// Signs messages, as Standard Webhooks specifies.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
}

impl WebhookWithSecretBody {
    pub(super) fn new(webhook: Webhook, secret: &Secret) -> Self {
        Self {
            webhook: webhook.into(),
            secret: secret.to_text(),
        }
    }
}

/// One message to a webhook, with the log of its attempts.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryBody {
    /// The `webhook-id` of its requests: the same in all attempts.
    #[schema(format = Uuid)]
    id: String,
    /// As in `job.completed`, or `webhook.test`.
    #[serde(rename = "type")]
    event: &'static str,
    /// Null for a test, and once the deletion of a job is delivered.
    job_id: Option<String>,
    /// `pending`, `delivered` or `dead`.
    status: &'static str,
    /// Of a dead one: `retries_exhausted`, `endpoint_gone` or `webhook_disabled`.
    dead_reason: Option<&'static str>,
    /// Attempts since it was queued or redelivered.
    attempt_count: u32,
    /// Of a pending one; while an attempt is under way, the time at which it counts as lost.
    next_attempt_at: Option<String>,
    created_at: String,
    /// The newest ten, oldest first.
    attempts: Vec<AttemptBody>,
}

/// One request to the endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptBody {
    at: String,
    duration_ms: u64,
    /// HTTP status of the response, when there was one.
    status: Option<u16>,
    /// `dns`, `address_not_allowed`, `connect`, `invalid_response`, `timeout`, `redirect`, `status` or `configuration`;
    /// null when it succeeded.
    error: Option<&'static str>,
    /// The beginning of the response, without the queries of URLs.
    response_excerpt: Option<String>,
    /// Where a redirect led to. Redirects are not followed.
    redirect_host: Option<String>,
}

impl From<DeliveryAttempt> for AttemptBody {
    fn from(attempt: DeliveryAttempt) -> Self {
        Self {
            at: Timestamp::from_millis(attempt.at_ms).to_rfc3339(),
            duration_ms: attempt.duration_ms,
            status: attempt.status,
            error: attempt.error.map(AttemptError::name),
            response_excerpt: attempt.response_excerpt,
            redirect_host: attempt.redirect_host,
        }
    }
}

impl From<WebhookDelivery> for DeliveryBody {
    fn from(delivery: WebhookDelivery) -> Self {
        let (event, job_id) = match &delivery.message {
            DeliveryMessage::Event(event) => {
                (event_name(event.kind), Some(event.job_id.to_string()))
            }
            DeliveryMessage::Erased(kind) => (event_name(*kind), None),
            DeliveryMessage::Test => (TEST, None),
        };
        let (next_attempt_at, dead_reason) = match delivery.state {
            DeliveryState::Pending { due_at } => (Some(due_at.to_rfc3339()), None),
            DeliveryState::Delivered => (None, None),
            DeliveryState::Dead(reason) => (None, Some(reason.name())),
        };
        Self {
            id: delivery.id.to_string(),
            event,
            job_id,
            status: delivery.state.status().name(),
            dead_reason,
            attempt_count: delivery.attempt_count,
            next_attempt_at,
            created_at: delivery.created_at.to_rfc3339(),
            attempts: delivery.attempts.into_iter().map(Into::into).collect(),
        }
    }
}
