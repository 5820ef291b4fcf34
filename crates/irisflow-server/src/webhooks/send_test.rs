//! `POST /webhooks/{id}/test`: sends a test message.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{MOST_PENDING_DELIVERIES, WebhookId};

use super::bodies::DeliveryBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Send a message of the type `webhook.test`, also to a disabled webhook. Its outcome is in the list of deliveries.
#[utoipa::path(post, path = "/webhooks/{id}/test", operation_id = "test_webhook", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 202, description = "It is queued", body = DeliveryBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "`webhook_backlog_full`, `conflict`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn send_test(
    State(app): State<App>,
    user: CurrentUser,
    PathId(webhook_id): PathId<WebhookId>,
) -> Result<(StatusCode, Json<DeliveryBody>), ApiError> {
    let webhooks = &app.parts.webhooks;
    let webhook = webhooks.webhook(user.id(), webhook_id).await?;
    let webhook = webhook.ok_or(ApiError::NotFound(Missing::Webhook))?;
    if webhook.pending >= MOST_PENDING_DELIVERIES {
        return Err(ApiError::WebhookBacklogFull);
    }
    let queued = webhooks.add_test_delivery(user.id(), webhook_id).await?;
    let queued = queued.ok_or(ApiError::NotFound(Missing::Webhook))?;
    Ok((StatusCode::ACCEPTED, Json(queued.into())))
}
