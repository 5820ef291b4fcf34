//! `POST /webhooks`: registers a webhook.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{EventKinds, NewWebhook, WebhookId};
use irisflow_messages::text;
use serde::Deserialize;
use utoipa::ToSchema;

use super::bodies::WebhookWithSecretBody;
use super::endpoint_url::parse_endpoint_url;
use super::event_names::{EventName, parse_event_names};
use super::secret::Secret;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::ApiJson;

const MAX_DESCRIPTION_CHARS: usize = 256;

#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateWebhookRequest {
    /// An `https` URL without credentials.
    #[schema(
        min_length = 9,
        max_length = 2048,
        example = "https://example.com/irisflow"
    )]
    url: String,
    /// The events to deliver; the ends of jobs if omitted.
    #[schema(min_items = 1, value_type = Option<Vec<EventName>>)]
    events: Option<Vec<String>>,
    #[schema(max_length = 256)]
    description: Option<String>,
}

/// Register a webhook. The response is the only one that shows its signing secret.
#[utoipa::path(post, path = "/webhooks", operation_id = "create_webhook", tag = "webhooks", security(("bearer" = [])),
    request_body = CreateWebhookRequest,
    responses(
        (status = 201, body = WebhookWithSecretBody),
        (status = 401, body = ErrorBody),
        (status = 409, description = "`too_many_webhooks`, `conflict`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn create(
    State(app): State<App>,
    user: CurrentUser,
    ApiJson(request): ApiJson<CreateWebhookRequest>,
) -> Result<(StatusCode, Json<WebhookWithSecretBody>), ApiError> {
    let settings = &app.settings.webhooks;
    let kinds = match &request.events {
        Some(names) => parse_event_names(names)?,
        None => EventKinds::final_ones(),
    };
    let (id, secret) = (WebhookId::generate(), Secret::generate());
    let new = NewWebhook {
        id,
        user_id: user.id(),
        url: parse_endpoint_url(&request.url, settings.allow_private)?,
        description: parse_description(request.description.unwrap_or_default())?,
        kinds,
        secret: app
            .secret_cipher
            .seal(id, &secret)
            .ok_or(ApiError::Internal)?,
    };
    let added = app
        .parts
        .webhooks
        .add_webhook(new, settings.per_user)
        .await?;
    let webhook = added.ok_or(ApiError::TooManyWebhooks {
        limit: settings.per_user,
    })?;
    tracing::info!(webhook_id = %webhook.id, "webhook registered");
    let body = WebhookWithSecretBody::new(webhook, &secret);
    Ok((StatusCode::CREATED, Json(body)))
}

pub(super) fn parse_description(text: String) -> Result<String, ApiError> {
    if text.chars().count() > MAX_DESCRIPTION_CHARS {
        let limit = MAX_DESCRIPTION_CHARS;
        let text = text!("invalid-webhook-description", limit = limit);
        return Err(ApiError::invalid_field("description", text));
    }
    Ok(text)
}
