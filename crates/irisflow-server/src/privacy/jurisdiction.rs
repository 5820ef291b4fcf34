//! `GET /privacy/jurisdiction`: the privacy law of a place and the consent text, before there is an account.
//!
//! The same fields are at the top level and under `consent_requirements`, since the two generations of the phone app
//! read them from different places.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::Jurisdiction;
use irisflow_messages::{Language, text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::error::{ApiError, ValidationBody};
use crate::extractors::ApiQuery;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Place {
    /// ISO 3166-1 alpha-2, as in `US`. Without it the jurisdiction is `generic`.
    country_code: Option<String>,
    /// A state of the United States, as in `IL`.
    state_code: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JurisdictionBody {
    /// `gdpr`, `bipa`, `ccpa` or `generic`.
    jurisdiction: &'static str,
    jurisdiction_name: String,
    /// The text to show to the user.
    consent_text: String,
    /// To be sent with the consent.
    consent_text_version: String,
    requires_explicit_consent: bool,
    /// Whether this server accepts photos only from users who have given `biometric_capture`.
    consent_required: bool,
    consent_requirements: RequirementsBody,
}

/// The same fields again, and the requirements of the law. Null where the law has no such requirement.
#[derive(Serialize, ToSchema)]
pub(crate) struct RequirementsBody {
    jurisdiction: &'static str,
    jurisdiction_name: String,
    consent_text: String,
    consent_text_version: String,
    requires_explicit_consent: bool,
    explicit_consent: bool,
    purpose_disclosure: bool,
    retention_policy: bool,
    right_to_withdraw: bool,
    data_minimization: Option<bool>,
    written_consent: Option<bool>,
    retention_schedule: Option<bool>,
    no_profit_from_data: Option<bool>,
    notice_at_collection: Option<bool>,
    opt_out_right: Option<bool>,
    deletion_right: Option<bool>,
}

/// Show the privacy law of a place and the consent text. No sign-in is needed.
#[utoipa::path(get, path = "/privacy/jurisdiction", tag = "privacy", params(Place),
    responses((status = 200, body = JurisdictionBody), (status = 422, body = ValidationBody)))]
pub(crate) async fn jurisdiction(
    State(app): State<App>,
    ApiQuery(place): ApiQuery<Place>,
) -> Result<Json<JurisdictionBody>, ApiError> {
    let country = place.country_code.as_deref();
    let jurisdiction = Jurisdiction::of_place(country, place.state_code.as_deref());
    let consent_text = &app.settings.consent_text;
    // An iris is biometric data, so explicit consent is required everywhere, also where the law does not.
    let requires_explicit_consent = true;
    let only_in = |place: Jurisdiction| (jurisdiction == place).then_some(true);
    Ok(Json(JurisdictionBody {
        jurisdiction: jurisdiction.name(),
        jurisdiction_name: display_name(jurisdiction),
        consent_text: consent_text.text().to_owned(),
        consent_text_version: consent_text.version().to_owned(),
        requires_explicit_consent,
        consent_required: app.settings.consent_required,
        consent_requirements: RequirementsBody {
            jurisdiction: jurisdiction.name(),
            jurisdiction_name: display_name(jurisdiction),
            consent_text: consent_text.text().to_owned(),
            consent_text_version: consent_text.version().to_owned(),
            requires_explicit_consent,
            explicit_consent: requires_explicit_consent,
            purpose_disclosure: true,
            retention_policy: true,
            right_to_withdraw: true,
            data_minimization: only_in(Jurisdiction::Gdpr),
            written_consent: only_in(Jurisdiction::Bipa),
            retention_schedule: only_in(Jurisdiction::Bipa),
            no_profit_from_data: only_in(Jurisdiction::Bipa),
            notice_at_collection: only_in(Jurisdiction::Ccpa),
            opt_out_right: only_in(Jurisdiction::Ccpa),
            deletion_right: only_in(Jurisdiction::Ccpa),
        },
    }))
}

/// The name of the jurisdiction for users.
fn display_name(jurisdiction: Jurisdiction) -> String {
    let text = match jurisdiction {
        Jurisdiction::Gdpr => text!("jurisdiction-gdpr"),
        Jurisdiction::Bipa => text!("jurisdiction-bipa"),
        Jurisdiction::Ccpa => text!("jurisdiction-ccpa"),
        Jurisdiction::Generic => text!("jurisdiction-generic"),
    };
    text.in_language(Language::PROGRAM)
}
