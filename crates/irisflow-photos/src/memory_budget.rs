//! How many bytes of photos the process may hold at once: files that are read, and their decoded
//! pixels. Requests are served first come, first served; one account gets at most half, so that others
//! need not wait for all its photos.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use irisflow_jobs::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are of this size: a semaphore counts in `u32`.
const UNIT_BYTES: u64 = 64 * 1024;

/// The process's budget. Clones share it.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    all: Arc<Semaphore>,
    units: u32,
    account_units: u32,
    accounts: Arc<Mutex<HashMap<UserId, Weak<Semaphore>>>>,
}

/// A right to hold bytes; dropping it gives them back.
#[derive(Debug)]
pub struct Reservation {
    _all: OwnedSemaphorePermit,
    _account: Option<OwnedSemaphorePermit>,
}

/// No turn came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many photos are being read at the moment")]
pub struct Busy;

impl MemoryBudget {
    /// One account may have half of it.
    pub fn new(bytes: u64) -> Self {
        let units = units_of(bytes).clamp(2, Semaphore::MAX_PERMITS as u64 / 2);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Self {
            all: Arc::new(Semaphore::new(units as usize)),
            units,
            account_units: units.div_ceil(2),
            accounts: Arc::default(),
        }
    }

    /// Waits for so many bytes, for as long as it takes. What is larger than the whole budget gets all
    /// of it.
    pub async fn reserve(&self, bytes: u64) -> Reservation {
        Reservation {
            _all: acquire(&self.all, units_up_to(bytes, self.units)).await,
            _account: None,
        }
    }

    /// Waits for so many bytes of the account's share and of all, but no longer than `patience`.
    ///
    /// # Errors
    /// [`Busy`] when the wait was too long.
    pub async fn reserve_for(
        &self,
        user_id: UserId,
        bytes: u64,
        patience: Duration,
    ) -> Result<Reservation, Busy> {
        let account = self.account(user_id);
        let turn = async {
            let account = acquire(&account, units_up_to(bytes, self.account_units)).await;
            Reservation {
                _all: acquire(&self.all, units_up_to(bytes, self.units)).await,
                _account: Some(account),
            }
        };
        tokio::time::timeout(patience, turn).await.map_err(|_| Busy)
    }

    fn account(&self, user_id: UserId) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&user_id).and_then(Weak::upgrade) {
            return account;
        }
        accounts.retain(|_, account| account.strong_count() > 0);
        let account = Arc::new(Semaphore::new(self.account_units as usize));
        accounts.insert(user_id, Arc::downgrade(&account));
        account
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, units: u32) -> OwnedSemaphorePermit {
    match Arc::clone(semaphore).acquire_many_owned(units).await {
        Ok(permit) => permit,
        // These semaphores are never closed.
        Err(_) => std::future::pending().await,
    }
}

fn units_of(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT_BYTES)
}

fn units_up_to(bytes: u64, most: u32) -> u32 {
    u32::try_from(units_of(bytes)).unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn what_does_not_fit_waits_until_something_is_given_back() {
        let budget = MemoryBudget::new(10 * MIB);
        let (one, other) = (UserId::generate(), UserId::generate());
        let held = budget.reserve_for(one, 5 * MIB, SOON).await.expect("room");
        let _more = budget
            .reserve_for(other, 4 * MIB, SOON)
            .await
            .expect("room");
        let third = UserId::generate();
        assert!(budget.reserve_for(third, 2 * MIB, SOON).await.is_err());

        drop(held);

        assert!(budget.reserve_for(third, 2 * MIB, SOON).await.is_ok());
    }

    #[tokio::test]
    async fn one_account_has_no_more_than_half() {
        let budget = MemoryBudget::new(10 * MIB);
        let (flood, other) = (UserId::generate(), UserId::generate());
        let _held = budget
            .reserve_for(flood, 4 * MIB, SOON)
            .await
            .expect("room");
        assert!(budget.reserve_for(flood, 4 * MIB, SOON).await.is_err());
        assert!(budget.reserve_for(other, 4 * MIB, SOON).await.is_ok());
    }

    #[tokio::test]
    async fn a_photo_larger_than_the_budget_has_it_to_itself() {
        let budget = MemoryBudget::new(10 * MIB);
        let user_id = UserId::generate();
        let large = budget
            .reserve_for(user_id, 30 * MIB, SOON)
            .await
            .expect("its turn");
        assert!(
            budget
                .reserve_for(UserId::generate(), 1, SOON)
                .await
                .is_err()
        );
        drop(large);
        drop(budget.reserve(30 * MIB).await);
    }

    #[tokio::test]
    async fn accounts_that_hold_nothing_are_forgotten() {
        let budget = MemoryBudget::new(10 * MIB);
        for _ in 0..100 {
            let user_id = UserId::generate();
            drop(budget.reserve_for(user_id, 1, SOON).await.expect("room"));
        }
        assert!(budget.accounts.lock().expect("the accounts").len() <= 1);
    }
}
