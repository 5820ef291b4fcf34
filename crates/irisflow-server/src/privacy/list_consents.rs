//! `GET /privacy/consent`: lists the consents of an account.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::ConsentBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody};

#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentList {
    /// Newest first.
    consents: Vec<ConsentBody>,
    /// Whether uploads and jobs need `biometric_capture` on this server.
    consent_required: bool,
}

/// List your consents, including withdrawn ones.
#[utoipa::path(get, path = "/privacy/consent", tag = "privacy", security(("bearer" = [])),
    responses((status = 200, body = ConsentList), (status = 401, body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    user: CurrentUser,
) -> Result<Json<ConsentList>, ApiError> {
    let consents = app.parts.privacy.consents(user.id()).await?;
    Ok(Json(ConsentList {
        consents: consents.into_iter().map(ConsentBody::from).collect(),
        consent_required: app.settings.consent_required,
    }))
}
