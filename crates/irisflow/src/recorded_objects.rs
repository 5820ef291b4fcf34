//! The objects that a database records as stored, and what may be wrong with one of them.

use std::fmt;

use irisflow_photos::{JobObject, ObjectKey, ObjectStore, ObjectStream, ResultKeys, StorageError};
use serde::{Deserialize, Serialize};

use crate::checksum::FileChecksum;
use crate::compose::Snapshot;

pub(crate) struct RecordedObject {
    pub(crate) key: ObjectKey,
    /// In lower-case hex; `None` where the database does not record it.
    pub(crate) sha256: Option<String>,
}

/// A problem of an object in the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ObjectProblem {
    Missing,
    /// Its checksum differs from the recorded one. It is copied unchanged.
    Damaged,
    Unreadable,
}

impl fmt::Display for ObjectProblem {
    /// What follows the name of the object in a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Damaged => "is damaged, and was copied as it is",
            Self::Unreadable => "could not be read",
        })
    }
}

impl RecordedObject {
    pub(crate) fn compare(&self, stored: &FileChecksum) -> Option<ObjectProblem> {
        let recorded = self.sha256.as_ref();
        let differs = recorded.is_some_and(|sha256| *sha256 != stored.sha256);
        differs.then_some(ObjectProblem::Damaged)
    }
}

pub(crate) async fn recorded_objects(snapshot: &Snapshot) -> anyhow::Result<Vec<RecordedObject>> {
    let mut recorded = Vec::new();
    for photo in snapshot.originals().await? {
        if let Some(stored) = photo.stored {
            let thumbnail = ObjectKey::of_thumbnail(photo.user_id, photo.id, &stored);
            recorded.extend(thumbnail.map(|key| RecordedObject { key, sha256: None }));
            recorded.push(RecordedObject {
                key: ObjectKey::of_original(photo.user_id, photo.id, &stored),
                sha256: Some(stored.sha256),
            });
        }
    }
    for of_job in snapshot.results().await? {
        let (user_id, job_id, result) = (of_job.user_id, of_job.job_id, &of_job.result);
        let keys = ResultKeys::new(user_id, job_id, result);
        let previews = of_job
            .previews
            .into_iter()
            .map(|kind| ObjectKey::of_job(user_id, job_id, result.epoch, JobObject::Preview(kind)));
        let keys = keys.all().chain(previews);
        recorded.extend(keys.map(|key| RecordedObject { key, sha256: None }));
    }
    Ok(recorded)
}

/// `None` when it does not exist.
pub(crate) async fn open_object(
    objects: &dyn ObjectStore,
    key: &ObjectKey,
) -> Result<Option<ObjectStream>, StorageError> {
    match objects.size_of(key).await? {
        Some(size_bytes) => objects.read(key, 0..size_bytes).await,
        None => Ok(None),
    }
}
