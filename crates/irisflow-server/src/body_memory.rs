//! Memory budget of request bodies that are buffered. Each is small, but there may be thousands of them: beyond a
//! first part that every request may use, all bodies share one budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Budget of all requests together.
const BUDGET_BYTES: usize = 32 * 1024 * 1024;
/// The part of each body that does not count, so that small requests such as a sign-in work when the budget is
/// used up.
const FREE_BYTES: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(crate) struct BodyMemory(Arc<AtomicUsize>);

/// The bytes of one request, which are freed when this is dropped.
#[derive(Debug)]
pub(crate) struct ReservedBytes {
    budget: Arc<AtomicUsize>,
    received: AtomicUsize,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much is being received at the moment")]
pub(crate) struct BudgetExceeded;

impl BodyMemory {
    pub(crate) fn reserve(&self) -> ReservedBytes {
        ReservedBytes {
            budget: Arc::clone(&self.0),
            received: AtomicUsize::new(0),
        }
    }
}

impl ReservedBytes {
    /// Counts received bytes.
    ///
    /// # Errors
    /// The budget of all requests is exceeded. The bytes stay counted until this is dropped.
    pub(crate) fn add(&self, bytes: usize) -> Result<(), BudgetExceeded> {
        let before = self.received.fetch_add(bytes, Ordering::Relaxed);
        let counted = over_free(before + bytes) - over_free(before);
        let in_use = self.budget.fetch_add(counted, Ordering::Relaxed) + counted;
        if counted > 0 && in_use > BUDGET_BYTES {
            return Err(BudgetExceeded);
        }
        Ok(())
    }
}

fn over_free(bytes: usize) -> usize {
    bytes.saturating_sub(FREE_BYTES)
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        let counted = over_free(self.received.load(Ordering::Relaxed));
        self.budget.fetch_sub(counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_a_budget_and_small_ones_always_pass() {
        let budget = BodyMemory::default();
        let large = budget.reserve();
        assert_eq!(large.add(BUDGET_BYTES + FREE_BYTES), Ok(()));
        let second = budget.reserve();
        assert_eq!(second.add(FREE_BYTES), Ok(()));
        assert_eq!(second.add(1), Err(BudgetExceeded));
        drop(large);
        assert_eq!(second.add(1), Ok(()));
        drop(second);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }
}
