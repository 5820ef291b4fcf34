//! Photos: announced, uploaded, taken in, read, deleted.

use async_trait::async_trait;

use super::{Page, PageRequest, Result};
use crate::id::{PhotoId, UserId};
use crate::photo::{Confirmed, NewPhoto, Photo, PhotoFilter, Received, StoredPhoto};

#[async_trait]
pub trait PhotoStore: Send + Sync + std::fmt::Debug {
    /// Records that an upload is expected, and a sweep of what may be left of it: a photo that is not
    /// confirmed by then goes with it. `None` when the user has `unconfirmed_limit` such photos.
    async fn add_photo(&self, photo: NewPhoto, unconfirmed_limit: u64) -> Result<Option<Photo>>;

    /// Counts an upload that is complete, if all that the user stores stays within `quota_bytes`.
    /// Comes before the upload becomes visible.
    async fn receive_photo(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        size_bytes: u64,
        quota_bytes: u64,
    ) -> Result<Received>;

    /// Gives a number to an intake that is about to write its objects, and leaves a sweep for them.
    /// `None` when the photo was taken in before, or is unknown, foreign or deleted.
    async fn begin_intake(&self, user_id: UserId, photo_id: PhotoId) -> Result<Option<i64>>;

    /// Gives up the intakes of a photo that are in progress, and returns the recorded one: its
    /// objects are to be kept.
    async fn end_intakes(&self, photo_id: PhotoId) -> Result<Option<i64>>;

    /// Records what the newest intake wrote, if all that the user stores stays within `quota_bytes`.
    /// Gives the photo unchanged when it was taken in before.
    async fn confirm_photo(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        stored: StoredPhoto,
        quota_bytes: u64,
    ) -> Result<Confirmed>;

    /// Records that the upload cannot be used and is gone. A later upload to the same photo still may
    /// be.
    async fn record_upload_failure(&self, user_id: UserId, photo_id: PhotoId) -> Result<()>;

    async fn photo(&self, user_id: UserId, photo_id: PhotoId) -> Result<Option<Photo>>;

    /// Those of these photos that are the user's, in no order.
    async fn photos_by_id(&self, user_id: UserId, ids: &[PhotoId]) -> Result<Vec<Photo>>;

    /// Newest first.
    async fn photos(
        &self,
        user_id: UserId,
        filter: PhotoFilter,
        page: PageRequest,
    ) -> Result<Page<Photo>>;

    /// Deletes the photo and its jobs, fences their workers off, and leaves sweeps for everything
    /// made from it: at once, and again when leases and upload URLs have run out. `false` when there
    /// is none.
    async fn delete_photo(&self, user_id: UserId, photo_id: PhotoId) -> Result<bool>;
}
