//! `POST /webhooks/{id}/deliveries/{delivery_id}/redeliver`: sends a message again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{DeliveryId, Redelivery, WebhookId};

use super::bodies::DeliveryBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathIds;

/// Send a message again, with the same `webhook-id`; it is repeated for as long as a new one. One that waits for its
/// next attempt is attempted now.
#[utoipa::path(post, path = "/webhooks/{id}/deliveries/{delivery_id}/redeliver", operation_id = "redeliver_webhook", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path), ("delivery_id" = String, Path)),
    responses(
        (status = 202, description = "It is queued", body = DeliveryBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "`webhook_disabled`, `conflict`", body = ErrorBody),
        (status = 410, description = "`delivery_erased`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn redeliver(
    State(app): State<App>,
    user: CurrentUser,
    PathIds(webhook_id, delivery_id): PathIds<WebhookId, DeliveryId>,
) -> Result<(StatusCode, Json<DeliveryBody>), ApiError> {
    let webhooks = &app.parts.webhooks;
    match webhooks
        .redeliver(user.id(), webhook_id, delivery_id)
        .await?
    {
        Redelivery::Queued(delivery) => Ok((StatusCode::ACCEPTED, Json((*delivery).into()))),
        Redelivery::Disabled => Err(ApiError::WebhookDisabled),
        Redelivery::Erased => Err(ApiError::DeliveryErased),
        Redelivery::NotFound => Err(ApiError::NotFound(Missing::WebhookDelivery)),
    }
}
