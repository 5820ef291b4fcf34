//! The transactional outbox of webhooks: deliveries are recorded in the transaction of their event.

use irisflow_jobs::{
    BatchId, DeadReason, DeliveryId, DisabledReason, Event, EventKinds, Job, JobId,
    MOST_PENDING_DELIVERIES, PhotoId, StoreError, UserId, WebhookId,
};
use uuid::Uuid;

use crate::store_error;
use crate::unit_of_work::{Script, UnitOfWork};

impl UnitOfWork<'_> {
    /// Adds the deliveries of one job's events to the script: one for each enabled webhook that wants the event.
    /// `subscribed` are the kinds that any of them wants; nothing is read when no event is of these.
    pub(crate) async fn record_deliveries(
        &mut self,
        script: &mut Script,
        job: &Job,
        subscribed: EventKinds,
        events: &[(Event, String)],
    ) -> Result<(), StoreError> {
        if of_kinds(events, subscribed).is_empty() {
            return Ok(());
        }
        let webhooks: Vec<(Uuid, u8, u32)> = sqlx::query_as(
            "SELECT id, kinds, pending FROM webhooks
             WHERE user_id = ? AND disabled_reason IS NULL",
        )
        .bind(job.user_id.as_uuid())
        .fetch_all(self.connection()?)
        .await
        .map_err(store_error)?;
        let mut rows = Vec::new();
        for (webhook_id, kinds, pending) in webhooks {
            let wanted = of_kinds(events, EventKinds::from_bits(kinds));
            if pending < MOST_PENDING_DELIVERIES {
                rows.extend(wanted.into_iter().map(|event| (webhook_id, event)));
            } else if !wanted.is_empty() {
                let webhook = WebhookId::from(webhook_id);
                self.disable_webhook(job.user_id, webhook, DisabledReason::BacklogFull)
                    .await?;
            }
        }
        if !rows.is_empty() {
            insert_deliveries(script, rows);
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
        let mut script = Script::new("UPDATE webhooks SET disabled_reason = ");
        script
            .push_bind(reason.name())
            .push(", updated_at = ")
            .push_bind(self.now.as_millis())
            .push(" WHERE disabled_reason IS NULL AND id = ")
            .push_bind(webhook_id.as_uuid())
            .push(
                "; UPDATE webhook_deliveries
                 SET state = 'dead', due_at = NULL, is_claimed = 0, dead_reason = ",
            )
            .push_bind(DeadReason::WebhookDisabled.name())
            .push(" WHERE due_at IS NOT NULL AND webhook_id = ")
            .push_bind(webhook_id.as_uuid())
            .push("; ");
        self.run(script).await?;
        self.refresh_webhook_kinds(user_id).await
    }

    /// Writes the kinds that the user's enabled webhooks want to the timeline.
    pub(crate) async fn refresh_webhook_kinds(
        &mut self,
        user_id: UserId,
    ) -> Result<(), StoreError> {
        let wanted: Vec<u8> = sqlx::query_scalar(
            "SELECT kinds FROM webhooks WHERE user_id = ? AND disabled_reason IS NULL",
        )
        .bind(user_id.as_uuid())
        .fetch_all(self.connection()?)
        .await
        .map_err(store_error)?;
        let union = wanted
            .into_iter()
            .map(EventKinds::from_bits)
            .fold(EventKinds::default(), EventKinds::union);
        sqlx::query("UPDATE timelines SET webhook_kinds = ? WHERE user_id = ?")
            .bind(union.bits())
            .bind(user_id.as_uuid())
            .execute(self.connection()?)
            .await
            .map_err(store_error)?;
        Ok(())
    }
}

fn of_kinds(events: &[(Event, String)], kinds: EventKinds) -> Vec<&(Event, String)> {
    let events = events.iter();
    events
        .filter(|(event, _)| kinds.contains(event.kind))
        .collect()
}

fn insert_deliveries(script: &mut Script, rows: Vec<(Uuid, &(Event, String))>) {
    script.push(
        "INSERT INTO webhook_deliveries
             (id, webhook_id, kind, seq, job_id, photo_id, batch_id, body, at, state, due_at, queued_at,
              created_at) ",
    );
    script.push_values(rows, |mut row, (webhook_id, (event, body))| {
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
    script.push("; ");
}

/// Deletes the deliveries of a job that is deleted, before the one of its `deleted` event is recorded.
pub(crate) fn forget_deliveries_of_job(script: &mut Script, job_id: JobId) {
    script
        .push("DELETE FROM webhook_deliveries WHERE job_id = ")
        .push_bind(job_id.as_uuid())
        .push("; ");
}
