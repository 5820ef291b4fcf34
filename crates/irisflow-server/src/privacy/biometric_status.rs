//! `GET /privacy/consent/biometric-status`: whether biometric consent is given.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::ConsentType;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody};

#[derive(Serialize, ToSchema)]
pub(crate) struct BiometricStatus {
    /// `biometric_capture` was given and not withdrawn.
    has_consent: bool,
}

/// Show whether you have consented to pictures of your iris being made.
#[utoipa::path(get, path = "/privacy/consent/biometric-status", tag = "privacy",
    security(("bearer" = [])),
    responses((status = 200, body = BiometricStatus), (status = 401, body = ErrorBody)))]
pub(crate) async fn biometric_status(
    State(app): State<App>,
    user: CurrentUser,
) -> Result<Json<BiometricStatus>, ApiError> {
    let privacy = &app.parts.privacy;
    let has_consent = privacy.has_consent(user.id(), ConsentType::BiometricCapture);
    Ok(Json(BiometricStatus {
        has_consent: has_consent.await?,
    }))
}
