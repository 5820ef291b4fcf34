//! `GET /webhooks/{id}`: shows a webhook.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::WebhookId;

use super::bodies::WebhookBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Show a webhook.
#[utoipa::path(get, path = "/webhooks/{id}", operation_id = "show_webhook", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 200, body = WebhookBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn show(
    State(app): State<App>,
    user: CurrentUser,
    PathId(webhook_id): PathId<WebhookId>,
) -> Result<Json<WebhookBody>, ApiError> {
    let webhook = app.parts.webhooks.webhook(user.id(), webhook_id).await?;
    let webhook = webhook.ok_or(ApiError::NotFound(Missing::Webhook))?;
    Ok(Json(webhook.into()))
}
