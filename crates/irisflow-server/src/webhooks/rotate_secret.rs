//! `POST /webhooks/{id}/rotate-secret`: replaces the signing secret.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use irisflow_jobs::WebhookId;
use irisflow_messages::text;
use serde::Deserialize;
use utoipa::ToSchema;

use super::bodies::WebhookWithSecretBody;
use super::secret::Secret;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::{OptionalJson, PathId};

const MAX_OVERLAP_MS: u64 = 7 * 24 * 60 * 60 * 1000;

#[derive(Deserialize, ToSchema)]
pub(crate) struct RotateSecretRequest {
    /// How long messages are signed with the previous secret, too: 24 hours if omitted, 0 when it has leaked.
    #[schema(maximum = 604_800_000, example = 86_400_000)]
    overlap_ms: Option<u64>,
}

/// Replace the signing secret. Messages carry two signatures until the overlap is over. The response is the only one
/// that shows the new secret.
#[utoipa::path(post, path = "/webhooks/{id}/rotate-secret", operation_id = "rotate_webhook_secret", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path)),
    request_body = Option<RotateSecretRequest>,
    responses(
        (status = 200, body = WebhookWithSecretBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn rotate_secret(
    State(app): State<App>,
    user: CurrentUser,
    PathId(webhook_id): PathId<WebhookId>,
    OptionalJson(request): OptionalJson<RotateSecretRequest>,
) -> Result<Json<WebhookWithSecretBody>, ApiError> {
    let overlap = match request.and_then(|request| request.overlap_ms) {
        None => app.settings.webhooks.secret_overlap,
        Some(overlap_ms) if overlap_ms <= MAX_OVERLAP_MS => Duration::from_millis(overlap_ms),
        Some(_) => {
            let text = text!("invalid-webhook-overlap", limit = MAX_OVERLAP_MS);
            return Err(ApiError::invalid_field("overlap_ms", text));
        }
    };
    let secret = Secret::generate();
    let sealed = app.secret_cipher.seal(webhook_id, &secret);
    let sealed = sealed.ok_or(ApiError::Internal)?;
    let webhooks = &app.parts.webhooks;
    let rotated = webhooks
        .rotate_secret(user.id(), webhook_id, sealed, overlap)
        .await?;
    let rotated = rotated.ok_or(ApiError::NotFound(Missing::Webhook))?;
    tracing::info!(%webhook_id, "webhook secret rotated");
    Ok(Json(WebhookWithSecretBody::new(rotated, &secret)))
}
