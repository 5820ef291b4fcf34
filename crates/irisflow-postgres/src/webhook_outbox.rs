//! The transactional outbox of webhooks: deliveries are recorded in the transaction of their event.

use irisflow_jobs::{
    BatchId, DeadReason, DeliveryId, DisabledReason, Event, EventKinds, Job, JobId,
    MOST_PENDING_DELIVERIES, PhotoId, StoreError, UserId, WebhookId,
};
use sqlx::postgres::PgConnection;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::store_error;
use crate::unit_of_work::UnitOfWork;

impl UnitOfWork<'_> {
    /// Inserts the deliveries of one job's events: one for each enabled webhook that wants the event.
    /// `subscribed` are the kinds that any of them wants; nothing is read when no event is of these.
    pub(crate) async fn record_deliveries(
        &mut self,
        job: &Job,
        events: &[(Event, String)],
    ) -> Result<(), StoreError> {
        let subscribed = self.timeline(job.user_id)?.webhook_kinds;
        if of_kinds(events, subscribed).is_empty() {
            return Ok(());
        }
        let webhooks: Vec<(Uuid, i64, i64)> = sqlx::query_as(
            "SELECT id, kinds, pending FROM webhooks
             WHERE user_id = $1 AND disabled_reason IS NULL ORDER BY id",
        )
        .bind(job.user_id.as_uuid())
        .fetch_all(self.connection())
        .await
        .map_err(store_error)?;
        let mut rows = Vec::new();
        for (webhook_id, kinds, pending) in webhooks {
            let wanted = of_kinds(events, kinds_of(kinds));
            if pending < i64::from(MOST_PENDING_DELIVERIES) {
                rows.extend(wanted.into_iter().map(|event| (webhook_id, event)));
            } else if !wanted.is_empty() {
                let webhook = WebhookId::from(webhook_id);
                self.disable_webhook(job.user_id, webhook, DisabledReason::BacklogFull)
                    .await?;
            }
        }
        if !rows.is_empty() {
            insert_deliveries(self.connection(), rows).await?;
            self.delivery_available();
        }
        Ok(())
    }

    /// Disables a webhook, unless it is disabled already; its pending deliveries become dead letters.
    pub(crate) async fn disable_webhook(
        &mut self,
        user_id: UserId,
        webhook_id: WebhookId,
        reason: DisabledReason,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE webhooks SET disabled_reason = coalesce(disabled_reason, $1),
                 updated_at = CASE WHEN disabled_reason IS NULL THEN $2 ELSE updated_at END
             WHERE id = $3",
        )
        .bind(reason.name())
        .bind(self.now.as_millis())
        .bind(webhook_id.as_uuid())
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        sqlx::query(
            "UPDATE webhook_deliveries
             SET state = 'dead', due_at = NULL, is_claimed = FALSE, dead_reason = $1
             WHERE due_at IS NOT NULL AND webhook_id = $2",
        )
        .bind(DeadReason::WebhookDisabled.name())
        .bind(webhook_id.as_uuid())
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        self.refresh_webhook_kinds(user_id).await
    }

    /// Writes the kinds that the user's enabled webhooks want to the timeline, whose row is locked.
    pub(crate) async fn refresh_webhook_kinds(
        &mut self,
        user_id: UserId,
    ) -> Result<(), StoreError> {
        let wanted: Vec<i64> = sqlx::query_scalar(
            "SELECT kinds FROM webhooks WHERE user_id = $1 AND disabled_reason IS NULL",
        )
        .bind(user_id.as_uuid())
        .fetch_all(self.connection())
        .await
        .map_err(store_error)?;
        let union = wanted
            .into_iter()
            .map(kinds_of)
            .fold(EventKinds::default(), EventKinds::union);
        self.timeline(user_id)?.webhook_kinds = union;
        sqlx::query("UPDATE timelines SET webhook_kinds = $1 WHERE user_id = $2")
            .bind(i64::from(union.bits()))
            .bind(user_id.as_uuid())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// Deletes the deliveries of a job that is deleted, before the one of its `deleted` event is recorded.
    pub(crate) async fn forget_deliveries_of_job(
        &mut self,
        job_id: JobId,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM webhook_deliveries WHERE job_id = $1")
            .bind(job_id.as_uuid())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(())
    }
}

/// Of the column: bits that this version does not define are ignored.
pub(crate) fn kinds_of(bits: i64) -> EventKinds {
    EventKinds::from_bits(u8::try_from(bits & 0xff).unwrap_or(0))
}

fn of_kinds(events: &[(Event, String)], kinds: EventKinds) -> Vec<&(Event, String)> {
    let events = events.iter();
    events
        .filter(|(event, _)| kinds.contains(event.kind))
        .collect()
}

async fn insert_deliveries(
    connection: &mut PgConnection,
    rows: Vec<(Uuid, &(Event, String))>,
) -> Result<(), StoreError> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
        "INSERT INTO webhook_deliveries
             (id, webhook_id, kind, seq, job_id, photo_id, batch_id, body, at, state, due_at, queued_at,
              created_at) ",
    );
    query.push_values(rows, |mut row, (webhook_id, (event, body))| {
        row.push_bind(DeliveryId::generate().as_uuid())
            .push_bind(webhook_id)
            .push_bind(event.kind.name())
            .push_bind(event.seq)
            .push_bind(event.job_id.as_uuid())
            .push_bind(event.photo_id.map(PhotoId::as_uuid))
            .push_bind(event.batch_id.map(BatchId::as_uuid))
            .push_bind(body.clone())
            .push_bind(event.at.as_millis())
            .push("'pending'")
            .push_bind(event.at.as_millis())
            .push_bind(event.at.as_millis())
            .push_bind(event.at.as_millis());
    });
    query
        .build()
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}
