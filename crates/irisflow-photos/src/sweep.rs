//! Carries out one due deletion.

use irisflow_jobs::{SweepTarget, UserId};

use crate::file_store::{FileStore, StorageError};
use crate::object_key::ObjectKey;

/// The objects that `target` may concern. List first, then ask which epoch or intake is to be kept, then
/// delete: what is listed was written under one no later than that asked for, so that what is being
/// recorded meanwhile is never deleted.
///
/// # Errors
/// When the storage fails.
pub fn swept_objects(
    store: &FileStore,
    target: SweepTarget,
) -> Result<Vec<ObjectKey>, StorageError> {
    match target {
        SweepTarget::JobLeftovers { user_id, job_id } => {
            store.list(&ObjectKey::prefix_of_job(user_id, job_id))
        }
        SweepTarget::Incoming { user_id, photo_id } => {
            Ok(vec![ObjectKey::Incoming { user_id, photo_id }])
        }
        SweepTarget::Intakes { user_id, photo_id } => {
            let mut keys = store.list(&ObjectKey::prefix_of_photo(user_id, photo_id))?;
            keys.retain(|key| key.version().is_some());
            Ok(keys)
        }
        SweepTarget::Photo { user_id, photo_id } => {
            let mut keys = store.list(&ObjectKey::prefix_of_photo(user_id, photo_id))?;
            keys.push(ObjectKey::Incoming { user_id, photo_id });
            Ok(keys)
        }
        SweepTarget::Account { user_id } => {
            let mut keys = Vec::new();
            for prefix in ObjectKey::prefixes_of_user(user_id) {
                keys.extend(store.list(&prefix)?);
            }
            Ok(keys)
        }
    }
}

/// Deletes everything that is stored of a user. Returns how many objects went.
///
/// # Errors
/// As [`delete_swept`].
pub fn delete_all_of_user(store: &FileStore, user_id: UserId) -> Result<usize, StorageError> {
    let listed = swept_objects(store, SweepTarget::Account { user_id })?;
    let deleted = delete_swept(store, &listed, None)?;
    store.remove_empty_folders_of(user_id)?;
    Ok(deleted)
}

/// Deletes the listed objects but those of the epoch or intake `keep`. Returns how many went.
///
/// # Errors
/// When the storage fails; what was deleted by then stays deleted, and the sweep may be repeated.
pub fn delete_swept(
    store: &FileStore,
    listed: &[ObjectKey],
    keep: Option<i64>,
) -> Result<usize, StorageError> {
    let mut deleted = 0;
    for key in listed {
        if key.version().is_none() || key.version() != keep {
            store.delete(key)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::{JobId, PhotoFormat, PhotoId};

    use super::*;

    #[test]
    fn a_result_that_is_written_after_the_listing_stays() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let store = FileStore::open(folder.path()).expect("the store opens");
        let (user_id, job_id) = (UserId::generate(), JobId::generate());
        let old = ObjectKey::Result {
            user_id,
            job_id,
            epoch: 1,
        };
        let new = ObjectKey::Result {
            user_id,
            job_id,
            epoch: 2,
        };
        store.put(&old, b"x").expect("put");

        let listed = swept_objects(&store, SweepTarget::JobLeftovers { user_id, job_id });
        store.put(&new, b"x").expect("put");
        delete_swept(&store, &listed.expect("listed"), None).expect("deleted");

        assert_eq!(store.get(&old).expect("get"), None);
        assert!(store.get(&new).expect("get").is_some());
    }

    #[test]
    fn what_intakes_left_goes_and_the_recorded_one_stays() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let store = FileStore::open(folder.path()).expect("the store opens");
        let (user_id, photo_id) = (UserId::generate(), PhotoId::generate());
        let original = |intake| ObjectKey::Original {
            user_id,
            photo_id,
            intake,
            format: PhotoFormat::Jpeg,
        };
        for intake in [None, Some(1), Some(2), Some(3)] {
            store.put(&original(intake), b"x").expect("put");
        }
        let thumbnail = |intake| ObjectKey::PhotoThumbnail {
            user_id,
            photo_id,
            intake,
        };
        for intake in [1, 2] {
            store.put(&thumbnail(intake), b"x").expect("put");
        }

        let target = SweepTarget::Intakes { user_id, photo_id };
        let listed = swept_objects(&store, target).expect("listed");
        delete_swept(&store, &listed, Some(2)).expect("deleted");

        let mut left = store
            .list(&ObjectKey::prefix_of_photo(user_id, photo_id))
            .expect("list");
        left.sort_by_key(ToString::to_string);
        assert_eq!(left, [original(Some(2)), thumbnail(2), original(None)]);
    }

    #[test]
    fn leftovers_of_other_epochs_go_and_the_recorded_result_stays() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let store = FileStore::open(folder.path()).expect("the store opens");
        let (user_id, job_id) = (UserId::generate(), JobId::generate());
        for epoch in 1..=3 {
            for key in ObjectKey::of_attempt(user_id, job_id, epoch) {
                store.put(&key, b"x").expect("put");
            }
        }

        let target = SweepTarget::JobLeftovers { user_id, job_id };
        let listed = swept_objects(&store, target).expect("listed");
        assert_eq!(delete_swept(&store, &listed, Some(2)).expect("deleted"), 8);

        let left = store
            .list(&ObjectKey::prefix_of_job(user_id, job_id))
            .expect("list");
        assert!(left.iter().all(|key| key.version() == Some(2)), "{left:?}");
        assert_eq!(left.len(), 4);
    }
}
