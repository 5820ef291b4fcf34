//! `GET /webhooks`: lists the webhooks of an account.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::WebhookBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody};

#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookList {
    /// Oldest first.
    webhooks: Vec<WebhookBody>,
    /// How many an account may have.
    limit: u32,
}

/// List your webhooks.
#[utoipa::path(get, path = "/webhooks", operation_id = "list_webhooks", tag = "webhooks", security(("bearer" = [])),
    responses((status = 200, body = WebhookList), (status = 401, body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    user: CurrentUser,
) -> Result<Json<WebhookList>, ApiError> {
    let webhooks = app.parts.webhooks.webhooks(user.id()).await?;
    Ok(Json(WebhookList {
        webhooks: webhooks.into_iter().map(WebhookBody::from).collect(),
        limit: app.settings.webhooks.per_user,
    }))
}
