//! One async lock per photo, which serializes the end of its uploads and its intake.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use irisflow_jobs::PhotoId;
use tokio::sync::OwnedMutexGuard;

type Lock = tokio::sync::Mutex<()>;

#[derive(Debug, Default)]
pub(crate) struct PhotoLocks(Mutex<HashMap<PhotoId, Weak<Lock>>>);

impl PhotoLocks {
    /// Waits for the lock of this photo; waiting callers get it in the order of their calls.
    pub(crate) async fn lock(&self, photo_id: PhotoId) -> OwnedMutexGuard<()> {
        self.of(photo_id).lock_owned().await
    }

    fn of(&self, photo_id: PhotoId) -> Arc<Lock> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(&photo_id).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(Lock::default());
        locks.insert(photo_id, Arc::downgrade(&lock));
        lock
    }
}
