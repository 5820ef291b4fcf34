//! Consents, and the anonymous receipt that remains of a deleted account.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ConsentId, ReceiptId, UserId};

/// What a person can agree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsentType {
    /// That pictures of their irises are made. The one that may be required.
    BiometricCapture,
    DataProcessing,
    Marketing,
}

impl ConsentType {
    pub const ALL: [Self; 3] = [
        Self::BiometricCapture,
        Self::DataProcessing,
        Self::Marketing,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::BiometricCapture => "biometric_capture",
            Self::DataProcessing => "data_processing",
            Self::Marketing => "marketing",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Jurisdiction of a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Jurisdiction {
    /// European Union, European Economic Area, United Kingdom.
    Gdpr,
    /// Illinois: Biometric Information Privacy Act.
    Bipa,
    /// California: Consumer Privacy Act.
    Ccpa,
    /// Anywhere else, or unknown.
    Generic,
}

/// ISO 3166-1 alpha-2 codes of the countries under the GDPR: EU, EEA, United Kingdom.
const GDPR_COUNTRIES: [&str; 31] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE",
    "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

impl Jurisdiction {
    pub const ALL: [Self; 4] = [Self::Gdpr, Self::Bipa, Self::Ccpa, Self::Generic];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gdpr => "gdpr",
            Self::Bipa => "bipa",
            Self::Ccpa => "ccpa",
            Self::Generic => "generic",
        }
    }

    /// In any case: `GDPR` is `gdpr`.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|jurisdiction| jurisdiction.name().eq_ignore_ascii_case(name))
    }

    /// Of an ISO 3166 country and, in the United States, a state, in any case.
    pub fn of_place(country: Option<&str>, state: Option<&str>) -> Self {
        let upper = |code: Option<&str>| code.map(|code| code.trim().to_ascii_uppercase());
        match (upper(country).as_deref(), upper(state).as_deref()) {
            (Some("US"), Some("IL")) => Self::Bipa,
            (Some("US"), Some("CA")) => Self::Ccpa,
            (Some(country), _) if GDPR_COUNTRIES.contains(&country) => Self::Gdpr,
            _ => Self::Generic,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    pub id: ConsentId,
    pub user_id: UserId,
    pub consent_type: ConsentType,
    pub jurisdiction: Jurisdiction,
    /// Which wording was shown.
    pub text_version: String,
    pub granted_at: Timestamp,
    /// A withdrawn consent is kept: it says what was agreed to from when to when.
    pub withdrawn_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsent {
    pub user_id: UserId,
    pub consent_type: ConsentType,
    pub jurisdiction: Jurisdiction,
    pub text_version: String,
}

/// The record of a deleted account: how much was destroyed, without the account's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletionReceipt {
    pub id: ReceiptId,
    pub at: Timestamp,
    pub destroyed: Destroyed,
}

/// How many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Destroyed {
    pub photos: u64,
    pub jobs: u64,
    pub events: u64,
    pub sessions: u64,
    pub consents: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_jurisdiction_of_its_country_and_state() {
        for (country, state, expected) in [
            (Some("DE"), None, Jurisdiction::Gdpr),
            (Some("gb"), Some("IL"), Jurisdiction::Gdpr),
            (Some("us"), Some("il"), Jurisdiction::Bipa),
            (Some("US"), Some("CA"), Jurisdiction::Ccpa),
            (Some("CA"), None, Jurisdiction::Generic),
            (None, Some("IL"), Jurisdiction::Generic),
            (None, None, Jurisdiction::Generic),
        ] {
            let found = Jurisdiction::of_place(country, state);
            assert_eq!(found, expected, "{country:?} {state:?}");
        }
    }

    #[test]
    fn a_jurisdiction_is_known_by_its_name_in_any_case() {
        for jurisdiction in Jurisdiction::ALL {
            let name = jurisdiction.name().to_uppercase();
            assert_eq!(Jurisdiction::from_name(&name), Some(jurisdiction));
        }
        assert_eq!(Jurisdiction::from_name("mars"), None);
    }
}
