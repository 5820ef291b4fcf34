//! The state of the database itself: checks for readiness, and repairs that every node makes at intervals.

use async_trait::async_trait;

use super::Result;

#[async_trait]
pub trait StoreHealth: Send + Sync + std::fmt::Debug {
    /// Commits a tiny row: for readiness, and for workers that wait for the end of an outage.
    /// [`StoreError::Damaged`](super::StoreError::Damaged) once damage of the file was met, also by other calls.
    async fn check_writable(&self) -> Result<()>;

    /// How many bytes are free where the database is; `u64::MAX` when that is not known.
    async fn free_bytes(&self) -> Result<u64>;

    /// Counts the waiting and running jobs of each user anew, and repairs counters that are wrong: they
    /// would delay jobs. Logs what it repaired, and returns of how many users.
    async fn repair_counters(&self) -> Result<u64>;

    /// Brings stored times back that lie further ahead than any rule puts them, as after the clock was
    /// set back: what waits for them would never be due. Returns how many.
    async fn repair_times(&self) -> Result<u64>;
}
