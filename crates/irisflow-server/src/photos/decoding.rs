//! Reading and decoding of photos on blocking threads, within the memory budget of the process. The number of
//! concurrent decoders is limited, since each uses a core of the machine that also processes jobs.

use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::UserId;
use irisflow_photos::{MemoryBudget, Reservation};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::{ApiError, BusyWork};

/// Limits of decoding photos for requests.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Photos that are decoded concurrently, for checks and thumbnails.
    pub decoders: usize,
    /// How long a request waits for a decoder and memory before it is rejected as `busy`.
    pub max_wait: Duration,
    /// How long an upload waits for a decoder for its thumbnail; after that it gets no thumbnail.
    pub thumbnail_max_wait: Duration,
    /// Timeout of the response to a check. The check itself runs to its end and keeps its decoder until then.
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

/// `Retry-After` in seconds when no decoder or memory was free.
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

    /// Reserves memory for a file that is read.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when it was not free within `max_wait`.
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

    /// Runs `work`, which decodes a photo and needs `bytes` of memory, for a request that waits for the result.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when no decoder or memory was free within `max_wait`, [`ApiError::TookTooLong`] when the
    /// work did not end within the deadline.
    pub(crate) async fn decode<T: Send + 'static>(
        &self,
        user_id: UserId,
        bytes: u64,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let done = self.start(user_id, bytes, self.limits.max_wait, work).await;
        match timeout(self.limits.deadline, done?).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(ApiError::TookTooLong),
        }
    }

    /// Runs `work`, which decodes a photo for its thumbnail. `None` when no decoder or memory was free in time.
    pub(crate) async fn decode_for_thumbnail<T: Send + 'static>(
        &self,
        user_id: UserId,
        bytes: u64,
        work: impl Future<Output = T> + Send + 'static,
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
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<tokio::task::JoinHandle<T>, ApiError> {
        let decoders = Arc::clone(&self.decoders);
        let permits = async {
            let reserved = self.memory.reserve_for(user_id, bytes, max_wait).await;
            Some((reserved.ok()?, decoders.acquire_owned().await.ok()?))
        };
        let permits = timeout(max_wait, permits).await.ok().flatten();
        let permits = permits.ok_or_else(busy)?;
        Ok(tokio::spawn(async move {
            let _permits = permits;
            work.await
        }))
    }
}

fn busy() -> ApiError {
    ApiError::Busy {
        work: BusyWork::Photos,
        retry_after_s: RETRY_AFTER_S,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single_decoder() -> PhotoDecoding {
        let limits = DecodeLimits {
            decoders: 1,
            max_wait: Duration::ZERO,
            thumbnail_max_wait: Duration::ZERO,
            deadline: Duration::ZERO,
        };
        PhotoDecoding::new(MemoryBudget::new(1 << 20), limits)
    }

    #[tokio::test]
    async fn a_check_without_a_free_decoder_is_rejected_as_busy() {
        let decoding = single_decoder();
        let _taken = Arc::clone(&decoding.decoders).acquire_owned().await;
        let answer = decoding.decode(UserId::generate(), 1, async {}).await;
        assert!(matches!(answer, Err(ApiError::Busy { .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn a_photo_without_free_memory_is_rejected_as_busy() {
        let decoding = single_decoder();
        let _taken = decoding.memory.reserve(1 << 20).await;
        let answer = decoding.reserve(UserId::generate(), 1).await;
        assert!(matches!(answer, Err(ApiError::Busy { .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn a_check_that_times_out_keeps_its_decoder_to_its_end() {
        let decoding = single_decoder();
        let (end, until_ended) = std::sync::mpsc::channel::<()>();
        let work = async { tokio::task::spawn_blocking(move || until_ended.recv()).await };
        let answer = decoding.decode(UserId::generate(), 1, work).await;
        assert!(matches!(answer, Err(ApiError::TookTooLong)), "{answer:?}");
        assert_eq!(decoding.decoders.available_permits(), 0);
        drop(end);
        let permit = Arc::clone(&decoding.decoders).acquire_owned().await;
        assert!(permit.is_ok());
    }
}
