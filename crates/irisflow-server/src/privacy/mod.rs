//! Endpoints of consents, and the consent check of uploads and jobs.

pub(crate) mod biometric_status;
mod consent_text;
pub(crate) mod give_consent;
pub(crate) mod jurisdiction;
pub(crate) mod list_consents;
pub(crate) mod withdraw_consent;

pub use consent_text::{ConsentText, ConsentTextError};

use irisflow_jobs::{Consent, ConsentType, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::CurrentUser;
use crate::error::ApiError;

/// One consent.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentBody {
    id: String,
    /// `biometric_capture`, `data_processing` or `marketing`.
    consent_type: &'static str,
    /// The privacy law that applies: `gdpr`, `bipa`, `ccpa` or `generic`.
    jurisdiction: &'static str,
    /// Version of the text that was shown.
    text_version: String,
    /// The same as `text_version`, for older clients.
    consent_text_version: String,
    /// False after a withdrawal.
    granted: bool,
    /// RFC 3339, UTC, as all times here.
    granted_at: String,
    withdrawn_at: Option<String>,
}

impl From<Consent> for ConsentBody {
    fn from(consent: Consent) -> Self {
        Self {
            id: consent.id.to_string(),
            consent_type: consent.consent_type.name(),
            jurisdiction: consent.jurisdiction.name(),
            consent_text_version: consent.text_version.clone(),
            text_version: consent.text_version,
            granted: consent.withdrawn_at.is_none(),
            granted_at: consent.granted_at.to_rfc3339(),
            withdrawn_at: consent.withdrawn_at.map(Timestamp::to_rfc3339),
        }
    }
}

impl AppState {
    /// Checks for biometric consent, if the operator requires it for uploads and jobs.
    pub(crate) async fn check_consent(&self, user: &CurrentUser) -> Result<(), ApiError> {
        if !self.settings.consent_required {
            return Ok(());
        }
        let privacy = &self.parts.privacy;
        let biometric = ConsentType::BiometricCapture;
        if privacy.has_consent(user.id(), biometric).await? {
            Ok(())
        } else {
            Err(ApiError::ConsentRequired)
        }
    }
}
