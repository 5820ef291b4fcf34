//! Webhooks and their deliveries. A delivery is recorded in the transaction of its event (transactional outbox), by
//! the methods of other ports that change jobs: for each enabled webhook of the user whose filter has the event's
//! kind. Every node's deliverer claims some and records its attempts.

use std::time::Duration;

use async_trait::async_trait;

use super::{Page, PageRequest, Result};
use crate::clock::Timestamp;
use crate::id::{DeliveryId, UserId, WebhookId};
use crate::webhook::{
    AttemptOutcome, ClaimedDelivery, DeliveryAttempt, DeliveryClaim, DeliveryStatus, NewWebhook,
    SealedSecret, Webhook, WebhookChange, WebhookDelivery,
};

/// A webhook with this many pending deliveries is disabled instead of getting one more.
pub const MOST_PENDING_DELIVERIES: u32 = 10_000;

#[async_trait]
pub trait WebhookStore: Send + Sync + std::fmt::Debug {
    /// `None` when the user has `limit` webhooks.
    async fn add_webhook(&self, new: NewWebhook, limit: u32) -> Result<Option<Webhook>>;

    /// The user's, oldest first.
    async fn webhooks(&self, user_id: UserId) -> Result<Vec<Webhook>>;

    /// `None` for unknown and foreign ones, as in all methods here.
    async fn webhook(&self, user_id: UserId, webhook_id: WebhookId) -> Result<Option<Webhook>>;

    /// Disabling ends its pending deliveries as dead letters.
    async fn change_webhook(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        change: WebhookChange,
    ) -> Result<Option<Webhook>>;

    /// Replaces the secret. The one it had stays valid for `overlap`; an older one ends at once.
    async fn rotate_secret(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        secret: SealedSecret,
        overlap: Duration,
    ) -> Result<Option<Webhook>>;

    /// Deletes it with its deliveries.
    async fn delete_webhook(&self, user_id: UserId, webhook_id: WebhookId) -> Result<bool>;

    /// Queues a test message, also for a webhook that is disabled.
    async fn add_test_delivery(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
    ) -> Result<Option<WebhookDelivery>>;

    /// Newest first.
    async fn deliveries(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        status: Option<DeliveryStatus>,
        page: PageRequest,
    ) -> Result<Option<Page<WebhookDelivery>>>;

    /// Queues a delivery anew, with the same id. One that waits for its next attempt becomes due at once.
    async fn redeliver(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        delivery_id: DeliveryId,
    ) -> Result<Redelivery>;

    /// Claims due deliveries of active accounts, at most `limit` in all: first of the webhooks that have waited
    /// longest, and at most `per_webhook` of each, less those under way in this process (`in_flight`). Until `lease`
    /// has passed, no other call returns them; one without a recorded attempt is then due again.
    async fn claim_deliveries(
        &self,
        limit: u32,
        per_webhook: u32,
        in_flight: &[(WebhookId, u32)],
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>>;

    /// Adds the attempt to the log and applies its outcome. After a failure, a webhook whose attempts have all
    /// failed for `disable_after` is disabled. `false` when the claim is no longer valid; then nothing is recorded.
    async fn record_attempt(
        &self,
        claim: DeliveryClaim,
        attempt: DeliveryAttempt,
        outcome: AttemptOutcome,
        disable_after: Duration,
    ) -> Result<bool>;

    /// Deletes delivered and dead ones that were queued before this moment. Returns how many, up to `limit`.
    async fn prune_deliveries(&self, queued_before: Timestamp, limit: u32) -> Result<u32>;
}

/// The outcome of a request to redeliver.
#[derive(Debug, Clone, PartialEq)]
pub enum Redelivery {
    Queued(Box<WebhookDelivery>),
    /// Its content was deleted with its job.
    Erased,
    /// The webhook is disabled.
    Disabled,
    NotFound,
}
