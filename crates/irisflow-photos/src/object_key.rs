//! The layout of the bucket, in one place. Keys hold ids and numbers only, never a name that a user
//! chose.

use std::fmt;

use irisflow_jobs::{
    JobId, JobResult, Outline, PhotoFormat, PhotoId, PictureFormat, PreviewKind, StoredPhoto,
    UserId,
};

/// The name of one stored object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// Untrusted bytes as they were uploaded.
    Incoming { user_id: UserId, photo_id: PhotoId },
    /// A photo that was checked and rid of metadata.
    Original {
        user_id: UserId,
        photo_id: PhotoId,
        /// None of photos that were taken in before intakes had numbers.
        intake: Option<i64>,
        format: PhotoFormat,
    },
    /// The same, small and upright.
    PhotoThumbnail {
        user_id: UserId,
        photo_id: PhotoId,
        intake: i64,
    },
    /// What an attempt at a job wrote.
    OfJob {
        user_id: UserId,
        job_id: JobId,
        epoch: i64,
        object: JobObject,
    },
}

/// One of the objects that an attempt at a job writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobObject {
    /// The finished picture.
    Result,
    /// The same on a transparent background.
    ResultPng,
    /// Which of its pixels were measured and which filled in.
    Mask,
    /// The untouched photo in the result's geometry.
    Before,
    /// The finished picture, small.
    Thumbnail,
    /// The picture with the other outline.
    Alternative,
    AlternativePng,
    AlternativeMask,
    /// A small picture of the work in progress.
    Preview(PreviewKind),
}

impl JobObject {
    pub const ALL: [Self; 11] = [
        Self::Result,
        Self::ResultPng,
        Self::Mask,
        Self::Before,
        Self::Thumbnail,
        Self::Alternative,
        Self::AlternativePng,
        Self::AlternativeMask,
        Self::Preview(PreviewKind::Outline),
        Self::Preview(PreviewKind::Light),
        Self::Preview(PreviewKind::Result),
    ];

    pub fn result(format: PictureFormat) -> Self {
        match format {
            PictureFormat::Jpeg => Self::Result,
            PictureFormat::Png => Self::ResultPng,
        }
    }

    pub fn alternative(format: PictureFormat) -> Self {
        match format {
            PictureFormat::Jpeg => Self::Alternative,
            PictureFormat::Png => Self::AlternativePng,
        }
    }

    /// What follows the epoch in the name of the object.
    fn suffix(self) -> &'static str {
        match self {
            Self::Result => ".jpg",
            Self::ResultPng => ".png",
            Self::Mask => "_mask.png",
            Self::Before => "_before.jpg",
            Self::Thumbnail => "_thumbnail.jpg",
            Self::Alternative => "_alternative.jpg",
            Self::AlternativePng => "_alternative.png",
            Self::AlternativeMask => "_alternative_mask.png",
            Self::Preview(PreviewKind::Outline) => "_preview_outline.jpg",
            Self::Preview(PreviewKind::Light) => "_preview_light.jpg",
            Self::Preview(PreviewKind::Result) => "_preview_result.jpg",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::ResultPng | Self::Mask | Self::AlternativePng | Self::AlternativeMask => {
                "image/png"
            }
            Self::Result
            | Self::Before
            | Self::Thumbnail
            | Self::Alternative
            | Self::Preview(_) => "image/jpeg",
        }
    }
}

/// Where the pictures of a finished job lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultKeys {
    pub result: ObjectKey,
    pub mask: ObjectKey,
    pub before: ObjectKey,
    pub thumbnail: Option<ObjectKey>,
    pub alternative: Option<AlternativeKeys>,
}

/// Where the picture with the other outline lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlternativeKeys {
    pub outline: Outline,
    pub result: ObjectKey,
    pub mask: ObjectKey,
}

impl ResultKeys {
    pub fn new(user_id: UserId, job_id: JobId, result: &JobResult) -> Self {
        let key = |object| ObjectKey::of_job(user_id, job_id, result.epoch, object);
        Self {
            result: key(JobObject::result(result.format)),
            mask: key(JobObject::Mask),
            before: key(JobObject::Before),
            thumbnail: result.has_thumbnail.then(|| key(JobObject::Thumbnail)),
            alternative: result.alternative.map(|outline| AlternativeKeys {
                outline,
                result: key(JobObject::alternative(result.format)),
                mask: key(JobObject::AlternativeMask),
            }),
        }
    }

    pub fn all(self) -> impl Iterator<Item = ObjectKey> {
        [self.result, self.mask, self.before]
            .into_iter()
            .chain(self.thumbnail)
            .chain(
                self.alternative
                    .into_iter()
                    .flat_map(|other| [other.result, other.mask]),
            )
    }
}

impl ObjectKey {
    /// Where the original of a photo lies.
    pub fn of_original(user_id: UserId, photo_id: PhotoId, stored: &StoredPhoto) -> Self {
        Self::Original {
            user_id,
            photo_id,
            intake: stored.intake,
            format: stored.format,
        }
    }

    /// Where the thumbnail of a photo lies, if it has one.
    pub fn of_thumbnail(user_id: UserId, photo_id: PhotoId, stored: &StoredPhoto) -> Option<Self> {
        let (intake, _) = stored.intake.zip(stored.thumbnail_bytes)?;
        Some(Self::PhotoThumbnail {
            user_id,
            photo_id,
            intake,
        })
    }

    /// Everything that an attempt at a job may write.
    pub fn of_attempt(user_id: UserId, job_id: JobId, epoch: i64) -> [Self; JobObject::ALL.len()] {
        JobObject::ALL.map(|object| Self::of_job(user_id, job_id, epoch, object))
    }

    pub fn of_job(user_id: UserId, job_id: JobId, epoch: i64, object: JobObject) -> Self {
        Self::OfJob {
            user_id,
            job_id,
            epoch,
            object,
        }
    }

    /// The start of the keys of all epochs of a job.
    pub fn prefix_of_job(user_id: UserId, job_id: JobId) -> String {
        format!("processed/{user_id}/{job_id}.")
    }

    /// The start of the keys of what was taken in for a photo.
    pub fn prefix_of_photo(user_id: UserId, photo_id: PhotoId) -> String {
        format!("iris/{user_id}/{photo_id}.")
    }

    /// The starts of all keys.
    pub const AREAS: [&str; 3] = ["incoming/", "iris/", "processed/"];

    /// The starts of all keys of a user, one an area.
    pub fn prefixes_of_user(user_id: UserId) -> [String; 3] {
        Self::AREAS.map(|area| format!("{area}{user_id}/"))
    }

    /// The key of which this is the name. `None` for anything this program does not write.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('/');
        let (area, user, file) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let user_id: UserId = user.parse().ok()?;
        let key = match area {
            "incoming" => Self::Incoming {
                user_id,
                photo_id: file.parse().ok()?,
            },
            "iris" => {
                let (photo, rest) = file.split_once('.')?;
                Self::parse_taken_in(user_id, photo.parse().ok()?, rest)?
            }
            "processed" => {
                let (job, rest) = file.split_once('.')?;
                let job_id: JobId = job.parse().ok()?;
                let (epoch, suffix) = rest.split_at(rest.find(['.', '_'])?);
                let epoch: i64 = epoch.parse().ok()?;
                let mut objects = JobObject::ALL.into_iter();
                let object = objects.find(|object| object.suffix() == suffix)?;
                Self::of_job(user_id, job_id, epoch, object)
            }
            _ => return None,
        };
        // Only the spelling that is written: no `+1`, no upper-case ids, no leading zeros.
        (key.to_string() == name).then_some(key)
    }

    /// `rest` is what follows the photo's id in the name of an original or thumbnail.
    fn parse_taken_in(user_id: UserId, photo_id: PhotoId, rest: &str) -> Option<Self> {
        if let Some(intake) = rest.strip_suffix("_thumbnail.jpg") {
            return Some(Self::PhotoThumbnail {
                user_id,
                photo_id,
                intake: intake.parse().ok()?,
            });
        }
        let (intake, extension) = match rest.split_once('.') {
            Some((intake, extension)) => (Some(intake.parse().ok()?), extension),
            None => (None, rest),
        };
        Some(Self::Original {
            user_id,
            photo_id,
            intake,
            format: PhotoFormat::from_extension(extension)?,
        })
    }

    /// The epoch of the attempt or the number of the intake that wrote it.
    pub fn version(&self) -> Option<i64> {
        match *self {
            Self::Incoming { .. } => None,
            Self::Original { intake, .. } => intake,
            Self::PhotoThumbnail { intake, .. } => Some(intake),
            Self::OfJob { epoch, .. } => Some(epoch),
        }
    }

    /// The type under which it may be served. `None`: not served at all.
    pub fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::Incoming { .. } => None,
            Self::Original { format, .. } => Some(format.content_type()),
            Self::PhotoThumbnail { .. } => Some("image/jpeg"),
            Self::OfJob { object, .. } => Some(object.content_type()),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incoming { user_id, photo_id } => write!(f, "incoming/{user_id}/{photo_id}"),
            Self::Original {
                user_id,
                photo_id,
                intake,
                format,
            } => {
                write!(f, "iris/{user_id}/{photo_id}.")?;
                if let Some(intake) = intake {
                    write!(f, "{intake}.")?;
                }
                f.write_str(format.extension())
            }
            Self::PhotoThumbnail {
                user_id,
                photo_id,
                intake,
            } => {
                write!(f, "iris/{user_id}/{photo_id}.{intake}_thumbnail.jpg")
            }
            Self::OfJob {
                user_id,
                job_id,
                epoch,
                object,
            } => {
                write!(f, "processed/{user_id}/{job_id}.{epoch}{}", object.suffix())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_again_from_its_name() {
        let (user_id, photo_id, job_id) =
            (UserId::generate(), PhotoId::generate(), JobId::generate());
        let keys = [
            ObjectKey::Incoming { user_id, photo_id },
            ObjectKey::Original {
                user_id,
                photo_id,
                intake: None,
                format: PhotoFormat::WebP,
            },
            ObjectKey::Original {
                user_id,
                photo_id,
                intake: Some(2),
                format: PhotoFormat::Jpeg,
            },
            ObjectKey::PhotoThumbnail {
                user_id,
                photo_id,
                intake: 2,
            },
        ];
        let of_job = ObjectKey::of_attempt(user_id, job_id, 12);
        for key in keys.into_iter().chain(of_job) {
            assert_eq!(ObjectKey::parse(&key.to_string()), Some(key));
        }
    }

    #[test]
    fn a_name_that_leaves_the_bucket_is_no_key() {
        let user = UserId::generate();
        for name in [
            "../secrets.json".to_owned(),
            format!("iris/{user}/../../x.jpg"),
            format!("iris/{user}/"),
            format!("processed/{user}/{}.+1.jpg", JobId::generate()),
            format!("/iris/{user}/{}.jpg", PhotoId::generate()),
            format!("iris/{user}/{}.02.jpg", PhotoId::generate()),
            format!("iris/{user}/{}.1.2.jpg", PhotoId::generate()),
            format!("iris/{user}/{}.thumbnail.jpg", PhotoId::generate()),
            format!("processed/{user}/{}.1_preview_.jpg", JobId::generate()),
        ] {
            assert_eq!(ObjectKey::parse(&name), None, "{name}");
        }
    }
}
