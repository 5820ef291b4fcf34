//! Reading and decoding photos off the async threads, within the process's memory budget and a few
//! decoders at a time: each takes a core from the machine that also works on jobs.

use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::UserId;
use irisflow_photos::{MemoryBudget, Reservation};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::ApiError;

/// What requests may take of the machine for photos.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Photos that are decoded at once, for checks and thumbnails.
    pub decoders: usize,
    /// How long a request waits for its turn before the server says that it is busy.
    pub max_wait: Duration,
    /// How long an upload waits for the turn of its thumbnail; then it has none.
    pub thumbnail_max_wait: Duration,
    /// How long a check's answer is waited for. The check itself goes on to its end and keeps its turn.
    pub deadline: Duration,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            decoders: 2,
            max_wait: Duration::from_secs(20),
            thumbnail_max_wait: Duration::from_secs(10),
            deadline: Duration::from_secs(20),
        }
    }
}

/// When a busy server is worth another try.
const RETRY_AFTER_S: u64 = 5;

#[derive(Debug)]
pub(crate) struct PhotoDecoding {
    memory: MemoryBudget,
    decoders: Arc<Semaphore>,
    limits: DecodeLimits,
}

impl PhotoDecoding {
    pub(crate) fn new(memory: MemoryBudget, limits: DecodeLimits) -> Self {
        Self {
            memory,
            decoders: Arc::new(Semaphore::new(limits.decoders.max(1))),
            limits,
        }
    }

    /// A right to hold so many bytes, for a file that is read.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when no turn came.
    pub(crate) async fn reserve(
        &self,
        user_id: UserId,
        bytes: u64,
    ) -> Result<Reservation, ApiError> {
        let reserved = self
            .memory
            .reserve_for(user_id, bytes, self.limits.max_wait)
            .await;
        reserved.map_err(|_| busy())
    }

    /// Decodes a photo that takes so many bytes, for somebody who waits for the answer.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when no turn came, [`ApiError::TookTooLong`] when no answer did.
    pub(crate) async fn decode<T: Send + 'static>(
        &self,
        user_id: UserId,
        bytes: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let done = self.start(user_id, bytes, self.limits.max_wait, work).await;
        match timeout(self.limits.deadline, done?).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(ApiError::TookTooLong),
        }
    }

    /// Decodes a photo for its thumbnail. `None` when no turn came soon.
    pub(crate) async fn decode_for_thumbnail<T: Send + 'static>(
        &self,
        user_id: UserId,
        bytes: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, ApiError> {
        let max_wait = self.limits.thumbnail_max_wait;
        match self.start(user_id, bytes, max_wait, work).await {
            Ok(done) => Ok(Some(done.await?)),
            Err(_) => Ok(None),
        }
    }

    async fn start<T: Send + 'static>(
        &self,
        user_id: UserId,
        bytes: u64,
        max_wait: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<tokio::task::JoinHandle<T>, ApiError> {
        let decoders = Arc::clone(&self.decoders);
        let turn = async {
            let reserved = self.memory.reserve_for(user_id, bytes, max_wait).await;
            Some((reserved.ok()?, decoders.acquire_owned().await.ok()?))
        };
        let turn = timeout(max_wait, turn).await.ok().flatten();
        let turn = turn.ok_or_else(busy)?;
        Ok(tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        }))
    }
}

fn busy() -> ApiError {
    ApiError::Busy {
        what: "photos are being read",
        retry_after_s: RETRY_AFTER_S,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_at_a_time() -> PhotoDecoding {
        let limits = DecodeLimits {
            decoders: 1,
            max_wait: Duration::ZERO,
            thumbnail_max_wait: Duration::ZERO,
            deadline: Duration::ZERO,
        };
        PhotoDecoding::new(MemoryBudget::new(1 << 20), limits)
    }

    #[tokio::test]
    async fn a_check_without_a_turn_is_told_that_we_are_busy() {
        let reading = one_at_a_time();
        let _taken = Arc::clone(&reading.decoders).acquire_owned().await;
        let answer = reading.decode(UserId::generate(), 1, || ()).await;
        assert!(matches!(answer, Err(ApiError::Busy { .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn a_photo_for_which_there_is_no_memory_is_told_that_we_are_busy() {
        let reading = one_at_a_time();
        let _taken = reading.memory.reserve(1 << 20).await;
        let answer = reading.reserve(UserId::generate(), 1).await;
        assert!(matches!(answer, Err(ApiError::Busy { .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn a_check_that_takes_too_long_is_given_up_but_keeps_its_turn_to_its_end() {
        let reading = one_at_a_time();
        let (end, until_ended) = std::sync::mpsc::channel::<()>();
        let work = move || until_ended.recv();
        let answer = reading.decode(UserId::generate(), 1, work).await;
        assert!(matches!(answer, Err(ApiError::TookTooLong)), "{answer:?}");
        assert_eq!(reading.decoders.available_permits(), 0);
        drop(end);
        let turn = Arc::clone(&reading.decoders).acquire_owned().await;
        assert!(turn.is_ok());
    }
}
