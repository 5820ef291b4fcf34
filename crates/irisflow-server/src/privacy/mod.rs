//! What people agree to.

pub(crate) mod give;
pub(crate) mod list;

use irisflow_jobs::{Consent, ConsentType};
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
    /// Which wording was shown.
    text_version: String,
    /// Always true.
    granted: bool,
    /// RFC 3339, UTC.
    granted_at: String,
}

impl From<Consent> for ConsentBody {
    fn from(consent: Consent) -> Self {
        Self {
            id: consent.id.to_string(),
            consent_type: consent.consent_type.name(),
            text_version: consent.text_version,
            granted: true,
            granted_at: consent.granted_at.to_rfc3339(),
        }
    }
}

impl AppState {
    /// Where the operator asks for it, nobody's iris is taken without their consent.
    pub(crate) async fn check_consent(&self, user: &CurrentUser) -> Result<(), ApiError> {
        if !self.settings.consent_required {
            return Ok(());
        }
        let consents = self.parts.privacy.consents(user.id()).await?;
        let given = consents
            .iter()
            .any(|consent| consent.consent_type == ConsentType::BiometricCapture);
        if given {
            Ok(())
        } else {
            Err(ApiError::ConsentRequired)
        }
    }
}
