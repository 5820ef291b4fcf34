//! `GET /webhooks/{id}/deliveries`: the delivery log of a webhook, page by page.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::{DeliveryStatus, WebhookId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::bodies::DeliveryBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::{ApiQuery, PageQuery, PathId};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryFilter {
    /// Only deliveries with this status; `dead` lists the dead letters.
    #[param(inline)]
    status: Option<DeliveryStatusName>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DeliveryStatusName {
    Pending,
    Delivered,
    Dead,
}

impl From<DeliveryStatusName> for DeliveryStatus {
    fn from(name: DeliveryStatusName) -> Self {
        match name {
            DeliveryStatusName::Pending => Self::Pending,
            DeliveryStatusName::Delivered => Self::Delivered,
            DeliveryStatusName::Dead => Self::Dead,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryPage {
    items: Vec<DeliveryBody>,
    /// Number of deliveries on all pages.
    total: u64,
    page: u32,
    page_size: u32,
}

/// List the deliveries of a webhook with their attempts, newest first. Ended ones are kept for a week.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", operation_id = "list_webhook_deliveries", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path), PageQuery, DeliveryFilter),
    responses(
        (status = 200, body = DeliveryPage),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn list_deliveries(
    State(app): State<App>,
    user: CurrentUser,
    PathId(webhook_id): PathId<WebhookId>,
    ApiQuery(page): ApiQuery<PageQuery>,
    ApiQuery(filter): ApiQuery<DeliveryFilter>,
) -> Result<Json<DeliveryPage>, ApiError> {
    let (request, status) = (page.parse()?, filter.status.map(Into::into));
    let webhooks = &app.parts.webhooks;
    let page = webhooks
        .deliveries(user.id(), webhook_id, status, request)
        .await?;
    let page = page.ok_or(ApiError::NotFound(Missing::Webhook))?;
    Ok(Json(DeliveryPage {
        items: page.items.into_iter().map(Into::into).collect(),
        total: page.total,
        page: request.page,
        page_size: request.page_size,
    }))
}
