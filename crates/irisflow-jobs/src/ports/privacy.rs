//! Consents, and the deletion of an account.

use async_trait::async_trait;

use super::Result;
use crate::id::{ConsentId, ReceiptId, UserId};
use crate::privacy::{Consent, ConsentType, DeletionReceipt, NewConsent};

/// Consents of one account, withdrawn ones too: they are kept, so they must not grow without end.
pub const MOST_CONSENTS: u32 = 200;

#[async_trait]
pub trait Privacy: Send + Sync + std::fmt::Debug {
    /// `None` when the user has [`MOST_CONSENTS`] on record.
    async fn add_consent(&self, consent: NewConsent) -> Result<Option<Consent>>;

    /// The user's, newest first, withdrawn ones too.
    async fn consents(&self, user_id: UserId) -> Result<Vec<Consent>>;

    /// Whether the user has given this consent and not withdrawn it.
    async fn has_consent(&self, user_id: UserId, consent_type: ConsentType) -> Result<bool>;

    /// Withdraws a consent, and with it every other of the same type that the user has given: after that
    /// there is none. The rows are kept. `None` for unknown and foreign ones.
    async fn withdraw_consent(
        &self,
        user_id: UserId,
        consent_id: ConsentId,
    ) -> Result<Option<Consent>>;

    /// Deletes the account with everything that refers to it, ends its sessions, fences its workers
    /// off, and schedules sweeps of its objects: at once, and when leases and upload URLs have expired. `None` when there is none.
    async fn delete_account(&self, user_id: UserId) -> Result<Option<DeletionReceipt>>;

    /// Records on the receipt how many objects were deleted.
    async fn add_destroyed_objects(&self, receipt_id: ReceiptId, objects: u64) -> Result<()>;
}
