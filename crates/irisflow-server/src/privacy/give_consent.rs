//! `POST /privacy/consent`: records a consent.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{ConsentType, Jurisdiction, NewConsent};
use irisflow_messages::text;
use serde::Deserialize;
use utoipa::ToSchema;

use super::ConsentBody;
use super::consent_text::MAX_VERSION_CHARS;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::ApiJson;

#[derive(Deserialize, ToSchema)]
pub(crate) struct ConsentRequest {
    #[schema(inline, value_type = ConsentName, example = "biometric_capture")]
    consent_type: String,
    /// The privacy law that applies; `generic` if omitted.
    #[schema(inline, value_type = Option<JurisdictionName>, example = "generic")]
    jurisdiction: Option<String>,
    /// Version of the text that was shown, up to 100 characters. This or `consent_text_version` is required.
    #[schema(min_length = 1, max_length = 100, example = "2026-11")]
    text_version: Option<String>,
    /// Another name of `text_version`, for older clients.
    #[schema(min_length = 1, max_length = 100)]
    consent_text_version: Option<String>,
}

/// The accepted names, for the OpenAPI description.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes what clients may send")]
enum ConsentName {
    BiometricCapture,
    DataProcessing,
    Marketing,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes what clients may send")]
enum JurisdictionName {
    Gdpr,
    Bipa,
    Ccpa,
    Generic,
}

impl ConsentRequest {
    fn jurisdiction(&self) -> Result<Jurisdiction, ApiError> {
        let Some(name) = &self.jurisdiction else {
            return Ok(Jurisdiction::Generic);
        };
        Jurisdiction::from_name(name)
            .ok_or_else(|| ApiError::invalid_field("jurisdiction", text!("invalid-jurisdiction")))
    }

    fn text_version(self) -> Result<String, ApiError> {
        let version = match (self.text_version, self.consent_text_version) {
            (Some(one), Some(other)) if one != other => {
                return Err(ApiError::invalid_field(
                    "consent_text_version",
                    text!("invalid-consent-versions-differ"),
                ));
            }
            (Some(version), _) | (None, Some(version)) => version,
            (None, None) => {
                return Err(ApiError::invalid_field(
                    "text_version",
                    text!("invalid-field-missing"),
                ));
            }
        };
        if (1..=MAX_VERSION_CHARS).contains(&version.chars().count()) {
            Ok(version)
        } else {
            Err(ApiError::invalid_field(
                "text_version",
                text!("invalid-consent-version", longest = MAX_VERSION_CHARS),
            ))
        }
    }
}

/// Give a consent. It is recorded with the time, the jurisdiction and the version of the text.
#[utoipa::path(post, path = "/privacy/consent", tag = "privacy", security(("bearer" = [])),
    request_body = ConsentRequest,
    responses(
        (status = 201, body = ConsentBody),
        (status = 401, body = ErrorBody),
        (status = 409, description = "`too_many_consents`, `conflict`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn give(
    State(app): State<App>,
    user: CurrentUser,
    ApiJson(request): ApiJson<ConsentRequest>,
) -> Result<(StatusCode, Json<ConsentBody>), ApiError> {
    let consent_type = ConsentType::from_name(&request.consent_type)
        .ok_or_else(|| ApiError::invalid_field("consent_type", text!("invalid-consent-type")))?;
    let new = NewConsent {
        user_id: user.id(),
        consent_type,
        jurisdiction: request.jurisdiction()?,
        text_version: request.text_version()?,
    };
    let consent = app.parts.privacy.add_consent(new).await?;
    let consent = consent.ok_or(ApiError::TooManyConsents)?;
    Ok((StatusCode::CREATED, Json(ConsentBody::from(consent))))
}
