//! At most so many at once, in total and of one key: an address, an account.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what is open at the moment.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit<K: Hash + Eq> {
    total: usize,
    per_key: usize,
    open: Mutex<Open<K>>,
}

#[derive(Debug)]
struct Open<K> {
    total: usize,
    of: HashMap<K, usize>,
}

/// Which of the two limits is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitReached {
    Total,
    Key,
}

/// One of them, counted while this lives.
#[derive(Debug)]
pub(crate) struct Permit<K: Hash + Eq> {
    caps: Arc<ConcurrencyLimit<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> ConcurrencyLimit<K> {
    pub(crate) fn new(total: usize, per_key: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_key,
            open: Mutex::new(Open {
                total: 0,
                of: HashMap::new(),
            }),
        })
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    pub(crate) fn per_key(&self) -> usize {
        self.per_key
    }

    /// Counts one more of this key.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub(crate) fn enter(self: &Arc<Self>, key: K) -> Result<Permit<K>, LimitReached> {
        let mut open = self.lock();
        let of_key = open.of.get(&key).copied().unwrap_or(0);
        if of_key >= self.per_key {
            return Err(LimitReached::Key);
        }
        if open.total >= self.total {
            return Err(LimitReached::Total);
        }
        open.total += 1;
        open.of.insert(key.clone(), of_key + 1);
        drop(open);
        Ok(Permit {
            caps: Arc::clone(self),
            key,
        })
    }
}

impl<K: Hash + Eq> ConcurrencyLimit<K> {
    fn lock(&self) -> MutexGuard<'_, Open<K>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut open = self.caps.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(count) = open.of.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.of.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_its_limit_leaves_room_for_others_until_all_is_full() {
        let caps = ConcurrencyLimit::new(3, 2);
        let _mine = [caps.enter("me"), caps.enter("me")];
        assert_eq!(caps.enter("me").err(), Some(LimitReached::Key));
        let _yours = caps.enter("you").expect("there is room");
        assert_eq!(caps.enter("you").err(), Some(LimitReached::Total));
    }

    #[test]
    fn what_has_ended_is_not_counted_and_not_remembered() {
        let caps = ConcurrencyLimit::new(1, 1);
        drop(caps.enter("me").expect("there is room"));
        assert!(caps.lock().of.is_empty());
        assert!(caps.enter("me").is_ok());
    }
}
