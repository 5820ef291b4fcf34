//! `PATCH /webhooks/{id}`: changes, disables or enables a webhook.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::{WebhookChange, WebhookId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::bodies::WebhookBody;
use super::create::parse_description;
use super::endpoint_url::parse_endpoint_url;
use super::event_names::{EventName, parse_event_names};
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::{ApiJson, PathId};

/// Fields that are omitted stay as they are.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangeWebhookRequest {
    /// An `https` URL without credentials.
    #[schema(min_length = 9, max_length = 2048)]
    url: Option<String>,
    #[schema(min_items = 1, value_type = Option<Vec<EventName>>)]
    events: Option<Vec<String>>,
    #[schema(max_length = 256)]
    description: Option<String>,
    /// While it is false, no events are recorded; pending deliveries become dead letters.
    enabled: Option<bool>,
}

/// Change, disable or enable a webhook.
#[utoipa::path(patch, path = "/webhooks/{id}", operation_id = "change_webhook", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path)),
    request_body = ChangeWebhookRequest,
    responses(
        (status = 200, body = WebhookBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn change(
    State(app): State<App>,
    user: CurrentUser,
    PathId(webhook_id): PathId<WebhookId>,
    ApiJson(request): ApiJson<ChangeWebhookRequest>,
) -> Result<Json<WebhookBody>, ApiError> {
    let allow_private = app.settings.webhooks.allow_private;
    let url = request.url.as_deref();
    let change = WebhookChange {
        url: url
            .map(|url| parse_endpoint_url(url, allow_private))
            .transpose()?,
        description: request.description.map(parse_description).transpose()?,
        kinds: request
            .events
            .as_deref()
            .map(parse_event_names)
            .transpose()?,
        enabled: request.enabled,
    };
    let webhooks = &app.parts.webhooks;
    let changed = webhooks
        .change_webhook(user.id(), webhook_id, change)
        .await?;
    let changed = changed.ok_or(ApiError::NotFound(Missing::Webhook))?;
    Ok(Json(changed.into()))
}
