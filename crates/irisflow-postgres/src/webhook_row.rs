//! Rows of `webhooks` and `webhook_deliveries` as their types.

use irisflow_jobs::{
    BatchId, DeadReason, DeliveryId, DeliveryMessage, DeliveryState, DisabledReason, Event,
    EventKind, JobId, PhotoId, PreviousSecret, SealedSecret, StoreError, Timestamp, UserId,
    Webhook, WebhookDelivery, WebhookId, WebhookState,
};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::columns::number;
use crate::webhook_outbox::kinds_of;
use crate::{store_error, unknown_value};

type Result<T> = std::result::Result<T, StoreError>;

/// The previous secret is left out once its time is over.
pub(crate) fn webhook_of(row: &PgRow, now: Timestamp) -> Result<Webhook> {
    let previous: Option<Vec<u8>> = get(row, "previous_secret")?;
    let previous_until = time(row, "previous_secret_until")?.filter(|&until| until > now);
    let disabled_reason: Option<String> = get(row, "disabled_reason")?;
    Ok(Webhook {
        id: WebhookId::from(get::<Uuid>(row, "id")?),
        user_id: UserId::from(get::<Uuid>(row, "user_id")?),
        url: get(row, "url")?,
        description: get(row, "description")?,
        kinds: kinds_of(get(row, "kinds")?),
        secret: SealedSecret(get(row, "secret")?),
        previous_secret: previous
            .zip(previous_until)
            .map(|(secret, valid_until)| PreviousSecret {
                secret: SealedSecret(secret),
                valid_until,
            }),
        state: match disabled_reason.as_deref() {
            None => WebhookState::Enabled,
            Some(reason) => WebhookState::Disabled(
                DisabledReason::from_name(reason)
                    .ok_or_else(|| unknown_value("disabled reason", reason))?,
            ),
        },
        first_failure_at: time(row, "first_failure_at")?,
        pending: number(row, "pending").map_err(store_error)?,
        created_at: Timestamp::from_millis(get(row, "created_at")?),
        updated_at: Timestamp::from_millis(get(row, "updated_at")?),
    })
}

pub(crate) fn delivery_of(row: &PgRow, user_id: UserId) -> Result<WebhookDelivery> {
    let attempts: &str = row.try_get("attempts").map_err(store_error)?;
    Ok(WebhookDelivery {
        id: DeliveryId::from(get::<Uuid>(row, "id")?),
        webhook_id: WebhookId::from(get::<Uuid>(row, "webhook_id")?),
        message: message_of(row, user_id)?,
        state: state_of(row)?,
        attempt_count: number(row, "attempt_count").map_err(store_error)?,
        attempts: serde_json::from_str(attempts).map_err(StoreError::corrupt)?,
        created_at: Timestamp::from_millis(get(row, "created_at")?),
    })
}

fn message_of(row: &PgRow, user_id: UserId) -> Result<DeliveryMessage> {
    let Some(kind) = get::<Option<String>>(row, "kind")? else {
        return Ok(DeliveryMessage::Test);
    };
    let kind = EventKind::from_name(&kind).ok_or_else(|| unknown_value("event kind", &kind))?;
    let Some(body) = get::<Option<String>>(row, "body")? else {
        return Ok(DeliveryMessage::Erased(kind));
    };
    let event = Event {
        user_id,
        seq: get(row, "seq")?,
        job_id: JobId::from(get::<Uuid>(row, "job_id")?),
        photo_id: get::<Option<Uuid>>(row, "photo_id")?.map(PhotoId::from),
        batch_id: get::<Option<Uuid>>(row, "batch_id")?.map(BatchId::from),
        previous_of_job: None,
        kind,
        body: serde_json::from_str(&body).map_err(StoreError::corrupt)?,
        at: Timestamp::from_millis(get(row, "at")?),
    };
    Ok(DeliveryMessage::Event(Box::new(event)))
}

fn state_of(row: &PgRow) -> Result<DeliveryState> {
    let state: &str = row.try_get("state").map_err(store_error)?;
    match state {
        "pending" => Ok(DeliveryState::Pending {
            due_at: Timestamp::from_millis(get(row, "due_at")?),
        }),
        "delivered" => Ok(DeliveryState::Delivered),
        "dead" => {
            let reason: String = get(row, "dead_reason")?;
            let reason = DeadReason::from_name(&reason)
                .ok_or_else(|| unknown_value("reason of a dead letter", &reason))?;
            Ok(DeliveryState::Dead(reason))
        }
        other => Err(unknown_value("state of a delivery", other)),
    }
}

fn time(row: &PgRow, column: &str) -> Result<Option<Timestamp>> {
    let millis: Option<i64> = get(row, column)?;
    Ok(millis.map(Timestamp::from_millis))
}

pub(crate) fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(store_error)
}
