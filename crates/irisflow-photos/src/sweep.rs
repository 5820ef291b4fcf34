//! Carries out one due deletion.

use irisflow_jobs::SweepTarget;

use crate::file_store::{FileStore, StorageError};
use crate::key::ObjectKey;

/// Deletes what `target` names. Of a job's objects, those of `keep_epoch` stay. Returns how many went.
///
/// # Errors
/// When the storage fails; what was deleted by then stays deleted, and the sweep may be repeated.
pub fn sweep_objects(
    store: &FileStore,
    target: SweepTarget,
    keep_epoch: Option<i64>,
) -> Result<usize, StorageError> {
    let doomed: Vec<ObjectKey> = match target {
        SweepTarget::JobLeftovers { user_id, job_id } => store
            .list(&ObjectKey::prefix_of_job(user_id, job_id))?
            .into_iter()
            .filter(|key| key.epoch() != keep_epoch)
            .collect(),
        SweepTarget::Incoming { user_id, photo_id } => {
            vec![ObjectKey::Incoming { user_id, photo_id }]
        }
        SweepTarget::Photo { user_id, photo_id } => {
            let mut keys = store.list(&ObjectKey::prefix_of_photo(user_id, photo_id))?;
            keys.push(ObjectKey::Incoming { user_id, photo_id });
            keys
        }
    };
    for key in &doomed {
        store.delete(key)?;
    }
    Ok(doomed.len())
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::{JobId, UserId};

    use super::*;

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
        assert_eq!(sweep_objects(&store, target, Some(2)).expect("sweep"), 6);

        let left = store
            .list(&ObjectKey::prefix_of_job(user_id, job_id))
            .expect("list");
        assert!(left.iter().all(|key| key.epoch() == Some(2)), "{left:?}");
        assert_eq!(left.len(), 3);
    }
}
