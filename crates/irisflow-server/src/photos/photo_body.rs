//! JSON body of a photo.

use irisflow_jobs::{Photo, UploadStatus};
use irisflow_photos::ObjectKey;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::public_url::BaseUrl;

#[derive(Serialize, ToSchema)]
pub(crate) struct PhotoBody {
    id: String,
    user_id: String,
    /// Object key of the bytes; for reference, not for access.
    s3_key: String,
    /// Presigned URL of the upright photo with at most 400 pixels on its longer side. Null for photos that have no
    /// thumbnail.
    thumbnail_url: Option<String>,
    /// Presigned URL, valid for an hour. Null until the upload is confirmed.
    original_url: Option<String>,
    /// Pixels of the upright photo.
    width: Option<u32>,
    height: Option<u32>,
    /// Bytes.
    file_size: Option<u64>,
    /// `pending`, `uploaded`, `failed`, or `expired` when the original is no longer kept.
    #[schema(example = "uploaded")]
    upload_status: &'static str,
    /// RFC 3339, UTC.
    created_at: String,
    updated_at: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PhotoPage {
    pub(crate) items: Vec<PhotoBody>,
    /// Number of photos on all pages.
    pub(crate) total: u64,
    pub(crate) page: u32,
    pub(crate) page_size: u32,
}

/// The object key of a photo: of its original after the intake, of its upload before.
pub(crate) fn key_of(photo: &Photo) -> ObjectKey {
    let (user_id, photo_id) = (photo.user_id, photo.id);
    match &photo.stored {
        Some(stored) => ObjectKey::of_original(user_id, photo_id, stored),
        None => ObjectKey::Incoming { user_id, photo_id },
    }
}

impl AppState {
    pub(crate) fn photo_body(&self, photo: &Photo, base: &BaseUrl) -> PhotoBody {
        let key = key_of(photo);
        let stored = photo
            .stored
            .as_ref()
            .filter(|_| photo.status == UploadStatus::Uploaded);
        PhotoBody {
            id: photo.id.to_string(),
            user_id: photo.user_id.to_string(),
            s3_key: key.to_string(),
            thumbnail_url: stored
                .and_then(|stored| ObjectKey::of_thumbnail(photo.user_id, photo.id, stored))
                .map(|key| self.download_url(base, &key)),
            original_url: stored.map(|_| self.download_url(base, &key)),
            width: stored.map(|stored| stored.width_px),
            height: stored.map(|stored| stored.height_px),
            file_size: stored.map(|stored| stored.size_bytes),
            upload_status: photo.status.name(),
            created_at: photo.created_at.to_rfc3339(),
            updated_at: photo.updated_at.to_rfc3339(),
        }
    }
}
