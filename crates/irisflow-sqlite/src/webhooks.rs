//! `WebhookStore` on SQLite.

use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{
    AttemptOutcome, ClaimedDelivery, DeadReason, DeliveryAttempt, DeliveryClaim, DeliveryId,
    DeliveryMessage, DeliveryState, DeliveryStatus, DisabledReason, EventKind,
    MOST_LOGGED_ATTEMPTS, NewWebhook, Page, PageRequest, Redelivery, SealedSecret, StoreError,
    Timestamp, UserId, Webhook, WebhookChange, WebhookDelivery, WebhookId, WebhookState,
    WebhookStore,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::unit_of_work::UnitOfWork;
use crate::webhook_row::{delivery_of, get, webhook_of};
use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn add_webhook(&self, new: NewWebhook, limit: u32) -> Result<Option<Webhook>> {
        let mut unit_of_work = self.begin().await?;
        let row = sqlx::query(
            "INSERT INTO webhooks (id, user_id, url, description, kinds, secret, created_at, updated_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7
             WHERE (SELECT count(*) FROM webhooks WHERE user_id = ?2) < ?8 RETURNING *",
        )
        .bind(new.id.as_uuid())
        .bind(new.user_id.as_uuid())
        .bind(&new.url)
        .bind(&new.description)
        .bind(new.kinds.bits())
        .bind(&new.secret.0)
        .bind(unit_of_work.now.as_millis())
        .bind(limit)
        .fetch_optional(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        unit_of_work.refresh_webhook_kinds(new.user_id).await?;
        let now = unit_of_work.now;
        unit_of_work.commit().await?;
        webhook_of(&row, now).map(Some)
    }

    async fn webhooks(&self, user_id: UserId) -> Result<Vec<Webhook>> {
        let rows = sqlx::query("SELECT * FROM webhooks WHERE user_id = ? ORDER BY created_at, id")
            .bind(user_id.as_uuid())
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        let now = self.now();
        rows.iter().map(|row| webhook_of(row, now)).collect()
    }

    async fn webhook(&self, user_id: UserId, webhook_id: WebhookId) -> Result<Option<Webhook>> {
        let row = sqlx::query("SELECT * FROM webhooks WHERE id = ? AND user_id = ?")
            .bind(webhook_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?;
        row.map(|row| webhook_of(&row, self.now())).transpose()
    }

    async fn change_webhook(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        change: WebhookChange,
    ) -> Result<Option<Webhook>> {
        let mut unit_of_work = self.begin().await?;
        let changed = sqlx::query(
            "UPDATE webhooks SET url = coalesce(?1, url), description = coalesce(?2, description),
                 kinds = coalesce(?3, kinds), updated_at = ?4,
                 disabled_reason = iif(?5, NULL, disabled_reason),
                 first_failure_at = iif(?5, NULL, first_failure_at)
             WHERE id = ?6 AND user_id = ?7",
        )
        .bind(change.url)
        .bind(change.description)
        .bind(change.kinds.map(irisflow_jobs::EventKinds::bits))
        .bind(unit_of_work.now.as_millis())
        .bind(change.enabled == Some(true))
        .bind(webhook_id.as_uuid())
        .bind(user_id.as_uuid())
        .execute(unit_of_work.connection()?)
        .await
        .map_err(store_error)?
        .rows_affected();
        if changed == 0 {
            return Ok(None);
        }
        if change.enabled == Some(false) {
            unit_of_work
                .disable_webhook(user_id, webhook_id, DisabledReason::Owner)
                .await?;
        } else {
            unit_of_work.refresh_webhook_kinds(user_id).await?;
        }
        let webhook = unit_of_work.webhook(user_id, webhook_id).await?;
        unit_of_work.commit().await?;
        Ok(webhook)
    }

    async fn rotate_secret(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        secret: SealedSecret,
        overlap: Duration,
    ) -> Result<Option<Webhook>> {
        let mut unit_of_work = self.begin().await?;
        sqlx::query(
            "UPDATE webhooks SET previous_secret = secret, previous_secret_until = ?1, secret = ?2,
                 updated_at = ?3
             WHERE id = ?4 AND user_id = ?5",
        )
        .bind((unit_of_work.now + overlap).as_millis())
        .bind(secret.0)
        .bind(unit_of_work.now.as_millis())
        .bind(webhook_id.as_uuid())
        .bind(user_id.as_uuid())
        .execute(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        let webhook = unit_of_work.webhook(user_id, webhook_id).await?;
        unit_of_work.commit().await?;
        Ok(webhook)
    }

    async fn delete_webhook(&self, user_id: UserId, webhook_id: WebhookId) -> Result<bool> {
        let mut unit_of_work = self.begin().await?;
        let deleted = sqlx::query("DELETE FROM webhooks WHERE id = ? AND user_id = ?")
            .bind(webhook_id.as_uuid())
            .bind(user_id.as_uuid())
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?
            .rows_affected();
        if deleted == 0 {
            return Ok(false);
        }
        unit_of_work.refresh_webhook_kinds(user_id).await?;
        unit_of_work.commit().await?;
        Ok(true)
    }

    async fn add_test_delivery(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
    ) -> Result<Option<WebhookDelivery>> {
        let mut unit_of_work = self.begin().await?;
        let row = sqlx::query(
            "INSERT INTO webhook_deliveries (id, webhook_id, state, due_at, queued_at, created_at)
             SELECT ?1, id, 'pending', ?2, ?2, ?2 FROM webhooks WHERE id = ?3 AND user_id = ?4
             RETURNING *",
        )
        .bind(DeliveryId::generate().as_uuid())
        .bind(unit_of_work.now.as_millis())
        .bind(webhook_id.as_uuid())
        .bind(user_id.as_uuid())
        .fetch_optional(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        unit_of_work.delivery_available();
        unit_of_work.commit().await?;
        delivery_of(&row, user_id).map(Some)
    }

    async fn deliveries(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        status: Option<DeliveryStatus>,
        page: PageRequest,
    ) -> Result<Option<Page<WebhookDelivery>>> {
        if self.webhook(user_id, webhook_id).await?.is_none() {
            return Ok(None);
        }
        let state = status.map(DeliveryStatus::name);
        let total: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM webhook_deliveries
             WHERE webhook_id = ?1 AND (?2 IS NULL OR state = ?2)",
        )
        .bind(webhook_id.as_uuid())
        .bind(state)
        .fetch_one(&self.readers)
        .await
        .map_err(store_error)?;
        let rows = sqlx::query(
            "SELECT * FROM webhook_deliveries WHERE webhook_id = ?1 AND (?2 IS NULL OR state = ?2)
             ORDER BY created_at DESC, id DESC LIMIT ?3 OFFSET ?4",
        )
        .bind(webhook_id.as_uuid())
        .bind(state)
        .bind(page.page_size)
        .bind(page.offset())
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)?;
        let items: Result<_> = rows.iter().map(|row| delivery_of(row, user_id)).collect();
        Ok(Some(Page {
            items: items?,
            total: u64::try_from(total).unwrap_or(0),
        }))
    }

    async fn redeliver(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        delivery_id: DeliveryId,
    ) -> Result<Redelivery> {
        let mut unit_of_work = self.begin().await?;
        let Some(webhook) = unit_of_work.webhook(user_id, webhook_id).await? else {
            return Ok(Redelivery::NotFound);
        };
        let Some(row) = unit_of_work.delivery_row(webhook_id, delivery_id).await? else {
            return Ok(Redelivery::NotFound);
        };
        let delivery = delivery_of(&row, user_id)?;
        if matches!(delivery.message, DeliveryMessage::Erased(_)) {
            return Ok(Redelivery::Erased);
        }
        let is_test = delivery.message == DeliveryMessage::Test;
        if !is_test && !webhook.state.is_enabled() {
            return Ok(Redelivery::Disabled);
        }
        unit_of_work.queue_anew(delivery_id).await?;
        let row = unit_of_work.delivery_row(webhook_id, delivery_id).await?;
        unit_of_work.delivery_available();
        unit_of_work.commit().await?;
        match row {
            Some(row) => Ok(Redelivery::Queued(Box::new(delivery_of(&row, user_id)?))),
            None => Ok(Redelivery::NotFound),
        }
    }

    async fn claim_deliveries(
        &self,
        limit: u32,
        per_webhook: u32,
        in_flight: &[(WebhookId, u32)],
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>> {
        let free_of = |webhook_id: WebhookId| {
            let busy = in_flight.iter().find(|(busy, _)| *busy == webhook_id);
            per_webhook.saturating_sub(busy.map_or(0, |(_, count)| *count))
        };
        let at_limit = in_flight.iter().map(|(webhook_id, _)| *webhook_id);
        let at_limit: Vec<_> = at_limit.filter(|&id| free_of(id) == 0).collect();
        let due = self.webhooks_with_due_deliveries(limit, &at_limit).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut unit_of_work = self.begin().await?;
        let mut claimed = Vec::new();
        for (user_id, webhook_id) in due {
            let left = limit.saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
            let most = free_of(webhook_id).min(left);
            let deliveries = unit_of_work.claim_some(user_id, webhook_id, most, lease);
            claimed.extend(deliveries.await?);
        }
        unit_of_work.commit().await?;
        Ok(claimed)
    }

    async fn record_attempt(
        &self,
        claim: DeliveryClaim,
        attempt: DeliveryAttempt,
        outcome: AttemptOutcome,
        disable_after: Duration,
    ) -> Result<bool> {
        let mut unit_of_work = self.begin().await?;
        let Some((user_id, row)) = unit_of_work.claimed_row(claim).await? else {
            return Ok(false);
        };
        let delivery = delivery_of(&row, user_id)?;
        unit_of_work
            .write_attempt(&delivery, attempt, outcome)
            .await?;
        unit_of_work
            .judge_webhook(user_id, delivery.webhook_id, outcome, disable_after)
            .await?;
        unit_of_work.commit().await?;
        Ok(true)
    }

    async fn prune_deliveries(&self, queued_before: Timestamp, limit: u32) -> Result<u32> {
        self.prune(
            "DELETE FROM webhook_deliveries WHERE id IN (
                 SELECT id FROM webhook_deliveries WHERE due_at IS NULL AND queued_at < ?1 LIMIT ?2)",
            queued_before,
            limit,
        )
        .await
    }
}

impl SqliteStore {
    /// Of active accounts, those that have waited longest first. Read beside the writer, so that an idle node
    /// writes nothing.
    async fn webhooks_with_due_deliveries(
        &self,
        limit: u32,
        except: &[WebhookId],
    ) -> Result<Vec<(UserId, WebhookId)>> {
        let mut query: QueryBuilder<Sqlite> =
            QueryBuilder::new("SELECT user_id, id FROM webhooks WHERE next_due_at <= ");
        query.push_bind(self.now().as_millis());
        query.push(
            " AND EXISTS (SELECT 1 FROM users WHERE users.id = user_id AND is_active = 1)
             AND id NOT IN (",
        );
        let mut ids = query.separated(", ");
        for webhook_id in except {
            ids.push_bind(webhook_id.as_uuid());
        }
        query.push(") ORDER BY next_due_at LIMIT ").push_bind(limit);
        let rows: Vec<(Uuid, Uuid)> = query
            .build_query_as()
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        let ids = rows.into_iter();
        Ok(ids
            .map(|(user_id, id)| (UserId::from(user_id), WebhookId::from(id)))
            .collect())
    }
}

impl UnitOfWork<'_> {
    async fn webhook(&mut self, user_id: UserId, webhook_id: WebhookId) -> Result<Option<Webhook>> {
        let row = sqlx::query("SELECT * FROM webhooks WHERE id = ? AND user_id = ?")
            .bind(webhook_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(self.connection()?)
            .await
            .map_err(store_error)?;
        row.map(|row| webhook_of(&row, self.now)).transpose()
    }

    async fn delivery_row(
        &mut self,
        webhook_id: WebhookId,
        delivery_id: DeliveryId,
    ) -> Result<Option<SqliteRow>> {
        sqlx::query("SELECT * FROM webhook_deliveries WHERE id = ? AND webhook_id = ?")
            .bind(delivery_id.as_uuid())
            .bind(webhook_id.as_uuid())
            .fetch_optional(self.connection()?)
            .await
            .map_err(store_error)
    }

    /// Not while an attempt is under way.
    async fn queue_anew(&mut self, delivery_id: DeliveryId) -> Result<()> {
        sqlx::query(
            "UPDATE webhook_deliveries
             SET state = 'pending', dead_reason = NULL, due_at = ?1, queued_at = ?1, attempt_count = 0
             WHERE id = ?2 AND is_claimed = 0",
        )
        .bind(self.now.as_millis())
        .bind(delivery_id.as_uuid())
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        Ok(())
    }

    /// A claim moves `due_at` to its end: a delivery without a recorded attempt is then due again by itself.
    async fn claim_some(
        &mut self,
        user_id: UserId,
        webhook_id: WebhookId,
        most: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>> {
        let rows = sqlx::query(
            "UPDATE webhook_deliveries SET due_at = ?1, claims = claims + 1, is_claimed = 1
             WHERE id IN (SELECT id FROM webhook_deliveries
                          WHERE webhook_id = ?2 AND due_at <= ?3 ORDER BY due_at, id LIMIT ?4)
             RETURNING *",
        )
        .bind((self.now + lease).as_millis())
        .bind(webhook_id.as_uuid())
        .bind(self.now.as_millis())
        .bind(most)
        .fetch_all(self.connection()?)
        .await
        .map_err(store_error)?;
        // It may have been deleted since its id was read.
        let Some(webhook) = self.webhook(user_id, webhook_id).await? else {
            return Ok(Vec::new());
        };
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            let delivery = delivery_of(row, user_id)?;
            let queued_at = Timestamp::from_millis(get(row, "queued_at")?);
            claimed.push(ClaimedDelivery {
                claim: DeliveryClaim {
                    delivery_id: delivery.id,
                    number: get(row, "claims")?,
                },
                delivery,
                webhook: webhook.clone(),
                age: self.now.since(queued_at),
            });
        }
        claimed.sort_unstable_by_key(|claimed| claimed.claim.delivery_id);
        Ok(claimed)
    }

    /// The delivery with its user, if the claim is still valid.
    async fn claimed_row(&mut self, claim: DeliveryClaim) -> Result<Option<(UserId, SqliteRow)>> {
        let row = sqlx::query(
            "SELECT webhooks.user_id, deliveries.* FROM webhook_deliveries AS deliveries
             JOIN webhooks ON webhooks.id = deliveries.webhook_id
             WHERE deliveries.id = ? AND claims = ? AND is_claimed = 1",
        )
        .bind(claim.delivery_id.as_uuid())
        .bind(claim.number)
        .fetch_optional(self.connection()?)
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        let user_id = UserId::from(get::<Uuid>(&row, "user_id")?);
        Ok(Some((user_id, row)))
    }

    async fn write_attempt(
        &mut self,
        delivery: &WebhookDelivery,
        attempt: DeliveryAttempt,
        outcome: AttemptOutcome,
    ) -> Result<()> {
        let mut attempts = delivery.attempts.clone();
        attempts.push(attempt);
        let is_erased =
            outcome == AttemptOutcome::Delivered && names_deleted_job(&delivery.message);
        if is_erased {
            // A response may repeat the message.
            for attempt in &mut attempts {
                attempt.response_excerpt = None;
            }
        }
        let surplus = attempts.len().saturating_sub(MOST_LOGGED_ATTEMPTS);
        attempts.drain(..surplus);
        let state = match outcome {
            AttemptOutcome::Delivered => DeliveryState::Delivered,
            AttemptOutcome::RetryAfter(wait) => DeliveryState::Pending {
                due_at: self.now + wait,
            },
            AttemptOutcome::GiveUp => DeliveryState::Dead(DeadReason::RetriesExhausted),
            AttemptOutcome::EndpointGone => DeliveryState::Dead(DeadReason::EndpointGone),
        };
        let (due_at, dead_reason) = match state {
            DeliveryState::Pending { due_at } => (Some(due_at.as_millis()), None),
            DeliveryState::Delivered => (None, None),
            DeliveryState::Dead(reason) => (None, Some(reason.name())),
        };
        sqlx::query(
            "UPDATE webhook_deliveries SET state = ?, due_at = ?, dead_reason = ?, is_claimed = 0,
                 attempt_count = attempt_count + 1, attempts = ?
             WHERE id = ?",
        )
        .bind(state.status().name())
        .bind(due_at)
        .bind(dead_reason)
        .bind(serde_json::to_string(&attempts).map_err(StoreError::corrupt)?)
        .bind(delivery.id.as_uuid())
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        if is_erased {
            self.erase_content(delivery.id).await?;
        }
        Ok(())
    }

    async fn erase_content(&mut self, delivery_id: DeliveryId) -> Result<()> {
        sqlx::query(
            "UPDATE webhook_deliveries SET job_id = NULL, photo_id = NULL, batch_id = NULL, seq = NULL,
                 body = NULL, at = NULL
             WHERE id = ?",
        )
        .bind(delivery_id.as_uuid())
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        Ok(())
    }

    /// Records on the webhook whether its endpoint works, and disables it if that has failed for too long.
    async fn judge_webhook(
        &mut self,
        user_id: UserId,
        webhook_id: WebhookId,
        outcome: AttemptOutcome,
        disable_after: Duration,
    ) -> Result<()> {
        let succeeded = outcome == AttemptOutcome::Delivered;
        let first_failure_at = (!succeeded).then_some(self.now.as_millis());
        sqlx::query(
            "UPDATE webhooks SET first_failure_at = iif(?1 IS NULL, NULL, coalesce(first_failure_at, ?1))
             WHERE id = ?2 AND (first_failure_at IS NULL) <> (?1 IS NULL)",
        )
        .bind(first_failure_at)
        .bind(webhook_id.as_uuid())
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        let reason = match outcome {
            AttemptOutcome::Delivered => return Ok(()),
            AttemptOutcome::EndpointGone => DisabledReason::EndpointGone,
            AttemptOutcome::RetryAfter(_) | AttemptOutcome::GiveUp => DisabledReason::Failing,
        };
        let Some(webhook) = self.webhook(user_id, webhook_id).await? else {
            return Ok(());
        };
        let failing_for = self.now.since(webhook.first_failure_at.unwrap_or(self.now));
        let is_over = reason == DisabledReason::EndpointGone || failing_for >= disable_after;
        if is_over && webhook.state == WebhookState::Enabled {
            self.disable_webhook(user_id, webhook_id, reason).await?;
        }
        Ok(())
    }

    /// For the start of the only process of a database: what an earlier one had claimed is due at once.
    pub(crate) async fn release_delivery_claims(&mut self) -> Result<()> {
        sqlx::query(
            "UPDATE webhook_deliveries SET due_at = ?, is_claimed = 0, claims = claims + 1
             WHERE is_claimed = 1",
        )
        .bind(self.now.as_millis())
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        Ok(())
    }
}

fn names_deleted_job(message: &DeliveryMessage) -> bool {
    match message {
        DeliveryMessage::Event(event) => event.kind == EventKind::Deleted,
        DeliveryMessage::Test | DeliveryMessage::Erased(_) => false,
    }
}
