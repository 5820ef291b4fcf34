//! What people agreed to, and what is left when they take everything back: a receipt that names nobody.

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    pub id: ConsentId,
    pub user_id: UserId,
    pub consent_type: ConsentType,
    /// Which wording was shown.
    pub text_version: String,
    pub granted_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsent {
    pub user_id: UserId,
    pub consent_type: ConsentType,
    pub text_version: String,
}

/// That an account was destroyed, and how much with it. Kept, and without a word on whose it was.
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
