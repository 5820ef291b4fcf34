//! Intake of an upload: validates the bytes, removes their metadata, and stores the original and its thumbnail. What
//! the client has declared about the file is not used.
//!
//! An intake runs to its end when its client disconnects. It gets a number before it writes, and the keys of its
//! objects contain that number, so that no object is ever overwritten. A sweep is recorded together with the number,
//! and the row of the photo names the intake that is valid; objects of others are swept.

use std::sync::Arc;

use bytes::Bytes;
use irisflow_image::load::{self, Limits, PhotoHeader};
use irisflow_image::rejection::Rejection;
use irisflow_image::thumbnail;
use irisflow_jobs::{Confirmed, Photo, PhotoFormat, PhotoId, StoredPhoto, UploadStatus, UserId};
use irisflow_photos::{ObjectKey, ObjectStore, ObjectUpload, StorageError};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tracing::Instrument as _;

use crate::app::{App, AppState};
use crate::error::{ApiError, Missing};

/// Size of the chunks in which a photo is written to the storage.
const PIECE_BYTES: usize = 64 * 1024;
/// Maximum number of threads that strip metadata concurrently. Each waits for the storage, which may need threads of
/// the same pool, so that they must not use up the pool.
const MAX_STRIPPING: usize = 16;

/// An upload with a valid photo header.
struct Upload {
    bytes: Bytes,
    header: PhotoHeader,
}

/// Permits to strip metadata.
#[derive(Debug)]
pub(crate) struct StrippingPermits(Semaphore);

impl Default for StrippingPermits {
    fn default() -> Self {
        Self(Semaphore::new(MAX_STRIPPING))
    }
}

impl AppState {
    /// Makes the upload of a photo its original. Concurrent calls for the same photo are serialized, and all but the
    /// first return its result.
    pub(crate) async fn run_intake(
        self: &App,
        user_id: UserId,
        photo_id: PhotoId,
    ) -> Result<Photo, ApiError> {
        let app = Arc::clone(self);
        let intake = async move {
            let _lock = app.photo_locks.lock(photo_id).await;
            let photo = app.parts.photos.photo(user_id, photo_id).await?;
            let photo = photo.ok_or(ApiError::NotFound(Missing::Photo))?;
            match photo.status {
                UploadStatus::Uploaded | UploadStatus::Expired => Ok(photo),
                UploadStatus::Pending | UploadStatus::Failed => {
                    app.run_intake_locked(user_id, photo_id).await
                }
            }
        };
        tokio::spawn(intake.in_current_span()).await?
    }

    async fn run_intake_locked(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
    ) -> Result<Photo, ApiError> {
        let key = ObjectKey::Incoming { user_id, photo_id };
        let size_bytes = self.parts.files.size_of(&key).await?;
        let size_bytes = size_bytes.ok_or(ApiError::NotUploaded)?;
        // A storage that receives uploads itself does not limit them.
        if let Err(rejection) = self.settings.photo_limits.check_bytes(size_bytes) {
            return Err(self.reject_upload(user_id, photo_id, rejection).await?);
        }
        let reserved = self.decoding.reserve(user_id, size_bytes).await?;
        let bytes = self.parts.files.get(&key).await?;
        let bytes = bytes.ok_or(ApiError::NotUploaded)?;
        let upload = match self.probe(bytes).await? {
            Ok(upload) => upload,
            Err(rejection) => return Err(self.reject_upload(user_id, photo_id, rejection).await?),
        };
        let intake = self.parts.photos.begin_intake(user_id, photo_id).await?;
        let intake = intake.ok_or(ApiError::NotFound(Missing::Photo))?;
        let stored = self.store_original(user_id, photo_id, intake, upload).await;
        let mut stored = match stored? {
            Ok(stored) => stored,
            Err(rejection) => return Err(self.reject_upload(user_id, photo_id, rejection).await?),
        };
        drop(reserved);
        stored.thumbnail_bytes = self.make_thumbnail(user_id, photo_id, &stored).await?;
        let limit_bytes = self.settings.usage_limits.stored_bytes;
        let confirmed = self
            .parts
            .photos
            .confirm_photo(user_id, photo_id, stored, limit_bytes);
        match confirmed.await? {
            Confirmed::Photo(photo) => Ok(photo),
            Confirmed::Missing => Err(ApiError::NotFound(Missing::Photo)),
            Confirmed::StorageFull => Err(self.storage_full()),
            // The intake exceeded its time limit; its objects are swept.
            Confirmed::Superseded => Err(ApiError::Unavailable),
        }
    }

    async fn probe(&self, bytes: Bytes) -> Result<Result<Upload, Rejection>, ApiError> {
        let limits = self.settings.photo_limits;
        let probed = tokio::task::spawn_blocking(move || {
            let header = load::probe(&bytes, &limits)?;
            Ok(Upload { bytes, header })
        });
        Ok(probed.await?)
    }

    /// Writes the photo without its metadata.
    async fn store_original(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        intake: i64,
        upload: Upload,
    ) -> Result<Result<StoredPhoto, Rejection>, ApiError> {
        let Upload { bytes, header } = upload;
        let format = format_of(header.format);
        let key = ObjectKey::Original {
            user_id,
            photo_id,
            intake: Some(intake),
            format,
        };
        let _permit = self
            .stripping
            .0
            .acquire()
            .await
            .map_err(|_| ApiError::Internal)?;
        let mut original = self.parts.files.begin_put(&key).await?;
        let (sender, pieces) = mpsc::channel(1);
        let limits = self.settings.photo_limits;
        let stripped = tokio::task::spawn_blocking(move || strip(&bytes, &limits, &sender));
        let (stripped, written) = tokio::join!(stripped, write_all(&mut *original, pieces));
        written?;
        let sha256 = match stripped? {
            Ok(sha256) => sha256,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let size_bytes = original.size_bytes();
        original.finish().await?;
        Ok(Ok(StoredPhoto {
            format,
            width_px: header.width,
            height_px: header.height,
            size_bytes,
            sha256,
            intake: Some(intake),
            thumbnail_bytes: None,
            decode_bytes: Some(header.decode_bytes),
        }))
    }

    /// Deletes an invalid upload; the client may upload another one. Returns the error for the client.
    async fn reject_upload(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        rejection: Rejection,
    ) -> Result<ApiError, ApiError> {
        let key = ObjectKey::Incoming { user_id, photo_id };
        self.parts.files.delete(&key).await?;
        self.parts
            .photos
            .record_upload_failure(user_id, photo_id)
            .await?;
        tracing::info!(%photo_id, code = rejection.code().as_str(), "upload rejected");
        Ok(ApiError::Photo(rejection))
    }

    /// Stores a thumbnail and returns its size in bytes. `None` when the photo cannot be decoded, or when no decoder
    /// was free in time.
    async fn make_thumbnail(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        stored: &StoredPhoto,
    ) -> Result<Option<u64>, ApiError> {
        let (files, limits) = (Arc::clone(&self.parts.files), self.settings.photo_limits);
        let original = ObjectKey::of_original(user_id, photo_id, stored);
        let Some(intake) = stored.intake else {
            return Ok(None);
        };
        let key = ObjectKey::PhotoThumbnail {
            user_id,
            photo_id,
            intake,
        };
        let work = async move { write_thumbnail(&*files, limits, &original, &key).await };
        let bytes = stored.memory_bytes();
        let written = self.decoding.decode_for_thumbnail(user_id, bytes, work);
        Ok(written.await?.transpose()?.flatten())
    }
}

/// Strips the metadata of a photo and sends the rest in chunks, so that memory holds no second copy. Blocks the thread.
/// Returns the SHA-256 of the sent bytes.
fn strip(photo: &[u8], limits: &Limits, pieces: &mpsc::Sender<Bytes>) -> Result<String, Rejection> {
    let mut hash = Sha256::new();
    let mut buffer = Vec::with_capacity(PIECE_BYTES);
    // Sending fails after an error of the writer, which returns that error itself.
    let send = |buffer: &mut Vec<u8>| {
        let full = std::mem::replace(buffer, Vec::with_capacity(PIECE_BYTES));
        let _ = pieces.blocking_send(full.into());
    };
    load::strip_metadata(photo, limits, &mut |kept| {
        hash.update(kept);
        for part in kept.chunks(PIECE_BYTES) {
            if buffer.len() + part.len() > PIECE_BYTES {
                send(&mut buffer);
            }
            buffer.extend_from_slice(part);
        }
    })?;
    send(&mut buffer);
    Ok(hex(&hash.finalize()))
}

async fn write_all(
    upload: &mut dyn ObjectUpload,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<(), StorageError> {
    while let Some(piece) = pieces.recv().await {
        upload.write(piece).await?;
    }
    Ok(())
}

async fn write_thumbnail(
    files: &dyn ObjectStore,
    limits: Limits,
    original: &ObjectKey,
    key: &ObjectKey,
) -> Result<Option<u64>, ApiError> {
    let Some(bytes) = files.get(original).await? else {
        return Ok(None);
    };
    let made = tokio::task::spawn_blocking(move || {
        let photo = load::load_photo(&bytes, &limits).ok()?;
        drop(bytes);
        Some(thumbnail::of_photo(&photo))
    });
    match made.await? {
        None => Ok(None),
        Some(Ok(thumbnail)) => {
            let size_bytes = thumbnail.len() as u64;
            files.put(key, thumbnail.into()).await?;
            Ok(Some(size_bytes))
        }
        Some(Err(error)) => {
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
