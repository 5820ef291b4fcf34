//! `POST /privacy/consent`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{ConsentType, NewConsent};
use serde::Deserialize;
use utoipa::ToSchema;

use super::ConsentBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extract::ApiJson;

const LONGEST_VERSION: usize = 100;

#[derive(Deserialize, ToSchema)]
pub(crate) struct ConsentRequest {
    /// `biometric_capture`, `data_processing` or `marketing`.
    #[schema(example = "biometric_capture")]
    consent_type: String,
    /// Which wording was shown, up to 100 characters.
    #[serde(alias = "consent_text_version")]
    #[schema(example = "2026-11")]
    text_version: String,
}

/// Agree to something. Kept with the time and the wording.
#[utoipa::path(post, path = "/privacy/consent", tag = "privacy", security(("bearer" = [])),
    request_body = ConsentRequest,
    responses(
        (status = 201, body = ConsentBody),
        (status = 401, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn give(
    State(app): State<App>,
    user: CurrentUser,
    ApiJson(request): ApiJson<ConsentRequest>,
) -> Result<(StatusCode, Json<ConsentBody>), ApiError> {
    let consent_type = ConsentType::from_name(&request.consent_type).ok_or_else(|| {
        let known = "one of biometric_capture, data_processing, marketing";
        ApiError::invalid_field("consent_type", known)
    })?;
    let length = request.text_version.chars().count();
    if !(1..=LONGEST_VERSION).contains(&length) {
        return Err(ApiError::invalid_field(
            "text_version",
            "1 to 100 characters",
        ));
    }
    let new = NewConsent {
        user_id: user.id(),
        consent_type,
        text_version: request.text_version,
    };
    let consent = app.parts.privacy.add_consent(new).await?;
    Ok((StatusCode::CREATED, Json(ConsentBody::from(consent))))
}
