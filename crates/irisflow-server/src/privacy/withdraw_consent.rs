//! `POST /privacy/consent/{id}/withdraw`: withdraws a consent.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::ConsentId;

use super::ConsentBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Withdraw a consent, together with all others of the same type. The consents stay on record with the time of
/// the withdrawal.
#[utoipa::path(post, path = "/privacy/consent/{id}/withdraw", tag = "privacy",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 200, body = ConsentBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn withdraw(
    State(app): State<App>,
    user: CurrentUser,
    PathId(consent_id): PathId<ConsentId>,
) -> Result<Json<ConsentBody>, ApiError> {
    let privacy = &app.parts.privacy;
    let withdrawn = privacy.withdraw_consent(user.id(), consent_id).await?;
    let withdrawn = withdrawn.ok_or(ApiError::NotFound(Missing::Consent))?;
    Ok(Json(ConsentBody::from(withdrawn)))
}
