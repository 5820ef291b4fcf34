//! Takes an upload in: reads the bytes, believes nothing that was said of them, drops their metadata,
//! stores them.

use irisflow_image::load::{self, Limits};
use irisflow_image::rejection::Rejection;
use irisflow_jobs::{Confirmed, Photo, PhotoFormat, PhotoId, StoredPhoto, UserId};
use irisflow_photos::{FileStore, ObjectKey, StorageError};
use sha2::{Digest as _, Sha256};

use super::UNKNOWN_PHOTO;
use crate::app::AppState;
use crate::error::ApiError;

/// What reading an upload came to.
enum Intake {
    Stored(StoredPhoto),
    Rejected(Rejection),
    /// Nothing was uploaded.
    Missing,
}

impl AppState {
    /// Reads what was uploaded for the photo and makes it the user's original.
    pub(crate) async fn take_in(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
    ) -> Result<Photo, ApiError> {
        let files = self.parts.files.clone();
        let key = ObjectKey::Incoming { user_id, photo_id };
        let uploaded = tokio::task::spawn_blocking(move || files.size_of(&key)).await??;
        self.check_storage(user_id, uploaded.unwrap_or(0)).await?;
        let (files, limits) = (self.parts.files.clone(), self.settings.photo_limits);
        let intake =
            tokio::task::spawn_blocking(move || read_and_store(&files, &limits, user_id, photo_id))
                .await??;
        match intake {
            Intake::Stored(stored) => {
                let limit_bytes = self.settings.use_limits.stored_bytes;
                let photos = &self.parts.photos;
                let confirmed = photos.confirm_photo(user_id, photo_id, stored, limit_bytes);
                match confirmed.await? {
                    Confirmed::Photo(photo) => Ok(photo),
                    Confirmed::Missing => Err(ApiError::NotFound(UNKNOWN_PHOTO)),
                    Confirmed::StorageFull => Err(ApiError::StorageFull { limit_bytes }),
                }
            }
            Intake::Rejected(rejection) => {
                self.parts.photos.photo_failed(user_id, photo_id).await?;
                tracing::info!(%photo_id, code = rejection.code.as_str(), "upload turned down");
                Err(ApiError::Photo(rejection))
            }
            Intake::Missing => Err(ApiError::NotUploaded),
        }
    }
}

fn read_and_store(
    files: &FileStore,
    limits: &Limits,
    user_id: UserId,
    photo_id: PhotoId,
) -> Result<Intake, StorageError> {
    let Some(bytes) = files.get(&ObjectKey::Incoming { user_id, photo_id })? else {
        return Ok(Intake::Missing);
    };
    let stripped = match load::strip_metadata(&bytes, limits) {
        Ok(stripped) => stripped,
        Err(rejection) => return Ok(Intake::Rejected(rejection)),
    };
    let format = format_of(stripped.format);
    files.put(
        &ObjectKey::Original {
            user_id,
            photo_id,
            format,
        },
        &stripped.bytes,
    )?;
    Ok(Intake::Stored(StoredPhoto {
        format,
        width_px: stripped.width,
        height_px: stripped.height,
        size_bytes: stripped.bytes.len() as u64,
        sha256: hex(&Sha256::digest(&stripped.bytes)),
    }))
}

fn format_of(format: load::PhotoFormat) -> PhotoFormat {
    match format {
        load::PhotoFormat::Jpeg => PhotoFormat::Jpeg,
        load::PhotoFormat::Png => PhotoFormat::Png,
        load::PhotoFormat::WebP => PhotoFormat::WebP,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
