//! `PhotoStore` on SQLite.

use async_trait::async_trait;
use irisflow_jobs::{
    Confirmed, NewPhoto, Page, PageRequest, Photo, PhotoFormat, PhotoId, PhotoStore, StoreError,
    StoredPhoto, SweepTarget, Timestamp, UploadStatus, UserId,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Row, Sqlite};
use uuid::Uuid;

use crate::job_row::JobRow;
use crate::{SqliteStore, corrupt, unavailable};

type Result<T> = std::result::Result<T, StoreError>;

/// Well under SQLite's limit of bound values.
const MOST_IDS_IN_A_QUERY: usize = 500;

#[async_trait]
impl PhotoStore for SqliteStore {
    async fn add_photo(&self, photo: NewPhoto) -> Result<Photo> {
        let mut writing = self.begin().await?;
        let photo = Photo {
            id: photo.id,
            user_id: photo.user_id,
            announced_type: photo.announced_type,
            status: UploadStatus::Pending,
            stored: None,
            created_at: writing.now,
        };
        sqlx::query(
            "INSERT INTO photos (id, user_id, announced_type, status, created_at)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(photo.id.as_uuid())
        .bind(photo.user_id.as_uuid())
        .bind(&photo.announced_type)
        .bind(photo.status.name())
        .bind(photo.created_at.as_millis())
        .execute(writing.connection()?)
        .await
        .map_err(unavailable)?;
        let target = SweepTarget::Incoming {
            user_id: photo.user_id,
            photo_id: photo.id,
        };
        writing
            .sweep(target, self.uploads_ended(writing.now))
            .await?;
        writing.commit().await?;
        Ok(photo)
    }

    async fn confirm_photo(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        stored: StoredPhoto,
        quota_bytes: u64,
    ) -> Result<Confirmed> {
        let room = quota_bytes.checked_sub(stored.size_bytes);
        // No room at all is less than what nothing takes.
        let room = room.map_or(-1, |room| i64::try_from(room).unwrap_or(i64::MAX));
        let mut writing = self.begin().await?;
        sqlx::query(
            "UPDATE photos SET status = 'uploaded', format = ?, width_px = ?, height_px = ?,
                 size_bytes = ?, sha256 = ?
             WHERE id = ? AND user_id = ? AND status <> 'uploaded'
               AND (SELECT coalesce(sum(size_bytes), 0) FROM photos AS others
                    WHERE others.user_id = photos.user_id AND others.id <> photos.id) <= ?",
        )
        .bind(stored.format.extension())
        .bind(stored.width_px)
        .bind(stored.height_px)
        .bind(i64::try_from(stored.size_bytes).unwrap_or(i64::MAX))
        .bind(&stored.sha256)
        .bind(photo_id.as_uuid())
        .bind(user_id.as_uuid())
        .bind(room)
        .execute(writing.connection()?)
        .await
        .map_err(unavailable)?;
        let row: Option<PhotoRow> = sqlx::query_as(SELECT_PHOTO)
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(writing.connection()?)
            .await
            .map_err(unavailable)?;
        writing
            .sweep(SweepTarget::Incoming { user_id, photo_id }, writing.now)
            .await?;
        let confirmed = match row {
            Some(PhotoRow(photo)) if photo.status == UploadStatus::Uploaded => {
                Confirmed::Photo(photo)
            }
            Some(_) => Confirmed::StorageFull,
            None => Confirmed::Missing,
        };
        if !matches!(confirmed, Confirmed::Photo(_)) {
            writing
                .sweep(SweepTarget::Photo { user_id, photo_id }, writing.now)
                .await?;
        }
        writing.commit().await?;
        Ok(confirmed)
    }

    async fn photo_failed(&self, user_id: UserId, photo_id: PhotoId) -> Result<()> {
        let mut writing = self.begin().await?;
        sqlx::query(
            "UPDATE photos SET status = 'failed'
             WHERE id = ? AND user_id = ? AND status <> 'uploaded'",
        )
        .bind(photo_id.as_uuid())
        .bind(user_id.as_uuid())
        .execute(writing.connection()?)
        .await
        .map_err(unavailable)?;
        writing
            .sweep(SweepTarget::Incoming { user_id, photo_id }, writing.now)
            .await?;
        writing.commit().await
    }

    async fn photo(&self, user_id: UserId, photo_id: PhotoId) -> Result<Option<Photo>> {
        let row: Option<PhotoRow> = sqlx::query_as(SELECT_PHOTO)
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok(row.map(|row| row.0))
    }

    async fn photos_by_id(&self, user_id: UserId, ids: &[PhotoId]) -> Result<Vec<Photo>> {
        let mut photos = Vec::with_capacity(ids.len());
        for some in ids.chunks(MOST_IDS_IN_A_QUERY) {
            let mut query: QueryBuilder<Sqlite> =
                QueryBuilder::new("SELECT * FROM photos WHERE user_id = ");
            query.push_bind(user_id.as_uuid()).push(" AND id IN (");
            let mut values = query.separated(", ");
            for id in some {
                values.push_bind(id.as_uuid());
            }
            query.push(")");
            let rows: Vec<PhotoRow> = query
                .build_query_as()
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable)?;
            photos.extend(rows.into_iter().map(|row| row.0));
        }
        Ok(photos)
    }

    async fn photos(&self, user_id: UserId, page: PageRequest) -> Result<Page<Photo>> {
        let mut tx = self.readers.begin().await.map_err(unavailable)?;
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM photos WHERE user_id = ?")
            .bind(user_id.as_uuid())
            .fetch_one(&mut *tx)
            .await
            .map_err(unavailable)?;
        let rows: Vec<PhotoRow> = sqlx::query_as(
            "SELECT * FROM photos WHERE user_id = ?
             ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?",
        )
        .bind(user_id.as_uuid())
        .bind(page.page_size)
        .bind(page.offset())
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
        Ok(Page {
            items: rows.into_iter().map(|row| row.0).collect(),
            total: u64::try_from(total).unwrap_or(0),
        })
    }

    async fn delete_photo(&self, user_id: UserId, photo_id: PhotoId) -> Result<bool> {
        let mut writing = self.begin().await?;
        let jobs: Vec<JobRow> =
            sqlx::query_as("SELECT * FROM jobs WHERE photo_id = ? AND user_id = ?")
                .bind(photo_id.as_uuid())
                .bind(user_id.as_uuid())
                .fetch_all(writing.connection()?)
                .await
                .map_err(unavailable)?;
        for row in &jobs {
            writing.delete_job(row, &self.policy).await?;
        }
        let deleted = sqlx::query("DELETE FROM photos WHERE id = ? AND user_id = ?")
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .execute(writing.connection()?)
            .await
            .map_err(unavailable)?
            .rows_affected();
        if deleted == 0 {
            return Ok(false);
        }
        let target = SweepTarget::Photo { user_id, photo_id };
        writing.sweep(target, writing.now).await?;
        writing
            .sweep(target, self.uploads_ended(writing.now))
            .await?;
        writing.commit().await?;
        Ok(true)
    }
}

impl SqliteStore {
    /// When an upload that may begin now can no longer be running.
    fn uploads_ended(&self, now: Timestamp) -> Timestamp {
        now + self.policy.upload_url_life * 2
    }
}

const SELECT_PHOTO: &str = "SELECT * FROM photos WHERE id = ? AND user_id = ?";

pub(crate) struct PhotoRow(pub(crate) Photo);

impl<'r> FromRow<'r, SqliteRow> for PhotoRow {
    fn from_row(row: &'r SqliteRow) -> std::result::Result<Self, sqlx::Error> {
        let unreadable =
            |what: &str, value: &str| sqlx::Error::Decode(Box::new(corrupt(what, value)));
        let status: &str = row.try_get("status")?;
        let stored = match row.try_get::<Option<&str>, _>("format")? {
            None => None,
            Some(extension) => Some(StoredPhoto {
                format: PhotoFormat::from_extension(extension)
                    .ok_or_else(|| unreadable("photo format", extension))?,
                width_px: row.try_get("width_px")?,
                height_px: row.try_get("height_px")?,
                size_bytes: u64::try_from(row.try_get::<i64, _>("size_bytes")?).unwrap_or(0),
                sha256: row.try_get("sha256")?,
            }),
        };
        Ok(Self(Photo {
            id: PhotoId::from(row.try_get::<Uuid, _>("id")?),
            user_id: UserId::from(row.try_get::<Uuid, _>("user_id")?),
            announced_type: row.try_get("announced_type")?,
            status: UploadStatus::from_name(status)
                .ok_or_else(|| unreadable("upload status", status))?,
            stored,
            created_at: Timestamp::from_millis(row.try_get("created_at")?),
        }))
    }
}
