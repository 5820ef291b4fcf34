//! Carries out one due deletion.

use irisflow_jobs::{SweepTarget, UserId};

use crate::file_store::{FileStore, StorageError};
use crate::key::ObjectKey;

/// The objects that `target` may concern. List first, then ask which epoch is to be kept, then delete:
/// what is listed was written under an epoch no later than the one asked for, so that a result that is
/// being recorded meanwhile can not be among the doomed.
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

/// Deletes the listed objects but those of `keep_epoch`. Returns how many went.
///
/// # Errors
/// When the storage fails; what was deleted by then stays deleted, and the sweep may be repeated.
pub fn delete_swept(
    store: &FileStore,
    listed: &[ObjectKey],
    keep_epoch: Option<i64>,
) -> Result<usize, StorageError> {
    let mut deleted = 0;
    for key in listed {
        if key.epoch().is_none() || key.epoch() != keep_epoch {
            store.delete(key)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::JobId;

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
        assert!(left.iter().all(|key| key.epoch() == Some(2)), "{left:?}");
        assert_eq!(left.len(), 4);
    }
}
