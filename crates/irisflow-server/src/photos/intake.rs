//! Intake of an upload: validates the bytes, removes their metadata, and stores the original and its thumbnail. What
//! the client has declared about the file is not used.
//!
//! An intake runs to its end when its client disconnects. It gets a number before it writes, and the keys of its
//! objects contain that number, so that no object is ever overwritten. A sweep is recorded together with the number,
//! and the row of the photo names the intake that is valid; objects of others are swept.

use std::sync::Arc;

use irisflow_image::load::{self, Limits, PhotoHeader};
use irisflow_image::rejection::Rejection;
use irisflow_image::thumbnail;
use irisflow_jobs::{Confirmed, Photo, PhotoFormat, PhotoId, StoredPhoto, UploadStatus, UserId};
use irisflow_photos::{FileStore, ObjectKey, StorageError};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::app::{App, AppState};
use crate::error::{ApiError, Missing};

/// An upload that was read and found to be a photo.
struct Upload {
    bytes: Vec<u8>,
    header: PhotoHeader,
}

impl AppState {
    /// Reads what was uploaded for the photo and makes it the user's original. Many at once for the same
    /// photo take turns, and those after the first find it done.
    pub(crate) async fn take_in(
        self: &App,
        user_id: UserId,
        photo_id: PhotoId,
    ) -> Result<Photo, ApiError> {
        let app = Arc::clone(self);
        let intake = async move {
            let _turn = app.photo_locks.lock(photo_id).await;
            let photo = app.parts.photos.photo(user_id, photo_id).await?;
            let photo = photo.ok_or(ApiError::NotFound(Missing::Photo))?;
            match photo.status {
                UploadStatus::Uploaded | UploadStatus::Expired => Ok(photo),
                UploadStatus::Pending | UploadStatus::Failed => {
                    app.take_in_now(user_id, photo_id).await
                }
            }
        };
        tokio::spawn(intake.in_current_span()).await?
    }

    async fn take_in_now(&self, user_id: UserId, photo_id: PhotoId) -> Result<Photo, ApiError> {
        let (files, key) = (
            self.parts.files.clone(),
            ObjectKey::Incoming { user_id, photo_id },
        );
        let size_bytes = tokio::task::spawn_blocking(move || files.size_of(&key)).await??;
        let size_bytes = size_bytes.ok_or(ApiError::NotUploaded)?;
        let reserved = self.reading.reserve(user_id, size_bytes).await?;
        let (files, limits) = (self.parts.files.clone(), self.settings.photo_limits);
        let upload = tokio::task::spawn_blocking(move || read_upload(&files, &limits, key));
        let upload = match upload.await?? {
            None => return Err(ApiError::NotUploaded),
            Some(Ok(upload)) => upload,
            Some(Err(rejection)) => {
                return Err(self.turn_down(user_id, photo_id, rejection).await?);
            }
        };
        let intake = self.parts.photos.begin_intake(user_id, photo_id).await?;
        let intake = intake.ok_or(ApiError::NotFound(Missing::Photo))?;
        let (files, limits) = (self.parts.files.clone(), self.settings.photo_limits);
        let stored = tokio::task::spawn_blocking(move || {
            store_original(&files, &limits, user_id, photo_id, intake, &upload)
        });
        let mut stored = match stored.await?? {
            Ok(stored) => stored,
            Err(rejection) => return Err(self.turn_down(user_id, photo_id, rejection).await?),
        };
        drop(reserved);
        stored.thumbnail_bytes = self.make_thumbnail(user_id, photo_id, &stored).await?;
        let limit_bytes = self.settings.use_limits.stored_bytes;
        let confirmed = self
            .parts
            .photos
            .confirm_photo(user_id, photo_id, stored, limit_bytes);
        match confirmed.await? {
            Confirmed::Photo(photo) => Ok(photo),
            Confirmed::Missing => Err(ApiError::NotFound(Missing::Photo)),
            Confirmed::StorageFull => Err(self.storage_full()),
            // It took longer than intakes may, and its objects are swept.
            Confirmed::Superseded => Err(ApiError::Unavailable),
        }
    }

    /// The upload is of no use and goes; another one may take its place.
    async fn turn_down(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        rejection: Rejection,
    ) -> Result<ApiError, ApiError> {
        let files = self.parts.files.clone();
        let key = ObjectKey::Incoming { user_id, photo_id };
        tokio::task::spawn_blocking(move || files.delete(&key)).await??;
        self.parts
            .photos
            .record_upload_failure(user_id, photo_id)
            .await?;
        tracing::info!(%photo_id, code = rejection.code().as_str(), "upload turned down");
        Ok(ApiError::Photo(rejection))
    }

    /// Stores a small copy beside the original, and says how large it is. A photo whose pixels cannot be
    /// decoded has none, nor has one that comes when too many others are being decoded.
    async fn make_thumbnail(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        stored: &StoredPhoto,
    ) -> Result<Option<u64>, ApiError> {
        let (files, limits) = (self.parts.files.clone(), self.settings.photo_limits);
        let original = ObjectKey::of_original(user_id, photo_id, stored);
        let Some(intake) = stored.intake else {
            return Ok(None);
        };
        let key = ObjectKey::PhotoThumbnail {
            user_id,
            photo_id,
            intake,
        };
        let work = move || write_thumbnail(&files, &limits, &original, &key);
        let bytes = stored.memory_bytes();
        let written = self.reading.decode_for_thumbnail(user_id, bytes, work);
        Ok(written.await?.transpose()?.flatten())
    }
}

/// `None` when nothing was uploaded.
fn read_upload(
    files: &FileStore,
    limits: &Limits,
    key: ObjectKey,
) -> Result<Option<Result<Upload, Rejection>>, StorageError> {
    let bytes = files.get(&key)?;
    Ok(bytes.map(|bytes| {
        let header = load::probe(&bytes, limits)?;
        Ok(Upload { bytes, header })
    }))
}

/// Writes the photo without its metadata, piece by piece: it is not held a second time.
fn store_original(
    files: &FileStore,
    limits: &Limits,
    user_id: UserId,
    photo_id: PhotoId,
    intake: i64,
    upload: &Upload,
) -> Result<Result<StoredPhoto, Rejection>, StorageError> {
    let format = format_of(upload.header.format);
    let mut original = files.begin_put(ObjectKey::Original {
        user_id,
        photo_id,
        intake: Some(intake),
        format,
    })?;
    let mut hash = Sha256::new();
    let mut written = Ok(());
    let stripped = load::strip_metadata(&upload.bytes, limits, &mut |piece| {
        hash.update(piece);
        if written.is_ok() {
            written = original.write(piece);
        }
    });
    written?;
    if let Err(rejection) = stripped {
        return Ok(Err(rejection));
    }
    let size_bytes = original.size_bytes();
    original.finish()?;
    Ok(Ok(StoredPhoto {
        format,
        width_px: upload.header.width,
        height_px: upload.header.height,
        size_bytes,
        sha256: hex(&hash.finalize()),
        intake: Some(intake),
        thumbnail_bytes: None,
        decode_bytes: Some(upload.header.decode_bytes),
    }))
}

fn write_thumbnail(
    files: &FileStore,
    limits: &Limits,
    original: &ObjectKey,
    key: &ObjectKey,
) -> Result<Option<u64>, StorageError> {
    let Some(bytes) = files.get(original)? else {
        return Ok(None);
    };
    let Ok(photo) = load::load_photo(&bytes, limits) else {
        return Ok(None);
    };
    drop(bytes);
    match thumbnail::of_photo(&photo) {
        Ok(thumbnail) => {
            files.put(key, &thumbnail)?;
            Ok(Some(thumbnail.len() as u64))
        }
        Err(error) => {
            tracing::error!(%error, "could not encode a thumbnail");
            Ok(None)
        }
    }
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
