//! `Privacy` on SQLite: consents, and the deletion of accounts and of what has become too old.

use async_trait::async_trait;
use irisflow_jobs::{
    Consent, ConsentId, ConsentType, DeletionReceipt, Destroyed, Jurisdiction, MOST_CONSENTS,
    NewConsent, PhotoId, Privacy, ReceiptId, SessionId, StoreError, SweepTarget, Timestamp, UserId,
};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, corrupt, unavailable};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Privacy for SqliteStore {
    async fn add_consent(&self, new: NewConsent) -> Result<Option<Consent>> {
        let mut writing = self.begin().await?;
        let consent = Consent {
            id: ConsentId::generate(),
            user_id: new.user_id,
            consent_type: new.consent_type,
            jurisdiction: new.jurisdiction,
            text_version: new.text_version,
            granted_at: writing.now,
            withdrawn_at: None,
        };
        let inserted = sqlx::query(
            "INSERT INTO consents (id, user_id, consent_type, jurisdiction, text_version, granted_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE (SELECT count(*) FROM consents WHERE user_id = ?2) < ?7",
        )
        .bind(consent.id.as_uuid())
        .bind(consent.user_id.as_uuid())
        .bind(consent.consent_type.name())
        .bind(consent.jurisdiction.name())
        .bind(&consent.text_version)
        .bind(consent.granted_at.as_millis())
        .bind(MOST_CONSENTS)
        .execute(writing.connection()?)
        .await
        .map_err(unavailable)?
        .rows_affected();
        if inserted == 0 {
            return Ok(None);
        }
        writing.commit().await?;
        Ok(Some(consent))
    }

    async fn consents(&self, user_id: UserId) -> Result<Vec<Consent>> {
        let rows = sqlx::query(
            "SELECT * FROM consents WHERE user_id = ? ORDER BY granted_at DESC, id DESC",
        )
        .bind(user_id.as_uuid())
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        rows.iter().map(consent_of).collect()
    }

    async fn has_consent(&self, user_id: UserId, consent_type: ConsentType) -> Result<bool> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM consents
                 WHERE user_id = ? AND consent_type = ? AND withdrawn_at IS NULL)",
        )
        .bind(user_id.as_uuid())
        .bind(consent_type.name())
        .fetch_one(&self.readers)
        .await
        .map_err(unavailable)
    }

    async fn withdraw_consent(
        &self,
        user_id: UserId,
        consent_id: ConsentId,
    ) -> Result<Option<Consent>> {
        let mut writing = self.begin().await?;
        sqlx::query(
            "UPDATE consents SET withdrawn_at = ?1
             WHERE user_id = ?2 AND withdrawn_at IS NULL
                 AND consent_type = (SELECT consent_type FROM consents WHERE id = ?3 AND user_id = ?2
                                         AND withdrawn_at IS NULL)",
        )
        .bind(writing.now.as_millis())
        .bind(user_id.as_uuid())
        .bind(consent_id.as_uuid())
        .execute(writing.connection()?)
        .await
        .map_err(unavailable)?;
        let row = sqlx::query("SELECT * FROM consents WHERE id = ? AND user_id = ?")
            .bind(consent_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(writing.connection()?)
            .await
            .map_err(unavailable)?;
        writing.commit().await?;
        row.as_ref().map(consent_of).transpose()
    }

    async fn delete_account(&self, user_id: UserId) -> Result<Option<DeletionReceipt>> {
        let mut writing = self.begin().await?;
        let destroyed = writing.count_belongings(user_id).await?;
        writing.let_go_of(user_id).await?;
        // Everything that hangs on the account goes by its foreign keys.
        let deleted = sqlx::query("DELETE FROM users WHERE id = ?")
            .bind(user_id.as_uuid())
            .execute(writing.connection()?)
            .await
            .map_err(unavailable)?
            .rows_affected();
        if deleted == 0 {
            return Ok(None);
        }
        sqlx::query("DELETE FROM sweeps WHERE user_id = ?")
            .bind(user_id.as_uuid())
            .execute(writing.connection()?)
            .await
            .map_err(unavailable)?;
        let leases_ended = writing.now + self.policy.lease * 2;
        let uploads_ended = writing.now + self.policy.uploads_end_after();
        for due_at in [writing.now, leases_ended, uploads_ended] {
            let target = SweepTarget::Account { user_id };
            writing.sweep(target, due_at).await?;
        }
        let receipt = writing.write_receipt(destroyed).await?;
        writing.commit().await?;
        self.wipe_log().await;
        Ok(Some(receipt))
    }

    async fn note_destroyed_objects(&self, receipt_id: ReceiptId, objects: u64) -> Result<()> {
        let mut writing = self.begin().await?;
        sqlx::query("UPDATE deletion_receipts SET objects = ? WHERE id = ?")
            .bind(i64::try_from(objects).unwrap_or(i64::MAX))
            .bind(receipt_id.as_uuid())
            .execute(writing.connection()?)
            .await
            .map_err(unavailable)?;
        writing.commit().await
    }

    async fn expire_originals(&self, announced_before: Timestamp, limit: u32) -> Result<u32> {
        let mut writing = self.begin().await?;
        let photos: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "SELECT id, user_id FROM photos WHERE status <> 'expired' AND created_at < ?
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = photos.id
                                     AND state IN ('pending', 'waiting', 'processing'))
             ORDER BY created_at LIMIT ?",
        )
        .bind(announced_before.as_millis())
        .bind(limit)
        .fetch_all(writing.connection()?)
        .await
        .map_err(unavailable)?;
        for &(id, user_id) in &photos {
            sqlx::query(
                "UPDATE photos SET status = 'expired', format = NULL, width_px = NULL,
                     height_px = NULL, size_bytes = NULL, sha256 = NULL, intake = NULL,
                     thumbnail_bytes = NULL, decode_bytes = NULL, incoming_bytes = 0, updated_at = ?
                 WHERE id = ?",
            )
            .bind(writing.now.as_millis())
            .bind(id)
            .execute(writing.connection()?)
            .await
            .map_err(unavailable)?;
            let target = SweepTarget::Photo {
                user_id: UserId::from(user_id),
                photo_id: PhotoId::from(id),
            };
            writing.sweep(target, writing.now).await?;
            writing.delete_photo_without_jobs(id).await?;
        }
        writing.commit().await?;
        Ok(u32::try_from(photos.len()).unwrap_or(limit))
    }

    async fn expire_jobs(&self, ended_before: Timestamp, limit: u32) -> Result<u32> {
        let mut writing = self.begin().await?;
        let jobs: Vec<JobRow> = sqlx::query_as(
            "SELECT * FROM jobs
             WHERE state IN ('completed', 'failed', 'cancelled') AND updated_at < ?
             ORDER BY updated_at LIMIT ?",
        )
        .bind(ended_before.as_millis())
        .bind(limit)
        .fetch_all(writing.connection()?)
        .await
        .map_err(unavailable)?;
        for row in &jobs {
            writing.delete_job(row, &self.policy).await?;
            let photo_id = row.job.photo_id.as_uuid();
            writing.delete_photo_without_jobs(photo_id).await?;
        }
        writing.commit().await?;
        Ok(u32::try_from(jobs.len()).unwrap_or(limit))
    }

    async fn prune_sessions(&self, ended_before: Timestamp, limit: u32) -> Result<u32> {
        self.prune(
            "DELETE FROM sessions WHERE id IN (
                 SELECT id FROM sessions WHERE ended_at < ?1
                 UNION SELECT id FROM sessions WHERE expires_at < ?1 LIMIT ?2)",
            ended_before,
            limit,
        )
        .await
    }

    async fn prune_refresh_tokens(&self, spent_before: Timestamp, limit: u32) -> Result<u32> {
        self.prune(
            "DELETE FROM refresh_tokens WHERE hash IN (
                 SELECT hash FROM refresh_tokens WHERE spent_at < ?1 LIMIT ?2)",
            spent_before,
            limit,
        )
        .await
    }
}

impl SqliteStore {
    /// Runs a deletion that is bound to a moment and a limit. Returns how many rows went.
    async fn prune(&self, deletion: &'static str, before: Timestamp, limit: u32) -> Result<u32> {
        let mut writing = self.begin().await?;
        let pruned = sqlx::query(deletion)
            .bind(before.as_millis())
            .bind(limit)
            .execute(writing.connection()?)
            .await
            .map_err(unavailable)?
            .rows_affected();
        if pruned > 0 {
            writing.commit().await?;
        }
        Ok(u32::try_from(pruned).unwrap_or(limit))
    }

    /// Deleted rows are overwritten in the database (`secure_delete`); this does the same for the log
    /// of changes. A reader may be in the way; then the log is overwritten in the course of time.
    async fn wipe_log(&self) {
        if let Err(error) = self.writer.empty_log().await {
            tracing::warn!(%error, "could not empty the database's log of changes");
        }
    }
}

impl UnitOfWork<'_> {
    async fn count_belongings(&mut self, user_id: UserId) -> Result<Destroyed> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM photos WHERE user_id = ?1) AS photos,
                 (SELECT count(*) FROM jobs WHERE user_id = ?1) AS jobs,
                 (SELECT count(*) FROM events WHERE user_id = ?1) AS events,
                 (SELECT count(*) FROM sessions WHERE user_id = ?1) AS sessions,
                 (SELECT count(*) FROM consents WHERE user_id = ?1) AS consents",
        )
        .bind(user_id.as_uuid())
        .fetch_one(self.connection()?)
        .await
        .map_err(unavailable)?;
        let count = |column: &str| {
            let count: i64 = row.try_get(column).map_err(unavailable)?;
            Ok::<_, StoreError>(u64::try_from(count).unwrap_or(0))
        };
        Ok(Destroyed {
            photos: count("photos")?,
            jobs: count("jobs")?,
            events: count("events")?,
            sessions: count("sessions")?,
            consents: count("consents")?,
        })
    }

    /// After the commit, the user's workers and sockets hear that nobody wants them any more.
    async fn let_go_of(&mut self, user_id: UserId) -> Result<()> {
        let running: Vec<JobRow> =
            sqlx::query_as("SELECT * FROM jobs WHERE user_id = ? AND state = 'processing'")
                .bind(user_id.as_uuid())
                .fetch_all(self.connection()?)
                .await
                .map_err(unavailable)?;
        for row in &running {
            self.cancel_attempt(&row.job);
        }
        let sessions: Vec<Uuid> =
            sqlx::query_scalar("SELECT id FROM sessions WHERE user_id = ? AND ended_at IS NULL")
                .bind(user_id.as_uuid())
                .fetch_all(self.connection()?)
                .await
                .map_err(unavailable)?;
        for session in sessions {
            self.session_ended(user_id, SessionId::from(session));
        }
        Ok(())
    }

    async fn write_receipt(&mut self, destroyed: Destroyed) -> Result<DeletionReceipt> {
        let receipt = DeletionReceipt {
            // Not of version 7, which would tell when to the millisecond; the time is beside it, but
            // an id travels further.
            id: ReceiptId::from(Uuid::new_v4()),
            at: self.now,
            destroyed,
        };
        let counts = serde_json::to_string(&destroyed)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        sqlx::query("INSERT INTO deletion_receipts (id, at, destroyed) VALUES (?, ?, ?)")
            .bind(receipt.id.as_uuid())
            .bind(receipt.at.as_millis())
            .bind(counts)
            .execute(self.connection()?)
            .await
            .map_err(unavailable)?;
        Ok(receipt)
    }

    /// An expired photo is kept for the sake of its jobs only.
    async fn delete_photo_without_jobs(&mut self, photo_id: Uuid) -> Result<()> {
        sqlx::query(
            "DELETE FROM photos WHERE id = ?1 AND status = 'expired'
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = ?1)",
        )
        .bind(photo_id)
        .execute(self.connection()?)
        .await
        .map_err(unavailable)?;
        Ok(())
    }
}

fn consent_of(row: &SqliteRow) -> Result<Consent> {
    let name: &str = row.try_get("consent_type").map_err(unavailable)?;
    let place: &str = row.try_get("jurisdiction").map_err(unavailable)?;
    let withdrawn_at: Option<i64> = row.try_get("withdrawn_at").map_err(unavailable)?;
    let id = |column: &str| row.try_get::<Uuid, _>(column).map_err(unavailable);
    Ok(Consent {
        id: ConsentId::from(id("id")?),
        user_id: UserId::from(id("user_id")?),
        consent_type: ConsentType::from_name(name).ok_or_else(|| corrupt("consent type", name))?,
        jurisdiction: Jurisdiction::from_name(place)
            .ok_or_else(|| corrupt("jurisdiction", place))?,
        text_version: row.try_get("text_version").map_err(unavailable)?,
        granted_at: Timestamp::from_millis(row.try_get("granted_at").map_err(unavailable)?),
        withdrawn_at: withdrawn_at.map(Timestamp::from_millis),
    })
}
