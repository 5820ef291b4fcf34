//! `PhotoStore` on PostgreSQL.

use async_trait::async_trait;
use irisflow_jobs::{
    Confirmed, NewPhoto, Page, PageRequest, Photo, PhotoFilter, PhotoFormat, PhotoId, PhotoStore,
    Received, StoreError, StoredPhoto, SweepTarget, UploadStatus, UserId,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::columns::{id, number, optional_number, signed, time, unsigned};
use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{PostgresStore, store_error, unknown_value};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl PhotoStore for PostgresStore {
    async fn add_photo(&self, photo: NewPhoto, unconfirmed_limit: u64) -> Result<Option<Photo>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(photo.user_id).await?;
            let unconfirmed: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM photos
                 WHERE user_id = $1 AND status IN ('pending', 'failed')",
            )
            .bind(photo.user_id.as_uuid())
            .fetch_one(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            if unsigned(unconfirmed) >= unconfirmed_limit {
                return Ok(None);
            }
            let photo = Photo {
                id: photo.id,
                user_id: photo.user_id,
                announced_type: photo.announced_type.clone(),
                status: UploadStatus::Pending,
                stored: None,
                created_at: unit_of_work.now,
                updated_at: unit_of_work.now,
            };
            sqlx::query(
                "INSERT INTO photos (id, user_id, announced_type, status, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $5)",
            )
            .bind(photo.id.as_uuid())
            .bind(photo.user_id.as_uuid())
            .bind(&photo.announced_type)
            .bind(photo.status.name())
            .bind(photo.created_at.as_millis())
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            let target = SweepTarget::Incoming {
                user_id: photo.user_id,
                photo_id: photo.id,
            };
            let uploads_ended = unit_of_work.now + self.policy.uploads_end_after();
            unit_of_work.sweep(target, uploads_ended).await?;
            unit_of_work.commit().await?;
            Ok(Some(photo))
        })
    }

    async fn receive_photo(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        size_bytes: u64,
        quota_bytes: u64,
    ) -> Result<Received> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let status = unit_of_work.status_of_photo(user_id, photo_id).await?;
            match status {
                None => return Ok(Received::Missing),
                Some(UploadStatus::Uploaded | UploadStatus::Expired) => {
                    return Ok(Received::TakenInBefore);
                }
                Some(UploadStatus::Pending | UploadStatus::Failed) => {}
            }
            let others = unit_of_work.stored_beside(user_id, photo_id).await?;
            if others.saturating_add(size_bytes) > quota_bytes {
                return Ok(Received::StorageFull);
            }
            sqlx::query("UPDATE photos SET incoming_bytes = $1, updated_at = $2 WHERE id = $3")
                .bind(signed(size_bytes))
                .bind(unit_of_work.now.as_millis())
                .bind(photo_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            unit_of_work.commit().await?;
            Ok(Received::Counted)
        })
    }

    async fn begin_intake(&self, user_id: UserId, photo_id: PhotoId) -> Result<Option<i64>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let intake: Option<i64> = sqlx::query_scalar(
                "UPDATE photos SET intakes = intakes + 1
                 WHERE id = $1 AND user_id = $2 AND status IN ('pending', 'failed')
                 RETURNING intakes",
            )
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            if intake.is_none() {
                return Ok(None);
            }
            let given_up = unit_of_work.now + self.policy.intake_limit;
            let target = SweepTarget::Intakes { user_id, photo_id };
            unit_of_work.sweep(target, given_up).await?;
            unit_of_work.commit().await?;
            Ok(intake)
        })
    }

    async fn end_intakes(&self, photo_id: PhotoId) -> Result<Option<i64>> {
        retrying!(async {
            let user_id: Option<Uuid> =
                sqlx::query_scalar("SELECT user_id FROM photos WHERE id = $1")
                    .bind(photo_id.as_uuid())
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(store_error)?;
            let Some(user_id) = user_id else {
                return Ok(None);
            };
            let mut unit_of_work = self.begin_for(UserId::from(user_id)).await?;
            sqlx::query(
                "UPDATE photos SET intakes = intakes + 1
                 WHERE id = $1 AND status IN ('pending', 'failed')",
            )
            .bind(photo_id.as_uuid())
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            let recorded: Option<Option<i64>> = sqlx::query_scalar(
                "SELECT intake FROM photos WHERE id = $1 AND status = 'uploaded'",
            )
            .bind(photo_id.as_uuid())
            .fetch_optional(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            unit_of_work.commit().await?;
            Ok(recorded.flatten())
        })
    }

    async fn confirm_photo(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        stored: StoredPhoto,
        quota_bytes: u64,
    ) -> Result<Confirmed> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let confirmed = unit_of_work
                .record_intake(user_id, photo_id, &stored, quota_bytes)
                .await?;
            match &confirmed {
                // The only intake was recorded: there is nothing to sweep.
                Confirmed::Photo(photo)
                    if photo.stored.as_ref() == Some(&stored) && stored.intake == Some(1) =>
                {
                    unit_of_work.forget_intake_sweeps(photo_id).await?;
                }
                Confirmed::Photo(_) | Confirmed::Superseded => {}
                Confirmed::Missing => {
                    let target = SweepTarget::Photo { user_id, photo_id };
                    unit_of_work.sweep(target, unit_of_work.now).await?;
                }
                Confirmed::StorageFull => {
                    let target = SweepTarget::Intakes { user_id, photo_id };
                    unit_of_work.sweep(target, unit_of_work.now).await?;
                }
            }
            if matches!(confirmed, Confirmed::Photo(_)) {
                let target = SweepTarget::Incoming { user_id, photo_id };
                unit_of_work.sweep(target, unit_of_work.now).await?;
            }
            unit_of_work.commit().await?;
            Ok(confirmed)
        })
    }

    async fn record_upload_failure(&self, user_id: UserId, photo_id: PhotoId) -> Result<()> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            sqlx::query(
                "UPDATE photos SET status = 'failed', incoming_bytes = 0, updated_at = $1
                 WHERE id = $2 AND user_id = $3 AND status IN ('pending', 'failed')",
            )
            .bind(unit_of_work.now.as_millis())
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            unit_of_work.commit().await
        })
    }

    async fn photo(&self, user_id: UserId, photo_id: PhotoId) -> Result<Option<Photo>> {
        retrying!(async {
            let row: Option<PhotoRow> = sqlx::query_as(SELECT_PHOTO)
                .bind(photo_id.as_uuid())
                .bind(user_id.as_uuid())
                .fetch_optional(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(row.map(|row| row.0))
        })
    }

    async fn photos_by_id(&self, user_id: UserId, ids: &[PhotoId]) -> Result<Vec<Photo>> {
        retrying!(async {
            let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
            let rows: Vec<PhotoRow> =
                sqlx::query_as("SELECT * FROM photos WHERE user_id = $1 AND id = ANY($2)")
                    .bind(user_id.as_uuid())
                    .bind(ids)
                    .fetch_all(&self.pool)
                    .await
                    .map_err(store_error)?;
            Ok(rows.into_iter().map(|row| row.0).collect())
        })
    }

    async fn photos(
        &self,
        user_id: UserId,
        filter: PhotoFilter,
        page: PageRequest,
    ) -> Result<Page<Photo>> {
        retrying!(async {
            let all = filter == PhotoFilter::All;
            let mut tx = self.snapshot().await?;
            let total: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM photos
                 WHERE user_id = $1 AND ($2 OR status NOT IN ('pending', 'failed'))",
            )
            .bind(user_id.as_uuid())
            .bind(all)
            .fetch_one(&mut *tx)
            .await
            .map_err(store_error)?;
            let rows: Vec<PhotoRow> = sqlx::query_as(
                "SELECT * FROM photos
                 WHERE user_id = $1 AND ($2 OR status NOT IN ('pending', 'failed'))
                 ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4",
            )
            .bind(user_id.as_uuid())
            .bind(all)
            .bind(i64::from(page.page_size))
            .bind(page.offset())
            .fetch_all(&mut *tx)
            .await
            .map_err(store_error)?;
            Ok(Page {
                items: rows.into_iter().map(|row| row.0).collect(),
                total: unsigned(total),
            })
        })
    }

    async fn delete_photo(&self, user_id: UserId, photo_id: PhotoId) -> Result<bool> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let jobs: Vec<JobRow> =
                sqlx::query_as("SELECT * FROM jobs WHERE photo_id = $1 AND user_id = $2")
                    .bind(photo_id.as_uuid())
                    .bind(user_id.as_uuid())
                    .fetch_all(unit_of_work.connection())
                    .await
                    .map_err(store_error)?;
            for row in &jobs {
                unit_of_work.delete_job(row, &self.policy).await?;
            }
            let deleted = sqlx::query("DELETE FROM photos WHERE id = $1 AND user_id = $2")
                .bind(photo_id.as_uuid())
                .bind(user_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?
                .rows_affected();
            if deleted == 0 {
                return Ok(false);
            }
            let target = SweepTarget::Photo { user_id, photo_id };
            unit_of_work.sweep(target, unit_of_work.now).await?;
            let uploads_ended = unit_of_work.now + self.policy.uploads_end_after();
            unit_of_work.sweep(target, uploads_ended).await?;
            unit_of_work.commit().await?;
            Ok(true)
        })
    }
}

impl UnitOfWork<'_> {
    async fn status_of_photo(
        &mut self,
        user_id: UserId,
        photo_id: PhotoId,
    ) -> Result<Option<UploadStatus>> {
        let row: Option<PhotoRow> = sqlx::query_as(SELECT_PHOTO)
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(self.connection())
            .await
            .map_err(store_error)?;
        Ok(row.map(|PhotoRow(photo)| photo.status))
    }

    /// Bytes of everything that the user stores but this photo.
    async fn stored_beside(&mut self, user_id: UserId, photo_id: PhotoId) -> Result<u64> {
        let bytes: i64 = sqlx::query_scalar(
            "SELECT (SELECT coalesce(sum(coalesce(size_bytes, 0) + coalesce(thumbnail_bytes, 0)
                                         + incoming_bytes), 0)::bigint
                     FROM photos WHERE user_id = $1 AND id <> $2)
                  + (SELECT coalesce(sum(stored_bytes), 0)::bigint FROM jobs
                     WHERE user_id = $1 AND state = 'completed')",
        )
        .bind(user_id.as_uuid())
        .bind(photo_id.as_uuid())
        .fetch_one(self.connection())
        .await
        .map_err(store_error)?;
        Ok(unsigned(bytes))
    }

    /// Writes what an intake stored into the row, when it is the newest one of a photo that waits for it.
    async fn record_intake(
        &mut self,
        user_id: UserId,
        photo_id: PhotoId,
        stored: &StoredPhoto,
        quota_bytes: u64,
    ) -> Result<Confirmed> {
        let waiting: Option<i64> = sqlx::query_scalar(
            "SELECT intakes FROM photos
             WHERE id = $1 AND user_id = $2 AND status IN ('pending', 'failed')",
        )
        .bind(photo_id.as_uuid())
        .bind(user_id.as_uuid())
        .fetch_optional(self.connection())
        .await
        .map_err(store_error)?;
        if let Some(newest) = waiting {
            if stored.intake != Some(newest) {
                return Ok(Confirmed::Superseded);
            }
            let others = self.stored_beside(user_id, photo_id).await?;
            if others.saturating_add(stored.size_bytes) > quota_bytes {
                return Ok(Confirmed::StorageFull);
            }
            self.write_stored(photo_id, stored).await?;
        }
        let row: Option<PhotoRow> = sqlx::query_as(SELECT_PHOTO)
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(self.connection())
            .await
            .map_err(store_error)?;
        Ok(row.map_or(Confirmed::Missing, |PhotoRow(photo)| {
            Confirmed::Photo(photo)
        }))
    }

    async fn write_stored(&mut self, photo_id: PhotoId, stored: &StoredPhoto) -> Result<()> {
        sqlx::query(
            "UPDATE photos SET status = 'uploaded', format = $1, width_px = $2, height_px = $3,
                 size_bytes = $4, sha256 = $5, intake = $6, thumbnail_bytes = $7, decode_bytes = $8,
                 incoming_bytes = 0, updated_at = $9
             WHERE id = $10",
        )
        .bind(stored.format.extension())
        .bind(i64::from(stored.width_px))
        .bind(i64::from(stored.height_px))
        .bind(signed(stored.size_bytes))
        .bind(&stored.sha256)
        .bind(stored.intake)
        .bind(stored.thumbnail_bytes.map(signed))
        .bind(stored.decode_bytes.map(signed))
        .bind(self.now.as_millis())
        .bind(photo_id.as_uuid())
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }

    async fn forget_intake_sweeps(&mut self, photo_id: PhotoId) -> Result<()> {
        sqlx::query("DELETE FROM sweeps WHERE subject_id = $1 AND target = 'intakes'")
            .bind(photo_id.as_uuid())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(())
    }
}

const SELECT_PHOTO: &str = "SELECT * FROM photos WHERE id = $1 AND user_id = $2";

pub(crate) struct PhotoRow(pub(crate) Photo);

impl<'r> FromRow<'r, PgRow> for PhotoRow {
    fn from_row(row: &'r PgRow) -> std::result::Result<Self, sqlx::Error> {
        let unreadable =
            |what: &str, value: &str| sqlx::Error::Decode(Box::new(unknown_value(what, value)));
        let status: &str = row.try_get("status")?;
        let stored = match row.try_get::<Option<&str>, _>("format")? {
            None => None,
            Some(extension) => Some(StoredPhoto {
                format: PhotoFormat::from_extension(extension)
                    .ok_or_else(|| unreadable("photo format", extension))?,
                width_px: number(row, "width_px")?,
                height_px: number(row, "height_px")?,
                size_bytes: number(row, "size_bytes")?,
                sha256: row.try_get("sha256")?,
                intake: row.try_get("intake")?,
                thumbnail_bytes: optional_number(row, "thumbnail_bytes")?,
                decode_bytes: optional_number(row, "decode_bytes")?,
            }),
        };
        Ok(Self(Photo {
            id: id(row, "id")?,
            user_id: id(row, "user_id")?,
            announced_type: row.try_get("announced_type")?,
            status: UploadStatus::from_name(status)
                .ok_or_else(|| unreadable("upload status", status))?,
            stored,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
        }))
    }
}
