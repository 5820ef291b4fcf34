//! Carries out one due deletion.

use irisflow_jobs::{SweepTarget, UserId};

use crate::object_key::ObjectKey;
use crate::object_store::{ObjectStore, StorageError};

/// The objects that `target` may concern. Order matters: list, then read the epoch or intake to keep, then delete.
/// An object written after the listing is not in it, so an attempt in progress loses nothing.
///
/// # Errors
/// When the storage fails.
pub async fn swept_objects(
    store: &dyn ObjectStore,
    target: SweepTarget,
) -> Result<Vec<ObjectKey>, StorageError> {
    match target {
        SweepTarget::JobLeftovers { user_id, job_id } => {
            store.list(&ObjectKey::prefix_of_job(user_id, job_id)).await
        }
        SweepTarget::Incoming { user_id, photo_id } => {
            Ok(vec![ObjectKey::Incoming { user_id, photo_id }])
        }
        SweepTarget::Intakes { user_id, photo_id } => {
            let mut keys = store
                .list(&ObjectKey::prefix_of_photo(user_id, photo_id))
                .await?;
            keys.retain(|key| key.version().is_some());
            Ok(keys)
        }
        SweepTarget::Photo { user_id, photo_id } => {
            let mut keys = store
                .list(&ObjectKey::prefix_of_photo(user_id, photo_id))
                .await?;
            keys.push(ObjectKey::Incoming { user_id, photo_id });
            Ok(keys)
        }
        SweepTarget::Account { user_id } => {
            let mut keys = Vec::new();
            for prefix in ObjectKey::prefixes_of_user(user_id) {
                keys.extend(store.list(&prefix).await?);
            }
            Ok(keys)
        }
    }
}

/// Deletes everything that is stored of a user. Returns how many objects went.
///
/// # Errors
/// As [`delete_swept`].
pub async fn delete_all_of_user(
    store: &dyn ObjectStore,
    user_id: UserId,
) -> Result<usize, StorageError> {
    let listed = swept_objects(store, SweepTarget::Account { user_id }).await?;
    let deleted = delete_swept(store, &listed, None).await?;
    store.remove_traces_of(user_id).await?;
    Ok(deleted)
}

/// Deletes the listed objects but those of the epoch or intake `keep`. Returns how many went.
///
/// # Errors
/// When the storage fails; what was deleted by then stays deleted, and the sweep may be repeated.
pub async fn delete_swept(
    store: &dyn ObjectStore,
    listed: &[ObjectKey],
    keep: Option<i64>,
) -> Result<usize, StorageError> {
    let mut deleted = 0;
    for key in listed {
        if key.version().is_none() || key.version() != keep {
            store.delete(key).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
