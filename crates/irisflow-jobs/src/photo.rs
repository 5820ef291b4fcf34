//! The record of an uploaded photo. Its pixels are in object storage.

use crate::clock::Timestamp;
use crate::id::{PhotoId, UserId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    pub id: PhotoId,
    pub user_id: UserId,
    /// The type the uploader announced; what the bytes are is in `stored`.
    pub announced_type: String,
    pub status: UploadStatus,
    /// Present once the upload was read, cleaned of metadata and stored.
    pub stored: Option<StoredPhoto>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A photo whose bytes were checked and taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPhoto {
    pub format: PhotoFormat,
    /// Of the upright photo.
    pub width_px: u32,
    pub height_px: u32,
    pub size_bytes: u64,
    /// SHA-256 of the stored bytes, in lower-case hex.
    pub sha256: String,
    /// The number of the intake under whose keys its objects lie; none of photos that were taken in
    /// before intakes had numbers.
    pub intake: Option<i64>,
    /// Of its thumbnail, when it has one.
    pub thumbnail_bytes: Option<u64>,
    /// Memory that decoding it takes, beside its bytes; unknown of photos that were taken in earlier.
    pub decode_bytes: Option<u64>,
}

impl StoredPhoto {
    /// Memory to read and decode it.
    pub fn memory_bytes(&self) -> u64 {
        let pixels = u64::from(self.width_px) * u64::from(self.height_px);
        self.size_bytes + self.decode_bytes.unwrap_or(pixels * 3)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPhoto {
    pub id: PhotoId,
    pub user_id: UserId,
    pub announced_type: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UploadStatus {
    Pending,
    Uploaded,
    Failed,
    /// It was taken in once; its original is older than originals are kept.
    Expired,
}

impl UploadStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Uploaded => "uploaded",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "pending" => Some(Self::Pending),
            "uploaded" => Some(Self::Uploaded),
            "failed" => Some(Self::Failed),
            "expired" => Some(Self::Expired),
            _ => None,
        }
    }
}

/// The outcome of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// They are counted; the object may become visible.
    Counted,
    /// The photo was taken in before: its original does not change any more.
    TakenInBefore,
    /// Unknown, foreign or deleted.
    Missing,
    /// The user would store more than the quota.
    StorageFull,
}

/// The outcome of a confirmation.
#[derive(Debug, Clone, PartialEq)]
pub enum Confirmed {
    /// It is recorded, by this intake or by an earlier one.
    Photo(Photo),
    /// Unknown, foreign or deleted.
    Missing,
    /// The user would store more than the quota.
    StorageFull,
    /// A later intake of the same photo has begun, or this one exceeded its time limit.
    Superseded,
}

/// Which photos to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoFilter {
    /// Those that were taken in, also those whose original is no longer kept.
    TakenIn,
    /// Also those that were announced only, or could not be used.
    All,
}

/// The formats that are taken in. Found from the bytes, never from a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhotoFormat {
    Jpeg,
    Png,
    WebP,
}

impl PhotoFormat {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "jpg" => Some(Self::Jpeg),
            "png" => Some(Self::Png),
            "webp" => Some(Self::WebP),
            _ => None,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}
