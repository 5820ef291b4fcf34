//! Concurrency limits: a maximum in total and per key (address, account or device).

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A limit with the permits that are in use.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit<K: Hash + Eq> {
    total: usize,
    per_key: usize,
    in_use: Mutex<InUse<K>>,
}

/// Numbers of permits in use.
#[derive(Debug)]
struct InUse<K> {
    total: usize,
    by_key: HashMap<K, usize>,
}

/// Which of the two limits is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitReached {
    Total,
    Key,
}

/// Is in use until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<K: Hash + Eq> {
    limit: Arc<ConcurrencyLimit<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> ConcurrencyLimit<K> {
    pub(crate) fn new(total: usize, per_key: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_key,
            in_use: Mutex::new(InUse {
                total: 0,
                by_key: HashMap::new(),
            }),
        })
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Number of permits in use.
    pub(crate) fn in_use(&self) -> usize {
        self.lock().total
    }

    pub(crate) fn per_key(&self) -> usize {
        self.per_key
    }

    /// Takes a permit for this key, without waiting.
    ///
    /// # Errors
    /// The limit of the key or the total limit is reached.
    pub(crate) fn try_acquire(self: &Arc<Self>, key: K) -> Result<Permit<K>, LimitReached> {
        let mut in_use = self.lock();
        let of_key = in_use.by_key.get(&key).copied().unwrap_or(0);
        if of_key >= self.per_key {
            return Err(LimitReached::Key);
        }
        if in_use.total >= self.total {
            return Err(LimitReached::Total);
        }
        in_use.total += 1;
        in_use.by_key.insert(key.clone(), of_key + 1);
        drop(in_use);
        Ok(Permit {
            limit: Arc::clone(self),
            key,
        })
    }
}

impl<K: Hash + Eq> ConcurrencyLimit<K> {
    fn lock(&self) -> MutexGuard<'_, InUse<K>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut in_use = self.limit.lock();
        in_use.total = in_use.total.saturating_sub(1);
        if let Some(count) = in_use.by_key.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                in_use.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_its_limit_leaves_room_for_others_until_all_is_full() {
        let limit = ConcurrencyLimit::new(3, 2);
        let _mine = [limit.try_acquire("me"), limit.try_acquire("me")];
        assert_eq!(limit.try_acquire("me").err(), Some(LimitReached::Key));
        let _yours = limit.try_acquire("you").expect("there is room");
        assert_eq!(limit.try_acquire("you").err(), Some(LimitReached::Total));
    }

    #[test]
    fn a_dropped_permit_is_not_counted_and_its_key_is_removed() {
        let limit = ConcurrencyLimit::new(1, 1);
        drop(limit.try_acquire("me").expect("there is room"));
        assert!(limit.lock().by_key.is_empty());
        assert!(limit.try_acquire("me").is_ok());
    }
}
