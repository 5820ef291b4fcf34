//! `Privacy` on PostgreSQL: consents, and the deletion of accounts.

use async_trait::async_trait;
use irisflow_jobs::{
    Consent, ConsentId, ConsentType, DeletionReceipt, Destroyed, Jurisdiction, MOST_CONSENTS,
    NewConsent, Privacy, ReceiptId, SessionId, StoreError, SweepTarget, UserId,
};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::columns::{id, number, optional_time, signed, time};
use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{PostgresStore, store_error, unknown_value};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Privacy for PostgresStore {
    async fn add_consent(&self, new: NewConsent) -> Result<Option<Consent>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(new.user_id).await?;
            let consent = Consent {
                id: ConsentId::generate(),
                user_id: new.user_id,
                consent_type: new.consent_type,
                jurisdiction: new.jurisdiction,
                text_version: new.text_version.clone(),
                granted_at: unit_of_work.now,
                withdrawn_at: None,
            };
            let inserted = sqlx::query(
                "INSERT INTO consents (id, user_id, consent_type, jurisdiction, text_version, granted_at)
                 SELECT $1, $2, $3, $4, $5, $6
                 WHERE (SELECT count(*) FROM consents WHERE user_id = $2) < $7",
            )
            .bind(consent.id.as_uuid())
            .bind(consent.user_id.as_uuid())
            .bind(consent.consent_type.name())
            .bind(consent.jurisdiction.name())
            .bind(&consent.text_version)
            .bind(consent.granted_at.as_millis())
            .bind(i64::from(MOST_CONSENTS))
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?
            .rows_affected();
            if inserted == 0 {
                return Ok(None);
            }
            unit_of_work.commit().await?;
            Ok(Some(consent))
        })
    }

    async fn consents(&self, user_id: UserId) -> Result<Vec<Consent>> {
        retrying!(async {
            let rows = sqlx::query(
                "SELECT * FROM consents WHERE user_id = $1 ORDER BY granted_at DESC, id DESC",
            )
            .bind(user_id.as_uuid())
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
            rows.iter().map(consent_of).collect()
        })
    }

    async fn has_consent(&self, user_id: UserId, consent_type: ConsentType) -> Result<bool> {
        retrying!(async {
            sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM consents
                     WHERE user_id = $1 AND consent_type = $2 AND withdrawn_at IS NULL)",
            )
            .bind(user_id.as_uuid())
            .bind(consent_type.name())
            .fetch_one(&self.pool)
            .await
            .map_err(store_error)
        })
    }

    async fn withdraw_consent(
        &self,
        user_id: UserId,
        consent_id: ConsentId,
    ) -> Result<Option<Consent>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            sqlx::query(
                "UPDATE consents SET withdrawn_at = $1
                 WHERE user_id = $2 AND withdrawn_at IS NULL
                     AND consent_type = (SELECT consent_type FROM consents WHERE id = $3 AND user_id = $2
                                             AND withdrawn_at IS NULL)",
            )
            .bind(unit_of_work.now.as_millis())
            .bind(user_id.as_uuid())
            .bind(consent_id.as_uuid())
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            let row = sqlx::query("SELECT * FROM consents WHERE id = $1 AND user_id = $2")
                .bind(consent_id.as_uuid())
                .bind(user_id.as_uuid())
                .fetch_optional(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            unit_of_work.commit().await?;
            row.as_ref().map(consent_of).transpose()
        })
    }

    async fn delete_account(&self, user_id: UserId) -> Result<Option<DeletionReceipt>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let destroyed = unit_of_work.count_belongings(user_id).await?;
            unit_of_work.cancel_attempts_and_sessions(user_id).await?;
            // Foreign keys delete all rows that refer to the account.
            let deleted = sqlx::query("DELETE FROM users WHERE id = $1")
                .bind(user_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?
                .rows_affected();
            if deleted == 0 {
                return Ok(None);
            }
            sqlx::query("DELETE FROM sweeps WHERE user_id = $1")
                .bind(user_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            let leases_ended = unit_of_work.now + self.policy.lease * 2;
            let uploads_ended = unit_of_work.now + self.policy.uploads_end_after();
            for due_at in [unit_of_work.now, leases_ended, uploads_ended] {
                let target = SweepTarget::Account { user_id };
                unit_of_work.sweep(target, due_at).await?;
            }
            let receipt = unit_of_work.write_receipt(destroyed).await?;
            unit_of_work.commit().await?;
            Ok(Some(receipt))
        })
    }

    async fn add_destroyed_objects(&self, receipt_id: ReceiptId, objects: u64) -> Result<()> {
        retrying!(async {
            let mut unit_of_work = self.begin().await?;
            sqlx::query("UPDATE deletion_receipts SET objects = $1 WHERE id = $2")
                .bind(signed(objects))
                .bind(receipt_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            unit_of_work.commit().await
        })
    }
}

impl UnitOfWork<'_> {
    async fn count_belongings(&mut self, user_id: UserId) -> Result<Destroyed> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM photos WHERE user_id = $1) AS photos,
                 (SELECT count(*) FROM jobs WHERE user_id = $1) AS jobs,
                 (SELECT count(*) FROM events WHERE user_id = $1) AS events,
                 (SELECT count(*) FROM sessions WHERE user_id = $1) AS sessions,
                 (SELECT count(*) FROM consents WHERE user_id = $1) AS consents",
        )
        .bind(user_id.as_uuid())
        .fetch_one(self.connection())
        .await
        .map_err(store_error)?;
        let count = |column: &str| number(&row, column).map_err(store_error);
        Ok(Destroyed {
            photos: count("photos")?,
            jobs: count("jobs")?,
            events: count("events")?,
            sessions: count("sessions")?,
            consents: count("consents")?,
        })
    }

    /// Notifies the user's workers and sockets, after the commit, that their jobs and sessions are gone.
    async fn cancel_attempts_and_sessions(&mut self, user_id: UserId) -> Result<()> {
        let running: Vec<JobRow> =
            sqlx::query_as("SELECT * FROM jobs WHERE user_id = $1 AND state = 'processing'")
                .bind(user_id.as_uuid())
                .fetch_all(self.connection())
                .await
                .map_err(store_error)?;
        for row in &running {
            self.cancel_attempt(&row.job);
        }
        let sessions: Vec<Uuid> =
            sqlx::query_scalar("SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL")
                .bind(user_id.as_uuid())
                .fetch_all(self.connection())
                .await
                .map_err(store_error)?;
        for session in sessions {
            self.session_ended(user_id, SessionId::from(session));
        }
        Ok(())
    }

    async fn write_receipt(&mut self, destroyed: Destroyed) -> Result<DeletionReceipt> {
        let receipt = DeletionReceipt {
            // Random, not of version 7: an id is passed on and must not contain the time of the deletion.
            id: ReceiptId::from(Uuid::new_v4()),
            at: self.now,
            destroyed,
        };
        let counts = serde_json::to_string(&destroyed).map_err(StoreError::corrupt)?;
        sqlx::query("INSERT INTO deletion_receipts (id, at, destroyed) VALUES ($1, $2, $3)")
            .bind(receipt.id.as_uuid())
            .bind(receipt.at.as_millis())
            .bind(counts)
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(receipt)
    }
}

fn consent_of(row: &PgRow) -> Result<Consent> {
    let name: &str = row.try_get("consent_type").map_err(store_error)?;
    let place: &str = row.try_get("jurisdiction").map_err(store_error)?;
    Ok(Consent {
        id: id(row, "id").map_err(store_error)?,
        user_id: id(row, "user_id").map_err(store_error)?,
        consent_type: ConsentType::from_name(name)
            .ok_or_else(|| unknown_value("consent type", name))?,
        jurisdiction: Jurisdiction::from_name(place)
            .ok_or_else(|| unknown_value("jurisdiction", place))?,
        text_version: row.try_get("text_version").map_err(store_error)?,
        granted_at: time(row, "granted_at").map_err(store_error)?,
        withdrawn_at: optional_time(row, "withdrawn_at").map_err(store_error)?,
    })
}
