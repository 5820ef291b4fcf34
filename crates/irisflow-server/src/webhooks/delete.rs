//! `DELETE /webhooks/{id}`: deletes a webhook with its deliveries.

use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::WebhookId;

use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Delete a webhook with its deliveries, also those that are pending.
#[utoipa::path(delete, path = "/webhooks/{id}", operation_id = "delete_webhook", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 204),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn delete(
    State(app): State<App>,
    user: CurrentUser,
    PathId(webhook_id): PathId<WebhookId>,
) -> Result<StatusCode, ApiError> {
    if app
        .parts
        .webhooks
        .delete_webhook(user.id(), webhook_id)
        .await?
    {
        tracing::info!(%webhook_id, "webhook deleted");
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound(Missing::Webhook))
    }
}
