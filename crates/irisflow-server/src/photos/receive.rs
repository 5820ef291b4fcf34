//! Streams an upload to a staging file, within the size limit of photos and the quota of the account. The file becomes
//! visible when it is complete and its photo still expects an upload.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use irisflow_jobs::{PhotoId, Received, UserId};
use irisflow_messages::text;
use irisflow_photos::{ObjectKey, ObjectUpload};
use tracing::Instrument as _;

use crate::app::{App, AppState};
use crate::error::{ApiError, Missing};

/// Bytes received by uploads in progress, by account.
#[derive(Debug, Default)]
pub(crate) struct UploadsInProgress(Mutex<HashMap<UserId, u64>>);

/// Bytes of one upload, which are subtracted again when it is dropped.
struct UploadInProgress<'a> {
    uploads: &'a UploadsInProgress,
    user_id: UserId,
    bytes: u64,
}

impl UploadsInProgress {
    fn begin(&self, user_id: UserId) -> UploadInProgress<'_> {
        UploadInProgress {
            uploads: self,
            user_id,
            bytes: 0,
        }
    }
}

impl UploadInProgress<'_> {
    /// Counts received bytes; returns the total of all uploads in progress of the account.
    fn add(&mut self, bytes: u64) -> u64 {
        self.bytes += bytes;
        let mut uploads = self
            .uploads
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let in_progress = uploads.entry(self.user_id).or_default();
        *in_progress += bytes;
        *in_progress
    }
}

impl Drop for UploadInProgress<'_> {
    fn drop(&mut self) {
        let mut uploads = self
            .uploads
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut in_progress) = uploads.entry(self.user_id) {
            *in_progress.get_mut() = in_progress.get().saturating_sub(self.bytes);
            if *in_progress.get() == 0 {
                in_progress.remove();
            }
        }
    }
}

/// Time limit of [`discard`].
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the rest of a rejected body, up to a limit: a connection that is closed while its client still sends is reset,
/// and the client may never see the answer.
async fn discard<E>(
    mut pieces: impl Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    limit_bytes: u64,
) {
    let rest = async {
        let mut left = limit_bytes;
        while let Some(Ok(piece)) = pieces.next().await {
            match left.checked_sub(piece.len() as u64) {
                Some(still_left) => left = still_left,
                None => return,
            }
        }
    };
    // The answer is sent either way.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, rest).await;
}

impl AppState {
    /// Receives an upload.
    ///
    /// # Errors
    /// The upload exceeds the size limit or the quota, or ends early; its bytes are discarded.
    pub(crate) async fn receive<E: std::fmt::Display>(
        self: &App,
        user_id: UserId,
        photo_id: PhotoId,
        mut pieces: impl Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    ) -> Result<(), ApiError> {
        let limit_bytes = self.settings.photo_limits.max_bytes as u64;
        let quota_bytes = self.settings.usage_limits.stored_bytes;
        let stored_bytes = self.parts.statistics.usage(user_id).await?.stored_bytes();
        let mut in_progress = self.uploads.begin(user_id);
        let key = ObjectKey::Incoming { user_id, photo_id };
        let mut upload = self.parts.files.begin_put(&key).await?;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| ApiError::Invalid {
                loc: vec!["body".to_owned()],
                text: text!("invalid-upload-broke-off", reason = error.to_string()),
                kind: "body_incomplete",
            })?;
            let length = piece.len() as u64;
            let rejection = if upload.size_bytes() + length > limit_bytes {
                Some(ApiError::BodyTooLarge { limit_bytes })
            } else if stored_bytes.saturating_add(in_progress.add(length)) > quota_bytes {
                Some(self.storage_full())
            } else {
                None
            };
            if let Some(rejection) = rejection {
                drop((upload, in_progress));
                discard(pieces, limit_bytes).await;
                return Err(rejection);
            }
            upload.write(piece).await?;
        }
        upload.flush().await?;
        // A task of its own, which runs to its end when the client disconnects: otherwise the row could count bytes
        // that are not stored.
        let app = Arc::clone(self);
        let committed = async move { app.commit_upload(user_id, photo_id, upload).await };
        tokio::spawn(committed.in_current_span()).await?
    }

    /// Counts a complete upload in the row of its photo, then makes the file visible. Discards it when the photo was
    /// deleted or confirmed in the meantime.
    async fn commit_upload(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        upload: Box<dyn ObjectUpload>,
    ) -> Result<(), ApiError> {
        let _lock = self.photo_locks.lock(photo_id).await;
        let (photos, quota_bytes) = (&self.parts.photos, self.settings.usage_limits.stored_bytes);
        let received = photos.receive_photo(user_id, photo_id, upload.size_bytes(), quota_bytes);
        match received.await? {
            Received::Counted => Ok(upload.finish().await?),
            Received::TakenInBefore => Err(ApiError::TakenInBefore),
            Received::Missing => Err(ApiError::NotFound(Missing::Photo)),
            Received::StorageFull => Err(self.storage_full()),
        }
    }
}
