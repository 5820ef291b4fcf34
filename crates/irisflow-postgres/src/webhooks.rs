//! `WebhookStore` on PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{
    AttemptOutcome, ClaimedDelivery, DeadReason, DeliveryAttempt, DeliveryClaim, DeliveryId,
    DeliveryMessage, DeliveryState, DeliveryStatus, DisabledReason, EventKind,
    MOST_LOGGED_ATTEMPTS, NewWebhook, Page, PageRequest, Redelivery, SealedSecret, StoreError,
    Timestamp, UserId, Webhook, WebhookChange, WebhookDelivery, WebhookId, WebhookState,
    WebhookStore,
};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::columns::unsigned;
use crate::unit_of_work::UnitOfWork;
use crate::webhook_row::{delivery_of, get, webhook_of};
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl WebhookStore for PostgresStore {
    async fn add_webhook(&self, new: NewWebhook, limit: u32) -> Result<Option<Webhook>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(new.user_id).await?;
            let row = sqlx::query(
                "INSERT INTO webhooks (id, user_id, url, description, kinds, secret, created_at, updated_at)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $7
                 WHERE (SELECT count(*) FROM webhooks WHERE user_id = $2) < $8 RETURNING *",
            )
            .bind(new.id.as_uuid())
            .bind(new.user_id.as_uuid())
            .bind(&new.url)
            .bind(&new.description)
            .bind(i64::from(new.kinds.bits()))
            .bind(&new.secret.0)
            .bind(unit_of_work.now.as_millis())
            .bind(i64::from(limit))
            .fetch_optional(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            let Some(row) = row else { return Ok(None) };
            unit_of_work.refresh_webhook_kinds(new.user_id).await?;
            let now = unit_of_work.now;
            unit_of_work.commit().await?;
            webhook_of(&row, now).map(Some)
        })
    }

    async fn webhooks(&self, user_id: UserId) -> Result<Vec<Webhook>> {
        retrying!(async {
            let rows =
                sqlx::query("SELECT * FROM webhooks WHERE user_id = $1 ORDER BY created_at, id")
                    .bind(user_id.as_uuid())
                    .fetch_all(&self.pool)
                    .await
                    .map_err(store_error)?;
            let now = self.now().await?;
            rows.iter().map(|row| webhook_of(row, now)).collect()
        })
    }

    async fn webhook(&self, user_id: UserId, webhook_id: WebhookId) -> Result<Option<Webhook>> {
        retrying!(async {
            let row = sqlx::query("SELECT * FROM webhooks WHERE id = $1 AND user_id = $2")
                .bind(webhook_id.as_uuid())
                .bind(user_id.as_uuid())
                .fetch_optional(&self.pool)
                .await
                .map_err(store_error)?;
            let Some(row) = row else { return Ok(None) };
            webhook_of(&row, self.now().await?).map(Some)
        })
    }

    async fn change_webhook(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        change: WebhookChange,
    ) -> Result<Option<Webhook>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let changed = sqlx::query(
                "UPDATE webhooks SET url = coalesce($1, url), description = coalesce($2, description),
                     kinds = coalesce($3, kinds), updated_at = $4,
                     disabled_reason = CASE WHEN $5 THEN NULL ELSE disabled_reason END,
                     first_failure_at = CASE WHEN $5 THEN NULL ELSE first_failure_at END
                 WHERE id = $6 AND user_id = $7",
            )
            .bind(&change.url)
            .bind(&change.description)
            .bind(change.kinds.map(|kinds| i64::from(kinds.bits())))
            .bind(unit_of_work.now.as_millis())
            .bind(change.enabled == Some(true))
            .bind(webhook_id.as_uuid())
            .bind(user_id.as_uuid())
            .execute(unit_of_work.connection())
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
        })
    }

    async fn rotate_secret(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        secret: SealedSecret,
        overlap: Duration,
    ) -> Result<Option<Webhook>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            sqlx::query(
                "UPDATE webhooks SET previous_secret = secret, previous_secret_until = $1, secret = $2,
                     updated_at = $3
                 WHERE id = $4 AND user_id = $5",
            )
            .bind((unit_of_work.now + overlap).as_millis())
            .bind(&secret.0)
            .bind(unit_of_work.now.as_millis())
            .bind(webhook_id.as_uuid())
            .bind(user_id.as_uuid())
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            let webhook = unit_of_work.webhook(user_id, webhook_id).await?;
            unit_of_work.commit().await?;
            Ok(webhook)
        })
    }

    async fn delete_webhook(&self, user_id: UserId, webhook_id: WebhookId) -> Result<bool> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let deleted = sqlx::query("DELETE FROM webhooks WHERE id = $1 AND user_id = $2")
                .bind(webhook_id.as_uuid())
                .bind(user_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?
                .rows_affected();
            if deleted == 0 {
                return Ok(false);
            }
            unit_of_work.refresh_webhook_kinds(user_id).await?;
            unit_of_work.commit().await?;
            Ok(true)
        })
    }

    async fn add_test_delivery(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
    ) -> Result<Option<WebhookDelivery>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let row = sqlx::query(
                "INSERT INTO webhook_deliveries (id, webhook_id, state, due_at, queued_at, created_at)
                 SELECT $1, id, 'pending', $2, $2, $2 FROM webhooks WHERE id = $3 AND user_id = $4
                 RETURNING *",
            )
            .bind(DeliveryId::generate().as_uuid())
            .bind(unit_of_work.now.as_millis())
            .bind(webhook_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            let Some(row) = row else { return Ok(None) };
            unit_of_work.delivery_available();
            unit_of_work.commit().await?;
            delivery_of(&row, user_id).map(Some)
        })
    }

    async fn deliveries(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        status: Option<DeliveryStatus>,
        page: PageRequest,
    ) -> Result<Option<Page<WebhookDelivery>>> {
        retrying!(async {
            if self.webhook(user_id, webhook_id).await?.is_none() {
                return Ok(None);
            }
            let state = status.map(DeliveryStatus::name);
            let total: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM webhook_deliveries
                 WHERE webhook_id = $1 AND ($2::text IS NULL OR state = $2)",
            )
            .bind(webhook_id.as_uuid())
            .bind(state)
            .fetch_one(&self.pool)
            .await
            .map_err(store_error)?;
            let rows = sqlx::query(
                "SELECT * FROM webhook_deliveries WHERE webhook_id = $1 AND ($2::text IS NULL OR state = $2)
                 ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4",
            )
            .bind(webhook_id.as_uuid())
            .bind(state)
            .bind(i64::from(page.page_size))
            .bind(page.offset())
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
            let items: Result<_> = rows.iter().map(|row| delivery_of(row, user_id)).collect();
            Ok(Some(Page {
                items: items?,
                total: unsigned(total),
            }))
        })
    }

    async fn redeliver(
        &self,
        user_id: UserId,
        webhook_id: WebhookId,
        delivery_id: DeliveryId,
    ) -> Result<Redelivery> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
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
            unit_of_work.lock_webhook(webhook_id).await?;
            unit_of_work.queue_anew(delivery_id).await?;
            let row = unit_of_work.delivery_row(webhook_id, delivery_id).await?;
            unit_of_work.delivery_available();
            unit_of_work.commit().await?;
            match row {
                Some(row) => Ok(Redelivery::Queued(Box::new(delivery_of(&row, user_id)?))),
                None => Ok(Redelivery::NotFound),
            }
        })
    }

    async fn claim_deliveries(
        &self,
        limit: u32,
        per_webhook: u32,
        in_flight: &[(WebhookId, u32)],
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>> {
        retrying!(async {
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
        })
    }

    async fn record_attempt(
        &self,
        claim: DeliveryClaim,
        attempt: DeliveryAttempt,
        outcome: AttemptOutcome,
        disable_after: Duration,
    ) -> Result<bool> {
        retrying!(async {
            let Some((user_id, webhook_id)) = self.webhook_of_delivery(claim.delivery_id).await?
            else {
                return Ok(false);
            };
            let mut unit_of_work = self.begin_for(user_id).await?;
            unit_of_work.lock_webhook(webhook_id).await?;
            let Some(row) = unit_of_work.claimed_row(claim).await? else {
                return Ok(false);
            };
            let delivery = delivery_of(&row, user_id)?;
            unit_of_work
                .write_attempt(&delivery, &attempt, outcome)
                .await?;
            unit_of_work
                .judge_webhook(user_id, webhook_id, outcome, disable_after)
                .await?;
            unit_of_work.commit().await?;
            Ok(true)
        })
    }

    async fn prune_deliveries(&self, queued_before: Timestamp, limit: u32) -> Result<u32> {
        self.prune(
            "DELETE FROM webhook_deliveries WHERE id IN (
                 SELECT id FROM webhook_deliveries WHERE due_at IS NULL AND queued_at < $1
                 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            queued_before,
            limit,
        )
        .await
    }
}

impl PostgresStore {
    /// Of active accounts, those that have waited longest first. Read without a lock, so that an idle node
    /// writes nothing.
    async fn webhooks_with_due_deliveries(
        &self,
        limit: u32,
        except: &[WebhookId],
    ) -> Result<Vec<(UserId, WebhookId)>> {
        let except: Vec<Uuid> = except.iter().map(|id| id.as_uuid()).collect();
        let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "SELECT user_id, id FROM webhooks WHERE next_due_at <= now_ms()
                 AND EXISTS (SELECT 1 FROM users WHERE users.id = user_id AND is_active)
                 AND id <> ALL($1)
             ORDER BY next_due_at LIMIT $2",
        )
        .bind(except)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(store_error)?;
        let ids = rows.into_iter();
        Ok(ids
            .map(|(user_id, id)| (UserId::from(user_id), WebhookId::from(id)))
            .collect())
    }
}

impl PostgresStore {
    async fn webhook_of_delivery(
        &self,
        delivery_id: DeliveryId,
    ) -> Result<Option<(UserId, WebhookId)>> {
        let ids: Option<(Uuid, Uuid)> = sqlx::query_as(
            "SELECT webhooks.user_id, webhooks.id FROM webhook_deliveries
             JOIN webhooks ON webhooks.id = webhook_id WHERE webhook_deliveries.id = $1",
        )
        .bind(delivery_id.as_uuid())
        .fetch_optional(&self.pool)
        .await
        .map_err(store_error)?;
        Ok(ids.map(|(user_id, id)| (UserId::from(user_id), WebhookId::from(id))))
    }
}

impl UnitOfWork<'_> {
    async fn webhook(&mut self, user_id: UserId, webhook_id: WebhookId) -> Result<Option<Webhook>> {
        let row = sqlx::query("SELECT * FROM webhooks WHERE id = $1 AND user_id = $2")
            .bind(webhook_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(self.connection())
            .await
            .map_err(store_error)?;
        row.map(|row| webhook_of(&row, self.now)).transpose()
    }

    async fn delivery_row(
        &mut self,
        webhook_id: WebhookId,
        delivery_id: DeliveryId,
    ) -> Result<Option<PgRow>> {
        sqlx::query("SELECT * FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2")
            .bind(delivery_id.as_uuid())
            .bind(webhook_id.as_uuid())
            .fetch_optional(self.connection())
            .await
            .map_err(store_error)
    }

    /// Not while an attempt is under way.
    async fn queue_anew(&mut self, delivery_id: DeliveryId) -> Result<()> {
        sqlx::query(
            "UPDATE webhook_deliveries
             SET state = 'pending', dead_reason = NULL, due_at = $1, queued_at = $1, attempt_count = 0
             WHERE id = $2 AND is_claimed = FALSE",
        )
        .bind(self.now.as_millis())
        .bind(delivery_id.as_uuid())
        .execute(self.connection())
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
        // Another node claims of a locked webhook at this moment, or it was deleted since its id was read.
        let webhook =
            sqlx::query("SELECT * FROM webhooks WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED")
                .bind(webhook_id.as_uuid())
                .fetch_optional(self.connection())
                .await
                .map_err(store_error)?;
        let Some(webhook) = webhook else {
            return Ok(Vec::new());
        };
        let webhook = webhook_of(&webhook, self.now)?;
        let rows = sqlx::query(
            "UPDATE webhook_deliveries SET due_at = $1, claims = claims + 1, is_claimed = TRUE
             WHERE id IN (SELECT id FROM webhook_deliveries
                          WHERE webhook_id = $2 AND due_at <= $3 ORDER BY due_at, id LIMIT $4
                          FOR UPDATE SKIP LOCKED)
             RETURNING *",
        )
        .bind((self.now + lease).as_millis())
        .bind(webhook_id.as_uuid())
        .bind(self.now.as_millis())
        .bind(i64::from(most))
        .fetch_all(self.connection())
        .await
        .map_err(store_error)?;
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

    /// Comes before locks of its deliveries, whose changes update it.
    async fn lock_webhook(&mut self, webhook_id: WebhookId) -> Result<()> {
        sqlx::query("SELECT 1 FROM webhooks WHERE id = $1 FOR NO KEY UPDATE")
            .bind(webhook_id.as_uuid())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// The delivery, if the claim is still valid.
    async fn claimed_row(&mut self, claim: DeliveryClaim) -> Result<Option<PgRow>> {
        sqlx::query(
            "SELECT * FROM webhook_deliveries
             WHERE id = $1 AND claims = $2 AND is_claimed FOR UPDATE",
        )
        .bind(claim.delivery_id.as_uuid())
        .bind(claim.number)
        .fetch_optional(self.connection())
        .await
        .map_err(store_error)
    }

    async fn write_attempt(
        &mut self,
        delivery: &WebhookDelivery,
        attempt: &DeliveryAttempt,
        outcome: AttemptOutcome,
    ) -> Result<()> {
        let mut attempts = delivery.attempts.clone();
        attempts.push(attempt.clone());
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
            "UPDATE webhook_deliveries SET state = $1, due_at = $2, dead_reason = $3, is_claimed = FALSE,
                 attempt_count = attempt_count + 1, attempts = $4
             WHERE id = $5",
        )
        .bind(state.status().name())
        .bind(due_at)
        .bind(dead_reason)
        .bind(serde_json::to_string(&attempts).map_err(StoreError::corrupt)?)
        .bind(delivery.id.as_uuid())
        .execute(self.connection())
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
             WHERE id = $1",
        )
        .bind(delivery_id.as_uuid())
        .execute(self.connection())
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
            "UPDATE webhooks SET first_failure_at = CASE WHEN $1::bigint IS NULL THEN NULL ELSE coalesce(first_failure_at, $1) END
             WHERE id = $2 AND (first_failure_at IS NULL) <> ($1::bigint IS NULL)",
        )
        .bind(first_failure_at)
        .bind(webhook_id.as_uuid())
        .execute(self.connection())
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
}

fn names_deleted_job(message: &DeliveryMessage) -> bool {
    match message {
        DeliveryMessage::Event(event) => event.kind == EventKind::Deleted,
        DeliveryMessage::Test | DeliveryMessage::Erased(_) => false,
    }
}
